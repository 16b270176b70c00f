//! Which targets this agent may touch. Nothing that the collector says lifts it.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use parallax_model::experiment::{CONTROL_PORT, ExperimentKind};
use parallax_model::target::Host;
use serde::{Deserialize, Serialize};

mod in_force;
mod meaning;
mod network;
mod rule;
mod seen;

pub(crate) use in_force::InForce;
use meaning::{all_meant, meant};
pub use network::Network;
pub use rule::Rule;
pub(crate) use seen::Seen;

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

/// Where resolvers answer (RFC 1035 section 4.2).
const DNS_PORT: u16 = 53;

impl Default for Policy {
    fn default() -> Self {
        Self {
            allow: vec![Rule::anything_at(&[143, 993])],
            deny: network::never_a_mail_server(),
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

    /// Whether a rule speaks of the host by a name, and not of everything: it speaks only of those addresses that this
    /// agent itself was given for the name.
    pub(crate) fn goes_by_name(&self, host: &Host) -> bool {
        self.allow
            .iter()
            .any(|rule| rule.names_some() && rule.names(host))
    }

    /// Whether a follow-up may touch a port. A way is traced to the ports that a probe may touch. Beside those there is
    /// the one control port, nearly everywhere closed, whose answer is the host's own, and a port of datagrams that are not to arrive; what goes there
    /// goes to no other port, whatever an order says.
    pub fn admits_experiment(
        &self,
        kind: ExperimentKind,
        host: &Host,
        address: IpAddr,
        port: u16,
    ) -> Result<(), Forbidden> {
        let beside = match kind {
            ExperimentKind::PathControl | ExperimentKind::PathUdp | ExperimentKind::PathSize => true,
            ExperimentKind::ControlPort | ExperimentKind::AnswerTtl => port == CONTROL_PORT,
            _ => false,
        };
        if kind.is_path() || beside {
            self.denied(address)?;
            self.experimental()?;
        }
        if !beside {
            return self.admits(host, address, port);
        }
        if self.allow.iter().any(|rule| rule.covers(host, meant(address))) {
            Ok(())
        } else {
            Err(Forbidden(format!(
                "this agent's policy does not allow {host} at {address}"
            )))
        }
    }

    /// Whether a resolver that somebody else names may be asked. One of this host's `own` is asked anyway.
    pub(crate) fn admits_resolver(&self, resolver: SocketAddr, own: &[SocketAddr]) -> Result<(), Forbidden> {
        if own.contains(&resolver) {
            return Ok(());
        }
        let (address, port) = (resolver.ip(), resolver.port());
        self.denied(address)?;
        self.experimental()?;
        if port == DNS_PORT {
            return Ok(());
        }
        self.admits(&Host::Address(address), address, port).map_err(|_| {
            Forbidden(format!(
                "this agent's policy allows resolvers at port {DNS_PORT} and not {resolver}"
            ))
        })
    }

    fn experimental(&self) -> Result<(), Forbidden> {
        if self.experiments {
            Ok(())
        } else {
            Err(Forbidden("this agent's policy has experiments = false".into()))
        }
    }

    fn denied(&self, address: IpAddr) -> Result<(), Forbidden> {
        let all = all_meant(address);
        let has_some = |network: &&Network| all.iter().any(|one| network.contains(*one));
        match self.deny.iter().find(has_some) {
            Some(network) => Err(Forbidden(format!(
                "{address} is in {network}, which this agent's policy denies"
            ))),
            None => Ok(()),
        }
    }
}

/// In one line, for people.
impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "allows")?;
        for rule in &self.allow {
            write!(f, " {rule}")?;
        }
        if self.allow.is_empty() {
            write!(f, " nothing")?;
        }
        write!(f, "; denies")?;
        for network in &self.deny {
            write!(f, " {network}")?;
        }
        if self.deny.is_empty() {
            write!(f, " nothing")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
