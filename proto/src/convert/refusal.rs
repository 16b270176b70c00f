use parallax_model::refusal::{PolicyMatter, PolicyRefusal};

use super::error::WireError;
use super::read::{non_empty, parse};
use super::write::by_reference;
use crate::v1;

impl From<PolicyRefusal> for v1::PolicyRefusal {
    fn from(refusal: PolicyRefusal) -> Self {
        Self {
            what: refusal.what.to_string(),
            rule: refusal.rule,
            value: refusal.value,
            address: refusal
                .address
                .map(|address| address.to_string())
                .unwrap_or_default(),
            port: refusal.port.unwrap_or_default().into(),
        }
    }
}

impl TryFrom<v1::PolicyRefusal> for PolicyRefusal {
    type Error = WireError;

    fn try_from(wire: v1::PolicyRefusal) -> Result<Self, WireError> {
        let address = non_empty(wire.address).map(|address| parse("address", &address, "an IP address"));
        let port = u16::try_from(wire.port).map_err(|_| WireError::new("port", "not a port"))?;
        Ok(Self {
            what: PolicyMatter::from_name(&wire.what),
            rule: wire.rule,
            value: wire.value,
            address: address.transpose()?,
            port: (port != 0).then_some(port),
        })
    }
}

by_reference! {
    PolicyRefusal => v1::PolicyRefusal,
}
