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

impl Budgets {
    /// The budget of a command by its name.
    pub(crate) fn of_command(&self, name: &str) -> Duration {
        match name {
            "LOGIN" | "AUTHENTICATE" => self.authenticate,
            _ => self.command,
        }
    }
}
