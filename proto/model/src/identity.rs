//! Who a process is: the SPIFFE URI in its certificate.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use crate::kinds::kinds;
use crate::vantage::AgentName;

/// Whose word a SPIFFE ID is (SPIFFE-ID specification, section 2.1).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TrustDomain(Cow<'static, str>);

/// Why a text names no trust domain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a SPIFFE trust domain: write lower-case letters, digits, dots, hyphens and underscores"
)]
pub struct TrustDomainError(String);

impl TrustDomain {
    /// Of the built-in CA.
    pub const BUILT_IN: Self = Self(Cow::Borrowed("parallax.internal"));
}

impl Default for TrustDomain {
    fn default() -> Self {
        Self::BUILT_IN
    }
}

impl fmt::Display for TrustDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for TrustDomain {
    type Err = TrustDomainError;

    fn from_str(text: &str) -> Result<Self, TrustDomainError> {
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-_".contains(&byte);
        if (1..=255).contains(&text.len()) && text.bytes().all(fits) {
            Ok(Self(Cow::Owned(text.to_owned())))
        } else {
            Err(TrustDomainError(text.to_owned()))
        }
    }
}

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

kinds! {
    /// What a joiner means to be.
    Wanted, fallback Person {
        /// An agent.
        Agent = "agent",
        /// Somebody who asks: a viewer, an operator or an admin.
        Person = "person",
    }
}

impl Wanted {
    /// Whether one with this role is that.
    pub const fn is(self, role: Role) -> bool {
        match self {
            Self::Agent => matches!(role, Role::Agent),
            Self::Person => role.rank().is_some(),
        }
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

/// A SPIFFE ID (SPIFFE-ID specification, section 2): `spiffe://parallax.internal/ROLE/NAME`, or of another trust domain
/// where the identities are not of the built-in CA.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SpiffeId {
    /// Whose word it is.
    pub domain: TrustDomain,
    /// The role.
    pub role: Role,
    /// The agent's or operator's name.
    pub name: AgentName,
}

/// Why a URI is not one of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an identity: write spiffe://TRUST-DOMAIN/ROLE/NAME")]
pub struct SpiffeError(String);

impl SpiffeId {
    /// An identity of the built-in CA.
    pub const fn built_in(role: Role, name: AgentName) -> Self {
        Self {
            domain: TrustDomain::BUILT_IN,
            role,
            name,
        }
    }
}

impl fmt::Display for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "spiffe://{}/{}/{}", self.domain, self.role, self.name)
    }
}

impl FromStr for SpiffeId {
    type Err = SpiffeError;

    fn from_str(uri: &str) -> Result<Self, SpiffeError> {
        let wrong = || SpiffeError(uri.to_owned());
        let (domain, path) = uri
            .strip_prefix("spiffe://")
            .and_then(|rest| rest.split_once('/'))
            .ok_or_else(wrong)?;
        let (role, name) = path.split_once('/').ok_or_else(wrong)?;
        Ok(Self {
            domain: domain.parse().map_err(|_| wrong())?,
            role: Role::known(role).ok_or_else(wrong)?,
            name: name.parse().map_err(|_| wrong())?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_round_trips_with_its_trust_domain() {
        let id = SpiffeId::built_in(Role::Agent, "fra-1".parse().expect("name"));
        assert_eq!(id.to_string(), "spiffe://parallax.internal/agent/fra-1");
        assert_eq!(id.to_string().parse(), Ok(id.clone()));
        let other: SpiffeId = "spiffe://corp.example/agent/fra-1".parse().expect("an identity");
        assert_ne!(other, id, "the same name elsewhere is somebody else");
        assert_eq!(other.to_string(), "spiffe://corp.example/agent/fra-1");
        for bad in [
            "spiffe:///agent/x",
            "spiffe://Corp.example/agent/x",
            "spiffe://corp.example:1/agent/x",
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
