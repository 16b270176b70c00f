use parallax_model::finding::{Alternative, Finding, FindingKind, Location, Scope, Segment, Severity};
use parallax_model::observation::Family;
use parallax_model::stage::StageName;

use super::error::WireError;
use super::read::{every, non_empty, parse, parse_all, required, share};
use super::write::{all, by_reference, texts};
use crate::v1;

impl From<Finding> for v1::Finding {
    fn from(finding: Finding) -> Self {
        Self {
            kind: finding.kind.to_string(),
            severity: finding.severity.to_string(),
            confidence: finding.confidence,
            summary: finding.summary,
            scope: Some(finding.scope.into()),
            stage: finding.stage.map(|stage| stage.to_string()).unwrap_or_default(),
            location: Some(finding.location.into()),
            because: finding.because,
            alternatives: all(finding.alternatives),
            next_steps: finding.next_steps,
        }
    }
}

impl TryFrom<v1::Finding> for Finding {
    type Error = WireError;

    fn try_from(wire: v1::Finding) -> Result<Self, WireError> {
        Ok(Self {
            kind: FindingKind::from_name(&wire.kind),
            severity: Severity::from_name(&wire.severity),
            confidence: share("confidence", wire.confidence)?,
            summary: wire.summary,
            scope: required("scope", wire.scope)?,
            stage: non_empty(wire.stage).map(|stage| StageName::from_name(&stage)),
            location: required("location", wire.location)?,
            because: wire.because,
            alternatives: every("alternatives", wire.alternatives)?,
            next_steps: wire.next_steps,
        })
    }
}

impl From<Scope> for v1::Scope {
    fn from(scope: Scope) -> Self {
        Self {
            affected: texts(scope.affected),
            unaffected: texts(scope.unaffected),
            endpoints: scope.endpoints,
            families: texts(scope.families),
        }
    }
}

impl TryFrom<v1::Scope> for Scope {
    type Error = WireError;

    fn try_from(wire: v1::Scope) -> Result<Self, WireError> {
        Ok(Self {
            affected: parse_all("affected", &wire.affected, "an agent's name")?,
            unaffected: parse_all("unaffected", &wire.unaffected, "an agent's name")?,
            endpoints: wire.endpoints,
            families: wire
                .families
                .iter()
                .map(|family| Family::from_name(family))
                .collect(),
        })
    }
}

impl From<Location> for v1::Location {
    fn from(location: Location) -> Self {
        Self {
            segment: location.segment.to_string(),
            after: location.after.map(|hop| hop.to_string()),
            before: location.before.map(|hop| hop.to_string()),
        }
    }
}

impl TryFrom<v1::Location> for Location {
    type Error = WireError;

    fn try_from(wire: v1::Location) -> Result<Self, WireError> {
        let hop = |field, hop: Option<String>| hop.map(|hop| parse(field, &hop, "an IP address")).transpose();
        Ok(Self {
            segment: Segment::from_name(&wire.segment),
            after: hop("after", wire.after)?,
            before: hop("before", wire.before)?,
        })
    }
}

impl From<Alternative> for v1::Alternative {
    fn from(alternative: Alternative) -> Self {
        Self {
            kind: alternative.kind.to_string(),
            confidence: alternative.confidence,
            told_apart_by: alternative.told_apart_by,
        }
    }
}

impl TryFrom<v1::Alternative> for Alternative {
    type Error = WireError;

    fn try_from(wire: v1::Alternative) -> Result<Self, WireError> {
        Ok(Self {
            kind: FindingKind::from_name(&wire.kind),
            confidence: share("confidence", wire.confidence)?,
            told_apart_by: wire.told_apart_by,
        })
    }
}

by_reference! {
    Finding => v1::Finding,
}
