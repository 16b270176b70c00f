//! An experiment: a bounded question that would tell two explanations apart.

use std::net::{IpAddr, SocketAddr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::kinds::kinds;
use crate::target::{Endpoint, Security};
use crate::vantage::AgentName;

kinds! {
    /// What is varied in a follow-up attempt.
    ExperimentKind, fallback Repeat {
        /// The same attempt once more.
        Repeat = "repeat",
        /// A connection to another port of the same host, open or closed: does the host answer at all?
        ControlPort = "control_port",
        /// The other IMAP port of the same host.
        OtherPort = "other_port",
        /// An address that another vantage point was given for the same name.
        ForcedAddress = "forced_address",
        /// A ClientHello made by hand, for servers that speak nothing a modern library does.
        RawHello = "raw_hello",
        /// A command sent in clear together with STARTTLS: is it carried out behind TLS?
        StarttlsInjection = "starttls_injection",
        /// A second handshake that offers the first one's ticket.
        Resumption = "resumption",
        /// A session kept open and quiet for a part of the time asked for.
        Hold = "hold",
        /// A second session that watches what the first one writes.
        Watch = "watch",
        /// Another address of the same name.
        OtherAddress = "other_address",
        /// The name's address of the other family.
        OtherFamily = "other_family",
        /// From another local address.
        OtherSource = "other_source",
        /// The name asked of another resolver.
        OtherResolver = "other_resolver",
        /// With a small maximum segment size in our SYN, so that the peer sends small packets.
        SmallMss = "small_mss",
        /// With a ClientHello that does not fit into one packet.
        LargeHello = "large_hello",
        /// Without a name in the ClientHello.
        NoSni = "no_sni",
        /// With another name in the ClientHello.
        OtherSni = "other_sni",
        /// Without ALPN in the ClientHello.
        NoAlpn = "no_alpn",
        /// The same once more after a wait that tells a limit from a block.
        Later = "later",
        /// Several times, one after another.
        Serial = "serial",
        /// The agent's own control target: does its network work at all?
        ControlTarget = "control_target",
        /// The way to the port.
        Path = "path",
        /// The way to a control port of the same host.
        PathControl = "path_control",
        /// The way of UDP to the same host.
        PathUdp = "path_udp",
        /// The way of packets of several sizes.
        PathSize = "path_size",
        /// With what time to live the answer arrives: how far away is whoever gave it?
        AnswerTtl = "answer_ttl",
        /// From which hop on a ClientHello is treated otherwise than a harmless one.
        HelloLadder = "hello_ladder",
        /// The same from many source ports.
        PortSweep = "port_sweep",
    }
}

impl ExperimentKind {
    /// Whether it gives a path or a sweep and no attempt.
    pub const fn is_path(self) -> bool {
        matches!(
            self,
            Self::Path
                | Self::PathControl
                | Self::PathUdp
                | Self::PathSize
                | Self::AnswerTtl
                | Self::HelloLadder
                | Self::PortSweep
        )
    }

    /// Whether its attempt goes as far as the operator's question, a login aside, so that it says whether the target
    /// can be reached in that way.
    pub const fn answers_reachability(self) -> bool {
        matches!(
            self,
            Self::Repeat
                | Self::ControlPort
                | Self::OtherPort
                | Self::ForcedAddress
                | Self::OtherAddress
                | Self::OtherFamily
                | Self::OtherSource
                | Self::SmallMss
                | Self::Later
                | Self::Serial
        )
    }

    /// Whether it varies the ClientHello.
    pub const fn varies_tls(self) -> bool {
        matches!(
            self,
            Self::LargeHello | Self::NoSni | Self::OtherSni | Self::NoAlpn
        )
    }
}

/// The port asked in [`ExperimentKind::ControlPort`]: echo (RFC 862), closed nearly everywhere, and a live host
/// answers a closed port with a reset.
pub const CONTROL_PORT: u16 = 7;

/// A follow-up attempt that the diagnosis wants.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Experiment {
    /// What is varied.
    pub kind: ExperimentKind,
    /// Where it runs.
    pub agent: AgentName,
    /// The address it goes to.
    pub address: IpAddr,
    /// The port and security it uses.
    pub endpoint: Endpoint,
    /// What is varied beside the kind.
    #[serde(flatten)]
    pub variation: Variation,
}

/// What an experiment varies, in numbers and names.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Variation {
    /// The local address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<IpAddr>,
    /// The name in the ClientHello.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
    /// The largest segment that we take, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mss: Option<u16>,
    /// The resolver that is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub resolver: Option<SocketAddr>,
    /// How long to wait before, from the start of the order, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_ms: Option<u32>,
    /// How many times, one after another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeat: Option<u8>,
}

kinds! {
    /// What became of an experiment.
    ExperimentOutcome, fallback Missing {
        /// The agent did it.
        Done = "done",
        /// The agent's policy does not allow it, or it does not know how.
        Refused = "refused",
        /// Nothing came back in time.
        Missing = "missing",
    }
}

/// An experiment that the diagnosis ordered, and what it changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(from = "RecordShape", into = "RecordShape")]
#[schemars(with = "RecordShape")]
pub struct ExperimentRecord {
    /// Of which round of follow-ups, from 1.
    pub round: u32,
    /// What was done.
    pub experiment: Experiment,
    /// What it was to tell apart.
    pub because: String,
    /// What became of it.
    pub outcome: ExperimentOutcome,
    /// How the findings changed with its round; absent where they did not.
    pub changed: Option<String>,
}

/// The JSON shape of an [`ExperimentRecord`]: flat, as an attempt is.
#[derive(Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "ExperimentRecord")]
struct RecordShape {
    /// The round, from 1.
    round: u32,
    kind: ExperimentKind,
    agent: AgentName,
    address: IpAddr,
    port: u16,
    security: Security,
    #[serde(flatten)]
    variation: Variation,
    /// What it was to tell apart.
    because: String,
    outcome: ExperimentOutcome,
    /// How the findings changed with its round.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    changed: Option<String>,
}

impl From<ExperimentRecord> for RecordShape {
    fn from(record: ExperimentRecord) -> Self {
        let Experiment {
            kind,
            agent,
            address,
            endpoint,
            variation,
        } = record.experiment;
        Self {
            round: record.round,
            kind,
            agent,
            address,
            port: endpoint.port,
            security: endpoint.security,
            variation,
            because: record.because,
            outcome: record.outcome,
            changed: record.changed,
        }
    }
}

impl From<RecordShape> for ExperimentRecord {
    fn from(shape: RecordShape) -> Self {
        Self {
            round: shape.round,
            experiment: Experiment {
                kind: shape.kind,
                agent: shape.agent,
                address: shape.address,
                endpoint: Endpoint {
                    port: shape.port,
                    security: shape.security,
                },
                variation: shape.variation,
            },
            because: shape.because,
            outcome: shape.outcome,
            changed: shape.changed,
        }
    }
}
