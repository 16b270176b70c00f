//! The way to a target, as far as those on it answer.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::experiment::ExperimentKind;
use crate::fault::Fault;
use crate::kinds::kinds;
use crate::millis;

kinds! {
    /// What carries the probes of a path.
    PathProtocol, fallback Tcp {
        /// TCP.
        Tcp = "tcp",
        /// UDP.
        Udp = "udp",
    }
}

kinds! {
    /// What was limited in its time to live.
    Payload, fallback Syn {
        /// A SYN of a connection of its own.
        Syn = "syn",
        /// A UDP datagram.
        Udp = "udp",
        /// A ClientHello within an open connection.
        ClientHello = "client_hello",
        /// A ClientHello that differs from that one only in what is suspected.
        ClientHelloControl = "client_hello_control",
        /// STARTTLS within an open connection.
        Starttls = "starttls",
    }
}

kinds! {
    /// Why a path ends where it does.
    PathEnd, fallback Silent {
        /// The target answered.
        Reached = "reached",
        /// Somebody on the way said that it goes no further.
        Unreachable = "unreachable",
        /// Nobody answered any more.
        Silent = "silent",
        /// The same hops came again.
        Loop = "loop",
        /// As many hops as are asked at most.
        HopLimit = "hop_limit",
        /// The time was over.
        Deadline = "deadline",
        /// This host did not send it.
        NotSent = "not_sent",
        /// This host can not do it.
        Unsupported = "unsupported",
        /// The agent's policy does not allow it.
        Policy = "policy",
    }
}

/// The longest name of a code or errno that is kept, in characters.
const CODE: usize = 64;

/// What came back for one time to live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HopReply {
    /// Nothing.
    None,
    /// ICMP time exceeded: a router.
    TimeExceeded,
    /// The port is open.
    SynAck,
    /// A reset.
    Rst,
    /// ICMP destination unreachable with this code by name, such as `admin_prohibited`.
    Unreachable(String),
    /// ICMP fragmentation needed, or packet too big.
    PacketTooBig,
    /// The payload itself was answered.
    Answered,
    /// This host did not send it, for this errno by name.
    NotSent(String),
}

impl fmt::Display for HopReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, detail) = match self {
            Self::None => ("none", ""),
            Self::TimeExceeded => ("time_exceeded", ""),
            Self::SynAck => ("syn_ack", ""),
            Self::Rst => ("rst", ""),
            Self::Unreachable(code) => ("unreachable:", code.as_str()),
            Self::PacketTooBig => ("packet_too_big", ""),
            Self::Answered => ("answered", ""),
            Self::NotSent(errno) => ("not_sent:", errno.as_str()),
        };
        f.write_str(name)?;
        f.write_str(detail)
    }
}

impl FromStr for HopReply {
    type Err = std::convert::Infallible;

    /// A newer peer's word is read as no answer, which claims the least.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // Names of codes are plain words; whatever else a peer sends reads the same the second time.
        let plain = |character: char| match character {
            '\\' => '?',
            _ if character.is_ascii_graphic() => character,
            _ => '?',
        };
        let named = |name: &str| name.chars().take(CODE).map(plain).collect();
        Ok(match text {
            "time_exceeded" => Self::TimeExceeded,
            "syn_ack" => Self::SynAck,
            "rst" => Self::Rst,
            "packet_too_big" => Self::PacketTooBig,
            "answered" => Self::Answered,
            _ => match text.split_once(':') {
                Some(("unreachable", code)) => Self::Unreachable(named(code)),
                Some(("not_sent", errno)) => Self::NotSent(named(errno)),
                _ => Self::None,
            },
        })
    }
}

impl Serialize for HopReply {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for HopReply {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str> as Deserialize>::deserialize(deserializer)?;
        Ok(text.parse().unwrap_or(Self::None))
    }
}

impl JsonSchema for HopReply {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "HopReply".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        String::json_schema(generator)
    }
}

/// Who answered for one time to live.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Hop {
    /// Time to live (hop limit) of what was sent.
    pub ttl: u8,
    /// Who answered; several where packets of one flow go several ways.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<IpAddr>,
    /// From sending to the answer, in milliseconds.
    #[serde(
        rename = "rtt_ms",
        with = "millis::option",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "Option<f64>")]
    pub rtt: Option<Duration>,
    /// What the answer was: `time_exceeded`, `syn_ack`, `rst`, `unreachable:CODE`, `packet_too_big`, `answered`,
    /// `not_sent:ERRNO`, `none`.
    pub reply: HopReply,
    /// Time to live with which the ICMP answer arrived here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_ttl: Option<u8>,
    /// How often it was asked, where that is not once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<u32>,
    /// The maximum segment size in our SYN as this hop quotes it: less than was sent means that it was lowered on the
    /// way here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mss: Option<u16>,
    /// The size that fits on, as this hop says, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
}

/// The way of one flow to one port, hop by hop.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Path {
    /// Where to.
    pub address: IpAddr,
    /// The port.
    pub port: u16,
    /// What carries it.
    pub protocol: PathProtocol,
    /// Whether the target itself answered.
    pub reached: bool,
    /// By time to live, lowest first.
    pub hops: Vec<Hop>,
    /// Local address and port, the same for every hop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub source: Option<SocketAddr>,
    /// What it was asked for, where the operator did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub experiment: Option<ExperimentKind>,
    /// What was sent.
    pub payload: Payload,
    /// Size of the IP packet, where that was varied, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u16>,
    /// Time to live with which the target's own answer arrived, where it could be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer_ttl: Option<u8>,
    /// Why it ends here.
    pub ended: PathEnd,
    /// When it began, from the start of the probe, in milliseconds.
    #[serde(rename = "start_ms", with = "millis")]
    #[schemars(with = "f64")]
    pub start: Duration,
    /// How long it took, in milliseconds.
    #[serde(rename = "duration_ms", with = "millis")]
    #[schemars(with = "f64")]
    pub duration: Duration,
}

/// The same question from several source ports.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Sweep {
    /// Where to.
    pub address: IpAddr,
    /// The port.
    pub port: u16,
    /// The local address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<IpAddr>,
    /// One for each source port.
    pub flows: Vec<Flow>,
}

/// One flow of a [`Sweep`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Flow {
    /// The local port.
    pub source_port: u16,
    /// What came back, in each pass.
    pub replies: Vec<HopReply>,
}

/// How an agent's own control target answered: whether its network works at all.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ControlFacts {
    /// `host:port`.
    pub target: String,
    /// From SYN to SYN-ACK, in milliseconds; absent where there was none.
    #[serde(
        rename = "rtt_ms",
        with = "millis::option",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "Option<f64>")]
    pub rtt: Option<Duration>,
    /// Why it did not answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<Fault>,
}

/// What a vantage point saw of the network beneath its attempts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NetworkFacts {
    /// The ways that were traced.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<Path>,
    /// Flows compared.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sweeps: Vec<Sweep>,
    /// What it can send from, where that is more than one address of a family.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub source_addresses: Vec<IpAddr>,
    /// Its control target, where it was tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub control: Option<ControlFacts>,
}

impl NetworkFacts {
    /// Takes what was seen later.
    pub fn merge(&mut self, later: Self) {
        self.paths.extend(later.paths);
        self.sweeps.extend(later.sweeps);
        for address in later.source_addresses {
            if !self.source_addresses.contains(&address) {
                self.source_addresses.push(address);
            }
        }
        self.control = later.control.or_else(|| self.control.take());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reply_is_read_as_it_was_written() {
        for reply in [
            HopReply::None,
            HopReply::TimeExceeded,
            HopReply::SynAck,
            HopReply::Rst,
            HopReply::Unreachable("admin_prohibited".to_owned()),
            HopReply::PacketTooBig,
            HopReply::Answered,
            HopReply::NotSent("ENETUNREACH".to_owned()),
        ] {
            assert_eq!(reply.to_string().parse(), Ok(reply));
        }
        assert_eq!("telepathy".parse(), Ok(HopReply::None));
        let Ok(damaged) = "unreachable:\0a\\b\u{202e}".parse::<HopReply>();
        assert_eq!(damaged.to_string(), "unreachable:?a?b?");
        assert_eq!(damaged.to_string().parse(), Ok(damaged));
    }
}
