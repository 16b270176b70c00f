//! Which targets this agent may touch. Nothing that the collector says lifts it.

use std::net::{IpAddr, SocketAddr};
use std::num::{NonZeroU32, NonZeroUsize};

use parallax_model::experiment::{CONTROL_PORT, ExperimentKind};
use parallax_model::refusal::PolicyMatter;
use parallax_model::spec::Depth;
use parallax_model::target::Host;
use serde::{Deserialize, Deserializer, Serialize};

mod forbidden;
mod in_force;
mod logins;
mod meaning;
mod meter;
mod network;
mod rule;
mod seen;
mod told;

pub use forbidden::Forbidden;
pub(crate) use in_force::InForce;
pub use logins::Logins;
use meaning::{all_meant, meant};
pub use network::Network;
pub use rule::Rule;
pub(crate) use seen::Seen;

/// What an agent may do, whatever is ordered: a file of its own, or `[policy]` in the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    /// What may be touched: a host glob, an address or a network, a colon, and ports or ranges of ports.
    pub allow: Vec<Rule>,
    /// Networks never to be touched, whatever `allow` says; compared with the resolved address.
    pub deny: Vec<Network>,
    /// Whether what stands beside an allowed target's own ports may be touched: a control port, datagrams, the way there,
    /// and resolvers that an order names.
    pub experiments: bool,
    /// Whether ways may be traced; without `experiments` they are not.
    pub trace: bool,
    /// Whether the packets of a probe's own connections may be recorded and given to the collector, where an operator
    /// asks for them. It takes CAP_NET_RAW, with which a process could hear everything on its host: not without the
    /// word of whoever runs the agent.
    pub capture: bool,
    /// How far a probe may go.
    #[serde(deserialize_with = "depth")]
    pub max_depth: Depth,
    /// With which secrets it may log in.
    pub login: Logins,
    /// Probes at a time, and as many rounds of experiments; without it as many as the agent has room for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_probes: Option<NonZeroUsize>,
    /// Orders a minute in all, twice as many at once after a rest.
    pub rate: NonZeroU32,
    /// The same for each host as it is asked for, and for each address that an order brings.
    pub rate_per_target: NonZeroU32,
}

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

/// Far above what a collector lets people ask (`[limits]` there), and far below what a scan takes.
const RATE: NonZeroU32 = NonZeroU32::new(6000).unwrap();
const RATE_PER_TARGET: NonZeroU32 = NonZeroU32::new(600).unwrap();

impl Default for Policy {
    fn default() -> Self {
        Self {
            allow: vec![Rule::anything_at(&[143, 993])],
            deny: network::never_a_mail_server(),
            experiments: true,
            trace: true,
            capture: false,
            max_depth: Depth::Sync,
            login: Logins::Any(true),
            max_probes: None,
            rate: RATE,
            rate_per_target: RATE_PER_TARGET,
        }
    }
}

impl Policy {
    /// Everything, for an agent that runs with its operator's own rights.
    pub fn allow_all() -> Self {
        Self {
            allow: vec![Rule::anything_anywhere()],
            deny: Vec::new(),
            capture: true,
            rate: NonZeroU32::MAX,
            rate_per_target: NonZeroU32::MAX,
            ..Self::default()
        }
    }

    /// Whether a target may be looked up at all: some rule might allow one of its addresses.
    pub fn admits_target(&self, host: &Host, port: u16) -> Result<(), Forbidden> {
        if let Host::Address(address) = host {
            return self.admits(host, *address, port);
        }
        let perhaps = |rule: &&Rule| rule.names(host) || rule.is_of_addresses();
        let rules: Vec<&Rule> = self.allow.iter().filter(perhaps).collect();
        if rules.iter().any(|rule| rule.has_port(port)) {
            return Ok(());
        }
        let sentence = format!("this agent's policy does not allow {host} port {port}");
        Err(match rules.as_slice() {
            [] => Forbidden::new(PolicyMatter::Host, "allow", host, sentence),
            rules => Forbidden::new(PolicyMatter::Port, allow(rules), port, sentence),
        })
    }

    /// Whether a port of a resolved address may be touched.
    pub fn admits(&self, host: &Host, address: IpAddr, port: u16) -> Result<(), Forbidden> {
        self.denied(address).map_err(|denied| denied.at(address, port))?;
        let covers = |rule: &&Rule| rule.covers(host, meant(address));
        let rules: Vec<&Rule> = self.allow.iter().filter(covers).collect();
        if rules.iter().any(|rule| rule.has_port(port)) {
            return Ok(());
        }
        let sentence = format!("this agent's policy does not allow {host} at {address} port {port}");
        let forbidden = match rules.as_slice() {
            [] => Forbidden::new(PolicyMatter::Address, "allow", address, sentence),
            rules => Forbidden::new(PolicyMatter::Port, allow(rules), port, sentence),
        };
        Err(forbidden.at(address, port))
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
            self.denied(address).map_err(|denied| denied.at(address, port))?;
            self.experimental()?;
        }
        if kind.is_path() {
            self.admits_trace()?;
        }
        if !beside {
            return self.admits(host, address, port);
        }
        if self.allow.iter().any(|rule| rule.covers(host, meant(address))) {
            Ok(())
        } else {
            let sentence = format!("this agent's policy does not allow {host} at {address}");
            Err(Forbidden::new(PolicyMatter::Address, "allow", address, sentence).at(address, port))
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
            let sentence =
                format!("this agent's policy allows resolvers at port {DNS_PORT} and not {resolver}");
            Forbidden::new(PolicyMatter::Resolver, "allow", resolver, sentence)
        })
    }

    /// Whether ways may be traced.
    pub(crate) fn admits_trace(&self) -> Result<(), Forbidden> {
        self.experimental()?;
        if self.trace {
            return Ok(());
        }
        let sentence = "this agent's policy has trace = false";
        Err(Forbidden::new(
            PolicyMatter::Trace,
            "trace = false",
            "path",
            sentence,
        ))
    }

    /// Whether packets may be recorded.
    pub(crate) fn admits_capture(&self) -> Result<(), Forbidden> {
        if self.capture {
            return Ok(());
        }
        let sentence = "this agent's policy has capture = false";
        Err(Forbidden::new(
            PolicyMatter::Capture,
            "capture = false",
            "capture",
            sentence,
        ))
    }

    /// Whether a probe may go so far.
    pub(crate) fn admits_depth(&self, depth: Depth) -> Result<(), Forbidden> {
        if depth <= self.max_depth {
            return Ok(());
        }
        let rule = format!("max_depth = \"{}\"", self.max_depth);
        let sentence = format!("this agent's policy has {rule}, and {depth} was asked for");
        Err(Forbidden::new(PolicyMatter::Depth, rule, depth, sentence))
    }

    /// Whether it may log in: with a credential of this agent's own, by name, or else with what the order brings.
    pub(crate) fn admits_login(&self, own: Option<&str>) -> Result<(), Forbidden> {
        if self.login.has(own) {
            return Ok(());
        }
        let rule = self.login.rule();
        let what = own.map_or_else(
            || "a secret of the order's".to_owned(),
            |name| format!("the credential {name}"),
        );
        let sentence = format!("this agent's policy has {rule}, and a login with {what} was asked for");
        Err(Forbidden::new(PolicyMatter::Login, rule, what, sentence))
    }

    /// Whether one more may run beside so many.
    pub(crate) fn admits_beside(&self, running: usize) -> Result<(), Forbidden> {
        match self.max_probes.filter(|most| running >= most.get()) {
            None => Ok(()),
            Some(most) => {
                let rule = format!("max_probes = {most}");
                let sentence =
                    format!("this agent's policy has {rule}, and {running} are running: ask again later");
                Err(Forbidden::new(PolicyMatter::Probes, rule, running + 1, sentence))
            }
        }
    }

    fn experimental(&self) -> Result<(), Forbidden> {
        if self.experiments {
            return Ok(());
        }
        let sentence = "this agent's policy has experiments = false";
        Err(Forbidden::new(
            PolicyMatter::Experiments,
            "experiments = false",
            "experiments",
            sentence,
        ))
    }

    fn denied(&self, address: IpAddr) -> Result<(), Forbidden> {
        let all = all_meant(address);
        let has_some = |network: &&Network| all.iter().any(|one| network.contains(*one));
        let Some(network) = self.deny.iter().find(has_some) else {
            return Ok(());
        };
        let sentence = format!("{address} is in {network}, which this agent's policy denies");
        let rule = format!("deny {network}");
        Err(Forbidden::new(PolicyMatter::Address, rule, address, sentence))
    }
}

/// The entries of `allow` that come nearest.
fn allow(rules: &[&Rule]) -> String {
    let entries: Vec<String> = rules.iter().map(ToString::to_string).collect();
    format!("allow {}", entries.join(" "))
}

/// A word that is not known is no depth: what was meant might be less.
fn depth<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Depth, D::Error> {
    let word = String::deserialize(deserializer)?;
    Depth::known(&word).ok_or_else(|| {
        let all: Vec<&str> = Depth::ALL.iter().map(|depth| depth.as_str()).collect();
        serde::de::Error::custom(format!(
            "{word:?} is not a depth: write one of {}",
            all.join(", ")
        ))
    })
}

#[cfg(test)]
mod tests;
