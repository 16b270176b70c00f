//! What checks saw over time.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::kinds::kinds;
use crate::observation::VantageOutcome;
use crate::vantage::AgentName;

kinds! {
    /// How finely time is cut.
    HistoryStep, fallback Auto {
        /// As finely as there is room for.
        Auto = "auto",
        /// Every round.
        Round = "round",
        /// Every hour.
        Hour = "hour",
        /// Every day, UTC.
        Day = "day",
    }
}

/// What one agent saw in one step of time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HistoryRow {
    /// When the step begins.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// The agent.
    pub agent: AgentName,
    /// Results by what became of them.
    pub ok: u64,
    /// It worked, with something to be seen.
    pub degraded: u64,
    /// It did not work.
    pub failed: u64,
    /// The agent did not run it.
    pub refused: u64,
    /// Results that are there, and those that were missed when their round was closed and did not come since.
    pub expected: u64,
    /// How long it took: all of it, and each stage.
    pub stages: Vec<StageLatency>,
    /// The certificate that was last seen, SHA-256 of its DER in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_sha256: Option<String>,
    /// When that ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub certificate_not_after: Option<Timestamp>,
}

/// How long something took, over several results.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StageLatency {
    /// A stage, or `total`.
    pub stage: String,
    /// Half took at most so many microseconds.
    pub p50_us: u64,
    /// 95 of 100 did.
    pub p95_us: u64,
    /// 99 of 100 did.
    pub p99_us: u64,
    /// Results counted.
    pub count: u64,
}

/// One result as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StoredResult {
    /// UUID version 7.
    pub id: Uuid,
    /// The agent.
    pub agent: AgentName,
    /// The round's.
    pub run_id: Uuid,
    /// When it began, on the collector's wall clock.
    #[schemars(with = "String")]
    pub started_at: Timestamp,
    /// What became of it.
    pub outcome: VantageOutcome,
    /// The stage that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
    /// How.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    /// How long all of it took, microseconds.
    pub total_us: u64,
}
