//! Somebody in the network does to the collector what nobody should, and somebody is taken out. By itself, since it
//! holds one time against another, and whatever runs beside it would be in both.

#![allow(clippy::unwrap_used)]

use std::collections::VecDeque;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use parallax_tests::address;
use parallax_tests::host;
use parallax_tests::wait;
use parallax_tests::world::{World, collector_address};

/// The exit status of a healthy verdict.
const HEALTHY: i32 = 0;
const VANTAGES: [&str; 2] = ["edge-one", "edge-two"];
const PROBES: usize = 5;

/// Sockets that the flood keeps open; the collector has fewer places for those who say nothing.
const HELD: usize = 600;
/// One more each so long.
const PACE: Duration = Duration::from_millis(1);

/// Of the collector's memory.
const MEBIBYTES_AT_MOST: u64 = 300;

fn small_world() -> Option<World> {
    host::lab_can_run().then(|| World::new(&VANTAGES).unwrap())
}

#[test]
fn strangers_who_say_nothing_slow_no_probe_and_fill_no_memory() {
    let Some(world) = small_world() else { return };
    let calm = usual_time(&world);
    let flood = Flood::from(&world, "edge-one");
    let flooded = usual_time(&world);
    let resident = resident_mebibytes(&world);
    let said = flood.end();
    assert!(said > HELD, "{said} connections are no flood");
    assert!(flooded < calm * 2, "{calm:?} became {flooded:?}");
    assert!(resident < MEBIBYTES_AT_MOST, "{resident} MiB");
    let status = world
        .ctl(&["status", "-o", "json"])
        .unwrap()
        .expect_status(0)
        .json();
    let gave_way = &status["drops"]["connections_refused_handshakes"];
    assert!(gave_way.as_u64().is_some_and(|count| count > 0), "{status}");
    world.wait_for_agents(&VANTAGES).unwrap();
}

#[test]
fn removal_of_a_live_agent_takes_less_than_a_second() {
    let Some(world) = small_world() else { return };
    world
        .ctl(&["agents", "remove", "edge-one"])
        .unwrap()
        .expect_status(0);
    let at_once = Duration::from_secs(1);
    wait::until("the removed agent's end of the link", at_once, || {
        Ok(world.logs().contains("was removed").then_some(()))
    })
    .unwrap();
    let document = world.probe(&[]).unwrap().expect_status(HEALTHY).document();
    assert_eq!(document.with_outcome("ok"), ["edge-two"], "{document}");
}

#[test]
fn off_loopback_the_page_takes_tls_and_in_clear_says_only_that_it_is_there() {
    let Some(world) = small_world() else { return };
    let host = &world.site.vantage("edge-one").unwrap().host;
    for (path, expected) in [
        ("/healthz", "200"),
        ("/readyz", "200"),
        ("/", "426"),
        ("/metrics", "426"),
    ] {
        let status = host.run(move || in_clear(path));
        assert_eq!(status, expected, "{path}");
    }
}

/// The middle of some probes, as the operator waits for them.
fn usual_time(world: &World) -> Duration {
    let mut took: Vec<_> = (0..PROBES)
        .map(|_| world.probe(&[]).unwrap().expect_status(HEALTHY).took)
        .collect();
    took.sort_unstable();
    took[PROBES / 2]
}

fn resident_mebibytes(world: &World) -> u64 {
    let (_, id) = world
        .processes()
        .into_iter()
        .find(|(name, _)| name == "collector")
        .unwrap();
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap();
    let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
    kibibytes / 1024
}

fn page() -> String {
    format!("{}:7180", address::CONTROL.v4)
}

/// The status of an answer without TLS.
fn in_clear(path: &str) -> String {
    let mut stream = TcpStream::connect(page()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    write!(stream, "GET {path} HTTP/1.0\r\nHost: lab\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split(' ').nth(1).unwrap_or_default().to_owned()
}

/// Connections to both ports of the collector that say nothing, one after another, from when they are many until it
/// ends.
struct Flood {
    over: Arc<AtomicBool>,
    task: JoinHandle<usize>,
}

impl Flood {
    fn from(world: &World, vantage: &str) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&over);
        let (full, filled) = mpsc::channel();
        let host = &world.site.vantage(vantage).unwrap().host;
        // A thread stands where the one stood that began it.
        let task = host.run(move || std::thread::spawn(move || connect_until(&told, &full)));
        filled.recv_timeout(Duration::from_secs(20)).unwrap();
        Self { over, task }
    }

    /// How many there were.
    fn end(self) -> usize {
        self.over.store(true, Ordering::Relaxed);
        self.task.join().unwrap()
    }
}

fn connect_until(over: &AtomicBool, full: &mpsc::Sender<()>) -> usize {
    let ports = [collector_address(), page()];
    let mut held = VecDeque::new();
    let mut number = 0;
    while !over.load(Ordering::Relaxed) {
        held.push_back(TcpStream::connect(&ports[number % 2]).unwrap());
        number += 1;
        if number == HELD {
            full.send(()).unwrap();
        }
        if held.len() > HELD {
            held.pop_front();
        }
        std::thread::sleep(PACE);
    }
    number
}
