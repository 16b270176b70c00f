//! What a probe costs beside a client that does the same exchanges and nothing else.
//!
//! `cargo bench -p parallax-agent` prints tables: wall and CPU time per probe and probes per second and core at 1, 16
//! and 64 in flight, for both in turn against the same trivial server, which runs in a process of its own; and the
//! memory of a probe that waits. With `--test` it makes a few of each and judges no figure.

#![allow(clippy::print_stdout, clippy::unwrap_used)]

mod measure;
mod minimal;
mod server;

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use parallax_agent::{Policy, Prober};
use parallax_model::credential::Secret;
use parallax_model::observation::VantageOutcome;
use parallax_model::spec::{DEFAULT_TIMEOUT, Depth, FamilyChoice, LoginSpec, ProbeOptions, ProbeSpec};
use parallax_model::target::{Security, Target};

use measure::{Figures, in_flight, resident};
use minimal::Minimal;

/// What the server lets in.
const USER: &str = "probe";
const PASSWORD: &str = "correct horse";

fn main() {
    let words: Vec<String> = std::env::args().collect();
    if words.iter().any(|word| word == "serve") {
        return server::serve();
    }
    let brief = words.iter().any(|word| word == "--test");
    let server = Server::start();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        for depth in [Depth::Greeting, Depth::Mailbox] {
            compare(&server, depth, if brief { 4 } else { 640 }).await;
        }
        waiting(&server, if brief { 8 } else { 500 }).await;
    });
}

/// Both clients in turn, so that whatever else the machine does weighs on both.
async fn compare(server: &Server, depth: Depth, probes: usize) {
    println!("\ndepth {depth}, {probes} probes each       wall/probe   CPU/probe   probes/s/core");
    let prober = Arc::new(prober(64));
    let minimal = Arc::new(Minimal::new(
        server.talking,
        &server.root,
        depth == Depth::Mailbox,
    ));
    for together in [1, 16, 64] {
        let mut figures = [Figures::default(), Figures::default()];
        for _ in 0..4 {
            let one = minimal.clone();
            figures[0] += in_flight(probes / 4, together, move || {
                let one = one.clone();
                async move { one.probe().await }
            })
            .await;
            let (one, spec) = (prober.clone(), spec(server, server.talking, depth));
            figures[1] += in_flight(probes / 4, together, move || {
                let (one, spec) = (one.clone(), spec.clone());
                async move {
                    let seen = one
                        .probe(spec, Some(&Secret::new(PASSWORD.to_owned())))
                        .await
                        .unwrap();
                    assert_eq!(seen.outcome, VantageOutcome::Ok, "{seen:?}");
                }
            })
            .await;
        }
        println!("{together:>3} in flight  minimal client   {}", figures[0]);
        println!("               parallax         {}", figures[1]);
        println!(
            "               ratio            {:>7.2}      {:>7.2}",
            figures[1].wall(together) / figures[0].wall(together),
            figures[1].cpu() / figures[0].cpu()
        );
    }
}

/// Probes of a server that accepts, does the handshake, and greets nobody.
async fn waiting(server: &Server, probes: usize) {
    let spec = ProbeSpec {
        timeout: Duration::from_secs(60),
        ..spec(server, server.silent, Depth::Greeting)
    };
    let budgets = parallax_agent::Budgets {
        greeting: Duration::from_secs(60),
        ..parallax_agent::Budgets::default()
    };
    let prober = Arc::new(prober(probes + 1).with_budgets(budgets));
    let before = resident();
    let waiting: Vec<_> = (0..probes)
        .map(|_| {
            let (prober, spec) = (prober.clone(), spec.clone());
            tokio::spawn(async move { prober.probe(spec, None).await })
        })
        .collect();
    let mut quiet = 0;
    let mut last = resident();
    while quiet < 20 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let now = resident();
        quiet = if now.abs_diff(last) < 64 * 1024 {
            quiet + 1
        } else {
            0
        };
        last = now;
    }
    let each = last.saturating_sub(before) / probes as u64;
    println!(
        "\n{probes} probes wait for a greeting: {} KiB each, of {} MiB in all",
        each / 1024,
        last >> 20
    );
    waiting.iter().for_each(tokio::task::JoinHandle::abort);
}

fn prober(probes: usize) -> Prober {
    Prober::new("bench".parse().unwrap(), Policy::allow_all(), probes).unwrap()
}

fn spec(server: &Server, at: SocketAddr, depth: Depth) -> ProbeSpec {
    ProbeSpec {
        target: Target::parse(&at.to_string(), Some(Security::Tls)).unwrap(),
        depth,
        family: FamilyChoice::Any,
        addresses: Vec::new(),
        timeout: DEFAULT_TIMEOUT,
        login: (depth == Depth::Mailbox).then(|| LoginSpec {
            user: USER.to_owned(),
            mechanism: None,
        }),
        anchors: vec![server.root.clone()],
        options: ProbeOptions::default(),
    }
}

/// The server's process, and what it said of itself.
struct Server {
    process: Child,
    talking: SocketAddr,
    silent: SocketAddr,
    root: Vec<u8>,
}

impl Server {
    fn start() -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .arg("serve")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let mut words = line.split_whitespace();
        let mut next = || words.next().unwrap().to_owned();
        Self {
            talking: next().parse().unwrap(),
            silent: next().parse().unwrap(),
            root: hex::decode(next()).unwrap(),
            process,
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
