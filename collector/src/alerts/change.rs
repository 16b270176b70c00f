//! What is to be kept and told of alerts.

use parallax_model::alert::Alert;
use serde_json::Value;

/// What is to be kept in one transaction with whatever caused it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct AlertChanges {
    /// Alerts that fire or are over, as they are now.
    pub(crate) alerts: Vec<KeptAlert>,
    /// What is remembered by subject; without a value it is forgotten.
    pub(crate) memory: Vec<(String, Option<Value>)>,
    /// What is to be told.
    pub(crate) notices: Vec<Notice>,
}

/// An alert as it is kept.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct KeptAlert {
    pub(crate) alert: Alert,
    /// Whether the receivers know that it fires.
    pub(crate) told: bool,
}

/// One alert to one receiver.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Notice {
    /// The receiver's queue.
    pub(crate) receiver: String,
    /// What to tell: it fires, or it is over.
    pub(crate) alert: Alert,
}

impl AlertChanges {
    /// And what came after it.
    pub(crate) fn extend(&mut self, later: Self) {
        self.alerts.extend(later.alerts);
        self.memory.extend(later.memory);
        self.notices.extend(later.notices);
    }

    /// Whether there is nothing to keep.
    pub(crate) const fn is_empty(&self) -> bool {
        self.alerts.is_empty() && self.memory.is_empty() && self.notices.is_empty()
    }
}
