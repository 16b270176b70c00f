//! One run is one trace.

use std::collections::BTreeSet;
use std::time::Duration;

use parallax_tests::document::Document;
use parallax_tests::host;
use parallax_tests::lab::VANTAGES;
use parallax_tests::otlp::Span;
use parallax_tests::wait;
use parallax_tests::world::World;

use crate::{BRIEF, DOWN, HEALTHY, everyone};

const TO_ARRIVE: Duration = Duration::from_secs(15);

#[test]
fn a_healthy_run_is_one_trace_with_every_agent_and_every_stage() {
    if !host::lab_can_run() {
        return;
    }
    let world = World::with_sink(&VANTAGES).unwrap();
    let document = world.probe(&[]).unwrap().expect_status(HEALTHY).document();
    let spans = whole_trace(&world, &document);
    assert_one_tree(&spans);
    for stage in [
        "TCP connect",
        "TLS handshake",
        "IMAP greeting",
        "IMAP CAPABILITY",
        "IMAP ID",
        "IMAP LOGOUT",
    ] {
        let stages = spans.iter().filter(|span| span.name == stage);
        assert_eq!(agents(stages), everyone(), "{stage}");
    }
    assert_eq!(
        agents(spans.iter().filter(|span| span.name == "DNS lookup")),
        everyone()
    );
    assert!(spans.iter().all(|span| !span.is_error), "{spans:#?}");
}

#[test]
fn a_failed_stage_carries_its_error() {
    if !host::lab_can_run() {
        return;
    }
    let mut world = World::with_sink(&VANTAGES).unwrap();
    world.inject("certificate_expired@mail").unwrap();
    let document = world.probe(&BRIEF).unwrap().expect_status(DOWN).document();
    let spans = whole_trace(&world, &document);
    assert_one_tree(&spans);
    let failed: Vec<_> = spans
        .iter()
        .filter(|span| span.name == "TLS handshake" && span.attribute("error.type").is_some())
        .collect();
    assert_eq!(agents(failed.iter().copied()), everyone());
    for span in failed {
        assert!(span.is_error, "{span:#?}");
        assert_eq!(
            span.attribute("error.type"),
            Some("tls.certificate_expired"),
            "{span:#?}"
        );
    }
}

/// The spans of a run, once those of `ctl`, of every agent and of what stands above them have arrived.
fn whole_trace(world: &World, document: &Document) -> Vec<Span> {
    let sink = world.sink.as_ref().unwrap();
    wait::until("arrival of the whole trace", TO_ARRIVE, || {
        let spans = sink.spans();
        let has = |name: &str| spans.iter().filter(|span| span.name == name).count();
        let has_parent = |span: &Span| {
            span.parent_id.is_empty() || spans.iter().any(|other| other.span_id == span.parent_id)
        };
        let whole =
            has("ctl probe") == 1 && has("IMAP probe") >= VANTAGES.len() && spans.iter().all(has_parent);
        Ok(whole.then(|| {
            spans
                .into_iter()
                .filter(|span| span.trace_id == document.trace_id())
                .collect()
        }))
    })
    .unwrap_or_else(|error| panic!("{error}\n{:#?}", sink.spans()))
}

/// One root, and no span without the span above it.
fn assert_one_tree(spans: &[Span]) {
    let roots: Vec<_> = spans.iter().filter(|span| span.parent_id.is_empty()).collect();
    assert_eq!(
        roots.iter().map(|root| root.name.as_str()).collect::<Vec<_>>(),
        ["ctl probe"],
        "{spans:#?}"
    );
    let known: BTreeSet<_> = spans.iter().map(|span| &span.span_id).collect();
    for span in spans.iter().filter(|span| !span.parent_id.is_empty()) {
        assert!(
            known.contains(&span.parent_id),
            "{span:#?} hangs in the air in {spans:#?}"
        );
    }
}

/// The agents that these spans are from, sorted.
fn agents<'a>(spans: impl Iterator<Item = &'a Span>) -> Vec<&'a str> {
    let names: BTreeSet<_> = spans
        .filter_map(|span| span.process("parallax.agent.id"))
        .collect();
    names.into_iter().collect()
}
