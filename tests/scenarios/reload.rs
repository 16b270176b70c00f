//! The configuration of a collector that runs is changed.

use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use parallax_tests::address;
use parallax_tests::host;
use parallax_tests::lab::VANTAGES;
use parallax_tests::prometheus::{self, Door};
use parallax_tests::site::TARGET;
use parallax_tests::wait;
use parallax_tests::webhook::Webhook;
use parallax_tests::world::World;

/// Some rounds of a check, and their diagnosis.
const SOON: Duration = Duration::from_secs(90);

/// Longer than it takes to read a file.
const AT_ONCE: Duration = Duration::from_secs(10);

const FIRST: u16 = 9101;
const SECOND: u16 = 9102;

/// A world whose collector has a configuration.
fn configured(file: &str) -> Option<World> {
    if !host::lab_can_run() {
        return None;
    }
    let mut world = World::with_sink(&VANTAGES).unwrap();
    std::fs::write(world.configuration_of("collector"), file).unwrap();
    world.kill_collector();
    world.start_collector().unwrap();
    world.wait_for_agents(&VANTAGES).unwrap();
    Some(world)
}

/// Another file, and a signal; waits until the collector has said each of these, for the first time or once more.
fn reload(world: &World, file: &str, says: &[&str]) {
    let count = |word: &str| world.log_of("collector").matches(word).count();
    let before: Vec<usize> = says.iter().map(|word| count(word)).collect();
    std::fs::write(world.configuration_of("collector"), file).unwrap();
    world.signal_collector(Signal::SIGHUP).unwrap();
    for (word, before) in says.iter().zip(before) {
        wait::until(word, AT_ONCE, || Ok((count(word) > before).then_some(())))
            .unwrap_or_else(|error| panic!("{error}\n{}", world.log_of("collector")));
    }
}

fn to(ports: &[u16]) -> String {
    let each = |port: &u16| {
        format!("[[alerting.receivers]]\nname = \"hook-{port}\"\nwebhook = \"http://127.0.0.1:{port}/\"\n")
    };
    format!("[alerting]\n{}", ports.iter().map(each).collect::<String>())
}

/// What the page says of the last time that the configuration was read.
fn successful(world: &World) -> String {
    let door = Door {
        address: format!("{}:7180", address::CONTROL.v4),
        data: world.collector_data(),
    };
    let page = prometheus::page(&world.site.lab.control, &door).unwrap();
    let line = page
        .lines()
        .find_map(|line| line.strip_prefix("parallax_config_last_reload_successful "));
    line.unwrap_or_else(|| panic!("{page}")).to_owned()
}

fn told(hook: &Webhook) -> Vec<String> {
    let taken = hook.taken();
    let states = taken.iter().map(|notice| notice["status"].as_str().unwrap());
    states.map(str::to_owned).collect()
}

fn wait_for(world: &World, what: &str, hook: &Webhook, states: &[&str]) {
    wait::until(what, SOON, || Ok((told(hook) == states).then_some(()))).unwrap_or_else(|error| {
        panic!("{error}: {:?}\n{}", told(hook), world.log_of("collector"));
    });
}

#[test]
fn the_next_alert_goes_to_whom_the_file_names_then_and_a_broken_file_changes_nothing() {
    let Some(mut world) = configured(&to(&[FIRST])) else {
        return;
    };
    let [first, second] = [FIRST, SECOND].map(|port| Webhook::start(&world.site.lab.control, port).unwrap());
    let check = [
        "check",
        "add",
        "imap-lab",
        "--target",
        TARGET,
        "--every",
        "8s",
        "--timeout",
        "6s",
        "--together",
        "--recover-rounds",
        "1",
        "--for-rounds",
        "1",
    ];
    world.ctl(&check).unwrap().expect_status(0);
    world.inject("firewall_drop@mail").unwrap();
    wait_for(&world, "an alert", &first, &["firing"]);
    let links = world.log_of("collector").matches("agent connected").count();

    reload(&world, &to(&[SECOND]), &["holds from now on: alerting"]);
    world.heal("firewall_drop@mail").unwrap();
    wait_for(&world, "its end, elsewhere", &second, &["resolved"]);
    assert_eq!(told(&first), ["firing"]);
    assert_eq!(successful(&world), "1");

    let broken = to(&[FIRST]).replace("webhook", "webhok");
    reload(&world, &broken, &["the configuration stays as it was: "]);
    assert_eq!(successful(&world), "0");
    world.inject("firewall_drop@mail").unwrap();
    wait_for(&world, "the next alert", &second, &["resolved", "firing"]);
    assert_eq!(told(&first), ["firing"]);

    reload(&world, &to(&[FIRST, SECOND]), &["holds from now on: alerting"]);
    assert_eq!(successful(&world), "1");
    world.heal("firewall_drop@mail").unwrap();
    wait_for(&world, "its end, here too", &first, &["firing", "resolved"]);
    wait_for(&world, "its end", &second, &["resolved", "firing", "resolved"]);
    let now = world.log_of("collector").matches("agent connected").count();
    assert_eq!(now, links, "no link was cut:\n{}", world.log_of("collector"));
}

#[test]
fn the_share_of_healthy_rounds_limits_and_lines_change_and_what_takes_a_restart_is_named() {
    let Some(world) = configured("trace_ratio = 0\nlog_filter = \"warn\"\n") else {
        return;
    };
    let sink = world.sink.as_ref().unwrap();
    let traced = || {
        let spans = sink.spans().into_iter();
        let rounds = spans.filter(|span| span.name == "scheduled probe");
        rounds.map(|span| span.trace_id).collect::<Vec<_>>()
    };
    // A round is the trace with the id of its run. What is kept as a run is traced whatever the share is.
    let is_kept = |trace: &String| {
        let [a, b, c, d, e] = [0..8, 8..12, 12..16, 16..20, 20..32].map(|part| &trace[part]);
        let id = format!("{a}-{b}-{c}-{d}-{e}");
        let shown = world.ctl(&["runs", "show", &id, "-o", "json"]).unwrap();
        shown.stdout.contains(&id)
    };
    let check = [
        "check",
        "add",
        "imap-lab",
        "--target",
        TARGET,
        "--every",
        "2s",
        "--timeout",
        "2s",
    ];
    world.ctl(&check).unwrap().expect_status(0);
    let history = || {
        let answer = world
            .ctl(&["check", "history", "imap-lab", "--step", "round", "-o", "json"])
            .unwrap();
        answer.stdout.matches("\"healthy\"").count()
    };
    wait::until("healthy rounds", SOON, || Ok((history() >= 5).then_some(()))).unwrap();
    assert!(traced().iter().all(is_kept), "{:?}", traced());

    let next = "trace_ratio = 1\nlog_filter = \"debug\"\nrenew_grace = \"1h\"\nlog_format = \"json\"\n\
                [limits]\nruns_per_target = 1\n";
    reload(
        &world,
        next,
        &[
            "holds from now on: trace_ratio, log_filter, limits",
            "renew_grace is otherwise in the file; it takes a restart",
            "log_format is otherwise in the file; it takes a restart",
            "DEBUG",
        ],
    );
    wait::until("the trace of a round that is no run", SOON, || {
        Ok((!traced().iter().all(is_kept)).then_some(()))
    })
    .unwrap_or_else(|error| panic!("{error}\n{}", world.log_of("collector")));
    let said: String = (0..3).map(|_| world.probe(&[]).unwrap().to_string()).collect();
    assert_eq!(said.matches("is asked more often").count(), 1, "{said}");
}

#[test]
fn an_agent_writes_the_lines_that_its_file_names_then() {
    if !host::lab_can_run() {
        return;
    }
    let agent = VANTAGES[0];
    let mut world = World::new(&[agent]).unwrap();
    std::fs::write(world.configuration_of(agent), "log_filter = \"warn\"\n").unwrap();
    world.kill_agent(agent).unwrap();
    world.start_agent(agent).unwrap();
    world.wait_for_agents(&[agent]).unwrap();
    let log = || world.log_of(&format!("agent-{agent}"));
    for (file, said) in [
        (
            "log_filter = \"loud=loud\"\n",
            "the log filter stays as it was: log filter",
        ),
        ("log_filter = \"debug\"\n", "DEBUG"),
    ] {
        assert!(!log().contains(said), "{}", log());
        std::fs::write(world.configuration_of(agent), file).unwrap();
        let running = world.processes();
        let (_, id) = running.iter().find(|(name, _)| name.contains(agent)).unwrap();
        kill(Pid::from_raw(i32::try_from(*id).unwrap()), Signal::SIGHUP).unwrap();
        wait::until(said, SOON, || Ok(log().contains(said).then_some(()))).unwrap();
    }
}
