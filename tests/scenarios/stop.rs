//! Whoever is asked to stop ends in time, whatever hangs around it.

use std::net::TcpListener;
use std::time::Duration;

use nix::sys::signal::Signal;
use parallax_tests::host;
use parallax_tests::lab::VANTAGES;
use parallax_tests::site::TARGET;
use parallax_tests::wait;
use parallax_tests::world::World;

/// What a stop may take, with a second for a busy host. What hangs here hangs for ten or more.
const COLLECTOR: Duration = Duration::from_secs(6);
const AGENT: Duration = Duration::from_secs(7);

/// Longer than it takes until something hangs.
const SOON: Duration = Duration::from_secs(30);

/// Takes connections, as the kernel does by itself, and never reads from one.
fn silent(world: &World, port: u16) -> TcpListener {
    let bind = move || TcpListener::bind(("127.0.0.1", port)).unwrap();
    let listener = world.site.lab.control.run(bind);
    listener.set_nonblocking(true).unwrap();
    listener
}

fn wait_for_a_connection(what: &str, listener: &TcpListener) -> std::net::TcpStream {
    wait::until(what, SOON, || Ok(listener.accept().ok())).unwrap().0
}

#[test]
fn a_collector_ends_in_time_beside_a_stuck_backend_slow_receivers_and_open_streams() {
    if !host::lab_can_run() {
        return;
    }
    let mut world = World::new(&VANTAGES).unwrap();
    let (backend, hook) = (silent(&world, 9111), silent(&world, 9112));
    let configuration = "otlp_endpoint = \"http://127.0.0.1:9111\"\ntrace_ratio = 1\n[alerting]\n\
        [[alerting.receivers]]\nname = \"slow\"\nwebhook = \"http://127.0.0.1:9112/\"\n\
        [[alerting.receivers]]\nname = \"nameless\"\nwebhook = \"http://hooks.lab.example/\"\n";
    std::fs::write(world.configuration_of("collector"), configuration).unwrap();
    world.kill_collector();
    world.start_collector().unwrap();
    world.wait_for_agents(&VANTAGES).unwrap();
    world.inject("dns_silent@dns").unwrap();
    world.inject("firewall_drop@mail").unwrap();
    let _watching = world.start_ctl(&["status", "--watch"], "").unwrap();
    let _probing = world
        .start_ctl(&["probe", "10.9.0.10", "--from", "all", "--timeout", "20s"], "")
        .unwrap();
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
        "--together",
    ];
    world.ctl(&check).unwrap().expect_status(0);
    let _spans = wait_for_a_connection("spans for the backend", &backend);
    let _testing = world.start_ctl(&["alerts", "test"], "").unwrap();
    // With it the name of the other is looked up, and nobody answers.
    let _notice = wait_for_a_connection("a notice for the receiver", &hook);
    let ended = world.stop_collector(COLLECTOR).unwrap_or_else(|error| {
        panic!("{error}\n{}", world.log_of("collector"));
    });
    assert!(ended.success(), "{ended}\n{}", world.log_of("collector"));
}

#[test]
fn an_agent_ends_in_time_with_probes_under_way_and_a_collector_that_hangs() {
    if !host::lab_can_run() {
        return;
    }
    let mut world = World::new(&VANTAGES).unwrap();
    let _probing = world
        .start_ctl(&["probe", TARGET, "--from", "all", "--hold", "5m"], "")
        .unwrap();
    wait::until("a probe under way everywhere", SOON, || {
        let agents = world.ctl(&["agents", "-o", "json"])?.json();
        let busy = |agent: &serde_json::Value| agent["probes_in_flight"].as_u64() > Some(0);
        Ok(agents.as_array().unwrap().iter().all(busy).then_some(()))
    })
    .unwrap();
    world.signal_collector(Signal::SIGSTOP).unwrap();
    for name in ["edge-fra", "edge-ams"] {
        let ended = world.stop_agent(name, AGENT).unwrap_or_else(|error| {
            panic!("{error}\n{}", world.log_of(&format!("agent-{name}")));
        });
        assert!(ended.success(), "{ended}");
    }
}
