use std::time::Duration;

use parallax_model::experiment::ExperimentKind;
use parallax_model::observation::{Attempt, Purpose, Speaker, TranscriptLine};

use super::error::WireError;
use super::read::{every, non_empty, parse, required};
use super::write::{all, by_reference, micros};
use crate::v1;

impl From<Attempt> for v1::Attempt {
    fn from(attempt: Attempt) -> Self {
        Self {
            address: attempt.address.to_string(),
            endpoint: Some(attempt.endpoint.into()),
            purpose: attempt.purpose.to_string(),
            experiment: attempt
                .experiment
                .map(|kind| kind.to_string())
                .unwrap_or_default(),
            stages: all(attempt.stages),
            transcript: all(attempt.transcript),
            by: attempt.by.map(Into::into).unwrap_or_default(),
        }
    }
}

impl TryFrom<v1::Attempt> for Attempt {
    type Error = WireError;

    fn try_from(wire: v1::Attempt) -> Result<Self, WireError> {
        Ok(Self {
            address: parse("address", &wire.address, "an IP address")?,
            endpoint: required("endpoint", wire.endpoint)?,
            purpose: Purpose::from_name(&wire.purpose),
            experiment: non_empty(wire.experiment).map(|kind| ExperimentKind::from_name(&kind)),
            stages: every("stages", wire.stages)?,
            transcript: all(wire.transcript),
            by: non_empty(wire.by)
                .map(|name| parse("by", &name, "an agent's name"))
                .transpose()?,
        })
    }
}

impl From<TranscriptLine> for v1::TranscriptLine {
    fn from(line: TranscriptLine) -> Self {
        let speaker = match line.speaker {
            Speaker::Client => "C",
            Speaker::Server => "S",
        };
        Self {
            at_us: micros(line.at),
            speaker: speaker.to_owned(),
            text: line.text,
        }
    }
}

impl From<v1::TranscriptLine> for TranscriptLine {
    fn from(wire: v1::TranscriptLine) -> Self {
        Self {
            at: Duration::from_micros(wire.at_us),
            speaker: match wire.speaker.as_str() {
                "C" => Speaker::Client,
                _ => Speaker::Server,
            },
            text: wire.text,
        }
    }
}

by_reference! {
    Attempt => v1::Attempt,
    TranscriptLine => v1::TranscriptLine,
}
