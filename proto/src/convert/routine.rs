//! Round trips of what checks and alerts are made of.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use parallax_model::alert::{
    Alert, AlertRules, AlertState, CertificateRule, FailRule, LatencyRule, Silence, Threshold,
};
use parallax_model::check::{Assignment, CheckDefinition, CheckResult, DefinitionError, Window};
use parallax_model::finding::{Severity, Verdict};
use parallax_model::history::{HistoryRow, StageLatency, StoredResult};
use parallax_model::observation::VantageOutcome;
use parallax_model::round::{Counts, RoundSummary};
use parallax_model::selector::Selector;
use parallax_model::spec::Depth;
use parallax_model::stage::StageName;
use uuid::Uuid;

use super::tests::round_trip;
use super::{digest, sample};
use crate::v1;

fn at(microseconds: i64) -> Timestamp {
    Timestamp::from_microsecond(1_700_000_000_000_000 + microseconds).unwrap()
}

fn definition() -> CheckDefinition {
    let mut spec = sample::specs().remove(1);
    spec.login = None;
    CheckDefinition {
        name: "imap-fra".parse().unwrap(),
        spec,
        from: Selector::parse_any(&["region=eu,tier!=test", "nyc-*"]).unwrap(),
        limit: Some(3),
        every: Duration::from_secs(60),
        together: true,
        follow_up: true,
        credential: None,
        rules: AlertRules {
            failing: Some(FailRule {
                from: Threshold::Share(0.5),
                rounds: 3,
                recover_rounds: 2,
            }),
            degraded: Some(FailRule {
                from: Threshold::Vantages(4),
                rounds: 1,
                recover_rounds: 1,
            }),
            latency: vec![
                LatencyRule {
                    stage: Some(StageName::Connect),
                    above: Some(Duration::from_millis(500)),
                    above_baseline: None,
                    rounds: 5,
                },
                LatencyRule {
                    stage: None,
                    above: None,
                    above_baseline: Some(3.0),
                    rounds: 1,
                },
            ],
            certificate: Some(CertificateRule {
                days: 14,
                critical_days: 3,
                lifetime_left: 0.1,
            }),
        },
        labels: BTreeMap::from([("team".into(), "mail".into())]),
        runbook: Some("https://wiki.example.org/imap".into()),
        maintenance: vec![Window {
            from: at(0),
            length: Duration::from_secs(4 * 3600),
            every: Some(Duration::from_secs(7 * 86_400)),
        }],
    }
}

fn assignment() -> Assignment {
    Assignment {
        check: Uuid::from_u128(1),
        digest: 7,
        name: "imap-fra".parse().unwrap(),
        version: 2,
        spec: sample::specs().remove(0),
        every: Duration::from_secs(60),
        together: false,
        secret: Some(sample::secret()),
        credential: Some("probe".into()),
        login_cleared: true,
        login_rejected: None,
        login_retry: Some(at(10)),
    }
}

#[test]
fn checks_come_back_as_they_were_sent() {
    round_trip::<CheckDefinition, v1::CheckDefinition>(definition());
    round_trip::<CheckDefinition, v1::CheckDefinition>(CheckDefinition {
        rules: AlertRules::none(),
        limit: None,
        credential: Some("probe".into()),
        maintenance: vec![],
        runbook: None,
        ..definition()
    });
    round_trip::<Assignment, v1::CheckAssignment>(assignment());
    round_trip::<CheckResult, v1::CheckResult>(CheckResult {
        id: Uuid::from_u128(3),
        check: Uuid::from_u128(4),
        run_id: Uuid::from_u128(5),
        digest: u64::MAX,
        round_at: at(6),
        started_at: at(7),
        observation: sample::observations().remove(0),
    });
    round_trip::<RoundSummary, v1::RoundSummary>(RoundSummary {
        run_id: Uuid::from_u128(8),
        started_at: at(9),
        verdict: Verdict::Partial,
        summary: "one of two".into(),
        counts: Counts {
            ok: 1,
            degraded: 2,
            failed: 3,
            missing: 4,
            refused: 5,
        },
        late: true,
        kept: true,
    });
}

#[test]
fn what_was_seen_over_time_comes_back_as_it_was_sent() {
    round_trip::<HistoryRow, v1::HistoryRow>(HistoryRow {
        at: at(0),
        agent: "fra-1".parse().unwrap(),
        ok: 1,
        degraded: 2,
        failed: 3,
        refused: 4,
        expected: 11,
        stages: vec![StageLatency {
            stage: "total".into(),
            p50_us: 5,
            p95_us: 6,
            p99_us: 7,
            count: 8,
        }],
        certificate_sha256: Some("00ff".into()),
        certificate_not_after: Some(Timestamp::from_second(1_800_000_000).unwrap()),
    });
    round_trip::<StoredResult, v1::StoredResult>(StoredResult {
        id: Uuid::from_u128(1),
        agent: "fra-1".parse().unwrap(),
        run_id: Uuid::from_u128(2),
        started_at: at(3),
        outcome: VantageOutcome::Failed,
        stage: Some("connect".into()),
        fault: Some("refused".into()),
        total_us: 4,
    });
}

#[test]
fn alerts_come_back_as_they_were_sent() {
    let alert = Alert {
        fingerprint: "00ff00ff00ff00ff".into(),
        name: "ImapTargetFailing".into(),
        check: Some("imap-fra".parse().unwrap()),
        state: AlertState::Resolved,
        severity: Severity::Critical,
        summary: "2 of 3 can't connect".into(),
        labels: BTreeMap::from([("target".into(), "[2001:db8::1]:993".into())]),
        annotations: BTreeMap::from([("description".into(), "no answer".into())]),
        since: at(1),
        fired_at: Some(at(2)),
        resolved_at: Some(at(3)),
        run_id: Some(Uuid::from_u128(4)),
        trace_id: Some("0af7651916cd43dd8448eb211c80319c".into()),
        flapping: true,
        silenced_by: Some("maintenance".into()),
    };
    round_trip::<Alert, v1::Alert>(alert.clone());
    round_trip::<Alert, v1::Alert>(Alert {
        check: None,
        fired_at: None,
        resolved_at: None,
        run_id: None,
        trace_id: None,
        silenced_by: None,
        ..alert
    });
    round_trip::<Silence, v1::Silence>(Silence {
        id: Uuid::from_u128(1),
        matchers: BTreeMap::from([("check".into(), "imap-*".into())]),
        starts_at: at(1),
        ends_at: at(2),
        comment: "moving".into(),
        created_by: "spiffe://parallax.internal/operator/ada".into(),
    });
}

#[test]
fn rules_that_are_absent_are_the_default_ones() {
    let wire = v1::CheckDefinition {
        rules: None,
        ..definition().into()
    };
    assert_eq!(
        CheckDefinition::try_from(wire).unwrap().rules,
        AlertRules::default()
    );
}

#[test]
fn a_rule_about_an_unknown_stage_is_refused() {
    let mut wire = v1::CheckDefinition::from(definition());
    wire.rules.as_mut().unwrap().latency[0].stage = "telepathy".into();
    let error = CheckDefinition::try_from(wire).unwrap_err();
    assert_eq!(error.field(), "rules.latency[0].stage");
}

#[test]
fn a_digest_tells_forms_apart_and_not_itself() {
    let wire = v1::CheckAssignment::from(assignment());
    let other = v1::CheckAssignment {
        digest: 99,
        ..wire.clone()
    };
    assert_eq!(digest(&wire), digest(&other));
    let slower = v1::CheckAssignment {
        every_ms: 61_000,
        ..wire.clone()
    };
    assert_ne!(digest(&wire), digest(&slower));
}

#[test]
fn a_check_that_can_not_be_repeated_is_refused() {
    let refused = |change: fn(&mut CheckDefinition)| {
        let mut check = definition();
        change(&mut check);
        check.check().unwrap_err()
    };
    assert_eq!(definition().check(), Ok(()));
    let ms = Duration::from_millis;
    assert_eq!(
        refused(|check| check.every = Duration::from_millis(999)),
        DefinitionError::Every(ms(999))
    );
    assert_eq!(
        refused(|check| {
            check.spec.depth = Depth::Login;
            check.credential = Some("probe".into());
        }),
        DefinitionError::LoginTogether
    );
    assert_eq!(
        refused(|check| {
            check.spec.depth = Depth::Sync;
            check.every = Duration::from_secs(59);
        }),
        DefinitionError::SyncTooOften(ms(59_000))
    );
    assert_eq!(
        refused(|check| check.maintenance[0].every = Some(Duration::from_secs(1))),
        DefinitionError::Window {
            length: Duration::from_secs(4 * 3600),
            every: Some(Duration::from_secs(1)),
        }
    );
}

#[test]
fn a_window_comes_again() {
    let window = definition().maintenance.remove(0);
    let hours = |hours: i64| at(hours * 3_600_000_000);
    assert_eq!(window.holds(hours(-1)), None);
    assert_eq!(window.holds(hours(1)), Some(hours(4)));
    assert_eq!(window.holds(hours(4)), None);
    assert_eq!(window.holds(hours(7 * 24 + 3)), Some(hours(7 * 24 + 4)));
    let once = Window {
        every: None,
        ..window
    };
    assert_eq!(once.holds(hours(7 * 24 + 3)), None);
    assert_eq!(once.holds(hours(3)), Some(hours(4)));
}
