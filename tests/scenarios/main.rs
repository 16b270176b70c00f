//! What goes wrong, by name, and what `ctl` says about it: judged by the run document and the exit status alone.

#![allow(clippy::unwrap_used)]

mod access;
mod agents;
mod alert_traces;
mod alerts;
mod canary;
mod capture;
mod catalogue;
mod certificate;
mod chaos;
mod check_logins;
mod credentials;
mod documents;
mod healthy;
mod hold;
mod identity;
mod link;
mod login;
mod mailbox;
mod metrics;
mod names;
mod numbers;
mod own_pki;
mod policy;
mod products;
mod reach;
mod reload;
mod rogue;
mod rollover;
mod routine;
mod service;
mod stop;
mod traces;

use parallax_tests::document::{Document, Finding};
use parallax_tests::host;
use parallax_tests::lab::VANTAGES;
use parallax_tests::world::World;

/// Exit statuses of `ctl probe`.
const HEALTHY: i32 = 0;
const PARTIAL: i32 = 1;
const DOWN: i32 = 2;
const UNKNOWN: i32 = 3;

/// A probe that runs into silence ends after this; what works takes a fraction of it.
const BRIEF: [&str; 2] = ["--timeout", "6s"];

/// The usual four vantage points, all connected and healthy; nothing where the lab can not run.
fn world() -> Option<World> {
    host::lab_can_run().then(|| World::new(&VANTAGES).unwrap())
}

/// The same, with a receiver of the traces.
fn traced_world() -> Option<World> {
    host::lab_can_run().then(|| World::with_sink(&VANTAGES).unwrap())
}

/// The vantage points besides `one`, sorted.
fn all_but(one: &str) -> Vec<&str> {
    let mut others: Vec<_> = VANTAGES.into_iter().filter(|name| *name != one).collect();
    others.sort_unstable();
    others
}

/// All vantage points, sorted.
fn everyone() -> Vec<&'static str> {
    all_but("")
}

/// Runs a probe under `fault` and expects it to be down for everyone, for the reason `kind`.
fn down_under(world: &mut World, fault: &str, kind: &str) -> Document {
    world.inject(fault).unwrap();
    let document = world.probe(&BRIEF).unwrap().expect_status(DOWN).document();
    assert_eq!(document.verdict(), "down", "{document}");
    assert_eq!(document.with_outcome("failed"), everyone(), "{document}");
    let finding = document.first_finding();
    assert_eq!(finding.kind(), kind, "{document}");
    assert_eq!(finding.affected(), everyone(), "{document}");
    assert_actionable(&document, finding);
    document
}

/// Runs a probe under `fault` and expects it to fail at the vantage point `affected` only, for the reason `kind`.
fn partial_under(world: &mut World, fault: &str, affected: &str, kind: &str) -> Document {
    world.inject(fault).unwrap();
    let document = world.probe(&BRIEF).unwrap().expect_status(PARTIAL).document();
    assert_eq!(document.verdict(), "partial", "{document}");
    assert_eq!(document.with_outcome("ok"), all_but(affected), "{document}");
    let finding = document.first_finding();
    assert_eq!(finding.kind(), kind, "{document}");
    assert_eq!(finding.affected(), [affected], "{document}");
    assert_eq!(finding.unaffected(), all_but(affected), "{document}");
    assert_actionable(&document, finding);
    document
}

/// A finding that matters says what was seen and what to do.
fn assert_actionable(document: &Document, finding: Finding<'_>) {
    assert_eq!(finding.severity(), "critical", "{document}");
    assert!(!finding.because().is_empty(), "{document}");
    assert!(!finding.next_steps().is_empty(), "{document}");
}
