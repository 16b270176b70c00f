//! Alerts as they are kept, and the outbox: what waits for those who are told.

use std::collections::BTreeMap;

use jiff::Timestamp;
use parallax_model::alert::{Alert, Silence};
use serde_json::Value;

use super::Answer;
use crate::alerts::AlertChanges;

/// All that outlives the process.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct AlertsKept {
    /// Those that are not over, and those that were lately.
    pub(crate) alerts: Vec<Alert>,
    /// What is remembered, by subject.
    pub(crate) memory: Vec<(String, Value)>,
    /// Silences that are not over, and those that were lately.
    pub(crate) silences: Vec<Silence>,
}

/// A notice that waits.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Waiting {
    /// Its place in the outbox.
    pub(crate) no: i64,
    /// What to tell.
    pub(crate) alert: Alert,
    /// How often that was tried.
    pub(crate) attempts: u32,
}

/// What waits for one receiver.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct WaitingFor {
    /// Notices in the outbox.
    pub(crate) notices: u64,
    /// Notices ever dropped because too many waited.
    pub(crate) dropped: u64,
}

/// Where alerts are kept.
pub(crate) trait AlertStore: Send + Sync + 'static {
    /// All that outlives the process.
    fn kept(&self) -> Answer<'_, AlertsKept>;
    /// Keeps changes that belong to no round: those of a round are kept with it.
    fn write_alerts(&self, changes: AlertChanges, now: Timestamp) -> Answer<'_, ()>;
    /// The alerts that fire and that receivers know of.
    fn told(&self) -> Answer<'_, Vec<Alert>>;
    /// What a receiver can be told now, in the order in which it happened.
    fn due(&self, receiver: String, now: Timestamp, limit: u32) -> Answer<'_, Vec<Waiting>>;
    /// A notice was taken, or given up.
    fn sent(&self, no: i64) -> Answer<'_, ()>;
    /// A notice was not taken, and waits for another try.
    fn failed(&self, no: i64, problem: String, next_at: Timestamp) -> Answer<'_, ()>;
    /// What waits for each receiver.
    fn waiting(&self) -> Answer<'_, BTreeMap<String, WaitingFor>>;
    /// Everything that waits for a receiver can be told now.
    fn hurry(&self, receiver: String, now: Timestamp) -> Answer<'_, ()>;
    /// Forgets what waits for others than these, and says how many notices of each that were. What waits for the only
    /// Alertmanager of a receiver waits for the first of several, and the other way round.
    fn keep_receivers(&self, receivers: Vec<String>) -> Answer<'_, BTreeMap<String, u64>>;
    /// Keeps a silence as it is now.
    fn put_silence(&self, silence: Silence, now: Timestamp) -> Answer<'_, ()>;
}
