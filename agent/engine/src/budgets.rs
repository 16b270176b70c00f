//! How long each wait of a session may be.

use std::time::Duration;

use crate::imap::limits::DRIP_TIME;

/// The time given to each wait. Whatever stands here, no wait goes beyond the session's deadline, and no chatter of
/// a server makes one longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budgets {
    /// For the TCP connection: one SYN and the four retransmissions that Linux sends a second apart.
    pub connect: Duration,
    /// For a TLS handshake.
    pub tls: Duration,
    /// For the greeting; a reverse lookup that fails delays it by five or ten seconds.
    pub greeting: Duration,
    /// For what comes of a command that is sent into a silence: a SYN takes no longer on any way that works.
    pub nudge: Duration,
    /// For the answer to a command.
    pub command: Duration,
    /// For the answer to DONE, which ends an IDLE: what takes longer has died unnoticed.
    pub done: Duration,
    /// For the answer to a login; servers make somebody who failed before wait up to 17 seconds.
    pub authenticate: Duration,
    /// A greeting or a login that takes longer than this is worth an operator's look.
    pub patience: Duration,
    /// Silence that was waited for this long is the other side's, also where the probe's own time ended the waiting:
    /// two retransmissions of a SYN went unanswered too.
    pub silence: Duration,
    /// A reply that brings less than [`DRIP_BYTES`](crate::imap::limits::DRIP_BYTES) in this time comes from somebody
    /// who wastes ours.
    pub drip: Duration,
}

impl Default for Budgets {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            tls: Duration::from_secs(5),
            greeting: Duration::from_secs(10),
            nudge: Duration::from_millis(1500),
            command: Duration::from_secs(5),
            done: Duration::from_secs(10),
            authenticate: Duration::from_secs(20),
            patience: Duration::from_secs(5),
            silence: Duration::from_millis(2500),
            drip: DRIP_TIME,
        }
    }
}

/// For each wait of a follow-up: what is to come of it comes within a few round trips, or behind a segment that was
/// sent again after a second (RFC 6298 section 2.1).
const FOLLOW_UP: Duration = Duration::from_millis(1_600);
/// Of those, for what comes of a command that is sent into a silence.
const FOLLOW_UP_NUDGE: Duration = Duration::from_millis(600);
/// For each wait of one of several attempts that are made one after another: nothing is sent again in that time.
const IN_A_SERIES: Duration = Duration::from_millis(650);

impl Budgets {
    /// The same for a follow-up, which asks what is known already to be silent, or to work.
    #[must_use]
    pub fn of_follow_up(self) -> Self {
        self.at_most(FOLLOW_UP)
    }

    /// The same for one of several follow-ups, one after another.
    #[must_use]
    pub fn of_series(self) -> Self {
        self.at_most(IN_A_SERIES)
    }

    fn at_most(self, patience: Duration) -> Self {
        let nudge = self.nudge.min(FOLLOW_UP_NUDGE);
        Self {
            connect: self.connect.min(patience),
            tls: self.tls.min(patience),
            greeting: self.greeting.min(patience.saturating_sub(nudge).max(nudge)),
            nudge,
            command: self.command.min(patience),
            ..self
        }
    }

    /// The budget of a command by its name.
    pub(crate) fn of_command(&self, name: &str) -> Duration {
        match name {
            "LOGIN" | "AUTHENTICATE" => self.authenticate,
            _ => self.command,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_follow_up_waits_no_longer_for_anything_than_its_kind_may() {
        let whole = |budgets: Budgets| [budgets.connect, budgets.tls, budgets.greeting + budgets.nudge];
        let usual = Budgets::default();
        assert_eq!(whole(usual.of_follow_up()), [FOLLOW_UP; 3]);
        assert!(whole(usual.of_series()).iter().all(|wait| *wait <= FOLLOW_UP));
        assert_eq!(usual.of_series().connect, IN_A_SERIES);
    }

    #[test]
    fn a_follow_up_is_never_more_patient_than_the_probe() {
        let brief = Budgets {
            connect: Duration::from_millis(300),
            ..Budgets::default()
        };
        assert_eq!(brief.of_follow_up().connect, brief.connect);
    }
}
