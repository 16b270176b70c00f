//! Healthy servers of other makers, with their own customs, are healthy.

use std::io::Write;

use parallax_tests::document::Document;
use parallax_tests::dovecot::{PASSWORD, USER};
use parallax_tests::host;
use parallax_tests::other_server::Product;
use parallax_tests::site::TARGET;
use parallax_tests::world::World;

use crate::HEALTHY;

const WRITER: &str = "edge-fra";
const WATCHER: &str = "edge-nyc";
const VANTAGES_OF_TWO: [&str; 2] = [WRITER, WATCHER];

/// Every stage of a probe at depth `mailbox`, on either port.
const STAGES: [&str; 9] = [
    "connect",
    "greeting",
    "capability",
    "authenticate",
    "namespace",
    "list",
    "select",
    "fetch",
    "logout",
];

/// What is seen of the four changes of a synchronisation.
const CHANGES: [&str; 4] = ["exists", "flags", "expunge", "expunge"];

#[test]
fn dovecot_is_healthy_to_the_mailbox_on_both_ports_and_tells_other_sessions_of_changes() {
    if host::lab_can_run() {
        healthy(&World::new(&VANTAGES_OF_TWO).unwrap());
    }
}

#[test]
fn courier_is_healthy_to_the_mailbox_on_both_ports_and_tells_other_sessions_of_changes() {
    healthy_in_its_place(Product::Courier);
}

#[test]
fn cyrus_is_healthy_to_the_mailbox_on_both_ports_and_tells_other_sessions_of_changes() {
    healthy_in_its_place(Product::Cyrus);
}

fn healthy_in_its_place(product: Product) {
    if !host::lab_can_run() {
        return;
    }
    if let Some(reason) = product.missing() {
        let required = std::env::var(host::REQUIRED).is_ok_and(|value| value == "required");
        assert!(!required, "the lab is required, but {reason}");
        let _ = writeln!(std::io::stderr(), "ignored: {reason}");
        return;
    }
    let mut world = World::new(&VANTAGES_OF_TWO).unwrap();
    world.site.serve_with(product).unwrap();
    healthy(&world);
}

fn healthy(world: &World) {
    let (implicit, explicit) = (format!("imaps://{TARGET}"), format!("imap://{TARGET}"));
    let document = probe(world, &[&implicit, "--depth", "mailbox"]);
    assert_stages(&document, &STAGES);
    assert_stages(&document, &["tls"]);
    let document = probe(world, &[&explicit, "--depth", "mailbox"]);
    assert_stages(&document, &STAGES);
    assert_stages(&document, &["starttls"]);
    let document = probe(world, &[&implicit, "--depth", "sync"]);
    assert_in_sync(&document);
    let document = probe(world, &[&explicit, "--depth", "sync", "--sync-with", WATCHER]);
    assert_in_sync(&document);
}

fn probe(world: &World, what: &[&str]) -> Document {
    let login = ["--user", USER, "--password-stdin"];
    let args = [&["probe", "--from", WRITER, "-o", "json"], what, &login].concat();
    let answer = world.start_ctl(&args, PASSWORD).unwrap().answer().unwrap();
    let document = answer.expect_status(HEALTHY).document();
    assert_eq!(document.verdict(), "healthy", "{document}");
    assert!(
        document.findings().all(|finding| finding.severity() == "info"),
        "{document}"
    );
    document
}

/// Each stage was passed at both addresses. ID is asked only where it is offered.
fn assert_stages(document: &Document, stages: &[&str]) {
    let vantage = document.vantage(WRITER);
    for stage in stages {
        assert_eq!(vantage.outcomes_of(stage), ["ok", "ok"], "{stage} {document}");
    }
    for outcome in vantage.outcomes_of("id") {
        assert!(matches!(outcome, "ok" | "skipped"), "{outcome} {document}");
    }
}

/// The message came back as it was sent, IDLE told the other session of every change, and nothing is left.
fn assert_in_sync(document: &Document) {
    assert_stages(document, &["append", "sync", "idle", "logout"]);
    let vantage = document.vantage(WRITER);
    for append in vantage.evidence_of("append") {
        assert_eq!(append["intact"], true, "{document}");
    }
    for sync in vantage.evidence_of("sync") {
        assert_eq!(sync["cleaned_up"], true, "{document}");
        assert_eq!(sync["flags_kept"], true, "{document}");
        let events = sync["events"].as_array().unwrap();
        let seen: Vec<_> = events.iter().map(|event| &event["event"]).collect();
        assert_eq!(seen, CHANGES, "{document}");
        assert!(events.iter().all(|event| event["seen"] == "idle"), "{document}");
    }
}
