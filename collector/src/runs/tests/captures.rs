use parallax_model::capture::{Capture, CaptureFacts, CapturedSecrets};
use parallax_model::spec::CaptureChoice;
use parallax_model::target::{Endpoint, Security};

use super::*;

fn capture(bytes: usize) -> Capture {
    Capture {
        facts: CaptureFacts {
            address: "10.9.0.10".parse().unwrap(),
            endpoint: Endpoint {
                port: 993,
                security: Security::Tls,
            },
            experiment: None,
            local: "10.1.0.2:40000".parse().unwrap(),
            packets: 9,
            packets_dropped: 0,
            secrets: CapturedSecrets::Session,
        },
        pcapng: vec![0; bytes],
    }
}

fn asking(choice: CaptureChoice) -> Bench {
    let options = ProbeOptions {
        capture: choice,
        ..ProbeOptions::default()
    };
    let inquiry = Inquiry {
        spec: Arc::new(ProbeSpec { options, ..spec() }),
        ..inquiry()
    };
    ask(inquiry, vec![participant("fra-1")], Vec::new())
}

fn kept(bench: &Bench) -> Vec<u32> {
    let kept = |effect: &Effect| match effect {
        Effect::Keep { kept, .. } => Some(kept.number),
        _ => None,
    };
    bench.effects.iter().filter_map(kept).collect()
}

#[test]
fn what_was_recorded_is_kept_at_once_and_listed_in_the_answer() {
    let mut bench = asking(CaptureChoice::Always);
    for bytes in [1000, 2000] {
        bench.report("fra-1", Report::Captured(Box::new(capture(bytes))));
    }
    assert_eq!(kept(&bench), [0, 1]);
    bench.report("fra-1", well("fra-1"));
    let listed = &bench.answer().captures;
    assert_eq!(
        listed.iter().map(|record| record.bytes).collect::<Vec<_>>(),
        [1000, 2000]
    );
    assert_eq!(listed[0].agent, name("fra-1"));
}

#[test]
fn packets_that_nobody_asked_for_are_not_taken() {
    let mut bench = asking(CaptureChoice::Never);
    bench.report("fra-1", Report::Captured(Box::new(capture(1000))));
    bench.report("fra-1", well("fra-1"));
    assert!(kept(&bench).is_empty() && bench.answer().captures.is_empty());
}

#[test]
fn an_order_brings_no_more_than_there_is_room_for() {
    let mut bench = asking(CaptureChoice::Auto);
    bench.report("fra-1", Report::Captured(Box::new(capture((512 << 10) + 1))));
    assert!(kept(&bench).is_empty(), "one attempt is no larger");
    for _ in 0..10 {
        bench.report("fra-1", Report::Captured(Box::new(capture(400 << 10))));
    }
    assert_eq!(kept(&bench).len(), 7, "7 of 400 KiB are within 3 MiB, 8 are not");
    bench.report("fra-1", well("fra-1"));
    assert_eq!(bench.answer().captures.len(), 7);
}
