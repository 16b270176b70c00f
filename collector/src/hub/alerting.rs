//! Alerts in the hub: what happened is judged at once, and kept with the round that it belongs to.

use std::time::Instant;

use jiff::Timestamp;

use super::Hub;
use crate::alerts::AlertEvent;

impl Hub {
    /// Something happened besides a round.
    pub(super) fn alert(&mut self, event: AlertEvent<'_>) {
        let changes = self.routine.alerts.handle(event, Timestamp::now());
        self.routine.closing.alerts(changes);
    }

    /// When time alone changes something of alerts.
    pub(super) fn alerts_deadline(&self, now: Instant) -> Option<Instant> {
        let wait = self.routine.alerts.next()?.duration_since(Timestamp::now());
        // A wall clock that was set far ahead leads nowhere.
        now.checked_add(wait.try_into().unwrap_or_default())
    }

    /// Time has passed.
    pub(super) fn tick_alerts(&mut self) {
        let next = self.routine.alerts.next();
        if next.is_some_and(|next| next <= Timestamp::now()) {
            self.alert(AlertEvent::Time);
        }
    }
}
