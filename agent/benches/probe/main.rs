//! What a probe costs beside a client that does the same exchanges and nothing else.
//!
//! `cargo bench -p parallax-agent` prints tables: wall and CPU time per probe and probes per second and core at 1, 16
//! and 64 in flight, for both in turn, against a trivial server, which runs in a process of its own, and against
//! Dovecot where it can be started; the memory of a probe that waits; and the most memory that probes of hostile
//! servers take. With `--test` it makes a few of each and judges no figure.

#![allow(clippy::print_stdout, clippy::unwrap_used)]

mod dovecot;
mod measure;
mod minimal;
mod place;
mod server;

use std::sync::Arc;
use std::time::Duration;

use parallax_agent::{Budgets, Policy, Prober};
use parallax_model::credential::{SealedSecret, Secret};
use parallax_model::observation::VantageOutcome;
use parallax_model::spec::{Depth, ProbeSpec};

use dovecot::Dovecot;
use measure::{Figures, forget_peak, in_flight, in_use, peak, resident};
use minimal::Minimal;
use place::{PASSWORD, Place};
use server::Server;

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
        // First, since the memory that is measured is the process's own, and later it would be memory used before.
        hostile(&server.flooding, if brief { 4 } else { 64 }).await;
        waiting(&server, if brief { 8 } else { 500 }).await;
        for depth in [Depth::Greeting, Depth::Mailbox] {
            let what = format!("a trivial server, depth {depth}");
            compare(&what, &server.talking, depth, if brief { 4 } else { 640 }).await;
        }
        match Dovecot::start() {
            Ok(dovecot) => {
                let probes = if brief { 4 } else { 320 };
                compare("Dovecot, depth mailbox", &dovecot.place, Depth::Mailbox, probes).await;
            }
            Err(reason) => println!("\nnot measured against Dovecot: {reason}"),
        }
    });
}

/// Both clients in turn, so that whatever else the machine does weighs on both.
async fn compare(what: &str, place: &Place, depth: Depth, probes: usize) {
    let (prober, spec) = (Arc::new(prober(64)), place.spec(depth));
    let secret = secret(&prober, &spec);
    let minimal = Arc::new(minimal(place, depth).await);
    println!(
        "\n{what}, {} commands, {probes} probes each\n{:>45}   CPU/probe   probes/s/core",
        minimal.commands(),
        "wall/probe"
    );
    for together in [1, 16, 64] {
        let mut figures = [Figures::default(), Figures::default()];
        for _ in 0..4 {
            let one = minimal.clone();
            figures[0] += in_flight(probes / 4, together, move || {
                let one = one.clone();
                async move { one.probe().await }
            })
            .await;
            let one = (prober.clone(), spec.clone(), secret.clone());
            figures[1] += in_flight(probes / 4, together, move || {
                let (prober, spec, secret) = one.clone();
                async move {
                    let seen = prober.probe(spec, secret).await.unwrap();
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

/// A minimal client that says what a probe of this depth says there.
async fn minimal(place: &Place, depth: Depth) -> Minimal {
    // The dialogue is kept of a probe that is not entirely well, and nothing is quick enough for this one.
    let hurried = Budgets {
        patience: Duration::ZERO,
        ..Budgets::default()
    };
    let (prober, spec) = (prober(1).with_budgets(hurried), place.spec(depth));
    let secret = secret(&prober, &spec);
    let seen = prober.probe(spec, secret).await.unwrap();
    Minimal::like(&seen, place)
}

/// The password, if the probe logs in. Sealing it is not an agent's work.
fn secret(prober: &Prober, spec: &ProbeSpec) -> Option<SealedSecret> {
    spec.login.as_ref()?;
    Some(prober.seal(spec, &Secret::new(PASSWORD.to_owned())).unwrap())
}

/// Clients of a server that accepts, does the handshake, and greets nobody.
async fn waiting(server: &Server, clients: usize) {
    let minute = Duration::from_secs(60);
    let spec = server.silent.patient_spec(Depth::Greeting, minute);
    let budgets = Budgets {
        greeting: minute,
        ..Budgets::default()
    };
    let prober = Arc::new(prober(clients + 1).with_budgets(budgets));
    let minimal = minimal(&server.talking, Depth::Greeting).await.at(&server.silent);
    let minimal = Arc::new(minimal);
    println!("\n{clients} clients wait for a greeting");
    let each = memory_of(clients, || {
        let minimal = minimal.clone();
        async move { minimal.wait().await }
    });
    println!(
        "               minimal client   {:>5} KiB each",
        each.await / 1024
    );
    let each = memory_of(clients, || {
        let (prober, spec) = (prober.clone(), spec.clone());
        async move { drop(prober.probe(spec, None).await) }
    });
    println!(
        "               parallax         {:>5} KiB each",
        each.await / 1024
    );
}

/// Memory that each of so many takes, once nothing changes any more.
async fn memory_of<F>(clients: usize, one: impl Fn() -> F) -> u64
where
    F: Future<Output = ()> + Send + 'static,
{
    let before = in_use();
    let waiting: Vec<_> = (0..clients).map(|_| tokio::spawn(one())).collect();
    let (mut quiet, mut last) = (0, in_use());
    while quiet < 20 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let now = in_use();
        let still = now.abs_diff(last) < 4 * 1024;
        (quiet, last) = (if still { quiet + 1 } else { 0 }, now);
    }
    waiting.iter().for_each(tokio::task::JoinHandle::abort);
    for ended in waiting {
        let _ = ended.await;
    }
    last.saturating_sub(before) / clients as u64
}

/// Probes of servers that never stop talking, side by side.
async fn hostile(place: &Place, probes: usize) {
    let (prober, spec) = (Arc::new(prober(probes)), place.spec(Depth::Mailbox));
    let secret = secret(&prober, &spec);
    let before = resident();
    forget_peak();
    let figures = in_flight(probes, probes, || {
        let (prober, spec, secret) = (prober.clone(), spec.clone(), secret.clone());
        async move {
            let seen = prober.probe(spec, secret).await.unwrap();
            assert_eq!(seen.outcome, VantageOutcome::Failed, "{seen:?}");
        }
    })
    .await;
    let more = peak().saturating_sub(before);
    println!(
        "\n{probes} probes of servers that never stop talking\n               parallax         {figures}\n\
         \x20              at most {} MiB more than before, {} KiB each",
        more >> 20,
        more / 1024 / probes as u64
    );
}

fn prober(probes: usize) -> Prober {
    Prober::new("bench".parse().unwrap(), Policy::allow_all(), probes).unwrap()
}
