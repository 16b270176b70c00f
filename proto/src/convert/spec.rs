use std::time::Duration;

use parallax_model::credential::Mechanism;
use parallax_model::spec::{Depth, FamilyChoice, LoginSpec, ProbeSpec};

use super::error::WireError;
use super::read::{optional, parse_all, required, unreadable};
use super::write::{by_reference, millis, texts};
use crate::v1;

impl From<LoginSpec> for v1::LoginSpec {
    fn from(login: LoginSpec) -> Self {
        Self {
            user: login.user,
            mechanism: login
                .mechanism
                .map(|mechanism| mechanism.to_string())
                .unwrap_or_default(),
        }
    }
}

impl TryFrom<v1::LoginSpec> for LoginSpec {
    type Error = WireError;

    /// A mechanism that is not known is an error here: no secret is sent in another way than was asked.
    fn try_from(wire: v1::LoginSpec) -> Result<Self, WireError> {
        let mechanism = match wire.mechanism.as_str() {
            "" => None,
            name => Some(
                Mechanism::known(name)
                    .ok_or_else(|| unreadable("mechanism", name, "a mechanism known here"))?,
            ),
        };
        Ok(Self {
            user: wire.user,
            mechanism,
        })
    }
}

impl From<ProbeSpec> for v1::ProbeSpec {
    fn from(spec: ProbeSpec) -> Self {
        Self {
            target: Some(spec.target.into()),
            depth: spec.depth.to_string(),
            family: spec.family.to_string(),
            addresses: texts(spec.addresses),
            timeout_ms: millis(spec.timeout),
            login: spec.login.map(Into::into),
            anchors_der: spec.anchors,
        }
    }
}

impl TryFrom<v1::ProbeSpec> for ProbeSpec {
    type Error = WireError;

    fn try_from(wire: v1::ProbeSpec) -> Result<Self, WireError> {
        if wire.timeout_ms == 0 {
            return Err(WireError::new("timeout_ms", "0 leaves no time for a probe"));
        }
        Ok(Self {
            target: required("target", wire.target)?,
            depth: Depth::from_name(&wire.depth),
            family: FamilyChoice::from_name(&wire.family),
            addresses: parse_all("addresses", &wire.addresses, "an IP address")?,
            timeout: Duration::from_millis(wire.timeout_ms.into()),
            login: optional("login", wire.login)?,
            anchors: wire.anchors_der,
        })
    }
}

by_reference! {
    LoginSpec => v1::LoginSpec,
    ProbeSpec => v1::ProbeSpec,
}
