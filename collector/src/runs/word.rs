//! What the sessions of two agents say to each other while one watches what the other writes.

use parallax_model::signal::{Signal, SignalKind};

/// A word on its way from one order of a run to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Word {
    /// What.
    pub(crate) signal: Signal,
    /// The writer's attempt that it is about, as the writer's agent writes it; empty: all of them.
    pub(crate) attempt: String,
    /// When, on the collector's monotonic clock, microseconds; 0: when it is heard.
    pub(crate) at_us: u64,
    /// How far that may be off, microseconds.
    pub(crate) uncertainty_us: u64,
}

impl Word {
    /// To the watcher, for a writer that is not there any more: nothing more will change.
    pub(crate) fn over() -> Self {
        Self::about_all(Signal::over())
    }

    /// To the writer, for a watcher that is not there: nobody watches, and why.
    pub(crate) fn gone(why: &str) -> Self {
        Self::about_all(Signal::gone(why))
    }

    const fn about_all(signal: Signal) -> Self {
        Self {
            signal,
            attempt: String::new(),
            at_us: 0,
            uncertainty_us: 0,
        }
    }

    /// Whether the one who writes may say it; what the one who watches may say is the rest.
    pub(crate) const fn is_the_writers(&self) -> bool {
        match self.signal.kind {
            SignalKind::Mailbox | SignalKind::Changed | SignalKind::Over => true,
            SignalKind::Watching | SignalKind::Seen | SignalKind::Gone => false,
        }
    }
}
