//! What of a probe's packets was recorded.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::experiment::ExperimentKind;
use crate::kinds::kinds;
use crate::target::Endpoint;
use crate::vantage::AgentName;

kinds! {
    /// What a capture lets its reader decrypt.
    CapturedSecrets, fallback None {
        /// Nothing: there was no TLS, or its session may have carried a login.
        None = "none",
        /// The handshake alone: the session behind it may have carried a login.
        Handshake = "handshake",
        /// All of it: no login went over it.
        Session = "session",
    }
}

/// What is known of a capture beside its packets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CaptureFacts {
    /// Address tried.
    pub address: IpAddr,
    /// Port and security.
    #[serde(flatten)]
    pub endpoint: Endpoint,
    /// What was varied, in a follow-up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub experiment: Option<ExperimentKind>,
    /// Where the attempt's first connection came from: `local` in the evidence of its stage `connect`.
    pub local: SocketAddr,
    /// Packets in it.
    pub packets: u64,
    /// Packets that belong to the attempt, and for which there was no room.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub packets_dropped: u64,
    /// What of it can be decrypted.
    pub secrets: CapturedSecrets,
}

/// The packets of one attempt, as its agent recorded them.
#[derive(Clone, PartialEq, Eq)]
pub struct Capture {
    /// Of which attempt, and how much.
    pub facts: CaptureFacts,
    /// The file, pcapng.
    pub pcapng: Vec<u8>,
}

impl fmt::Debug for Capture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Capture")
            .field("facts", &self.facts)
            .field("bytes", &self.pcapng.len())
            .finish()
    }
}

/// A capture as the run document lists it. The packets are kept beside the run for a while, and are in its bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CaptureRecord {
    /// The vantage point.
    pub agent: AgentName,
    /// Of which attempt, and how much.
    #[serde(flatten)]
    pub facts: CaptureFacts,
    /// Size of the file.
    pub bytes: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes by reference")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}
