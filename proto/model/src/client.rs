//! Which mail clients could work with a service.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::kinds::kinds;
use crate::vantage::AgentName;

kinds! {
    /// What a family of clients can do with a service.
    ClientOutcome, fallback Unknown {
        /// Everything it needs is there.
        Works = "works",
        /// It can log in and read, but does without something.
        Degraded = "degraded",
        /// It can not log in, or not work.
        Fails = "fails",
        /// The probe did not go far enough to tell.
        Unknown = "unknown",
    }
}

/// What the evidence says of one family of mail clients.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ClientReport {
    /// The family: `Thunderbird`, `Apple Mail`, ...
    pub client: String,
    /// What it can do.
    pub outcome: ClientOutcome,
    /// Why not everything, a line each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub because: Vec<String>,
    /// The vantage points for which this holds, where it does not hold for all that answered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub affected: Vec<AgentName>,
}
