use parallax_model::experiment::{Experiment, ExperimentKind};

use super::error::WireError;
use super::read::{parse, required};
use super::write::by_reference;
use crate::v1;

impl From<Experiment> for v1::Experiment {
    fn from(experiment: Experiment) -> Self {
        Self {
            kind: experiment.kind.to_string(),
            agent: experiment.agent.into(),
            address: experiment.address.to_string(),
            endpoint: Some(experiment.endpoint.into()),
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
        })
    }
}

by_reference! {
    Experiment => v1::Experiment,
}
