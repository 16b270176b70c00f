//! An answer that is due, and how long it may take.

use std::time::Duration;

use super::SessionConfig;
use crate::action::{Action, Connection};
use crate::budgets::Budgets;
use crate::exchange::Lost;
use crate::imap::Outgoing;

/// An answer that is due.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wait {
    pub(super) what: Awaited,
    since: Duration,
    /// The time that the wait may take by itself.
    budget: Duration,
    /// The end of that time, or the session's own.
    pub(super) until: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Awaited {
    Connection,
    Handshake,
    Sent,
    Bytes,
    /// Bytes, or the end of the time.
    Rest,
    Login,
}

impl Wait {
    pub(super) fn new(what: Awaited, now: Duration, budget: Duration, deadline: Duration) -> Self {
        Self {
            what,
            since: now,
            budget,
            until: now.saturating_add(budget).min(deadline),
        }
    }

    /// Something else is due within the same time.
    pub(super) fn for_another(self, what: Awaited) -> Self {
        Self { what, ..self }
    }

    /// How a wait ends that brought nothing: the server's silence, unless the probe's own time cut it so short that
    /// nothing can be said of the server.
    pub(super) fn in_vain(self, now: Duration, budgets: &Budgets) -> Lost {
        let waited = now.saturating_sub(self.since);
        let cut = self.until < self.since.saturating_add(self.budget);
        if cut && waited < self.budget.min(budgets.silence) {
            Lost::OutOfTime(waited)
        } else {
            Lost::Late(waited)
        }
    }

    /// The action whose answer is due, for a caller that asks again before it has one. Nothing is sent twice.
    pub(super) fn action(self, config: &SessionConfig, connection: Connection) -> Action {
        let until = self.until;
        match self.what {
            Awaited::Connection => Action::Connect {
                dial: config.dial,
                until,
            },
            Awaited::Handshake => Action::Handshake {
                server_name: config.reference.to_string(),
                hello: config.hello.clone(),
                connection,
                until,
            },
            Awaited::Sent => Action::Send {
                bytes: Outgoing::default(),
                until,
            },
            Awaited::Bytes | Awaited::Rest => Action::Receive { until },
            Awaited::Login => Action::AskLogin { until },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn in_vain(budget: u32, deadline: u32) -> Lost {
        let wait = Wait::new(Awaited::Bytes, SECOND, SECOND * budget, SECOND * deadline);
        wait.in_vain(wait.until, &Budgets::default())
    }

    #[test]
    fn silence_is_the_servers_once_it_was_waited_for_long_enough() {
        assert!(matches!(in_vain(5, 60), Lost::Late(_)));
        assert!(matches!(in_vain(10, 7), Lost::Late(_)));
        assert!(matches!(in_vain(10, 4), Lost::Late(_)));
        assert!(matches!(in_vain(10, 3), Lost::OutOfTime(_)));
        assert!(matches!(in_vain(3, 3), Lost::OutOfTime(_)));
    }
}
