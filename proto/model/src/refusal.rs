//! What an agent's policy kept it from doing, by the rule that forbids it.

use std::fmt;
use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::kinds::kinds;

kinds! {
    /// What a rule of an agent's policy is about.
    PolicyMatter, fallback Other {
        /// A port that no entry of `allow` has for this host.
        Port = "port",
        /// An address that `deny` has, or that no entry of `allow` covers.
        Address = "address",
        /// A host that no entry of `allow` could cover.
        Host = "host",
        /// A resolver that the order names.
        Resolver = "resolver",
        /// What experiments touch beside the target's own ports.
        Experiments = "experiments",
        /// How far a probe goes.
        Depth = "depth",
        /// A login, or a secret for one.
        Login = "login",
        /// A credential that the agent keeps for another host or user.
        Credential = "credential",
        /// The way to a target.
        Trace = "trace",
        /// Packets of a probe.
        Capture = "capture",
        /// Probes at a time.
        Probes = "probes",
        /// Probes a minute.
        Rate = "rate",
        /// Something that a newer agent has a rule about.
        Other = "other",
    }
}

/// What an agent's policy forbade: which entry of it, and what was asked. Nothing but the agent's own policy changes that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PolicyRefusal {
    /// What the rule is about.
    pub what: PolicyMatter,
    /// The rule as the policy writes it: `deny 169.254.0.0/16`, `max_depth = "greeting"`; `allow` alone where no entry
    /// of it matches.
    pub rule: String,
    /// What was asked: a port, an address, a depth, ...
    pub value: String,
    /// The address that was not touched, where it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// The port that was not touched, where it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
}

impl PolicyRefusal {
    /// Whether it is why this port of this address was not tried.
    pub fn is_of(&self, address: IpAddr, port: u16) -> bool {
        self.address == Some(address) && self.port == Some(port)
    }
}

/// `port 25, by allow *:143,993`; escape before showing.
impl fmt::Display for PolicyRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}, by {}", self.what, self.value, self.rule)
    }
}
