use parallax_model::run::RunTarget;
use parallax_model::target::{Endpoint, Security, Target};

use super::error::WireError;
use super::read::{every, narrow, parse};
use super::write::{all, by_reference};
use crate::v1;

impl From<Endpoint> for v1::Endpoint {
    fn from(endpoint: Endpoint) -> Self {
        Self {
            port: endpoint.port.into(),
            security: endpoint.security.to_string(),
        }
    }
}

impl TryFrom<v1::Endpoint> for Endpoint {
    type Error = WireError;

    fn try_from(wire: v1::Endpoint) -> Result<Self, WireError> {
        let port = narrow("port", wire.port)?;
        if port == 0 {
            return Err(WireError::new("port", "0 is out of range"));
        }
        Ok(Self {
            port,
            security: Security::from_name(&wire.security),
        })
    }
}

impl From<Target> for v1::Target {
    fn from(target: Target) -> Self {
        Self {
            host: target.host.to_string(),
            input: target.input,
            endpoints: all(target.endpoints),
        }
    }
}

impl TryFrom<v1::Target> for Target {
    type Error = WireError;

    fn try_from(wire: v1::Target) -> Result<Self, WireError> {
        if wire.endpoints.is_empty() {
            return Err(WireError::new("endpoints", "missing"));
        }
        Ok(Self {
            host: parse("host", &wire.host, "a host name or an address")?,
            input: wire.input,
            endpoints: every("endpoints", wire.endpoints)?,
        })
    }
}

impl From<RunTarget> for v1::Target {
    fn from(target: RunTarget) -> Self {
        Self {
            input: target.input,
            host: target.host,
            endpoints: all(target.endpoints),
        }
    }
}

impl TryFrom<v1::Target> for RunTarget {
    type Error = WireError;

    fn try_from(wire: v1::Target) -> Result<Self, WireError> {
        Ok(Self {
            input: wire.input,
            host: wire.host,
            endpoints: every("endpoints", wire.endpoints)?,
        })
    }
}

by_reference! {
    Endpoint => v1::Endpoint,
    Target => v1::Target,
    RunTarget => v1::Target,
}
