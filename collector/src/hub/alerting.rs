//! Alerts in the hub: what happened is judged at once, and kept with the round that it belongs to.

use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::Hub;
use crate::alerts::AlertEvent;

/// How often the wall clock is looked at while something is waited for by it.
const LOOK: Duration = Duration::from_secs(30);

impl Hub {
    /// Something happened besides a round.
    pub(super) fn alert(&mut self, event: AlertEvent<'_>) {
        let changes = self.routine.alerts.handle(event, Timestamp::now());
        self.routine.closing.alerts(changes);
    }

    /// Others are told from now on.
    pub(super) fn receivers_changed(&mut self, names: Vec<String>) {
        self.routine.alerts.told_are(names.clone());
        self.routine.closing.receivers(names);
    }

    /// When time alone changes something of alerts.
    pub(super) fn alerts_deadline(&self, now: Instant) -> Option<Instant> {
        let wait = self.routine.alerts.next()?.duration_since(Timestamp::now());
        // The wall clock may be set meanwhile.
        now.checked_add(Duration::try_from(wait).unwrap_or_default().min(LOOK))
    }

    /// Time has passed.
    pub(super) fn tick_alerts(&mut self) {
        let next = self.routine.alerts.next();
        let now = Timestamp::now();
        if next.is_some_and(|next| next <= now) || self.routine.alerts.is_behind(now) {
            self.alert(AlertEvent::Time);
        }
    }
}
