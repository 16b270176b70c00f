//! Checks that go on by themselves, and whom they wake.

use std::time::Duration;

use jiff::Timestamp;
use parallax_tests::lab::VANTAGES;
use parallax_tests::process::Process;
use parallax_tests::routine::Stored;
use parallax_tests::wait;
use parallax_tests::world::World;
use serde_json::Value;

use crate::{traced_world, world};

/// At every vantage point at once, and over before the next round begins: a round that is left out fails for nobody.
const TOGETHER: [&str; 5] = ["--every", "3s", "--together", "--timeout", "2s"];
/// For a round to be seen, judged and told.
const SOON: Duration = Duration::from_secs(60);
/// An alert of what has just been stored would be told by then.
const TO_TELL: Duration = Duration::from_secs(5);

#[test]
fn a_check_outlives_its_collector() {
    let Some(mut world) = world() else { return };
    world.add_check("imap", &["--every", "1s"]).unwrap();
    results_of_everyone(&world, |_| true, 3);
    world.kill_collector();
    let killed = Timestamp::now();
    std::thread::sleep(Duration::from_secs(6));
    let back = Timestamp::now();
    world.start_collector().unwrap();
    world.wait_for_agents(&VANTAGES).unwrap();
    let meanwhile = move |result: &Stored| {
        let at: Timestamp = result.started_at.parse().unwrap();
        killed < at && at < back
    };
    results_of_everyone(&world, meanwhile, 4);
}

#[test]
fn an_agent_that_comes_later_starts_by_itself() {
    let Some(world) = world() else { return };
    world.add_check("imap", &["--every", "1s"]).unwrap();
    let token = world.create_token("agent", &[]).unwrap();
    let mut command = world.agent_command("late");
    command.args(["--token", &token]);
    let host = &world.site.vantage("edge-fra").unwrap().host;
    let _late = Process::start(host, "agent-late", world.site.lab.directory(), &command).unwrap();
    results(&world, "late", |result| result.outcome == "ok", 2);
}

#[test]
fn one_vantage_point_that_fails_is_one_alert_with_its_run_and_trace() {
    let Some(mut world) = traced_world() else { return };
    add_sensitive_check(&world);
    world.inject("firewall_drop@edge-ams").unwrap();
    let alert = wait::until("an alert", SOON, || {
        Ok(alerts(&world)
            .into_iter()
            .find(|alert| alert["state"] == "firing"))
    })
    .unwrap();
    assert_eq!(alert["name"], "ImapTargetFailing", "{alert}");
    let run = alert["run_id"].as_str().unwrap();
    let document = world
        .ctl(&["runs", "show", run, "-o", "json"])
        .unwrap()
        .document();
    assert_eq!(document.with_outcome("failed"), ["edge-ams"], "{document}");
    assert_eq!(document.first_finding().affected(), ["edge-ams"], "{document}");
    assert_eq!(alert["trace_id"].as_str().unwrap().len(), 32, "{alert}");
    let partial = [
        "--check",
        alert["check"].as_str().unwrap(),
        "--verdict",
        "partial",
    ];
    assert!(listed(&world, &partial).contains(run), "{alert}");
    assert_eq!(listed(&world, &["--check", "another"]).trim(), "[]");
    assert_eq!(alerts(&world).len(), 1);
}

fn listed(world: &World, narrowed: &[&str]) -> String {
    let answer = world.ctl(&[&["runs", "list", "-o", "json"], narrowed].concat());
    answer.unwrap().expect_status(0).stdout
}

#[test]
fn results_of_a_cut_link_come_later_and_wake_nobody() {
    let Some(mut world) = world() else { return };
    add_sensitive_check(&world);
    let ams = world.site.vantage("edge-ams").unwrap().address.v4;
    let cut = format!(
        "table inet cut {{
         chain incoming {{ type filter hook input priority filter\nip saddr {ams} tcp dport 7143 reject with tcp reset\n}}
         }}\n"
    );
    let control =
        |world: &World, script: String| world.site.lab.control.feed("nft", &["-f", "-"], script).unwrap();
    control(&world, cut);
    wait::until("the link to be lost", SOON, || {
        Ok((last_round(&world)["missing"] == 1).then_some(()))
    })
    .unwrap();
    world.inject("firewall_drop@edge-ams").unwrap();
    std::thread::sleep(Duration::from_secs(10));
    world.heal("firewall_drop@edge-ams").unwrap();
    std::thread::sleep(Duration::from_secs(4));
    control(&world, "delete table inet cut\n".to_owned());
    results(&world, "edge-ams", |result| result.outcome == "failed", 3);
    std::thread::sleep(TO_TELL);
    let told = alerts(&world);
    assert!(told.is_empty(), "{told:?}");
}

/// Waits until so many results of each of the usual agents are stored.
fn results_of_everyone(world: &World, wanted: impl Fn(&Stored) -> bool + Copy, count: usize) {
    for name in VANTAGES {
        results(world, name, wanted, count);
    }
}

/// Waits until so many results of an agent are stored; each is there once.
fn results(world: &World, agent: &str, wanted: impl Fn(&Stored) -> bool, count: usize) {
    let results = wait::until(&format!("{count} results of {agent}"), SOON, || {
        let results = world.results("imap")?;
        let found = results
            .iter()
            .filter(|result| result.agent == agent && wanted(result));
        Ok((found.count() >= count).then_some(results))
    });
    let mut ids: Vec<_> = results.unwrap().into_iter().map(|result| result.id).collect();
    let all = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), all, "a result is stored twice");
}

/// A check that tells of two failed rounds at one vantage point; it has worked when this returns.
fn add_sensitive_check(world: &World) {
    let sensitive = [&TOGETHER[..], &["--fail-from", "1", "--for-rounds", "2"]].concat();
    world.add_check("imap", &sensitive).unwrap();
    results_of_everyone(world, |result| result.outcome == "ok", 2);
}

/// Every alert there ever was, of any state.
fn alerts(world: &World) -> Vec<Value> {
    let answer = world
        .ctl(&["alerts", "list", "--all", "-o", "json"])
        .unwrap()
        .expect_status(0);
    answer.json()["alerts"].as_array().unwrap().clone()
}

fn last_round(world: &World) -> Value {
    let check = world
        .ctl(&["check", "show", "imap", "-o", "json"])
        .unwrap()
        .expect_status(0);
    check.json()["last_round"].clone()
}
