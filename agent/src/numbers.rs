//! The agent's own page, also for where its spans go.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parallax_telemetry::Numbers;

use crate::web::{Means, numbers};

/// How often the page was sent, and how often it did not get through.
#[derive(Debug, Clone, Default)]
pub(crate) struct Exports(Arc<Both>);

#[derive(Debug, Default)]
struct Both {
    sent: AtomicU64,
    failed: AtomicU64,
}

impl Exports {
    /// By what became of them.
    pub(crate) fn by_outcome(&self) -> [(&'static str, u64); 2] {
        [
            ("sent", self.0.sent.load(Ordering::Relaxed)),
            ("failed", self.0.failed.load(Ordering::Relaxed)),
        ]
    }
}

impl Numbers for Means {
    async fn page(&self) -> Option<String> {
        Some(numbers(self))
    }

    fn sent(&self, whole: bool) {
        let Both { sent, failed } = &*self.exports.0;
        let counter = if whole { sent } else { failed };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// The spool's books are on disk.
    fn outlive(&self) -> &'static [&'static str] {
        &[
            "parallax_agent_results_made_total",
            "parallax_agent_results_dropped_total",
            "parallax_agent_failures_dropped_total",
        ]
    }
}
