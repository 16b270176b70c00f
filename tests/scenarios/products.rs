//! Healthy servers of other makers, with their own customs, are healthy.

use std::io::Write;

use parallax_tests::document::Document;
use parallax_tests::dovecot::{PASSWORD, USER};
use parallax_tests::host;
use parallax_tests::other_server::Product;
use parallax_tests::site::TARGET;
use parallax_tests::world::World;

use crate::HEALTHY;

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

#[test]
fn dovecot_is_healthy_to_the_mailbox_on_both_ports() {
    if host::lab_can_run() {
        healthy_on_both_ports(&World::new(&["edge-fra"]).unwrap());
    }
}

#[test]
fn courier_is_healthy_to_the_mailbox_on_both_ports() {
    healthy(Product::Courier);
}

#[test]
fn cyrus_is_healthy_to_the_mailbox_on_both_ports() {
    healthy(Product::Cyrus);
}

fn healthy(product: Product) {
    if !host::lab_can_run() {
        return;
    }
    if let Some(reason) = product.missing() {
        let required = std::env::var(host::REQUIRED).is_ok_and(|value| value == "required");
        assert!(!required, "the lab is required, but {reason}");
        let _ = writeln!(std::io::stderr(), "ignored: {reason}");
        return;
    }
    let mut world = World::new(&["edge-fra"]).unwrap();
    world.site.serve_with(product).unwrap();
    healthy_on_both_ports(&world);
}

fn healthy_on_both_ports(world: &World) {
    let document = probe(world, &format!("imaps://{TARGET}"));
    assert_stages(&document, &STAGES);
    assert_stages(&document, &["tls"]);
    let document = probe(world, &format!("imap://{TARGET}"));
    assert_stages(&document, &STAGES);
    assert_stages(&document, &["starttls"]);
}

fn probe(world: &World, target: &str) -> Document {
    let args = [
        "probe",
        target,
        "--from",
        "all",
        "-o",
        "json",
        "--depth",
        "mailbox",
        "--user",
        USER,
        "--password-stdin",
    ];
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
    let vantage = document.vantage("edge-fra");
    for stage in stages {
        assert_eq!(vantage.outcomes_of(stage), ["ok", "ok"], "{stage} {document}");
    }
    for outcome in vantage.outcomes_of("id") {
        assert!(matches!(outcome, "ok" | "skipped"), "{outcome} {document}");
    }
}
