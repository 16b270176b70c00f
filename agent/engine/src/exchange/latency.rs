//! How late another session learned of each change, and what is to be thought of that.

use std::time::Duration;

use parallax_model::evidence::SyncEvent;
use parallax_model::fault::{Fault, FaultKind, MailboxFault};
use parallax_model::millis;

use super::seconds;
use super::watch::PATIENCE;
use crate::partner::Sighting;

/// What a change may take to be seen, beyond what the clocks are apart.
const IN_TIME: Duration = Duration::from_secs(2);

/// Time between the questions of a watcher that can only ask.
const BETWEEN_NOOPS: Duration = Duration::from_secs(1);

/// One change, as its writer made it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Change {
    /// `exists`, `flags` or `expunge`.
    pub(super) event: &'static str,
    /// When it was asked for.
    pub(super) asked_at: Duration,
    /// When its answer came.
    pub(super) done_at: Duration,
}

/// Every change that was seen, or was looked for in vain.
#[derive(Debug, Default)]
pub(super) struct Latencies {
    events: Vec<SyncEvent>,
    uncertainty: Option<Duration>,
    by_asking: Vec<&'static str>,
    late: Vec<String>,
    anew: Vec<&'static str>,
    never: Vec<&'static str>,
}

impl Latencies {
    /// Records what a watcher said that watches in this way.
    pub(super) fn record(&mut self, change: &Change, seen: &Sighting, watching: Option<&str>) {
        let polls = watching == Some("noop");
        let late = seen.at.saturating_sub(change.done_at);
        let allowed = IN_TIME + seen.uncertainty + if polls { BETWEEN_NOOPS } else { Duration::ZERO };
        let how = match seen.how.as_str() {
            "idle" => "idle",
            "noop" => "noop",
            "select" => "select",
            _ => "never",
        };
        match how {
            "never" => self.never.push(change.event),
            "select" => self.anew.push(change.event),
            "noop" if !polls => self.by_asking.push(change.event),
            _ if late > allowed => self
                .late
                .push(format!("{} after {}", change.event, seconds(late))),
            _ => {}
        }
        self.uncertainty = self.uncertainty.max(Some(seen.uncertainty));
        self.events.push(SyncEvent {
            event: change.event.to_owned(),
            seen: how.to_owned(),
            latency_ms: (how != "never").then(|| millis::of(late)),
        });
    }

    /// A change that never reached the other session, or only when it opened the mailbox anew.
    pub(super) fn broken(&self, at: &str) -> Option<Fault> {
        let what = match (self.never.is_empty(), self.anew.is_empty()) {
            (false, _) => format!("another session never learned of {}", listed(&self.never)),
            (true, false) => format!(
                "another session learned of {} only when it opened the mailbox anew",
                listed(&self.anew)
            ),
            (true, true) => return None,
        };
        Some(fault(MailboxFault::SyncBroken, at, &what))
    }

    /// A change that reached the other session, but not as it should.
    pub(super) fn slow(&self, at: &str) -> Option<Fault> {
        if !self.by_asking.is_empty() {
            let what = format!(
                "IDLE did not tell another session of {} in {}; it had to ask",
                listed(&self.by_asking),
                seconds(PATIENCE)
            );
            return Some(fault(MailboxFault::IdleBroken, at, &what));
        }
        let late = self.late.join(", ");
        (!late.is_empty()).then(|| {
            let what = format!("another session learned of {late}");
            fault(MailboxFault::SyncDelayed, at, &what)
        })
    }

    pub(super) fn take_events(&mut self) -> Vec<SyncEvent> {
        std::mem::take(&mut self.events)
    }

    pub(super) fn uncertainty_ms(&self) -> Option<f64> {
        self.uncertainty.map(millis::of)
    }
}

/// `a new message, a removal (twice)`
fn listed(events: &[&str]) -> String {
    let words = [
        ("exists", "a new message"),
        ("flags", "changed flags"),
        ("expunge", "a removal"),
    ];
    let said: Vec<String> = words
        .into_iter()
        .filter_map(
            |(event, words)| match events.iter().filter(|one| **one == event).count() {
                0 => None,
                1 => Some(words.to_owned()),
                times => Some(format!("{words} ({times} times)")),
            },
        )
        .collect();
    said.join(", ")
}

fn fault(kind: MailboxFault, at: &str, what: &str) -> Fault {
    Fault::new(FaultKind::Mailbox(kind), format!("{at}: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded(how: &str, millis: u64, uncertainty: u64, watching: &str) -> Latencies {
        let mut latencies = Latencies::default();
        let change = Change {
            event: "exists",
            asked_at: Duration::from_secs(9),
            done_at: Duration::from_secs(10),
        };
        let seen = Sighting {
            event: "exists".to_owned(),
            how: how.to_owned(),
            at: Duration::from_millis(millis),
            uncertainty: Duration::from_millis(uncertainty),
        };
        latencies.record(&change, &seen, Some(watching));
        latencies
    }

    fn kind(latencies: &Latencies) -> Option<&'static str> {
        let fault = latencies.broken("x").or_else(|| latencies.slow("x"));
        fault.map(|fault| fault.kind.as_str())
    }

    #[test]
    fn who_hears_before_the_writer_hears_at_once() {
        let mut latencies = recorded("idle", 9_500, 0, "idle");
        assert_eq!(kind(&latencies), None);
        assert_eq!(latencies.take_events()[0].latency_ms, Some(0.0));
    }

    #[test]
    fn clocks_that_are_apart_make_nobody_late() {
        assert_eq!(kind(&recorded("idle", 12_500, 0, "idle")), Some("sync_delayed"));
        assert_eq!(kind(&recorded("idle", 12_500, 600, "idle")), None);
    }

    #[test]
    fn only_where_idle_is_there_is_asking_a_fault() {
        assert_eq!(kind(&recorded("noop", 12_500, 0, "idle")), Some("idle_broken"));
        assert_eq!(kind(&recorded("noop", 12_500, 0, "noop")), None);
        assert_eq!(kind(&recorded("select", 12_500, 0, "noop")), Some("sync_broken"));
        assert_eq!(
            kind(&recorded("gibberish", 12_500, 0, "idle")),
            Some("sync_broken")
        );
    }
}
