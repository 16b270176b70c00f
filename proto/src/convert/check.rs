use std::time::Duration;

use jiff::Timestamp;
use parallax_model::check::{
    Assignment, CheckDefinition, CheckResult, RunCheck, ScheduleState, SpoolState, Window,
};
use parallax_model::fault::Fault;
use parallax_model::finding::Verdict;
use parallax_model::round::{Counts, RoundSummary};
use parallax_model::selector::Selector;
use prost::Message as _;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::error::WireError;
use super::read::{every, labels, microsecond, non_empty, optional, parse, required, unreadable};
use super::write::{all, by_reference, millis};
use crate::v1;

/// What tells one form of a check from another: the first 8 bytes, in network order, of the SHA-256 of the message
/// with its digest 0.
pub fn digest(assignment: &v1::CheckAssignment) -> u64 {
    let bare = v1::CheckAssignment {
        digest: 0,
        ..assignment.clone()
    };
    let hash: [u8; 32] = Sha256::digest(bare.encode_to_vec()).into();
    let mut front = [0; 8];
    front.copy_from_slice(&hash[..8]);
    u64::from_be_bytes(front)
}

/// Reads an id of 16 bytes.
///
/// # Errors
/// It has another length; `field` is named.
pub fn uuid(field: &str, bytes: &[u8]) -> Result<Uuid, WireError> {
    Uuid::from_slice(bytes).map_err(|_| WireError::new(field, "not 16 bytes"))
}

impl From<CheckDefinition> for v1::CheckDefinition {
    fn from(check: CheckDefinition) -> Self {
        Self {
            name: check.name.into(),
            spec: Some(check.spec.into()),
            from: check.from.to_texts(),
            limit: check.limit.unwrap_or_default(),
            every_ms: millis(check.every),
            together: check.together,
            follow_up: check.follow_up,
            credential: check.credential.unwrap_or_default(),
            rules: Some(check.rules.into()),
            labels: check.labels.into_iter().collect(),
            runbook: check.runbook.unwrap_or_default(),
            maintenance: all(check.maintenance),
        }
    }
}

impl TryFrom<v1::CheckDefinition> for CheckDefinition {
    type Error = WireError;

    fn try_from(wire: v1::CheckDefinition) -> Result<Self, WireError> {
        let from = Selector::parse_any(&wire.from)
            .map_err(|_| unreadable("from", &wire.from.join(" "), "a selector"))?;
        Ok(Self {
            name: parse(
                "name",
                &wire.name,
                "a check's name: 1 to 63 of A-Z a-z 0-9 . _ -, beginning and ending with a letter or a digit",
            )?,
            spec: required("spec", wire.spec)?,
            from,
            limit: (wire.limit > 0).then_some(wire.limit),
            every: Duration::from_millis(wire.every_ms.into()),
            together: wire.together,
            follow_up: wire.follow_up,
            credential: non_empty(wire.credential),
            rules: optional("rules", wire.rules)?.unwrap_or_default(),
            labels: labels("labels", wire.labels)?,
            runbook: non_empty(wire.runbook),
            maintenance: every("maintenance", wire.maintenance)?,
        })
    }
}

impl From<Window> for v1::Window {
    fn from(window: Window) -> Self {
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Self {
            from_us: window.from.as_microsecond(),
            length_ms: millis(window.length),
            every_ms: window.every.map(millis).unwrap_or_default(),
        }
    }
}

impl TryFrom<v1::Window> for Window {
    type Error = WireError;

    fn try_from(wire: v1::Window) -> Result<Self, WireError> {
        Ok(Self {
            from: microsecond("from_us", wire.from_us)?,
            length: Duration::from_millis(wire.length_ms),
            every: (wire.every_ms > 0).then(|| Duration::from_millis(wire.every_ms)),
        })
    }
}

impl From<Assignment> for v1::CheckAssignment {
    fn from(assignment: Assignment) -> Self {
        Self {
            check_id: assignment.check.into_bytes().to_vec(),
            digest: assignment.digest,
            name: assignment.name.into(),
            version: assignment.version,
            spec: Some(assignment.spec.into()),
            every_ms: millis(assignment.every),
            together: assignment.together,
            secret: assignment.secret.map(Into::into),
            credential: assignment.credential.unwrap_or_default(),
            login_cleared: assignment.login_cleared,
            login_rejected: assignment.login_rejected.map(Into::into),
            login_retry_us: assignment.login_retry.map_or(0, Timestamp::as_microsecond),
        }
    }
}

impl TryFrom<v1::CheckAssignment> for Assignment {
    type Error = WireError;

    fn try_from(wire: v1::CheckAssignment) -> Result<Self, WireError> {
        if wire.every_ms == 0 {
            return Err(WireError::new("every_ms", "0 is no interval"));
        }
        Ok(Self {
            check: uuid("check_id", &wire.check_id)?,
            digest: wire.digest,
            name: parse("name", &wire.name, "a check's name")?,
            version: wire.version,
            spec: required("spec", wire.spec)?,
            every: Duration::from_millis(wire.every_ms.into()),
            together: wire.together,
            secret: optional("secret", wire.secret)?,
            credential: non_empty(wire.credential),
            login_cleared: wire.login_cleared,
            login_rejected: wire.login_rejected.map(Fault::from),
            login_retry: (wire.login_retry_us != 0)
                .then(|| microsecond("login_retry_us", wire.login_retry_us))
                .transpose()?,
        })
    }
}

impl From<CheckResult> for v1::CheckResult {
    fn from(result: CheckResult) -> Self {
        Self {
            id: result.id.into_bytes().to_vec(),
            check_id: result.check.into_bytes().to_vec(),
            run_id: result.run_id.into_bytes().to_vec(),
            digest: result.digest,
            round_at_us: result.round_at.as_microsecond(),
            started_at_us: result.started_at.as_microsecond(),
            observation: Some(result.observation.into()),
        }
    }
}

impl TryFrom<v1::CheckResult> for CheckResult {
    type Error = WireError;

    fn try_from(wire: v1::CheckResult) -> Result<Self, WireError> {
        Ok(Self {
            id: uuid("id", &wire.id)?,
            check: uuid("check_id", &wire.check_id)?,
            run_id: uuid("run_id", &wire.run_id)?,
            digest: wire.digest,
            round_at: microsecond("round_at_us", wire.round_at_us)?,
            started_at: microsecond("started_at_us", wire.started_at_us)?,
            observation: required("observation", wire.observation)?,
        })
    }
}

impl From<SpoolState> for v1::SpoolState {
    fn from(spool: SpoolState) -> Self {
        Self {
            made: spool.made,
            waiting: spool.waiting,
            bytes: spool.bytes,
            dropped: spool.dropped,
            dropped_failures: spool.dropped_failures,
            oldest_at_us: spool.oldest_at.map_or(0, Timestamp::as_microsecond),
        }
    }
}

impl TryFrom<v1::SpoolState> for SpoolState {
    type Error = WireError;

    fn try_from(wire: v1::SpoolState) -> Result<Self, WireError> {
        let oldest_at = match wire.oldest_at_us {
            0 => None,
            at => Some(microsecond("oldest_at_us", at)?),
        };
        Ok(Self {
            made: wire.made,
            waiting: wire.waiting,
            bytes: wire.bytes,
            dropped: wire.dropped,
            dropped_failures: wire.dropped_failures,
            oldest_at,
        })
    }
}

impl From<ScheduleState> for v1::ScheduleState {
    fn from(schedule: ScheduleState) -> Self {
        let ScheduleState {
            sum,
            checks,
            started,
            skipped,
            clock_jumps,
            latest_us,
        } = schedule;
        Self {
            sum,
            checks,
            started,
            skipped,
            clock_jumps,
            latest_us,
        }
    }
}

impl From<v1::ScheduleState> for ScheduleState {
    fn from(wire: v1::ScheduleState) -> Self {
        let v1::ScheduleState {
            sum,
            checks,
            started,
            skipped,
            clock_jumps,
            latest_us,
        } = wire;
        Self {
            sum,
            checks,
            started,
            skipped,
            clock_jumps,
            latest_us,
        }
    }
}

impl From<RunCheck> for v1::RunCheck {
    fn from(check: RunCheck) -> Self {
        Self {
            name: check.name.into(),
            check_id: check.check_id.to_string(),
            round_at_us: check.round_at.as_microsecond(),
            late: check.late,
        }
    }
}

impl TryFrom<v1::RunCheck> for RunCheck {
    type Error = WireError;

    fn try_from(wire: v1::RunCheck) -> Result<Self, WireError> {
        Ok(Self {
            name: parse("name", &wire.name, "a check's name")?,
            check_id: parse("check_id", &wire.check_id, "a UUID")?,
            round_at: microsecond("round_at_us", wire.round_at_us)?,
            late: wire.late,
        })
    }
}

impl From<RoundSummary> for v1::RoundSummary {
    fn from(round: RoundSummary) -> Self {
        let Counts {
            ok,
            degraded,
            failed,
            missing,
            refused,
        } = round.counts;
        Self {
            run_id: round.run_id.to_string(),
            started_at_us: round.started_at.as_microsecond(),
            verdict: round.verdict.to_string(),
            summary: round.summary,
            ok,
            degraded,
            failed,
            missing,
            refused,
            late: round.late,
            kept: round.kept,
        }
    }
}

impl TryFrom<v1::RoundSummary> for RoundSummary {
    type Error = WireError;

    fn try_from(wire: v1::RoundSummary) -> Result<Self, WireError> {
        Ok(Self {
            run_id: parse("run_id", &wire.run_id, "a UUID")?,
            started_at: microsecond("started_at_us", wire.started_at_us)?,
            verdict: Verdict::from_name(&wire.verdict),
            summary: wire.summary,
            counts: Counts {
                ok: wire.ok,
                degraded: wire.degraded,
                failed: wire.failed,
                missing: wire.missing,
                refused: wire.refused,
            },
            late: wire.late,
            kept: wire.kept,
        })
    }
}

by_reference! {
    CheckDefinition => v1::CheckDefinition,
    Window => v1::Window,
    Assignment => v1::CheckAssignment,
    CheckResult => v1::CheckResult,
    SpoolState => v1::SpoolState,
    RunCheck => v1::RunCheck,
    RoundSummary => v1::RoundSummary,
}
