use std::time::Duration;

use parallax_model::finding::Verdict;
use parallax_model::run::{Change, ChangeKind, RUN_SCHEMA, RunDocument, RunRef, RunSummary};
use parallax_model::spec::Depth;

use super::error::WireError;
use super::read::{every, microsecond, non_empty, optional, parse, required, unreadable};
use super::write::{all, by_reference, micros};
use crate::v1;

impl From<RunDocument> for v1::Run {
    fn from(run: RunDocument) -> Self {
        Self {
            run_id: run.run_id.to_string(),
            trace_id: run.trace_id.unwrap_or_default(),
            target: Some(run.target.into()),
            depth: run.depth.to_string(),
            started_at_us: run.started_at.as_microsecond(),
            duration_us: micros(run.duration),
            vantages: all(run.vantages),
            verdict: run.verdict.to_string(),
            summary: run.summary,
            findings: all(run.findings),
            clients: all(run.clients),
            experiments: all(run.experiments),
            compared_with: run.compared_with.map(Into::into),
            changes: all(run.changes),
            captures: all(run.captures),
            check: run.check.map(Into::into),
        }
    }
}

impl TryFrom<v1::Run> for RunDocument {
    type Error = WireError;

    fn try_from(wire: v1::Run) -> Result<Self, WireError> {
        Ok(Self {
            schema: RUN_SCHEMA.to_owned(),
            run_id: parse("run_id", &wire.run_id, "a UUID")?,
            trace_id: trace_id(wire.trace_id)?,
            target: required("target", wire.target)?,
            depth: Depth::from_name(&wire.depth),
            started_at: microsecond("started_at_us", wire.started_at_us)?,
            duration: Duration::from_micros(wire.duration_us),
            vantages: every("vantages", wire.vantages)?,
            verdict: Verdict::from_name(&wire.verdict),
            summary: wire.summary,
            findings: every("findings", wire.findings)?,
            clients: every("clients", wire.clients)?,
            experiments: every("experiments", wire.experiments)?,
            compared_with: optional("compared_with", wire.compared_with)?,
            changes: every("changes", wire.changes)?,
            captures: every("captures", wire.captures)?,
            check: optional("check", wire.check)?,
        })
    }
}

impl From<RunRef> for v1::RunRef {
    fn from(run: RunRef) -> Self {
        Self {
            run_id: run.run_id.to_string(),
            started_at_us: run.started_at.as_microsecond(),
        }
    }
}

impl TryFrom<v1::RunRef> for RunRef {
    type Error = WireError;

    fn try_from(wire: v1::RunRef) -> Result<Self, WireError> {
        Ok(Self {
            run_id: parse("run_id", &wire.run_id, "a UUID")?,
            started_at: microsecond("started_at_us", wire.started_at_us)?,
        })
    }
}

impl From<Change> for v1::Change {
    fn from(change: Change) -> Self {
        Self {
            agent: change.agent.into(),
            what: change.what.to_string(),
            address: change
                .address
                .map(|address| address.to_string())
                .unwrap_or_default(),
            before: change.before,
            after: change.after,
        }
    }
}

impl TryFrom<v1::Change> for Change {
    type Error = WireError;

    fn try_from(wire: v1::Change) -> Result<Self, WireError> {
        let address = non_empty(wire.address).map(|address| parse("address", &address, "an IP address"));
        Ok(Self {
            agent: parse("agent", &wire.agent, "an agent's name")?,
            what: ChangeKind::from_name(&wire.what),
            address: address.transpose()?,
            before: wire.before,
            after: wire.after,
        })
    }
}

fn trace_id(text: String) -> Result<Option<String>, WireError> {
    let hexadecimal = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    match text.len() {
        0 => Ok(None),
        32 if hexadecimal => Ok(Some(text)),
        _ => Err(unreadable("trace_id", &text, "32 hexadecimal digits")),
    }
}

impl From<RunSummary> for v1::RunSummary {
    fn from(run: RunSummary) -> Self {
        Self {
            run_id: run.run_id.to_string(),
            started_at_us: run.started_at.as_microsecond(),
            target: run.target,
            verdict: run.verdict.to_string(),
            summary: run.summary,
            check: run.check.unwrap_or_default(),
        }
    }
}

impl TryFrom<v1::RunSummary> for RunSummary {
    type Error = WireError;

    fn try_from(wire: v1::RunSummary) -> Result<Self, WireError> {
        Ok(Self {
            run_id: parse("run_id", &wire.run_id, "a UUID")?,
            started_at: microsecond("started_at_us", wire.started_at_us)?,
            target: wire.target,
            verdict: Verdict::from_name(&wire.verdict),
            summary: wire.summary,
            check: non_empty(wire.check),
        })
    }
}

by_reference! {
    RunDocument => v1::Run,
    RunSummary => v1::RunSummary,
}
