//! Where this agent stands in its own network: what its operator says of it, and what its host says.

use std::net::IpAddr;

use parallax_identity::CollectorAddress;
use serde::{Serialize, Serializer};

/// What an operator says of the network that an agent stands in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct LocalNetwork {
    /// Addresses of this host that probes may be sent from, beside those that the kernel chooses.
    pub source_addresses: Vec<IpAddr>,
    /// What answers whenever this host's network works: the collector, unless something else is said. It is asked
    /// whatever the policy says of targets, since only the agent's own operator can name it.
    #[serde(serialize_with = "as_text", skip_serializing_if = "Option::is_none")]
    pub control_target: Option<CollectorAddress>,
}

impl LocalNetwork {
    /// The addresses that probes may be sent from, of every family of which there is more than one: those configured,
    /// those `used`, and those beside them at the same interface.
    pub(crate) fn sources(&self, used: impl IntoIterator<Item = IpAddr>, beside: Beside) -> Vec<IpAddr> {
        let mut sources = self.source_addresses.clone();
        for address in used {
            sources.push(address);
            sources.extend(beside(address));
        }
        sources.sort_unstable();
        sources.dedup();
        let both = |address: &IpAddr| {
            sources
                .iter()
                .filter(|other| other.is_ipv4() == address.is_ipv4())
                .count()
                > 1
        };
        sources.iter().copied().filter(both).collect()
    }
}

fn as_text<S: Serializer>(target: &Option<CollectorAddress>, serializer: S) -> Result<S::Ok, S::Error> {
    match target {
        Some(target) => serializer.collect_str(target),
        None => serializer.serialize_none(),
    }
}

/// The addresses at the same interface.
pub(crate) type Beside = fn(IpAddr) -> Vec<IpAddr>;

#[cfg(test)]
mod tests {
    use super::*;

    fn nobody(_: IpAddr) -> Vec<IpAddr> {
        Vec::new()
    }

    fn a_second(address: IpAddr) -> Vec<IpAddr> {
        match address {
            IpAddr::V4(_) => vec!["10.1.0.3".parse().unwrap(), address],
            IpAddr::V6(_) => Vec::new(),
        }
    }

    #[test]
    fn only_a_family_with_a_choice_is_told() {
        let used: [IpAddr; 2] = ["10.1.0.2".parse().unwrap(), "fd00:1::2".parse().unwrap()];
        let network = LocalNetwork::default();
        assert!(network.sources(used, nobody).is_empty());
        let found = network.sources(used, a_second);
        assert_eq!(
            found.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["10.1.0.2", "10.1.0.3"]
        );
        let configured = LocalNetwork {
            source_addresses: vec!["fd00:1::3".parse().unwrap()],
            control_target: None,
        };
        let told = configured.sources(used, nobody);
        assert_eq!(
            told.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["fd00:1::2", "fd00:1::3"]
        );
    }
}
