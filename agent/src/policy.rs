//! Which targets this agent may touch. Nothing that the collector says lifts it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use parallax_model::experiment::ExperimentKind;
use parallax_model::target::Host;
use serde::{Deserialize, Serialize};

mod network;
mod rule;

pub use network::Network;
pub use rule::Rule;

/// What an agent's configuration says under `[policy]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    /// What may be touched: a host glob, an address or a network, a colon, and ports or ranges of ports.
    pub allow: Vec<Rule>,
    /// Networks never to be touched, whatever `allow` says; compared with the resolved address.
    pub deny: Vec<Network>,
    /// Whether the way to an allowed target may be traced, and a control port of it touched.
    pub experiments: bool,
    /// Whether the packets of a probe's own connections may be recorded and given to the collector, where an operator
    /// asks for them. It takes CAP_NET_RAW, with which a process could hear everything on its host: not without the
    /// word of whoever runs the agent.
    pub capture: bool,
}

/// Why the policy forbids something, in words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Forbidden(String);

/// Why a rule or a network can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// Not a rule.
    #[error(
        "{0:?} is not a rule: write a host glob, an address or a network, a colon, and ports or ranges, such as *:143,993"
    )]
    Rule(String),
    /// Not a network.
    #[error(
        "{0:?} is not a network: write an address, or an address and a prefix length, such as 10.0.0.0/8"
    )]
    Network(String),
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            allow: vec![Rule::anything_at(&[143, 993])],
            deny: vec![
                Network::new(Ipv4Addr::new(127, 0, 0, 0).into(), 8),
                Network::new(Ipv6Addr::LOCALHOST.into(), 128),
                Network::new(Ipv4Addr::new(169, 254, 0, 0).into(), 16),
                Network::new(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0).into(), 10),
            ],
            experiments: true,
            capture: false,
        }
    }
}

impl Policy {
    /// Everything, for an agent that runs with its operator's own rights.
    pub fn allow_all() -> Self {
        Self {
            allow: vec![Rule::anything_anywhere()],
            deny: Vec::new(),
            experiments: true,
            capture: true,
        }
    }

    /// Whether a target may be looked up at all: some rule might allow one of its addresses.
    pub fn admits_target(&self, host: &Host, port: u16) -> Result<(), Forbidden> {
        if let Host::Address(address) = host {
            return self.admits(host, *address, port);
        }
        let perhaps = |rule: &Rule| rule.has_port(port) && (rule.names(host) || rule.is_of_addresses());
        if self.allow.iter().any(perhaps) {
            Ok(())
        } else {
            Err(Forbidden(format!(
                "this agent's policy does not allow {host} port {port}"
            )))
        }
    }

    /// Whether a port of a resolved address may be touched.
    pub fn admits(&self, host: &Host, address: IpAddr, port: u16) -> Result<(), Forbidden> {
        self.denied(address)?;
        let allows = |rule: &Rule| rule.has_port(port) && rule.covers(host, meant(address));
        if self.allow.iter().any(allows) {
            Ok(())
        } else {
            Err(Forbidden(format!(
                "this agent's policy does not allow {host} at {address} port {port}"
            )))
        }
    }

    /// Whether a follow-up may touch a port. What asks for the way to an allowed target is bound to no port: a control
    /// port may be any, and so may the one to which packets are sent that are not to arrive.
    pub fn admits_experiment(
        &self,
        kind: ExperimentKind,
        host: &Host,
        address: IpAddr,
        port: u16,
    ) -> Result<(), Forbidden> {
        if kind != ExperimentKind::ControlPort && !kind.is_path() {
            return self.admits(host, address, port);
        }
        self.denied(address)?;
        if !self.experiments {
            return Err(Forbidden("this agent's policy has experiments = false".into()));
        }
        if self.allow.iter().any(|rule| rule.covers(host, meant(address))) {
            Ok(())
        } else {
            Err(Forbidden(format!(
                "this agent's policy does not allow {host} at {address}"
            )))
        }
    }

    /// Whether a follow-up may ask a resolver, which somebody else names, for the addresses of a host.
    pub(crate) fn admits_resolver(&self, host: &Host, port: u16, resolver: IpAddr) -> Result<(), Forbidden> {
        self.admits_target(host, port)?;
        self.denied(resolver)?;
        if self.experiments {
            Ok(())
        } else {
            Err(Forbidden("this agent's policy has experiments = false".into()))
        }
    }

    fn denied(&self, address: IpAddr) -> Result<(), Forbidden> {
        let meant = meant(address);
        match self.deny.iter().find(|network| network.contains(meant)) {
            Some(network) => Err(Forbidden(format!(
                "{address} is in {network}, which this agent's policy denies"
            ))),
            None => Ok(()),
        }
    }
}

/// The address that is really reached: an IPv4 address in IPv6 clothes (RFC 4291 section 2.5.5.2) is an IPv4
/// address, and to Linux the unspecified address is this host.
fn meant(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) if v4.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(v6) if v6.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        other => other,
    }
}

#[cfg(test)]
mod tests;
