use parallax_model::run::{AgentState, AgentSummary, Rejected};

use super::error::WireError;
use super::read::{labels, microsecond, non_empty, optional, parse};
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
            certificate_not_after_us: agent.certificate_ends.map_or(0, jiff::Timestamp::as_microsecond),
            rejected: agent.rejected.map(Into::into),
            state: agent.state.to_string(),
            spool: agent.spool.map(Into::into),
            schedule: agent.schedule.map(Into::into),
            sealing_proof: None,
        }
    }
}

impl TryFrom<v1::Agent> for AgentSummary {
    type Error = WireError;

    fn try_from(wire: v1::Agent) -> Result<Self, WireError> {
        let moment = |field, at| match at {
            0 => Ok(None),
            at => microsecond(field, at).map(Some),
        };
        // A collector that does not say more says whether it is connected.
        let state = match (wire.state.as_str(), wire.connected) {
            ("", true) => AgentState::Connected,
            (name, _) => AgentState::from_name(name),
        };
        Ok(Self {
            name: parse("name", &wire.name, "an agent's name")?,
            labels: labels("labels", wire.labels)?,
            connected: wire.connected,
            version: wire.version,
            last_seen: moment("last_seen_us", wire.last_seen_us)?,
            peer: non_empty(wire.peer),
            rtt_ms: wire.rtt_us.map(|micros| micros as f64 / 1e3),
            clock_offset_ms: wire.clock_offset_us.map(|micros| micros as f64 / 1e3),
            probes_in_flight: wire.probes_in_flight,
            sealing_key: non_empty(hex::encode(wire.sealing_key)),
            state,
            certificate_ends: moment("certificate_not_after_us", wire.certificate_not_after_us)?,
            rejected: optional("rejected", wire.rejected)?,
            spool: optional("spool", wire.spool)?,
            schedule: wire.schedule.map(Into::into),
        })
    }
}

impl From<Rejected> for v1::Rejected {
    fn from(rejected: Rejected) -> Self {
        Self {
            peer: rejected.peer,
            at_us: rejected.at.as_microsecond(),
            count: rejected.count,
            why: rejected.why,
        }
    }
}

impl TryFrom<v1::Rejected> for Rejected {
    type Error = WireError;

    fn try_from(wire: v1::Rejected) -> Result<Self, WireError> {
        Ok(Self {
            peer: wire.peer,
            at: microsecond("at_us", wire.at_us)?,
            count: wire.count,
            why: wire.why,
        })
    }
}

fn micros(millis: f64) -> i64 {
    (millis * 1e3).round() as i64
}

by_reference! {
    AgentSummary => v1::Agent,
}
