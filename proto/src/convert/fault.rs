use parallax_model::fault::{Fault, FaultKind};

use super::write::by_reference;
use crate::v1;

impl From<Fault> for v1::Fault {
    fn from(fault: Fault) -> Self {
        Self {
            layer: fault.layer().to_string(),
            kind: fault.kind.as_str().to_owned(),
            message: fault.message,
            raw: fault.raw,
        }
    }
}

impl From<v1::Fault> for Fault {
    fn from(wire: v1::Fault) -> Self {
        Self {
            kind: FaultKind::from_names(&wire.layer, &wire.kind),
            message: wire.message,
            raw: wire.raw,
        }
    }
}

by_reference! {
    Fault => v1::Fault,
}
