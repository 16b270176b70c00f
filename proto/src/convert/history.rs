use parallax_model::history::{HistoryRow, StageLatency, StoredResult};
use parallax_model::observation::VantageOutcome;

use super::error::WireError;
use super::read::{microsecond, non_empty, parse, second};
use super::write::{all, by_reference};
use crate::v1;

impl From<HistoryRow> for v1::HistoryRow {
    fn from(row: HistoryRow) -> Self {
        Self {
            at_us: row.at.as_microsecond(),
            agent: row.agent.into(),
            ok: row.ok,
            degraded: row.degraded,
            failed: row.failed,
            refused: row.refused,
            expected: row.expected,
            stages: all(row.stages),
            certificate_sha256: row.certificate_sha256.unwrap_or_default(),
            certificate_not_after_s: row.certificate_not_after.map_or(0, jiff::Timestamp::as_second),
        }
    }
}

impl TryFrom<v1::HistoryRow> for HistoryRow {
    type Error = WireError;

    fn try_from(wire: v1::HistoryRow) -> Result<Self, WireError> {
        let not_after = match wire.certificate_not_after_s {
            0 => None,
            at => Some(second("certificate_not_after_s", at)?),
        };
        Ok(Self {
            at: microsecond("at_us", wire.at_us)?,
            agent: parse("agent", &wire.agent, "an agent's name")?,
            ok: wire.ok,
            degraded: wire.degraded,
            failed: wire.failed,
            refused: wire.refused,
            expected: wire.expected,
            stages: wire.stages.into_iter().map(Into::into).collect(),
            certificate_sha256: non_empty(wire.certificate_sha256),
            certificate_not_after: not_after,
        })
    }
}

impl From<StageLatency> for v1::StageLatency {
    fn from(latency: StageLatency) -> Self {
        let StageLatency {
            stage,
            p50_us,
            p95_us,
            p99_us,
            count,
        } = latency;
        Self {
            stage,
            p50_us,
            p95_us,
            p99_us,
            count,
        }
    }
}

impl From<v1::StageLatency> for StageLatency {
    fn from(wire: v1::StageLatency) -> Self {
        let v1::StageLatency {
            stage,
            p50_us,
            p95_us,
            p99_us,
            count,
        } = wire;
        Self {
            stage,
            p50_us,
            p95_us,
            p99_us,
            count,
        }
    }
}

impl From<StoredResult> for v1::StoredResult {
    fn from(result: StoredResult) -> Self {
        Self {
            id: result.id.to_string(),
            agent: result.agent.into(),
            run_id: result.run_id.to_string(),
            started_at_us: result.started_at.as_microsecond(),
            outcome: result.outcome.to_string(),
            stage: result.stage.unwrap_or_default(),
            fault: result.fault.unwrap_or_default(),
            total_us: result.total_us,
        }
    }
}

impl TryFrom<v1::StoredResult> for StoredResult {
    type Error = WireError;

    fn try_from(wire: v1::StoredResult) -> Result<Self, WireError> {
        Ok(Self {
            id: parse("id", &wire.id, "a UUID")?,
            agent: parse("agent", &wire.agent, "an agent's name")?,
            run_id: parse("run_id", &wire.run_id, "a UUID")?,
            started_at: microsecond("started_at_us", wire.started_at_us)?,
            outcome: VantageOutcome::from_name(&wire.outcome),
            stage: non_empty(wire.stage),
            fault: non_empty(wire.fault),
            total_us: wire.total_us,
        })
    }
}

by_reference! {
    HistoryRow => v1::HistoryRow,
    StoredResult => v1::StoredResult,
}
