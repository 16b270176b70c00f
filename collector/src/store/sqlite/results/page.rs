//! Single results, in the order in which they were made.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use parallax_model::history::StoredResult;
use parallax_model::observation::VantageOutcome;
use parallax_model::stage::StageName;
use parallax_model::vantage::AgentName;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, SqliteConnection};
use uuid::Uuid;

use super::names::{Watched, agents, watched};
use super::read_uuid;
use crate::store::latency::decode_stages;
use crate::store::sqlite::{Sqlite, read_time};
use crate::store::{HistoryAsked, StoreError};

/// Results of a page, unless the last.
const PAGE: usize = 1000;

/// The fewest that are read of an agent at a time.
const LEAST: usize = 50;

/// How far the clock that an identifier was made by may be off: the agent's own.
const SKEW: SignedDuration = SignedDuration::from_hours(24);

/// One row.
pub(super) struct Line {
    pub(super) id: Uuid,
    pub(super) at: Timestamp,
    pub(super) outcome: VantageOutcome,
    pub(super) total_us: u64,
    pub(super) stages: Vec<(StageName, Duration)>,
    pub(super) certificate_sha256: Option<String>,
    pub(super) certificate_not_after: Option<Timestamp>,
    run_id: Uuid,
    failed: (Option<String>, Option<String>),
}

/// The results of a time behind `after`, by identifier. An empty page is the end.
pub(in crate::store::sqlite) async fn page(
    store: &Sqlite,
    asked: HistoryAsked,
    after: Option<Uuid>,
) -> Result<Vec<StoredResult>, StoreError> {
    let mut connection = store.pool.acquire().await?;
    let Some(watched) = watched(&mut connection, &asked).await? else {
        return Ok(Vec::new());
    };
    let agents = agents(&mut connection, &asked).await?;
    let each = (2 * PAGE / agents.len().max(1)).clamp(LEAST, PAGE);
    let (mut page, mut after): (Vec<StoredResult>, _) = (Vec::new(), after);
    while page.len() < PAGE {
        // Up to where every agent's results were read: beyond that one of another may come first.
        let mut whole = Uuid::max();
        let mut read = Vec::new();
        for (&agent_no, agent) in &agents {
            let lines = oldest(&mut connection, &asked, (&watched, agent_no), after, each).await?;
            if let Some(last) = lines.last().filter(|_| lines.len() == each) {
                whole = whole.min(last.id);
            }
            read.extend(lines.into_iter().map(|line| stored(line, agent)));
        }
        read.retain(|result| result.id <= whole);
        read.sort_by_key(|result| result.id);
        let Some(last) = read.last() else { break };
        after = Some(last.id);
        page.append(&mut read);
    }
    page.truncate(PAGE);
    Ok(page)
}

/// The newest results of one agent, newest first.
pub(super) async fn newest(
    connection: &mut SqliteConnection,
    asked: &HistoryAsked,
    of: (&Watched, i64),
    limit: usize,
) -> Result<Vec<Line>, StoreError> {
    let ends = first_id(asked.until.saturating_add(SKEW).unwrap_or(Timestamp::MAX));
    read(connection, asked, of, (begins(asked), ends), (true, limit)).await
}

/// The oldest results of one agent behind one, oldest first.
async fn oldest(
    connection: &mut SqliteConnection,
    asked: &HistoryAsked,
    of: (&Watched, i64),
    after: Option<Uuid>,
    limit: usize,
) -> Result<Vec<Line>, StoreError> {
    let begins = after.map_or(begins(asked), |after| after.max(begins(asked)));
    let ends = first_id(asked.until.saturating_add(SKEW).unwrap_or(Timestamp::MAX));
    read(connection, asked, of, (begins, ends), (false, limit)).await
}

async fn read(
    connection: &mut SqliteConnection,
    asked: &HistoryAsked,
    (watched, agent_no): (&Watched, i64),
    (after, before): (Uuid, Uuid),
    (newest_first, limit): (bool, usize),
) -> Result<Vec<Line>, StoreError> {
    let order = if newest_first { "DESC" } else { "ASC" };
    let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
        "SELECT result.id, result.at, round_at, outcome, stage, fault, total_us, stages, run_id, sha256, not_after \
         FROM results AS result \
         LEFT JOIN rounds ON rounds.check_no = result.check_no AND rounds.started_at = round_at \
         LEFT JOIN check_certificates ON no = certificate_no \
         WHERE result.check_no = $1 AND agent_no = $2 AND result.id > $3 AND result.id < $4 \
         AND result.at >= $5 AND result.at < $6 ORDER BY result.id {order} LIMIT $7"
    )))
    .bind(watched.no)
    .bind(agent_no)
    .bind(after.as_bytes().as_slice())
    .bind(before.as_bytes().as_slice())
    .bind(asked.since.as_microsecond())
    .bind(asked.until.as_microsecond())
    .bind(i64::try_from(limit).unwrap_or(i64::MAX))
    .fetch_all(connection)
    .await?;
    rows.iter().map(|row| read_line(row, watched)).collect()
}

fn read_line(row: &SqliteRow, watched: &Watched) -> Result<Line, StoreError> {
    let round_at = read_time(row.try_get("round_at")?)?;
    let closed: Option<&[u8]> = row.try_get("run_id")?;
    let run_id = match closed {
        Some(id) => read_uuid(id)?,
        // Of a round that is open, or gone already.
        None => watched.cadence.at(round_at).run_id,
    };
    let ends: Option<i64> = row.try_get("not_after")?;
    Ok(Line {
        id: read_uuid(row.try_get("id")?)?,
        at: read_time(row.try_get("at")?)?,
        outcome: outcome(row.try_get("outcome")?),
        total_us: u64::try_from(row.try_get::<i64, _>("total_us")?).unwrap_or(0),
        stages: decode_stages(row.try_get("stages")?).ok_or(StoreError::Unreadable("result"))?,
        certificate_sha256: row.try_get("sha256")?,
        certificate_not_after: ends.map(read_time).transpose()?,
        run_id,
        failed: (row.try_get("stage")?, row.try_get("fault")?),
    })
}

/// The least identifier (UUID version 7) that is made at a time.
pub(in crate::store::sqlite) fn first_id(at: Timestamp) -> Uuid {
    let milliseconds = u128::try_from(at.as_millisecond()).unwrap_or(0);
    Uuid::from_u128(milliseconds << 80)
}

fn begins(asked: &HistoryAsked) -> Uuid {
    first_id(asked.since.saturating_sub(SKEW).unwrap_or(Timestamp::MIN))
}

const fn outcome(number: i64) -> VantageOutcome {
    match number {
        0 => VantageOutcome::Ok,
        1 => VantageOutcome::Degraded,
        2 => VantageOutcome::Failed,
        _ => VantageOutcome::Refused,
    }
}

fn stored(line: Line, agent: &AgentName) -> StoredResult {
    StoredResult {
        id: line.id,
        agent: agent.clone(),
        run_id: line.run_id,
        started_at: line.at,
        outcome: line.outcome,
        stage: line.failed.0,
        fault: line.failed.1,
        total_us: line.total_us,
    }
}
