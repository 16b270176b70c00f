//! What takes long, and certificates that end.

use jiff::SignedDuration;
use parallax_model::alert::{CertificateRule, LatencyRule};
use parallax_model::fault::{FaultKind, TlsFault};
use parallax_model::stage::StageName;

use super::*;
use crate::rounds::LeafFacts;

fn latency(rule: LatencyRule) -> AlertRules {
    AlertRules {
        latency: vec![rule],
        ..AlertRules::none()
    }
}

fn connects_in(milliseconds: u64) -> impl FnOnce(&mut RoundOutcome) {
    move |outcome| {
        for part in &mut outcome.vantages {
            part.stages = vec![(StageName::Connect, Duration::from_millis(milliseconds))];
        }
    }
}

#[test]
fn a_stage_that_takes_long_from_two_vantage_points_is_told_with_its_name() {
    let mut world = World::new(latency(LatencyRule {
        stage: Some(StageName::Connect),
        above: Some(Duration::from_millis(500)),
        above_baseline: None,
        rounds: 2,
    }));
    assert!(world.round_with("ooo", connects_in(800)).is_empty());
    assert_eq!(
        world.round_with("ooo", connects_in(800)),
        ["firing ImapLatencyHigh"]
    );
    let alert = world.only();
    assert_eq!(alert.labels["stage"], "connect");
    assert!(alert.summary.contains("a0 800 ms"), "{}", alert.summary);
    assert_eq!(
        (alert.run_id, alert.trace_id),
        (None, None),
        "a healthy round is not kept"
    );
    assert!(
        world.round("ooo").is_empty(),
        "a round without the stage says nothing"
    );
    world.round_with("ooo", connects_in(20));
    assert_eq!(
        world.round_with("ooo", connects_in(20)),
        ["resolved ImapLatencyHigh"]
    );
    let one_slow = |outcome: &mut RoundOutcome| {
        connects_in(20)(outcome);
        outcome.vantages[0].stages[0].1 = Duration::from_secs(3);
    };
    for _ in 0..5 {
        assert!(world.round_with("ooo", one_slow).is_empty());
    }
}

#[test]
fn what_is_usual_at_each_vantage_point_is_its_own() {
    let mut world = World::new(latency(LatencyRule {
        stage: Some(StageName::Connect),
        above: None,
        above_baseline: Some(3.0),
        rounds: 1,
    }));
    assert!(
        world.round_with("oo", connects_in(200)).is_empty(),
        "nothing is usual yet"
    );
    let usual = [("a0", 40), ("a1", 90)].map(|(agent, usual)| {
        let key = (world.check.id, agent.parse().unwrap(), Some(StageName::Connect));
        (key, Duration::from_millis(usual))
    });
    let baselines: Baselines = usual.into_iter().collect();
    world.handle(AlertEvent::Baselines(baselines));
    assert!(
        world.round_with("oo", connects_in(200)).is_empty(),
        "it is usual at a1"
    );
    assert_eq!(
        world.round_with("oo", connects_in(300)),
        ["firing ImapLatencyHigh"]
    );
}

fn certificate(days: i64, life: i64) -> impl Fn(&mut RoundOutcome) {
    move |outcome| {
        let day = SignedDuration::from_hours(24);
        let not_after =
            outcome.closed_at + day * i32::try_from(days).unwrap() + SignedDuration::from_hours(1);
        for part in &mut outcome.vantages {
            part.verified = true;
            part.certificate = Some(LeafFacts {
                not_before: not_after - day * i32::try_from(life).unwrap(),
                not_after,
                ..LeafFacts::default()
            });
        }
    }
}

fn ends() -> AlertRules {
    AlertRules {
        certificate: Some(CertificateRule {
            days: 14,
            critical_days: 3,
            lifetime_left: 0.1,
        }),
        ..AlertRules::none()
    }
}

#[test]
fn a_certificate_is_told_by_days_and_by_a_part_of_its_life() {
    let mut world = World::new(ends());
    assert!(world.round_with("oo", certificate(14, 90)).is_empty());
    assert_eq!(
        world.round_with("oo", certificate(13, 90)),
        ["firing ImapCertificateExpiring"]
    );
    assert_eq!(world.only().labels["severity"], "warning");
    assert!(world.round_with("oo", certificate(9, 90)).is_empty(), "told once");
    assert!(
        world.only().summary.contains("ends in 9 days"),
        "{}",
        world.only().summary
    );
    assert_eq!(
        world.round_with("oo", certificate(2, 90)),
        ["firing ImapCertificateExpiring"],
        "critical"
    );
    world.round_with("oo", certificate(89, 90));
    let over = world.round_with("oo", certificate(89, 90));
    assert_eq!(
        over,
        [
            "resolved ImapCertificateExpiring",
            "resolved ImapCertificateExpiring"
        ]
    );

    let mut long = World::new(ends());
    assert_eq!(
        long.round_with("oo", certificate(36, 365)).len(),
        1,
        "a tenth of a year"
    );
    let mut short = World::new(ends());
    assert!(
        short.round_with("oo", certificate(3, 6)).is_empty(),
        "always within 14 days"
    );
    assert_eq!(
        short.round_with("oo", certificate(0, 11)),
        ["firing ImapCertificateExpiring"]
    );
}

#[test]
fn who_learns_that_it_ends_at_once_is_not_told_that_it_ends_soon() {
    let mut world = World::new(ends());
    assert_eq!(
        world.round_with("oo", certificate(1, 90)),
        ["firing ImapCertificateExpiring"]
    );
    let alerts = world.alerts.list(false, at(1));
    let told: Vec<&Alert> = alerts
        .iter()
        .filter(|alert| alert.silenced_by.is_none())
        .collect();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].labels["severity"], "critical");
}

#[test]
fn a_certificate_that_nobody_vouches_for_is_another_trouble_unless_it_is_over() {
    let forged = |outcome: &mut RoundOutcome| {
        certificate(1, 90)(outcome);
        for part in &mut outcome.vantages {
            part.verified = false;
        }
    };
    let mut world = World::new(ends());
    assert!(world.round_with("ff", forged).is_empty());
    let over = |outcome: &mut RoundOutcome| {
        forged(outcome);
        certificate(-2, 90)(outcome);
        for part in &mut outcome.vantages {
            part.verified = false;
            part.failed = Some((StageName::Tls, FaultKind::Tls(TlsFault::CertificateExpired)));
        }
    };
    assert_eq!(world.round_with("ff", over).len(), 1);
    assert!(world.only_summary().contains("has ended"));
}

impl World {
    fn only_summary(&self) -> String {
        let alerts = self.alerts.list(false, at(self.minute));
        let told = alerts.into_iter().find(|alert| alert.silenced_by.is_none());
        told.map(|alert| alert.summary).unwrap_or_default()
    }
}
