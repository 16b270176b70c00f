//! Who a process is: the SPIFFE URI in its certificate.

use std::fmt;
use std::str::FromStr;

use crate::kinds::kinds;
use crate::vantage::AgentName;

/// The SPIFFE trust domain of the built-in CA.
pub const TRUST_DOMAIN: &str = "parallax.internal";

kinds! {
    /// What a process may do.
    Role, fallback Viewer {
        /// Stand at a vantage point and take orders.
        Agent = "agent",
        /// Look.
        Viewer = "viewer",
        /// And probe.
        Operator = "operator",
        /// And change who takes part.
        Admin = "admin",
        /// Be the collector.
        Collector = "collector",
    }
}

impl Role {
    /// Whether a person with this role may do what needs `needed`. Agents and collectors are not persons.
    pub const fn permits(self, needed: Self) -> bool {
        match (self.rank(), needed.rank()) {
            (Some(own), Some(needed)) => own >= needed,
            _ => false,
        }
    }

    const fn rank(self) -> Option<u8> {
        match self {
            Self::Viewer => Some(1),
            Self::Operator => Some(2),
            Self::Admin => Some(3),
            Self::Agent | Self::Collector => None,
        }
    }
}

/// A SPIFFE ID (SPIFFE-ID specification, section 2): `spiffe://parallax.internal/ROLE/NAME`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SpiffeId {
    /// The role.
    pub role: Role,
    /// The agent's or operator's name.
    pub name: AgentName,
}

/// Why a URI is not one of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an identity of the trust domain parallax.internal")]
pub struct SpiffeError(String);

impl fmt::Display for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "spiffe://{TRUST_DOMAIN}/{}/{}", self.role, self.name)
    }
}

impl FromStr for SpiffeId {
    type Err = SpiffeError;

    fn from_str(uri: &str) -> Result<Self, SpiffeError> {
        let wrong = || SpiffeError(uri.to_owned());
        let path = uri
            .strip_prefix("spiffe://")
            .and_then(|rest| rest.strip_prefix(TRUST_DOMAIN))
            .and_then(|rest| rest.strip_prefix('/'))
            .ok_or_else(wrong)?;
        let (role, name) = path.split_once('/').ok_or_else(wrong)?;
        Ok(Self {
            role: Role::known(role).ok_or_else(wrong)?,
            name: name.parse().map_err(|_| wrong())?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_round_trips_and_foreign_ones_are_refused() {
        let id = SpiffeId {
            role: Role::Agent,
            name: "fra-1".parse().expect("name"),
        };
        assert_eq!(id.to_string().parse(), Ok(id));
        for bad in [
            "spiffe://elsewhere/agent/x",
            "spiffe://parallax.internal/root/x",
            "spiffe://parallax.internal/agent/x/y",
            "x",
        ] {
            assert!(bad.parse::<SpiffeId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn an_agent_is_never_an_operator() {
        assert!(Role::Admin.permits(Role::Operator));
        assert!(!Role::Viewer.permits(Role::Operator));
        assert!(!Role::Agent.permits(Role::Viewer));
        assert!(!Role::Admin.permits(Role::Agent));
    }
}
