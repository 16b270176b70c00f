//! The other session of a synchronisation, as far as it has made itself heard.

use std::collections::VecDeque;
use std::time::Duration;

use parallax_model::signal::{Signal, SignalKind};

/// Words of one kind that are kept; two honest sessions exchange some ten in all.
const KEPT: usize = 64;

/// What the other session said.
#[derive(Debug)]
pub(crate) struct Told<'s> {
    /// What.
    pub(crate) signal: &'s Signal,
    /// When, from the start of the probe.
    pub(crate) at: Duration,
    /// How far that may be off.
    pub(crate) uncertainty: Duration,
}

/// A change that the other session learned of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sighting {
    /// `exists`, `flags` or `expunge`.
    pub(crate) event: String,
    /// `idle`, `noop`, `select` or `never`.
    pub(crate) how: String,
    /// When, from the start of the probe.
    pub(crate) at: Duration,
    /// How far that may be off.
    pub(crate) uncertainty: Duration,
}

/// What is known of the other session. Its words come at any time; an exchange looks here when it decides.
#[derive(Debug, Default)]
pub(crate) struct Partner {
    /// How it watches, once it does.
    pub(crate) watching: Option<String>,
    /// Why it does not watch any more.
    pub(crate) gone: Option<String>,
    /// Whether it will change nothing more.
    pub(crate) over: bool,
    seen: VecDeque<Sighting>,
    changed: VecDeque<String>,
    owes: Option<SignalKind>,
}

impl Partner {
    /// Takes a word of the other session.
    pub(crate) fn hear(&mut self, told: &Told<'_>) {
        let Signal {
            kind,
            subject,
            detail,
        } = told.signal;
        match kind {
            SignalKind::Watching => self.watching = Some(subject.clone()),
            SignalKind::Gone => self.gone = Some(detail.clone()),
            SignalKind::Over => self.over = true,
            SignalKind::Changed if self.changed.len() < KEPT => self.changed.push_back(subject.clone()),
            SignalKind::Seen if self.seen.len() < KEPT => self.seen.push_back(Sighting {
                event: subject.clone(),
                how: detail.clone(),
                at: told.at,
                uncertainty: told.uncertainty,
            }),
            SignalKind::Changed | SignalKind::Seen | SignalKind::Mailbox => {}
        }
    }

    /// Notes what this session says, and so what it still owes the other one.
    pub(crate) fn tell(&mut self, signal: &Signal) {
        self.owes = match signal.kind {
            SignalKind::Mailbox => Some(SignalKind::Over),
            SignalKind::Over | SignalKind::Gone => None,
            SignalKind::Changed | SignalKind::Watching | SignalKind::Seen => self.owes,
        };
    }

    /// This session is one that watches: whatever becomes of it, the writer must hear of its end.
    pub(crate) fn owes_an_end(&mut self) {
        self.owes = Some(SignalKind::Gone);
    }

    /// The last word to the other session, unless it was said.
    pub(crate) fn farewell(&mut self, reason: &str) -> Option<Signal> {
        let kind = self.owes.take()?;
        Some(Signal::new(kind, "", reason))
    }

    /// The next change that the writer announced.
    pub(crate) fn take_change(&mut self) -> Option<String> {
        self.changed.pop_front()
    }

    /// A change of this kind that the watcher saw, no earlier than at that time.
    pub(crate) fn take_sighting(&mut self, event: &str, since: Duration) -> Option<Sighting> {
        let fits = |seen: &Sighting| seen.event == event && seen.at.saturating_add(seen.uncertainty) >= since;
        let at = self.seen.iter().position(fits)?;
        self.seen.remove(at)
    }

    /// Forgets what was seen of earlier changes.
    pub(crate) fn forget_sightings(&mut self) {
        self.seen.clear();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn seen(partner: &mut Partner, event: &str, at: u64) {
        partner.hear(&Told {
            signal: &Signal::new(SignalKind::Seen, event, "idle"),
            at: Duration::from_secs(at),
            uncertainty: Duration::ZERO,
        });
    }

    #[test]
    fn what_was_seen_before_a_change_is_not_the_change() {
        let mut partner = Partner::default();
        seen(&mut partner, "flags", 1);
        seen(&mut partner, "expunge", 2);
        seen(&mut partner, "flags", 3);
        let flags = partner.take_sighting("flags", Duration::from_secs(2)).unwrap();
        assert_eq!(flags.at, Duration::from_secs(3));
        assert_eq!(partner.take_sighting("flags", Duration::from_secs(2)), None);
    }

    #[test]
    fn a_partner_that_never_stops_talking_costs_little() {
        let mut partner = Partner::default();
        for at in 0..1_000 {
            seen(&mut partner, "exists", at);
        }
        assert_eq!(partner.seen.len(), KEPT);
    }

    #[test]
    fn a_farewell_is_said_once_and_only_where_it_is_owed() {
        let mut partner = Partner::default();
        assert_eq!(partner.farewell("x"), None);
        partner.tell(&Signal::new(SignalKind::Mailbox, "m", ""));
        assert_eq!(partner.farewell("x").unwrap().kind, SignalKind::Over);
        assert_eq!(partner.farewell("x"), None);
        partner.owes_an_end();
        partner.tell(&Signal::new(SignalKind::Gone, "", "over"));
        assert_eq!(partner.farewell("x"), None);
    }
}
