use parallax_model::run::AgentSummary;

use super::error::WireError;
use super::read::{labels, microsecond, non_empty, parse};
use super::write::by_reference;
use crate::v1;

impl From<AgentSummary> for v1::Agent {
    /// Leaves empty what the summary does not hold. A sealing key that is not hexadecimal is none.
    fn from(agent: AgentSummary) -> Self {
        Self {
            name: agent.name.into(),
            labels: agent.labels.into_iter().collect(),
            connected: agent.connected,
            version: agent.version,
            last_seen_us: agent.last_seen.map_or(0, jiff::Timestamp::as_microsecond),
            peer: agent.peer.unwrap_or_default(),
            rtt_us: agent.rtt_ms.map(|millis| micros(millis).max(0).unsigned_abs()),
            clock_offset_us: agent.clock_offset_ms.map(micros),
            probes_in_flight: agent.probes_in_flight,
            sealing_key: agent
                .sealing_key
                .and_then(|key| hex::decode(key).ok())
                .unwrap_or_default(),
            capabilities: Vec::new(),
            ..Self::default()
        }
    }
}

impl TryFrom<v1::Agent> for AgentSummary {
    type Error = WireError;

    fn try_from(wire: v1::Agent) -> Result<Self, WireError> {
        let last_seen = match wire.last_seen_us {
            0 => None,
            at => Some(microsecond("last_seen_us", at)?),
        };
        Ok(Self {
            name: parse("name", &wire.name, "an agent's name")?,
            labels: labels("labels", wire.labels)?,
            connected: wire.connected,
            version: wire.version,
            last_seen,
            peer: non_empty(wire.peer),
            rtt_ms: wire.rtt_us.map(|micros| micros as f64 / 1e3),
            clock_offset_ms: wire.clock_offset_us.map(|micros| micros as f64 / 1e3),
            probes_in_flight: wire.probes_in_flight,
            sealing_key: non_empty(hex::encode(wire.sealing_key)),
        })
    }
}

fn micros(millis: f64) -> i64 {
    (millis * 1e3).round() as i64
}

by_reference! {
    AgentSummary => v1::Agent,
}
