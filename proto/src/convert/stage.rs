use std::time::Duration;

use parallax_model::evidence::Evidence;
use parallax_model::fault::Fault;
use parallax_model::stage::{Outcome, Stage, StageName};
use parallax_model::text;

use super::error::WireError;
use super::write::{by_reference, micros};
use crate::v1;

impl From<Stage> for v1::Stage {
    fn from(stage: Stage) -> Self {
        let outcome = stage.outcome.as_str().to_owned();
        let (fault, reason) = match stage.outcome {
            Outcome::Degraded(fault) | Outcome::Failed(fault) => (Some(fault.into()), String::new()),
            Outcome::Skipped(reason) => (None, reason),
            Outcome::Ok | Outcome::NotReached => (None, String::new()),
        };
        Self {
            name: stage.name.to_string(),
            outcome,
            start_us: micros(stage.start),
            duration_us: micros(stage.duration),
            fault,
            reason,
            tcp: stage.tcp.map(Into::into),
            evidence: stage.evidence.map(Into::into),
        }
    }
}

impl TryFrom<v1::Stage> for Stage {
    type Error = WireError;

    fn try_from(wire: v1::Stage) -> Result<Self, WireError> {
        let evidence = wire
            .evidence
            .map(Evidence::try_from)
            .transpose()
            .map_err(|error| error.inside("evidence"))?;
        Ok(Self {
            name: StageName::from_name(&wire.name),
            outcome: outcome(&wire.outcome, wire.fault.map(Into::into), wire.reason)?,
            start: Duration::from_micros(wire.start_us),
            duration: Duration::from_micros(wire.duration_us),
            evidence: own_evidence(StageName::known(&wire.name), evidence)?,
            tcp: wire.tcp.map(Into::into),
        })
    }
}

/// The run document tells evidence by its stage: another stage's is refused, and a newer peer's stage has none here.
fn own_evidence(name: Option<StageName>, evidence: Option<Evidence>) -> Result<Option<Evidence>, WireError> {
    let (Some(name), Some(evidence)) = (name, evidence) else {
        return Ok(None);
    };
    let seen_in = evidence.stage();
    if seen_in == name {
        Ok(Some(evidence))
    } else {
        Err(WireError::new(
            "evidence",
            format!("of {seen_in} in a stage that is {name}"),
        ))
    }
}

/// An outcome with an unknown name is a failure when it has a fault, and else nothing that was done.
fn outcome(name: &str, fault: Option<Fault>, reason: String) -> Result<Outcome, WireError> {
    let missing = || WireError::new("fault", format!("missing in a stage that is {name}"));
    Ok(match (name, fault) {
        ("ok", _) => Outcome::Ok,
        ("degraded", fault) => Outcome::Degraded(fault.ok_or_else(missing)?),
        ("failed", fault) => Outcome::Failed(fault.ok_or_else(missing)?),
        ("skipped", _) => Outcome::Skipped(reason),
        ("not_reached", _) => Outcome::NotReached,
        (_, Some(fault)) => Outcome::Failed(fault),
        (other, None) => Outcome::Skipped(format!(
            "its outcome \"{}\" is not known here",
            text::escape_str(other, 32)
        )),
    })
}

impl From<Evidence> for v1::stage::Evidence {
    fn from(evidence: Evidence) -> Self {
        match evidence {
            Evidence::Resolve(facts) => Self::Resolve(facts.into()),
            Evidence::Connect(facts) => Self::Connect(facts.into()),
            Evidence::Tls(facts) => Self::Tls((*facts).into()),
            Evidence::Greeting(facts) => Self::Greeting(facts.into()),
            Evidence::Capability(facts) => Self::Capability(facts.into()),
            Evidence::Starttls(facts) => Self::Starttls((*facts).into()),
            Evidence::Id(facts) => Self::Id(facts.into()),
            Evidence::Authenticate(facts) => Self::Authenticate(facts.into()),
            Evidence::Namespace(facts) => Self::Namespace(facts.into()),
            Evidence::List(facts) => Self::List(facts.into()),
            Evidence::Select(facts) => Self::Select(facts.into()),
            Evidence::Fetch(facts) => Self::Fetch(facts.into()),
            Evidence::Append(facts) => Self::Append(facts.into()),
            Evidence::Sync(facts) => Self::Sync((*facts).into()),
            Evidence::Idle(facts) => Self::Idle(facts.into()),
            Evidence::Hold(facts) => Self::Hold(facts.into()),
            Evidence::Command(facts) => Self::Command(facts.into()),
        }
    }
}

impl TryFrom<v1::stage::Evidence> for Evidence {
    type Error = WireError;

    fn try_from(wire: v1::stage::Evidence) -> Result<Self, WireError> {
        use v1::stage::Evidence as Wire;
        Ok(match wire {
            Wire::Resolve(facts) => Self::Resolve(facts.try_into()?),
            Wire::Connect(facts) => Self::Connect(facts.try_into()?),
            Wire::Tls(facts) => Self::Tls(Box::new(facts.try_into()?)),
            Wire::Greeting(facts) => Self::Greeting(facts.into()),
            Wire::Capability(facts) => Self::Capability(facts.into()),
            Wire::Starttls(facts) => Self::Starttls(Box::new(facts.try_into()?)),
            Wire::Id(facts) => Self::Id(facts.into()),
            Wire::Authenticate(facts) => Self::Authenticate(facts.into()),
            Wire::Namespace(facts) => Self::Namespace(facts.into()),
            Wire::List(facts) => Self::List(facts.into()),
            Wire::Select(facts) => Self::Select(facts.into()),
            Wire::Fetch(facts) => Self::Fetch(facts.try_into()?),
            Wire::Append(facts) => Self::Append(facts.try_into()?),
            Wire::Sync(facts) => Self::Sync(Box::new(facts.try_into()?)),
            Wire::Idle(facts) => Self::Idle(facts.try_into()?),
            Wire::Hold(facts) => Self::Hold(facts.try_into()?),
            Wire::Command(facts) => Self::Command(facts.into()),
        })
    }
}

by_reference! {
    Stage => v1::Stage,
    Evidence => v1::stage::Evidence,
}
