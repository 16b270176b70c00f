//! The collector's monotonic clock, as agents are told it.

use std::time::{Duration, Instant};

/// Microseconds since the collector began, so that a time can be said to another process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    start: Instant,
}

impl Clock {
    /// Counts from a little before now: 0 means "at once" in an order, and no time of this clock is 0.
    pub(crate) fn start() -> Self {
        let now = now();
        Self {
            start: now.checked_sub(Duration::from_secs(1)).unwrap_or(now),
        }
    }

    /// A time as agents are told it.
    pub(crate) fn microseconds(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.start);
        u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
    }
}

/// The runtime's clock, which a test can stop.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
