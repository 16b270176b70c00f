//! What one vantage point saw of a target.

use std::net::IpAddr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::experiment::ExperimentKind;
use crate::kinds::kinds;
use crate::millis;
use crate::path::NetworkFacts;
use crate::refusal::PolicyRefusal;
use crate::stage::{Outcome, Stage, StageName};
use crate::target::{Endpoint, Security};
use crate::vantage::{AgentName, Labels};

kinds! {
    /// What became of the question at one vantage point.
    VantageOutcome, fallback Missing {
        /// Everything asked for worked.
        Ok = "ok",
        /// It worked, but an operator must see something, or some of the addresses failed.
        Degraded = "degraded",
        /// Nothing that was asked for worked to the end.
        Failed = "failed",
        /// Nothing was heard from the agent.
        Missing = "missing",
        /// The agent did not run the probe.
        Refused = "refused",
    }
}

kinds! {
    /// Why a vantage point is missing or refused.
    Reason, fallback Unsupported {
        /// The agent is not connected, or its connection was lost during the run.
        Offline = "offline",
        /// The agent is connected but did not answer in time.
        Deadline = "deadline",
        /// The agent's own policy does not allow it.
        Policy = "policy",
        /// The agent does not know how.
        Unsupported = "unsupported",
        /// The agent has no room for another probe.
        Overload = "overload",
    }
}

kinds! {
    /// Address family.
    Family, fallback Ipv4 {
        /// IPv4.
        Ipv4 = "ipv4",
        /// IPv6.
        Ipv6 = "ipv6",
    }
}

impl Family {
    /// The family of an address.
    pub const fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Self::Ipv4 } else { Self::Ipv6 }
    }

    /// The one that this is not.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Ipv4 => Self::Ipv6,
            Self::Ipv6 => Self::Ipv4,
        }
    }
}

/// A number that is another when the address is: 32-bit FNV-1a of its bytes, as blackbox exporters say it.
pub fn address_hash(address: IpAddr) -> u32 {
    let fold = |bytes: &[u8]| {
        bytes.iter().fold(0x811c_9dc5_u32, |hash, byte| {
            (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
        })
    };
    match address {
        IpAddr::V4(address) => fold(&address.octets()),
        IpAddr::V6(address) => fold(&address.octets()),
    }
}

kinds! {
    /// Why an attempt was made.
    Purpose, fallback Requested {
        /// The operator or the check asked for it.
        Requested = "requested",
        /// The diagnosis ordered it.
        FollowUp = "follow_up",
    }
}

kinds! {
    /// How an attempt ended.
    AttemptOutcome, fallback Failed {
        /// Every stage asked for was ok.
        Ok = "ok",
        /// Every stage asked for worked, one of them degraded.
        Degraded = "degraded",
        /// A stage failed.
        Failed = "failed",
    }
}

/// Which side of a dialogue spoke.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Speaker {
    /// The probe.
    #[serde(rename = "C")]
    Client,
    /// The server.
    #[serde(rename = "S")]
    Server,
}

/// One line of the dialogue; secrets are masked before they get here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TranscriptLine {
    /// When, from the start of the probe.
    #[serde(rename = "at_ms", with = "millis")]
    #[schemars(with = "f64")]
    pub at: Duration,
    /// Who spoke.
    pub speaker: Speaker,
    /// What was said, without its line end; escape before showing.
    pub text: String,
}

/// One connection of a probe to one endpoint.
#[derive(Debug, Clone, PartialEq)]
pub struct Attempt {
    /// Address tried.
    pub address: IpAddr,
    /// Port and security.
    pub endpoint: Endpoint,
    /// Why.
    pub purpose: Purpose,
    /// What was varied, in a follow-up.
    pub experiment: Option<ExperimentKind>,
    /// The stages, in order; `resolve` is not among them.
    pub stages: Vec<Stage>,
    /// The dialogue, kept where something was not ok.
    pub transcript: Vec<TranscriptLine>,
    /// The agent that made it, where that is not the vantage point's own: it watched what this one wrote.
    pub by: Option<AgentName>,
}

impl Attempt {
    /// How it ended, from its stages.
    pub fn outcome(&self) -> AttemptOutcome {
        if self.stages.is_empty() || self.stages.iter().any(Stage::failed) {
            AttemptOutcome::Failed
        } else if self
            .stages
            .iter()
            .any(|stage| matches!(stage.outcome, Outcome::Degraded(_)))
        {
            AttemptOutcome::Degraded
        } else {
            AttemptOutcome::Ok
        }
    }

    /// The first stage that failed.
    pub fn failed_stage(&self) -> Option<&Stage> {
        self.stages.iter().find(|stage| stage.failed())
    }

    /// A stage by name.
    pub fn stage(&self, name: StageName) -> Option<&Stage> {
        self.stages.iter().find(|stage| stage.name == name)
    }

    /// Whether the operator asked for it.
    pub fn requested(&self) -> bool {
        self.purpose == Purpose::Requested
    }
}

/// The JSON shape of an attempt.
#[derive(Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Attempt")]
pub(crate) struct AttemptShape {
    address: IpAddr,
    family: Family,
    port: u16,
    security: Security,
    purpose: Purpose,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    experiment: Option<ExperimentKind>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    agent: Option<AgentName>,
    outcome: AttemptOutcome,
    stages: Vec<Stage>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    transcript: Vec<TranscriptLine>,
}

impl Serialize for Attempt {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        AttemptShape {
            address: self.address,
            family: Family::of(self.address),
            port: self.endpoint.port,
            security: self.endpoint.security,
            purpose: self.purpose,
            experiment: self.experiment,
            agent: self.by.clone(),
            outcome: self.outcome(),
            stages: self.stages.clone(),
            transcript: self.transcript.clone(),
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Attempt {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let shape = AttemptShape::deserialize(deserializer)?;
        Ok(Self {
            address: shape.address,
            endpoint: Endpoint {
                port: shape.port,
                security: shape.security,
            },
            purpose: shape.purpose,
            experiment: shape.experiment,
            stages: shape.stages,
            transcript: shape.transcript,
            by: shape.agent,
        })
    }
}

impl JsonSchema for Attempt {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        AttemptShape::schema_name()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        AttemptShape::json_schema(generator)
    }
}

/// The agent's clock beside the collector's, and how punctual the probe was.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ClockFacts {
    /// The agent's wall clock minus the collector's, in milliseconds, as measured over the link.
    pub offset_ms: f64,
    /// How much later than the common start the probe began, in milliseconds.
    pub start_skew_ms: f64,
}

/// What one vantage point saw of a target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Observation {
    /// The agent.
    pub agent: AgentName,
    /// Its labels at the time.
    pub labels: Labels,
    /// What became of the question.
    pub outcome: VantageOutcome,
    /// Why nothing was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// The reason in words: "not connected since 10:31:07", "policy denies 127.0.0.0/8".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// With `policy`: the rule of the agent's policy that forbids it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<PolicyRefusal>,
    /// What the agent's policy kept it from doing, where it did the rest: addresses it did not touch, a resolver it did
    /// not ask.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<PolicyRefusal>,
    /// The agent's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock: Option<ClockFacts>,
    /// How the name became addresses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolve: Option<Stage>,
    /// One attempt for each address and endpoint, then the follow-ups.
    pub attempts: Vec<Attempt>,
    /// What was seen of the network beneath them.
    #[serde(flatten)]
    pub network: NetworkFacts,
}

impl Observation {
    /// A vantage point that was asked and of which nothing was seen.
    pub fn unseen(
        agent: AgentName,
        labels: Labels,
        outcome: VantageOutcome,
        reason: Reason,
        note: impl Into<String>,
    ) -> Self {
        Self {
            agent,
            labels,
            outcome,
            reason: Some(reason),
            note: Some(note.into()),
            refusal: None,
            left_out: Vec::new(),
            clock: None,
            resolve: None,
            attempts: Vec::new(),
            network: NetworkFacts::default(),
        }
    }

    /// The outcome that follows from what was seen: failed when the name or every requested attempt failed,
    /// degraded when some did or something must be seen.
    pub fn conclude_outcome(resolve: Option<&Stage>, attempts: &[Attempt]) -> VantageOutcome {
        if resolve.is_some_and(Stage::failed) {
            return VantageOutcome::Failed;
        }
        let outcomes: Vec<_> = attempts
            .iter()
            .filter(|attempt| attempt.requested())
            .map(Attempt::outcome)
            .collect();
        let degraded_name = resolve.is_some_and(|stage| matches!(stage.outcome, Outcome::Degraded(_)));
        if outcomes.iter().all(|&outcome| outcome == AttemptOutcome::Failed) {
            VantageOutcome::Failed
        } else if degraded_name || outcomes.iter().any(|&outcome| outcome != AttemptOutcome::Ok) {
            VantageOutcome::Degraded
        } else {
            VantageOutcome::Ok
        }
    }

    /// The addresses and ports that its policy kept from it, and by which rule; each shows as refused, and neither as
    /// failed nor as fine.
    pub fn untouched(&self) -> impl Iterator<Item = (&PolicyRefusal, IpAddr, u16)> {
        let tried = |address, port| {
            self.requested()
                .any(|attempt| attempt.address == address && attempt.endpoint.port == port)
        };
        let places = self
            .left_out
            .iter()
            .filter_map(|refusal| Some((refusal, refusal.address?, refusal.port?)));
        places.filter(move |(_, address, port)| !tried(*address, *port))
    }

    /// Whether the agent answered at all.
    pub fn answered(&self) -> bool {
        matches!(
            self.outcome,
            VantageOutcome::Ok | VantageOutcome::Degraded | VantageOutcome::Failed
        )
    }

    /// The attempts the operator asked for.
    pub fn requested(&self) -> impl Iterator<Item = &Attempt> {
        self.attempts.iter().filter(|attempt| attempt.requested())
    }

    /// The follow-ups of one kind.
    pub fn experiments(&self, kind: ExperimentKind) -> impl Iterator<Item = &Attempt> {
        self.attempts
            .iter()
            .filter(move |attempt| attempt.experiment == Some(kind))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_the_number_that_blackbox_exporters_give_it() {
        // fnv.New32a() of Go over 127.0.0.1 and ::1, 4 and 16 bytes.
        for (address, hash) in [("127.0.0.1", 3_668_918_509), ("::1", 1_751_717_746)] {
            assert_eq!(address_hash(address.parse().unwrap()), hash, "{address}");
        }
    }
}
