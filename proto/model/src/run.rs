//! A run: one question put to many agents, and the document that tells its answer.

use std::net::IpAddr;
use std::time::Duration;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::capture::CaptureRecord;
use crate::check::{RunCheck, ScheduleState, SpoolState};
use crate::client::ClientReport;
use crate::experiment::ExperimentRecord;
use crate::finding::{Conclusion, Finding, Verdict};
use crate::kinds::kinds;
use crate::millis;
use crate::observation::Observation;
use crate::spec::Depth;
use crate::target::{Endpoint, Target};
use crate::vantage::AgentName;

/// The name and version of the run document's shape.
pub const RUN_SCHEMA: &str = "parallax.run/v1";

/// The target as the run document names it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunTarget {
    /// What was typed.
    pub input: String,
    /// The host meant.
    pub host: String,
    /// The endpoints asked of it.
    pub endpoints: Vec<Endpoint>,
}

impl From<&Target> for RunTarget {
    fn from(target: &Target) -> Self {
        Self {
            input: target.input.clone(),
            host: target.host.to_string(),
            endpoints: target.endpoints.clone(),
        }
    }
}

/// The run document: `ctl probe -o json`, `ctl runs show ID -o json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunDocument {
    /// Always `parallax.run/v1`.
    pub schema: String,
    /// UUID version 7.
    pub run_id: Uuid,
    /// The trace of the run, 32 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    /// What was probed.
    pub target: RunTarget,
    /// How far.
    pub depth: Depth,
    /// When it began, RFC 3339 UTC.
    #[schemars(with = "String")]
    pub started_at: Timestamp,
    /// From the question to the verdict.
    #[serde(rename = "duration_ms", with = "millis")]
    #[schemars(with = "f64")]
    pub duration: Duration,
    /// What each vantage point saw.
    pub vantages: Vec<Observation>,
    /// The answer.
    pub verdict: Verdict,
    /// One line a person can act on.
    pub summary: String,
    /// First the one to act on.
    pub findings: Vec<Finding>,
    /// Which mail clients could work with what was seen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clients: Vec<ClientReport>,
    /// What the diagnosis ordered to tell explanations apart.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub experiments: Vec<ExperimentRecord>,
    /// The last good run of the same target that this one was compared with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compared_with: Option<RunRef>,
    /// What is otherwise than in that one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Change>,
    /// The attempts whose packets were recorded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub captures: Vec<CaptureRecord>,
    /// The check that it is a round of; without one it was asked by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<RunCheck>,
}

/// Names a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RunRef {
    /// UUID version 7.
    pub run_id: Uuid,
    /// When it began, RFC 3339 UTC.
    #[schemars(with = "String")]
    pub started_at: Timestamp,
}

kinds! {
    /// What changed between two runs.
    ChangeKind, fallback Outcome {
        /// Whether it works.
        Outcome = "outcome",
        /// What the name leads to.
        Addresses = "addresses",
        /// The server's certificate.
        Certificate = "certificate",
        /// What the server offers.
        Capabilities = "capabilities",
        /// The way there.
        Path = "path",
        /// How long it takes.
        Latency = "latency",
    }
}

/// What one vantage point saw otherwise than before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Change {
    /// The vantage point.
    pub agent: AgentName,
    /// What changed.
    pub what: ChangeKind,
    /// The address that it concerns, where it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// As it was, in words.
    pub before: String,
    /// As it is, in words.
    pub after: String,
}

impl RunDocument {
    /// Names it.
    pub const fn reference(&self) -> RunRef {
        RunRef {
            run_id: self.run_id,
            started_at: self.started_at,
        }
    }

    /// Puts the conclusion into the document.
    pub fn conclude(&mut self, conclusion: Conclusion) {
        self.verdict = conclusion.verdict;
        self.summary = conclusion.summary;
        self.findings = conclusion.findings;
        self.clients = conclusion.clients;
    }
}

/// One line of `ctl runs list`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunSummary {
    /// UUID version 7.
    pub run_id: Uuid,
    /// When it began.
    #[schemars(with = "String")]
    pub started_at: Timestamp,
    /// What was typed as the target.
    pub target: String,
    /// The answer.
    pub verdict: Verdict,
    /// One line a person can act on.
    pub summary: String,
    /// The check that it is a round of, by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<String>,
}

/// One line of `ctl agents`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AgentSummary {
    /// The agent.
    pub name: crate::vantage::AgentName,
    /// Its labels.
    pub labels: crate::vantage::Labels,
    /// Whether its link is up.
    pub connected: bool,
    /// Its program's version.
    pub version: String,
    /// When it was last heard of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub last_seen: Option<Timestamp>,
    /// The address its link comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// Round-trip time of the link, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rtt_ms: Option<f64>,
    /// The agent's wall clock minus the collector's, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_offset_ms: Option<f64>,
    /// Probes it runs now.
    pub probes_in_flight: u32,
    /// Public key to which secrets for this agent are sealed, hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealing_key: Option<String>,
    /// How it stands with its link.
    pub state: AgentState,
    /// When its last certificate ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub certificate_ends: Option<Timestamp>,
    /// Who came last under its name and was turned away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejected: Option<Rejected>,
    /// The results that wait there, as it last said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spool: Option<SpoolState>,
    /// How it keeps up with its checks, as it last said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<ScheduleState>,
}

kinds! {
    /// How it stands with an agent's link.
    AgentState, fallback Lost {
        /// It is up.
        Connected = "connected",
        /// It is down.
        Lost = "lost",
        /// It is down, and the agent's certificate is over.
        Expired = "expired",
        /// It is up, and somebody else comes under the same name.
        Conflict = "conflict",
    }
}

/// Somebody who was turned away because the name is taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Rejected {
    /// Where it came from.
    pub peer: String,
    /// When it last came.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// How often it came.
    pub count: u64,
    /// Why it was turned away.
    pub why: String,
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    #[test]
    fn a_number_is_read_as_it_was_written() {
        for number in [0.9073038322028689, 0.48183792520110524, 1_234_567.891] {
            let written = serde_json::to_string(&number).unwrap();
            let read: f64 = serde_json::from_str(&written).unwrap();
            assert_eq!(read.to_bits(), f64::to_bits(number), "{written}");
        }
    }
}
