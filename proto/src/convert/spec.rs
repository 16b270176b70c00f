use std::time::Duration;

use parallax_model::credential::Mechanism;
use parallax_model::spec::{
    CaptureChoice, Depth, Examination, FamilyChoice, LoginSpec, PathChoice, ProbeOptions, ProbeSpec,
};

use super::error::WireError;
use super::read::{non_empty, optional, parse, parse_all, required, unreadable};
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
            options: (spec.options != ProbeOptions::default()).then(|| spec.options.into()),
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
            options: optional("options", wire.options)?.unwrap_or_default(),
        })
    }
}

impl From<ProbeOptions> for v1::ProbeOptions {
    fn from(options: ProbeOptions) -> Self {
        Self {
            resolver: options
                .resolver
                .map(|resolver| resolver.to_string())
                .unwrap_or_default(),
            examine: texts(options.examine),
            hold_ms: options.hold.map(millis).unwrap_or_default(),
            sync_with: options.sync_with.map(Into::into).unwrap_or_default(),
            path: options.path.to_string(),
            capture: options.capture.to_string(),
        }
    }
}

impl TryFrom<v1::ProbeOptions> for ProbeOptions {
    type Error = WireError;

    /// An examination that is not known is an error: its absence would be taken for a good result.
    fn try_from(wire: v1::ProbeOptions) -> Result<Self, WireError> {
        let resolver =
            non_empty(wire.resolver).map(|resolver| parse("resolver", &resolver, "an address and port"));
        let examine = wire.examine.iter().map(|name| {
            Examination::known(name).ok_or_else(|| unreadable("examine", name, "an examination known here"))
        });
        let sync_with = non_empty(wire.sync_with).map(|name| parse("sync_with", &name, "an agent's name"));
        Ok(Self {
            resolver: resolver.transpose()?,
            examine: examine.collect::<Result<_, _>>()?,
            hold: (wire.hold_ms > 0).then(|| Duration::from_millis(wire.hold_ms.into())),
            sync_with: sync_with.transpose()?,
            path: PathChoice::from_name(&wire.path),
            capture: CaptureChoice::from_name(&wire.capture),
        })
    }
}

by_reference! {
    LoginSpec => v1::LoginSpec,
    ProbeSpec => v1::ProbeSpec,
}
