//! Who may come in, for how long, and what is written down about it.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use parallax_tests::host;
use parallax_tests::running::Running;
use parallax_tests::site::TARGET;
use parallax_tests::wait;
use parallax_tests::world::World;
use serde_json::Value;

/// Within it a removal has taken effect.
const AT_ONCE: Duration = Duration::from_secs(1);

/// The least that a certificate can live.
const LIFETIME: &str = "60s";

/// Longer than a certificate of that life.
const A_LIFE: Duration = Duration::from_secs(90);

fn small_world() -> Option<World> {
    host::lab_can_run().then(|| World::new(&["edge-one"]).unwrap())
}

#[test]
fn removal_of_a_live_agent_takes_less_than_a_second() {
    let Some(world) = small_world() else { return };
    let begun = Instant::now();
    world
        .ctl(&["agents", "remove", "edge-one"])
        .unwrap()
        .expect_status(0);
    wait::until("the agent to hear of it", AT_ONCE, || {
        Ok(world.logs().contains("turns this agent away").then_some(()))
    })
    .unwrap();
    assert!(begun.elapsed() < AT_ONCE * 2, "{:?} with ctl", begun.elapsed());
    world.wait_for_agents(&[]).unwrap();
}

#[test]
fn a_revoked_token_takes_along_who_joined_with_it_and_the_log_says_so() {
    let Some(world) = small_world() else { return };
    let made = world
        .ctl(&[
            "token",
            "create",
            "--role",
            "agent",
            "--name-pattern",
            "se*",
            "--label",
            "tier=test",
        ])
        .unwrap();
    let token = made.stdout.trim().to_owned();
    let _second = start(&world, "second", &["--token", &token, "--label", "tier=own"]);
    world.wait_for_agents(&["edge-one", "second"]).unwrap();
    assert_eq!(agent(&world, "second")["labels"]["tier"], "test");

    let tokens = world.ctl(&["token", "list", "-o", "json"]).unwrap().json();
    let listed = tokens.as_array().unwrap().iter();
    let ids: Vec<_> = listed.filter(|token| token["names"] == "se*").collect();
    let [one] = ids.as_slice() else { panic!("{tokens}") };
    let id = one["id"].as_str().unwrap();
    let said = world.ctl(&["token", "revoke", id]).unwrap();
    assert!(
        said.stdout.contains("agent/second, which joined with it, is out"),
        "{said}"
    );
    world.wait_for_agents(&["edge-one"]).unwrap();

    let log = world
        .ctl(&["audit", "--call", "RevokeToken", "-o", "json"])
        .unwrap()
        .json();
    assert_eq!(log[0]["result"], "done", "{log}");
    assert_eq!(log[0]["subject"], id, "{log}");
    assert_eq!(log[0]["role"], "admin", "{log}");
    let verified = world.ctl(&["audit", "--verify"]).unwrap();
    assert_eq!(verified.status, Some(0), "{verified}");
    assert!(verified.stdout.contains("is what was written"), "{verified}");
}

#[test]
fn on_the_collectors_host_tokens_are_told_of_and_taken_back_in_the_words_of_ctl() {
    let Some(world) = small_world() else { return };
    world
        .create_token("viewer", &["--name-pattern", "x-*", "--uses", "12"])
        .unwrap();
    let on_host = |words: &[&str]| {
        let mut command = world.programs().collector();
        command.arg("token").args(words);
        command.arg("--data-dir").arg(world.collector_data());
        let answer = world.run(&world.site.lab.control, &command).unwrap();
        answer.expect_status(0)
    };
    for words in [&["list"][..], &["list", "-o", "json"]] {
        let by_ctl = world.ctl(&[&["token"], words].concat()).unwrap().expect_status(0);
        assert_eq!(on_host(words).stdout, by_ctl.stdout);
    }
    let tokens = world.ctl(&["token", "list", "-o", "json"]).unwrap().json();
    let of_agents = tokens
        .as_array()
        .unwrap()
        .iter()
        .find(|token| token["role"] == "agent");
    let id = of_agents.unwrap()["id"].as_str().unwrap();
    let revoked = on_host(&["revoke", id]).stdout;
    assert_eq!(
        revoked,
        format!("revoked {id}; agent/edge-one, which joined with it, is out\n")
    );
    world.wait_for_agents(&[]).unwrap();
    let by_ctl = world
        .ctl(&["token", "revoke", id])
        .unwrap()
        .expect_status(0)
        .stdout;
    assert_eq!(
        on_host(&["revoke", id]).stdout,
        by_ctl,
        "a second time it says the same"
    );
}

#[test]
fn what_is_done_on_the_collectors_host_is_in_the_log_and_a_doctor_leaves_nothing_there() {
    let Some(world) = small_world() else { return };
    let entries = |words: &[&str]| {
        let log = world
            .ctl(&[&["audit", "-o", "json"], words].concat())
            .unwrap()
            .json();
        log.as_array().unwrap().clone()
    };
    let made = entries(&["--call", "CreateToken"]);
    assert_eq!(
        made.len(),
        4,
        "an agent's token and an admin's, begun and done: {made:?}"
    );
    for entry in &made {
        assert_eq!(entry["role"], "host", "{made:?}");
        assert!(entry["actor"].as_str().unwrap().contains("uid "), "{made:?}");
    }
    assert_eq!(made[0]["result"], "done", "{made:?}");
    assert_eq!(made[0]["subject"], "admin", "{made:?}");

    let before = entries(&[]).len();
    let mut doctor = world.programs().agent();
    doctor
        .arg("doctor")
        .args(world.agent_command("edge-one").get_args().skip(1));
    let host = &world.site.vantage("edge-one").unwrap().host;
    let examined = world.run(host, &doctor).unwrap();
    assert!(
        examined.stdout.contains("both sides know each other"),
        "{examined}"
    );
    let after = entries(&[]);
    // The look before is in it, and nothing else is new.
    assert_eq!(after.len(), before + 1, "{after:?}");
}

/// Whoever asks after a power cut is told when an agent was last heard of, and not when it connected.
#[test]
fn after_a_power_cut_an_agent_was_last_seen_a_minute_before_it() {
    let Some(mut world) = small_world() else { return };
    let connected = jiff::Timestamp::now();
    let then = connected + jiff::SignedDuration::from_secs(70);
    wait::until("more than a minute to pass", A_LIFE, || {
        Ok((jiff::Timestamp::now() > then).then_some(()))
    })
    .unwrap();
    world.kill_collector();
    world.kill_agent("edge-one").unwrap();
    world.start_collector().unwrap();
    let agent = agent(&world, "edge-one");
    assert_eq!(agent["state"], "lost", "{agent}");
    let seen: jiff::Timestamp = agent["last_seen"].as_str().unwrap().parse().unwrap();
    assert!(
        seen > connected,
        "{agent} was connected at {connected} and heard of later"
    );
}

/// With certificates of a minute: the collector is away when one is due, and then the agent sleeps past its end.
#[test]
fn renewal_across_a_restart_and_a_sleep_needs_no_token() {
    let Some(mut world) = small_world() else { return };
    world.kill_collector();
    let terms = format!("certificate_lifetime = {LIFETIME:?}\n");
    std::fs::write(world.configuration_of("collector"), terms).unwrap();
    world.start_collector().unwrap();
    world.wait_for_agents(&["edge-one"]).unwrap();
    let token = world.create_token("agent", &["--name", "sleeper"]).unwrap();
    let sleeper = start(&world, "sleeper", &["--token", &token]);
    world.wait_for_agents(&["edge-one", "sleeper"]).unwrap();
    let first = ends(&world);

    world.kill_collector();
    let due = first - jiff::SignedDuration::from_secs(20);
    wait::until("the renewal to be due", A_LIFE, || {
        Ok((jiff::Timestamp::now() > due).then_some(()))
    })
    .unwrap();
    world.start_collector().unwrap();
    // An agent may take half a minute until it tries again.
    let second = wait::until("the renewal", A_LIFE, || {
        let now = ends(&world);
        Ok((agent(&world, "sleeper")["state"] == "connected" && now > first).then_some(now))
    })
    .unwrap();

    sleeper.signal(Signal::SIGSTOP).unwrap();
    wait::until("the end of the certificate", A_LIFE, || {
        let over = second + jiff::SignedDuration::from_secs(2);
        Ok((jiff::Timestamp::now() > over).then_some(()))
    })
    .unwrap();
    sleeper.signal(Signal::SIGCONT).unwrap();
    wait::until("the agent to come back", A_LIFE, || {
        let back = agent(&world, "sleeper");
        Ok((back["state"] == "connected" && ends(&world) > second).then_some(()))
    })
    .unwrap();
}

/// The agent renews meanwhile, goes on over a new connection, and the old certificate ends.
#[test]
fn a_probe_that_outlives_the_certificate_of_its_agent_ends_as_if_nothing_were() {
    let Some(mut world) = small_world() else { return };
    world.kill_collector();
    let terms = format!("certificate_lifetime = {LIFETIME:?}\n");
    std::fs::write(world.configuration_of("collector"), terms).unwrap();
    world.start_collector().unwrap();
    let token = world.create_token("agent", &["--name", "sleeper"]).unwrap();
    let _agent = start(&world, "sleeper", &["--token", &token]);
    world.wait_for_agents(&["edge-one", "sleeper"]).unwrap();
    let first = ends(&world);
    // A command is given a minute.
    let soon = first - jiff::SignedDuration::from_secs(35);
    wait::until("the renewal to be near", A_LIFE, || {
        Ok((jiff::Timestamp::now() > soon).then_some(()))
    })
    .unwrap();
    let held = world
        .ctl(&[
            "probe", TARGET, "--from", "sleeper", "--hold", "45s", "-o", "json",
        ])
        .unwrap()
        .expect_status(0);
    assert!(jiff::Timestamp::now() > first, "it outlived the certificate");
    assert_eq!(held.document().with_outcome("ok"), ["sleeper"], "{held}");
    assert!(ends(&world) > first);
    let dropped = world.logs();
    assert!(!dropped.contains("agent lost: "), "{dropped}");
}

fn start(world: &World, name: &str, extra: &[&str]) -> Running {
    let mut command = world.agent_command(name);
    command.args(extra);
    let host = &world.site.vantage("edge-one").unwrap().host;
    world.start(host, &command).unwrap()
}

fn agent(world: &World, name: &str) -> Value {
    let answer = world.ctl(&["agents", "show", name, "-o", "json"]).unwrap();
    assert_eq!(answer.status, Some(0), "{answer}");
    answer.json()
}

fn ends(world: &World) -> jiff::Timestamp {
    let agent = agent(world, "sleeper");
    agent["certificate_ends"].as_str().unwrap().parse().unwrap()
}
