//! A target that fails, degrades, flaps, or can't be judged.

use parallax_model::finding::{Finding, FindingKind, Location, Scope, Segment, Severity};

use super::*;

#[test]
fn it_fires_after_so_many_rounds_from_so_many_vantage_points_and_not_before() {
    let mut world = World::new(failing());
    assert!(world.round("ffo").is_empty() && world.round("ffo").is_empty());
    assert_eq!(world.list(), ["pending ImapTargetFailing"]);
    assert_eq!(world.round("ffo"), ["firing ImapTargetFailing"]);
    assert!(world.round("fff").is_empty(), "told once");
    assert!(world.round("foo").is_empty(), "one of three is not two");
    assert_eq!(world.round("foo"), ["resolved ImapTargetFailing"]);
    let mut world = World::new(failing());
    for round in ["foo", "foo", "foo", "ffo", "ffo", "foo"] {
        assert!(world.round(round).is_empty(), "{round}");
    }
    assert!(
        world.list().is_empty() && world.kept.is_empty(),
        "what passed over leaves nothing"
    );
}

#[test]
fn an_alert_leads_to_its_run_its_trace_and_what_to_do() {
    let mut world = World::new(failing());
    for _ in 0..3 {
        world.round("ff");
    }
    let alert = world.only();
    let run = Uuid::from_u128(0x1001);
    assert_eq!(alert.run_id, Some(run), "the round in which it began");
    assert_eq!(alert.trace_id.unwrap(), run.simple().to_string());
    assert_eq!(alert.annotations["run"], format!("ctl runs show {run}"));
    assert_eq!(alert.annotations["vantages"], "a0, a1");
    assert_eq!(
        alert.annotations["runbook_url"],
        "https://runbooks.example.org/imap"
    );
    let labels: Vec<String> = alert
        .labels
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let expected = "alertname=ImapTargetFailing check=imap-fra port=993 security=tls severity=critical \
                    target=imap.example.org team=mail";
    assert_eq!(labels.join(" "), expected);
    assert_eq!(alert.fired_at, Some(at(3)));
    world.round_with("ff", |outcome| {
        outcome.new_trouble = true;
        outcome.summary = "now it is the certificate".to_owned();
    });
    let renewed = world.only();
    assert_eq!(renewed.summary, "now it is the certificate");
    assert_eq!(
        (renewed.fired_at, renewed.fingerprint),
        (alert.fired_at, alert.fingerprint)
    );
}

#[test]
fn missing_is_not_failing() {
    let mut world = World::new(failing());
    for _ in 0..10 {
        assert!(world.round("fmm").is_empty());
    }
    assert!(world.list().is_empty(), "one saw it fail, and that is not two");
    let mut world = World::new(failing());
    for _ in 0..10 {
        assert!(world.round("omm").is_empty());
        assert!(world.round("foomm").is_empty());
    }
    assert!(world.list().is_empty());
}

#[test]
fn two_are_two_whoever_answers_and_all_where_fewer_are_expected() {
    let rounds = |seen: &str| {
        let mut world = World::new(failing());
        for _ in 0..10 {
            world.round(seen);
        }
        world.list()
    };
    for seen in ["fm", "fmm", "fs", "om", "fo", "mm"] {
        assert!(rounds(seen).is_empty(), "{seen}");
    }
    for seen in ["f", "ff", "ffm", "fr", "ffs"] {
        assert_eq!(rounds(seen), ["firing ImapTargetFailing"], "{seen}");
    }
}

#[test]
fn who_says_nothing_does_not_end_what_the_other_still_sees() {
    let mut world = World::new(failing());
    for _ in 0..3 {
        world.round("ff");
    }
    for _ in 0..10 {
        assert!(world.round("fm").is_empty(), "the other may see it too");
    }
    assert_eq!(world.list(), ["firing ImapTargetFailing"]);
    assert!(world.round("om").is_empty());
    assert_eq!(world.round("om"), ["resolved ImapTargetFailing"]);
}

/// A probe that waits in vain for longer than a round is long leaves every other one out.
#[test]
fn who_leaves_a_round_out_is_waited_for() {
    let mut world = World::new(failing());
    for round in ["ffo", "sso", "ffo", "sso"] {
        assert!(world.round(round).is_empty(), "{round}");
    }
    assert_eq!(world.round("ffo"), ["firing ImapTargetFailing"]);
    for round in ["sso", "ooo", "sso", "sso"] {
        assert!(world.round(round).is_empty(), "{round}");
    }
    assert_eq!(
        world.round("soo"),
        ["resolved ImapTargetFailing"],
        "one of three is not two"
    );
    let mut world = World::new(failing());
    for _ in 0..10 {
        assert!(world.round("sso").is_empty(), "nobody saw it fail");
    }
    assert!(world.list().is_empty());
}

#[test]
fn nobody_answered_changes_nothing() {
    let mut world = World::new(failing());
    for round in ["ff", "ff", "mm", "rm", "mm"] {
        assert!(world.round(round).is_empty(), "{round}");
    }
    assert_eq!(world.round("ff"), ["firing ImapTargetFailing"]);
    for round in ["oo", "mm", "mm"] {
        assert!(world.round(round).is_empty(), "{round}");
    }
    assert_eq!(world.round("oo"), ["resolved ImapTargetFailing"]);
}

#[test]
fn what_fails_is_told_also_where_nobody_can_say_why() {
    let no_diagnosis = |outcome: &mut RoundOutcome| outcome.verdict = Verdict::Inconclusive;
    let mut world = World::new(failing());
    for _ in 0..2 {
        assert!(world.round_with("ff", no_diagnosis).is_empty());
    }
    assert_eq!(world.round_with("ff", no_diagnosis), ["firing ImapTargetFailing"]);
}

#[test]
fn a_late_round_wakes_nobody_and_ends_nothing() {
    let mut world = World::new(failing());
    for _ in 0..5 {
        assert!(world.round_with("ff", |outcome| outcome.late = true).is_empty());
    }
    assert!(world.list().is_empty());
    for _ in 0..3 {
        world.round("ff");
    }
    for _ in 0..5 {
        assert!(world.round_with("oo", |outcome| outcome.late = true).is_empty());
    }
    assert_eq!(world.list(), ["firing ImapTargetFailing"]);
}

#[test]
fn an_agent_whose_own_network_is_down_says_nothing_about_the_target() {
    let network_down = own_trouble(FindingKind::AgentNetworkDown, Severity::Warning);
    let mut world = World::new(failing());
    for _ in 0..5 {
        assert!(world.round_with("ffoo", &network_down).is_empty());
    }
    assert!(world.list().is_empty());
}

#[test]
fn a_clock_that_is_off_and_does_no_harm_hides_no_failure() {
    let clock_off = own_trouble(FindingKind::AgentClockSkew, Severity::Info);
    let mut world = World::new(failing());
    let told: Vec<_> = (0..3).map(|_| world.round_with("ffoo", &clock_off)).collect();
    assert_eq!(told[2], ["firing ImapTargetFailing"]);
}

/// What is found to be the first agent's own.
fn own_trouble(kind: FindingKind, severity: Severity) -> impl Fn(&mut RoundOutcome) {
    move |outcome| {
        outcome.findings = vec![Finding {
            kind,
            severity,
            confidence: 0.9,
            summary: String::new(),
            scope: Scope {
                affected: vec!["a0".parse().unwrap()],
                ..Scope::default()
            },
            stage: None,
            location: Location::segment(Segment::Agent),
            because: Vec::new(),
            alternatives: Vec::new(),
            next_steps: Vec::new(),
        }];
    }
}

#[test]
fn a_flapping_target_is_told_once() {
    let mut world = World::new(failing());
    let mut told = Vec::new();
    for _ in 0..15 {
        for round in ["ff", "ff", "ff", "oo"] {
            told.extend(world.round(round));
        }
    }
    assert_eq!(told, ["firing ImapTargetFailing"]);
    assert!(world.only().flapping);
    let calm: Vec<usize> = (1..=8).filter(|_| !world.round("oo").is_empty()).collect();
    assert_eq!(calm.len(), 1, "a while of good ends it");
}

#[test]
fn a_share_of_those_that_answered_is_enough() {
    let half = AlertRules {
        failing: Some(FailRule {
            from: Threshold::Share(0.5),
            rounds: 1,
            recover_rounds: 1,
        }),
        ..AlertRules::none()
    };
    let mut world = World::new(half);
    assert!(world.round("fooo").is_empty());
    assert_eq!(world.round("ffoomm").len(), 1);
}

#[test]
fn a_check_that_is_gone_or_otherwise_has_no_alert() {
    let mut world = World::new(failing());
    for _ in 0..3 {
        world.round("ff");
    }
    let gone = AlertEvent::CheckGone(world.check.id);
    assert_eq!(world.handle(gone), ["resolved ImapTargetFailing"]);
    assert!(world.memory.is_empty(), "{:?}", world.memory);
    for _ in 0..3 {
        world.round("ff");
    }
    world.check.definition.rules = AlertRules::none();
    assert_eq!(
        world.round("ff"),
        ["resolved ImapTargetFailing"],
        "the rule is gone"
    );
    world.check.definition.rules = failing();
    for _ in 0..3 {
        world.round("ff");
    }
    world.check.definition.labels.clear();
    assert_eq!(
        world.round("ff"),
        ["resolved ImapTargetFailing"],
        "it is told under other labels"
    );
    world.round("ff");
    assert_eq!(world.round("ff"), ["firing ImapTargetFailing"]);
}
