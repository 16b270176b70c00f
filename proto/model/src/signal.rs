//! What two sessions tell each other while one watches what the other writes.

use crate::kinds::kinds;

kinds! {
    /// What is told.
    SignalKind, fallback Over {
        /// The writer: the mailbox named is there to be watched.
        Mailbox = "mailbox",
        /// The writer: a change was made; the subject says which.
        Changed = "changed",
        /// The writer: nothing more will change.
        Over = "over",
        /// The watcher: it is watching; the subject says how (`idle`, `noop`).
        Watching = "watching",
        /// The watcher: it has learned of a change; the subject says of which, the detail how.
        Seen = "seen",
        /// The watcher: it can not watch (any more); the detail says why.
        Gone = "gone",
    }
}

/// One word between the two sessions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signal {
    /// What is told.
    pub kind: SignalKind,
    /// What it is about: a mailbox, `exists`, `flags`, `expunge`, `idle`, `noop`.
    pub subject: String,
    /// What else there is to say: `idle`, `noop`, `select`, `never`, a reason.
    pub detail: String,
}

impl Signal {
    /// One word.
    pub fn new(kind: SignalKind, subject: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            kind,
            subject: subject.into(),
            detail: detail.into(),
        }
    }

    /// Of the writer, or for one that is not there any more: nothing more will change.
    pub fn over() -> Self {
        Self::new(SignalKind::Over, "", "")
    }

    /// Of the watcher, or for one that is not there: nobody watches, and why.
    pub fn gone(why: impl Into<String>) -> Self {
        Self::new(SignalKind::Gone, "", why)
    }
}
