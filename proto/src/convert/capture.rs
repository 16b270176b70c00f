use parallax_model::capture::{Capture, CaptureFacts, CaptureRecord, CapturedSecrets};
use parallax_model::experiment::ExperimentKind;

use super::error::WireError;
use super::read::{non_empty, parse, required};
use super::write::by_reference;
use crate::v1;

impl From<CaptureFacts> for v1::CaptureFacts {
    fn from(facts: CaptureFacts) -> Self {
        Self {
            address: facts.address.to_string(),
            endpoint: Some(facts.endpoint.into()),
            experiment: facts.experiment.map(|kind| kind.to_string()).unwrap_or_default(),
            local: facts.local.to_string(),
            packets: facts.packets,
            packets_dropped: facts.packets_dropped,
            secrets: facts.secrets.to_string(),
        }
    }
}

impl TryFrom<v1::CaptureFacts> for CaptureFacts {
    type Error = WireError;

    fn try_from(wire: v1::CaptureFacts) -> Result<Self, WireError> {
        Ok(Self {
            address: parse("address", &wire.address, "an IP address")?,
            endpoint: required("endpoint", wire.endpoint)?,
            experiment: non_empty(wire.experiment).map(|kind| ExperimentKind::from_name(&kind)),
            local: parse("local", &wire.local, "an address and port")?,
            packets: wire.packets,
            packets_dropped: wire.packets_dropped,
            secrets: CapturedSecrets::from_name(&wire.secrets),
        })
    }
}

impl From<Capture> for v1::Capture {
    fn from(capture: Capture) -> Self {
        Self {
            facts: Some(capture.facts.into()),
            pcapng: capture.pcapng,
        }
    }
}

impl TryFrom<v1::Capture> for Capture {
    type Error = WireError;

    fn try_from(wire: v1::Capture) -> Result<Self, WireError> {
        Ok(Self {
            facts: required("facts", wire.facts)?,
            pcapng: wire.pcapng,
        })
    }
}

impl From<CaptureRecord> for v1::CaptureRecord {
    fn from(record: CaptureRecord) -> Self {
        Self {
            agent: record.agent.into(),
            facts: Some(record.facts.into()),
            bytes: record.bytes,
        }
    }
}

impl TryFrom<v1::CaptureRecord> for CaptureRecord {
    type Error = WireError;

    fn try_from(wire: v1::CaptureRecord) -> Result<Self, WireError> {
        Ok(Self {
            agent: parse("agent", &wire.agent, "an agent's name")?,
            facts: required("facts", wire.facts)?,
            bytes: wire.bytes,
        })
    }
}

by_reference! {
    Capture => v1::Capture,
    CaptureRecord => v1::CaptureRecord,
}
