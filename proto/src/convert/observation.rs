use parallax_model::observation::{ClockFacts, Observation, Reason, VantageOutcome};
use parallax_model::path::NetworkFacts;

use super::error::WireError;
use super::read::{every, finite, labels, non_empty, optional, parse};
use super::write::{all, by_reference};
use crate::v1;

impl From<Observation> for v1::Observation {
    fn from(observation: Observation) -> Self {
        Self {
            agent: observation.agent.into(),
            labels: observation.labels.into_iter().collect(),
            outcome: observation.outcome.to_string(),
            reason: observation
                .reason
                .map(|reason| reason.to_string())
                .unwrap_or_default(),
            note: observation.note.unwrap_or_default(),
            clock: observation.clock.map(Into::into),
            resolve: observation.resolve.map(Into::into),
            attempts: all(observation.attempts),
            network: (observation.network != NetworkFacts::default()).then(|| observation.network.into()),
            refusal: observation.refusal.map(Into::into),
            left_out: all(observation.left_out),
        }
    }
}

impl TryFrom<v1::Observation> for Observation {
    type Error = WireError;

    fn try_from(wire: v1::Observation) -> Result<Self, WireError> {
        Ok(Self {
            agent: parse("agent", &wire.agent, "an agent's name")?,
            labels: labels("labels", wire.labels)?,
            outcome: VantageOutcome::from_name(&wire.outcome),
            reason: non_empty(wire.reason).map(|reason| Reason::from_name(&reason)),
            note: non_empty(wire.note),
            clock: optional("clock", wire.clock)?,
            resolve: optional("resolve", wire.resolve)?,
            attempts: every("attempts", wire.attempts)?,
            network: optional("network", wire.network)?.unwrap_or_default(),
            refusal: optional("refusal", wire.refusal)?,
            left_out: every("left_out", wire.left_out)?,
        })
    }
}

impl From<ClockFacts> for v1::ClockFacts {
    fn from(clock: ClockFacts) -> Self {
        Self {
            offset_ms: clock.offset_ms,
            start_skew_ms: clock.start_skew_ms,
        }
    }
}

impl TryFrom<v1::ClockFacts> for ClockFacts {
    type Error = WireError;

    fn try_from(wire: v1::ClockFacts) -> Result<Self, WireError> {
        Ok(Self {
            offset_ms: finite("offset_ms", wire.offset_ms)?,
            start_skew_ms: finite("start_skew_ms", wire.start_skew_ms)?,
        })
    }
}

by_reference! {
    Observation => v1::Observation,
}
