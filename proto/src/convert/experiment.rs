use parallax_model::experiment::{
    Experiment, ExperimentKind, ExperimentOutcome, ExperimentRecord, Variation,
};

use super::error::WireError;
use super::read::{narrow, non_empty, parse, required};
use super::write::by_reference;
use crate::v1;

impl From<Experiment> for v1::Experiment {
    fn from(experiment: Experiment) -> Self {
        let varied = experiment.variation;
        Self {
            kind: experiment.kind.to_string(),
            agent: experiment.agent.into(),
            address: experiment.address.to_string(),
            endpoint: Some(experiment.endpoint.into()),
            source: optional_text(varied.source),
            server_name: varied.server_name.unwrap_or_default(),
            mss: varied.mss.map(Into::into).unwrap_or_default(),
            resolver: optional_text(varied.resolver),
            after_ms: varied.after_ms.unwrap_or_default(),
            repeat: varied.repeat.map(Into::into).unwrap_or_default(),
        }
    }
}

impl TryFrom<v1::Experiment> for Experiment {
    type Error = WireError;

    fn try_from(wire: v1::Experiment) -> Result<Self, WireError> {
        Ok(Self {
            kind: ExperimentKind::from_name(&wire.kind),
            agent: parse("agent", &wire.agent, "an agent's name")?,
            address: parse("address", &wire.address, "an IP address")?,
            endpoint: required("endpoint", wire.endpoint)?,
            variation: Variation {
                source: non_empty(wire.source)
                    .map(|source| parse("source", &source, "an IP address"))
                    .transpose()?,
                server_name: non_empty(wire.server_name),
                mss: some("mss", wire.mss)?,
                resolver: non_empty(wire.resolver)
                    .map(|resolver| parse("resolver", &resolver, "an address and port"))
                    .transpose()?,
                after_ms: (wire.after_ms > 0).then_some(wire.after_ms),
                repeat: some("repeat", wire.repeat)?,
            },
        })
    }
}

impl From<ExperimentRecord> for v1::ExperimentRecord {
    fn from(record: ExperimentRecord) -> Self {
        Self {
            round: record.round,
            experiment: Some(record.experiment.into()),
            because: record.because,
            outcome: record.outcome.to_string(),
            changed: record.changed.unwrap_or_default(),
        }
    }
}

impl TryFrom<v1::ExperimentRecord> for ExperimentRecord {
    type Error = WireError;

    fn try_from(wire: v1::ExperimentRecord) -> Result<Self, WireError> {
        Ok(Self {
            round: wire.round,
            experiment: required("experiment", wire.experiment)?,
            because: wire.because,
            outcome: ExperimentOutcome::from_name(&wire.outcome),
            changed: non_empty(wire.changed),
        })
    }
}

fn optional_text(value: Option<impl ToString>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

/// 0 is none.
fn some<U: TryFrom<u32>>(field: &str, number: u32) -> Result<Option<U>, WireError> {
    (number > 0).then(|| narrow(field, number)).transpose()
}

by_reference! {
    Experiment => v1::Experiment,
}
