//! Programs are killed and frozen at the worst moment: the others recover, and nothing hangs.

use std::time::Duration;

use nix::sys::signal::Signal;
use parallax_tests::document::Document;
use parallax_tests::lab::VANTAGES;
use parallax_tests::running::Running;
use parallax_tests::site::TARGET;
use parallax_tests::wait;
use parallax_tests::world::World;

use crate::{BRIEF, HEALTHY, UNKNOWN, all_but, world};

/// A probe of six seconds and two rounds of experiments end well before.
const NOT_HUNG: Duration = Duration::from_secs(25);
/// A lost link is noticed at once, and takes no deadline.
const AT_ONCE: Duration = Duration::from_secs(5);

#[test]
fn a_killed_collector_comes_back_and_its_agents_with_it() {
    let Some(mut world) = world() else { return };
    world.kill_collector();
    world.probe(&BRIEF).unwrap().expect_status(UNKNOWN);
    world.start_collector().unwrap();
    world.wait_for_agents(&VANTAGES).unwrap();
    world.probe(&[]).unwrap().expect_status(HEALTHY);
}

#[test]
fn a_collector_killed_during_a_run_ends_the_command() {
    let Some(mut world) = world() else { return };
    let running = probe_that_waits_at(&mut world, "edge-ams");
    world.kill_collector();
    let answer = running.answer().unwrap().expect_status(UNKNOWN);
    assert!(answer.took < AT_ONCE, "{answer}");
}

#[test]
fn a_killed_agent_comes_back() {
    let Some(mut world) = world() else { return };
    world.kill_agent("edge-ams").unwrap();
    world.wait_for_agents(&all_but("edge-ams")).unwrap();
    world.start_agent("edge-ams").unwrap();
    world.wait_for_agents(&VANTAGES).unwrap();
    world.probe(&[]).unwrap().expect_status(HEALTHY);
}

#[test]
fn an_agent_killed_during_a_run_is_missing_because_it_is_offline() {
    let Some(mut world) = world() else { return };
    let running = probe_that_waits_at(&mut world, "edge-ams");
    world.kill_agent("edge-ams").unwrap();
    let answer = running.answer().unwrap();
    assert!(answer.took < NOT_HUNG, "{answer}");
    assert_missing(&answer.document(), &["offline"]);
}

#[test]
fn an_agent_frozen_during_a_run_is_missing_and_nothing_hangs() {
    let Some(mut world) = world() else { return };
    let running = probe_that_waits_at(&mut world, "edge-ams");
    world.signal_agent("edge-ams", Signal::SIGSTOP).unwrap();
    let answer = running.answer().unwrap();
    assert!(answer.took < NOT_HUNG, "{answer}");
    assert_missing(&answer.document(), &["deadline", "offline"]);
    world.signal_agent("edge-ams", Signal::SIGCONT).unwrap();
    world.heal("firewall_drop@edge-ams").unwrap();
    world.wait_for_agents(&VANTAGES).unwrap();
    world.probe(&[]).unwrap().expect_status(HEALTHY);
}

#[test]
fn an_agent_frozen_before_a_run_is_missing_and_nothing_hangs() {
    let Some(mut world) = world() else { return };
    world.signal_agent("edge-ams", Signal::SIGSTOP).unwrap();
    let answer = world.probe(&BRIEF).unwrap();
    assert!(answer.took < NOT_HUNG, "{answer}");
    assert_missing(&answer.document(), &["deadline", "offline"]);
}

fn assert_missing(document: &Document, reasons: &[&str]) {
    let vantage = document.vantage("edge-ams");
    assert_eq!(vantage.outcome(), "missing", "{document}");
    assert!(
        vantage.reason().is_some_and(|reason| reasons.contains(&reason)),
        "{document}"
    );
    assert_eq!(document.with_outcome("ok"), all_but("edge-ams"), "{document}");
    assert_eq!(
        document.finding("agent_missing").affected(),
        ["edge-ams"],
        "{document}"
    );
}

/// Starts a probe that cannot end at `vantage` yet, and returns when the agent there is at work.
fn probe_that_waits_at(world: &mut World, vantage: &str) -> Running {
    world.inject(&format!("firewall_drop@{vantage}")).unwrap();
    let args = [&["probe", TARGET, "--from", "all", "-o", "json"][..], &BRIEF].concat();
    let running = world.start_ctl(&args, "").unwrap();
    let host = &world.site.vantage(vantage).unwrap().host;
    wait::until("a connection on its way", Duration::from_secs(10), || {
        Ok(host.run(is_connecting).then_some(()))
    })
    .unwrap();
    running
}

/// Whether a socket of this network waits for an answer from port 993: state 02 is SYN_SENT.
fn is_connecting() -> bool {
    let sockets = std::fs::read_to_string("/proc/thread-self/net/tcp").unwrap();
    sockets
        .lines()
        .filter_map(|line| line.split_once(":03E1 "))
        .any(|(_, state)| state.starts_with("02"))
}
