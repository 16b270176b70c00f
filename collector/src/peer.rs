//! Who is at the other end of a connection, as the connection itself proves it.

use std::net::SocketAddr;
use std::time::SystemTime;

use parallax_model::identity::{Role, SpiffeId};
use parallax_model::vantage::AgentName;

use crate::store::Sha256;

/// The other end; every request of a connection carries it as an extension.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Peer {
    /// The identity in its certificate; none for a joiner.
    pub spiffe: Option<SpiffeId>,
    /// Where it comes from; none inside the process, or on the collector's host beside it.
    pub address: Option<SocketAddr>,
    /// SHA-256 of its certificate; none for a joiner and inside the process.
    pub certificate: Option<Sha256>,
    /// When its certificate ends: from then on it may be renewed, and nothing else. None for a joiner and inside the
    /// process.
    pub ends: Option<SystemTime>,
}

impl Peer {
    /// Somebody inside this process.
    pub const fn in_process(spiffe: SpiffeId) -> Self {
        Self {
            spiffe: Some(spiffe),
            address: None,
            certificate: None,
            ends: None,
        }
    }

    /// Whether its certificate is over.
    pub fn is_over(&self, now: SystemTime) -> bool {
        self.ends.is_some_and(|ends| now >= ends)
    }

    /// Its name, if it is an agent.
    pub fn agent(&self) -> Option<&AgentName> {
        self.spiffe
            .as_ref()
            .filter(|id| id.role == Role::Agent)
            .map(|id| &id.name)
    }

    /// Where it comes from, for people.
    pub fn place(&self) -> String {
        match (self.address, &self.spiffe) {
            (Some(address), _) => address.to_string(),
            (None, Some(_)) => "in process".to_owned(),
            (None, None) => "the collector's host".to_owned(),
        }
    }
}
