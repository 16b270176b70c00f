//! What a check saw over time.

use std::collections::BTreeMap;

use parallax_model::finding::Verdict;
use parallax_model::history::{HistoryRow, HistoryStep, StageLatency};
use parallax_model::observation::VantageOutcome;
use parallax_model::round::{Counts, RoundSummary};
use parallax_model::vantage::AgentName;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, SqliteConnection};

use super::names::{Watched, agents, watched};
use super::page::{Line, newest};
use super::rollup::{DAY, HOUR};
use crate::store::latency::{Latency, timed_name};
use crate::store::sketch::Sketch;
use crate::store::sqlite::{Sqlite, read_time};
use crate::store::{History, HistoryAsked, StoreError};

/// Rows of one answer, unless fewer are asked for.
const MOST: u32 = 50_000;

/// The longest time of which every round is shown when nobody says how finely.
const ROUNDS_UP_TO: i64 = 2 * HOUR;

/// The longest time of which every hour is.
const HOURS_UP_TO: i64 = 8 * DAY;

const SECOND: i64 = 1_000_000;

/// The rows of a time, oldest first, and its rounds, newest first: all of them, or by hours and days those in which
/// not all was well.
pub(in crate::store::sqlite) async fn history(
    store: &Sqlite,
    asked: HistoryAsked,
) -> Result<History, StoreError> {
    let mut connection = store.pool.acquire().await?;
    let step = step(&asked);
    let Some(watched) = watched(&mut connection, &asked).await? else {
        return Ok(History {
            step,
            rows: Vec::new(),
            rounds: Vec::new(),
        });
    };
    let agents = agents(&mut connection, &asked).await?;
    let rows = match step {
        HistoryStep::Day => sums(&mut connection, &asked, &watched, &agents, DAY).await?,
        HistoryStep::Hour => sums(&mut connection, &asked, &watched, &agents, HOUR).await?,
        HistoryStep::Round | HistoryStep::Auto => single(&mut connection, &asked, &watched, &agents).await?,
    };
    let rounds = rounds(&mut connection, &asked, &watched, step == HistoryStep::Round).await?;
    Ok(History { step, rows, rounds })
}

fn step(asked: &HistoryAsked) -> HistoryStep {
    let seconds = asked.until.as_second() - asked.since.as_second();
    match asked.step {
        HistoryStep::Auto if seconds <= ROUNDS_UP_TO => HistoryStep::Round,
        HistoryStep::Auto if seconds <= HOURS_UP_TO => HistoryStep::Hour,
        HistoryStep::Auto => HistoryStep::Day,
        said => said,
    }
}

fn limit(asked: &HistoryAsked) -> usize {
    let limit = if asked.limit == 0 {
        MOST
    } else {
        asked.limit.min(MOST)
    };
    usize::try_from(limit).unwrap_or(usize::MAX)
}

/// Roll-ups of one span, whose hour or day is in the time at least in part.
async fn sums(
    connection: &mut SqliteConnection,
    asked: &HistoryAsked,
    watched: &Watched,
    agents: &BTreeMap<i64, AgentName>,
    span: i64,
) -> Result<Vec<HistoryRow>, StoreError> {
    let rows = sqlx::query(
        "SELECT at, agent_no, ok, degraded, failed, refused, expected, latency, sha256, not_after FROM rollups \
         LEFT JOIN check_certificates ON no = certificate_no \
         WHERE check_no = $1 AND span = $2 AND at > $3 AND at < $4 AND expected > 0 \
         ORDER BY at DESC, agent_no",
    )
    .bind(watched.no)
    .bind(span)
    .bind(asked.since.as_microsecond() - span * SECOND)
    .bind(asked.until.as_microsecond())
    .fetch_all(connection)
    .await?;
    let mut sums = Vec::new();
    for row in &rows {
        let Some(agent) = agents.get(&row.try_get("agent_no")?) else {
            continue;
        };
        sums.push(read_sum(row, agent)?);
        if sums.len() == limit(asked) {
            break;
        }
    }
    sums.reverse();
    Ok(sums)
}

fn read_sum(row: &SqliteRow, agent: &AgentName) -> Result<HistoryRow, StoreError> {
    let at: i64 = row.try_get("at")?;
    let count = |name| Ok::<_, StoreError>(u64::try_from(row.try_get::<i64, _>(name)?).unwrap_or(0));
    let (ok, degraded, failed, refused) = (
        count("ok")?,
        count("degraded")?,
        count("failed")?,
        count("refused")?,
    );
    let latency = Latency::decode(row.try_get("latency")?).ok_or(StoreError::Unreadable("roll-up"))?;
    let ends: Option<i64> = row.try_get("not_after")?;
    Ok(HistoryRow {
        at: read_time(at)?,
        agent: agent.clone(),
        ok,
        degraded,
        failed,
        refused,
        expected: count("expected")?,
        stages: latency
            .sketches
            .iter()
            .map(|(&timed, sketch)| stage(timed_name(timed), sketch))
            .collect(),
        certificate_sha256: row.try_get("sha256")?,
        certificate_not_after: ends.map(read_time).transpose()?,
    })
}

fn stage(name: &str, sketch: &Sketch) -> StageLatency {
    let at_most = |part| {
        let duration = sketch.quantile(part).unwrap_or_default();
        u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
    };
    StageLatency {
        stage: name.to_owned(),
        p50_us: at_most(0.5),
        p95_us: at_most(0.95),
        p99_us: at_most(0.99),
        count: sketch.count(),
    }
}

/// Every result as a row of its own.
async fn single(
    connection: &mut SqliteConnection,
    asked: &HistoryAsked,
    watched: &Watched,
    agents: &BTreeMap<i64, AgentName>,
) -> Result<Vec<HistoryRow>, StoreError> {
    let mut rows = Vec::new();
    for (&agent_no, agent) in agents {
        let found = newest(connection, asked, (watched, agent_no), limit(asked)).await?;
        rows.extend(found.into_iter().map(|line| of_line(line, agent)));
    }
    rows.sort_by(|one, other| (one.at, &one.agent).cmp(&(other.at, &other.agent)));
    let surplus = rows.len().saturating_sub(limit(asked));
    Ok(rows.split_off(surplus))
}

fn of_line(line: Line, agent: &AgentName) -> HistoryRow {
    let is = |outcome| u64::from(line.outcome == outcome);
    let took = |name: &str, microseconds| StageLatency {
        stage: name.to_owned(),
        p50_us: microseconds,
        p95_us: microseconds,
        p99_us: microseconds,
        count: 1,
    };
    let stages = line.stages.iter().map(|&(stage, duration)| {
        took(
            stage.as_str(),
            u64::try_from(duration.as_micros()).unwrap_or(u64::MAX),
        )
    });
    HistoryRow {
        at: line.at,
        agent: agent.clone(),
        ok: is(VantageOutcome::Ok),
        degraded: is(VantageOutcome::Degraded),
        failed: is(VantageOutcome::Failed),
        refused: is(VantageOutcome::Refused),
        expected: 1,
        stages: std::iter::once(took("total", line.total_us))
            .chain(stages)
            .collect(),
        certificate_sha256: line.certificate_sha256,
        certificate_not_after: line.certificate_not_after,
    }
}

async fn rounds(
    connection: &mut SqliteConnection,
    asked: &HistoryAsked,
    watched: &Watched,
    all: bool,
) -> Result<Vec<RoundSummary>, StoreError> {
    sqlx::query(
        "SELECT * FROM rounds WHERE check_no = $1 AND started_at >= $2 AND started_at < $3 \
         AND ($4 OR verdict <> $5) ORDER BY started_at DESC LIMIT $6",
    )
    .bind(watched.no)
    .bind(asked.since.as_microsecond())
    .bind(asked.until.as_microsecond())
    .bind(all)
    .bind(Verdict::Healthy.as_str())
    .bind(i64::try_from(limit(asked)).unwrap_or(i64::MAX))
    .fetch_all(connection)
    .await?
    .iter()
    .map(read_round)
    .collect()
}

/// A round as it was closed.
pub(in crate::store::sqlite) fn read_round(row: &SqliteRow) -> Result<RoundSummary, StoreError> {
    let count = |name| Ok::<_, StoreError>(u32::try_from(row.try_get::<i64, _>(name)?).unwrap_or(u32::MAX));
    Ok(RoundSummary {
        run_id: super::read_uuid(row.try_get("run_id")?)?,
        started_at: read_time(row.try_get("started_at")?)?,
        verdict: Verdict::from_name(row.try_get("verdict")?),
        summary: row.try_get("summary")?,
        counts: Counts {
            ok: count("ok")?,
            degraded: count("degraded")?,
            failed: count("failed")?,
            missing: count("missing")?,
            refused: count("refused")?,
        },
        late: row.try_get("late")?,
        kept: row.try_get("kept")?,
    })
}
