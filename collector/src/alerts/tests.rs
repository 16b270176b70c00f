//! What is told of rounds, agents and certificates, and what is not.

mod agents;
mod holds;
mod restored;
mod slow;
mod target;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use parallax_model::alert::{Alert, AlertRules, AlertState, FailRule, Silence, Threshold};
use parallax_model::check::{CheckDefinition, Window};
use parallax_model::finding::Verdict;
use parallax_model::observation::VantageOutcome;
use serde_json::Value;
use uuid::Uuid;

use super::{AlertChanges, AlertEvent, Alerts};
use crate::measure::sample::definition;
use crate::rounds::{RoundOutcome, VantagePart};
use crate::store::{AlertsKept, Baselines, CheckRecord};
use crate::tests::fake::spec;

/// A minute of the tests.
fn at(minute: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + 60 * minute).unwrap()
}

/// Failing from two vantage points for three rounds; nothing else.
fn failing() -> AlertRules {
    AlertRules {
        failing: Some(FailRule {
            from: Threshold::Vantages(2),
            rounds: 3,
            recover_rounds: 2,
        }),
        ..AlertRules::none()
    }
}

/// One check, its alerts, and a store that holds what they say.
struct World {
    check: CheckRecord,
    alerts: Alerts,
    minute: i64,
    kept: BTreeMap<String, Alert>,
    memory: BTreeMap<String, Value>,
    silences: Vec<Silence>,
}

impl World {
    fn new(rules: AlertRules) -> Self {
        let definition = CheckDefinition {
            spec: spec(),
            together: true,
            rules,
            labels: BTreeMap::from([("team".to_owned(), "mail".to_owned())]),
            runbook: Some("https://runbooks.example.org/imap".to_owned()),
            ..definition("imap-fra")
        };
        Self {
            check: CheckRecord {
                id: Uuid::from_u128(7),
                no: 1,
                version: 1,
                definition,
                paused: false,
                cleared: String::new(),
                changed_at: at(0),
                changed_by: String::new(),
            },
            alerts: Alerts::restored(AlertsKept::default(), vec!["on-call".to_owned()], at(0)),
            minute: 0,
            kept: BTreeMap::new(),
            memory: BTreeMap::new(),
            silences: Vec::new(),
        }
    }

    /// The next round: for each vantage point `o`k, `d`egraded, `f`ailed, `m`issing or `r`efused.
    fn round(&mut self, seen: &str) -> Vec<String> {
        self.round_with(seen, |_| ())
    }

    fn round_with(&mut self, seen: &str, change: impl FnOnce(&mut RoundOutcome)) -> Vec<String> {
        self.minute += 1;
        let mut outcome = outcome(&self.check, seen, self.minute);
        change(&mut outcome);
        let changes = self.alerts.handle(AlertEvent::Round(&outcome), at(self.minute));
        self.keep(changes)
    }

    /// What is told of this event.
    fn handle(&mut self, event: AlertEvent<'_>) -> Vec<String> {
        let changes = self.alerts.handle(event, at(self.minute));
        self.keep(changes)
    }

    /// Time goes by without a round.
    fn minutes(&mut self, minutes: i64) -> Vec<String> {
        self.minute += minutes;
        self.handle(AlertEvent::Time)
    }

    fn silence(&mut self, label: &str, glob: &str, minutes: i64) -> Vec<String> {
        self.silences.push(Silence {
            id: Uuid::from_u128(9),
            matchers: BTreeMap::from([(label.to_owned(), glob.to_owned())]),
            starts_at: at(self.minute),
            ends_at: at(self.minute + minutes),
            comment: String::new(),
            created_by: String::new(),
        });
        let all = self.silences.clone();
        self.handle(AlertEvent::Silences(all))
    }

    fn maintenance(&mut self, from: i64, minutes: u64, every: Option<u64>) {
        let span = |minutes: u64| Duration::from_secs(60 * minutes);
        self.check.definition.maintenance.push(Window {
            from: at(from),
            length: span(minutes),
            every: every.map(span),
        });
    }

    /// The process ends and another one begins.
    fn restart(&mut self) {
        let kept = AlertsKept {
            alerts: self.kept.values().cloned().collect(),
            memory: self.memory.clone().into_iter().collect(),
            silences: self.silences.clone(),
        };
        self.alerts = Alerts::restored(kept, vec!["on-call".to_owned()], at(self.minute));
    }

    fn keep(&mut self, changes: AlertChanges) -> Vec<String> {
        for kept in changes.alerts {
            self.kept.insert(kept.alert.fingerprint.clone(), kept.alert);
        }
        for (subject, memory) in changes.memory {
            match memory {
                Some(memory) => drop(self.memory.insert(subject, memory)),
                None => drop(self.memory.remove(&subject)),
            }
        }
        let notices = changes.notices.into_iter();
        notices
            .map(|notice| format!("{} {}", notice.alert.state, notice.alert.name))
            .collect()
    }

    /// What is listed, as `state name`.
    fn list(&self) -> Vec<String> {
        let alerts = self.alerts.list(false, at(self.minute));
        alerts
            .iter()
            .map(|alert| format!("{} {}", alert.state, alert.name))
            .collect()
    }

    fn only(&self) -> Alert {
        let alerts = self.alerts.list(true, at(self.minute));
        assert_eq!(alerts.len(), 1, "{alerts:?}");
        alerts.into_iter().next().unwrap()
    }
}

fn outcome(check: &CheckRecord, seen: &str, minute: i64) -> RoundOutcome {
    let vantages: Vec<VantagePart> = seen
        .chars()
        .zip(0..)
        .map(|(seen, number)| part(seen, number, minute))
        .collect();
    let is = |wanted: VantageOutcome| move |part: &&VantagePart| part.outcome == wanted;
    let failed = vantages.iter().filter(is(VantageOutcome::Failed)).count();
    let silent = vantages
        .iter()
        .filter(|part| matches!(part.outcome, VantageOutcome::Missing | VantageOutcome::Refused))
        .count();
    let verdict = match vantages.len() - silent {
        0 => Verdict::Inconclusive,
        _ if seen.chars().all(|seen| seen == 'o') => Verdict::Healthy,
        answered if failed == answered => Verdict::Down,
        _ => Verdict::Partial,
    };
    RoundOutcome {
        check: Arc::new(check.clone()),
        run_id: Uuid::from_u128(0x1000 + u128::from(minute.unsigned_abs())),
        starts_at: at(minute),
        closed_at: at(minute),
        late: false,
        new_trouble: false,
        verdict,
        summary: format!("down from {failed} of {}", vantages.len()),
        findings: Vec::new(),
        vantages,
        kept: verdict != Verdict::Healthy,
        traced: verdict != Verdict::Healthy,
    }
}

fn part(seen: char, number: u32, minute: i64) -> VantagePart {
    let outcome = match seen {
        'o' => VantageOutcome::Ok,
        'd' => VantageOutcome::Degraded,
        'f' => VantageOutcome::Failed,
        'm' => VantageOutcome::Missing,
        _ => VantageOutcome::Refused,
    };
    VantagePart {
        agent: format!("a{number}").parse().unwrap(),
        labels: BTreeMap::new(),
        outcome,
        started_at: at(minute),
        total: Duration::from_millis(100),
        stages: Vec::new(),
        skipped: seen == 's',
        failed: None,
        certificate: None,
        verified: false,
        address: None,
        tls: None,
    }
}
