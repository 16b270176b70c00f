//! Rounds: judged once, with everything that follows from it in one transaction.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use parallax_model::check::CheckResult;
use parallax_model::observation::VantageOutcome;
use parallax_model::round::{RoundSummary, SET_BACK};
use parallax_proto::v1;
use prost::Message as _;
use sqlx::Row as _;
use uuid::Uuid;

use super::results::{Place, Sums, agent_number, read_agent, read_round};
use super::{Sqlite, Writing, alerts, read_time, runs};
use crate::rounds::RoundOutcome;
use crate::store::{Fresh, RoundCommit, StoreError};

/// Keeps rounds that are over, their runs, and what is told because of them; they are open no more.
pub(super) async fn close(store: &Sqlite, commits: Vec<RoundCommit>) -> Result<(), StoreError> {
    let mut writing = store.write().await?;
    let mut sums = Sums::default();
    for commit in &commits {
        let outcome = &commit.outcome;
        forget_open(&mut writing, outcome.run_id).await?;
        if !insert(&mut writing, outcome, commit.run.is_some()).await? {
            continue;
        }
        if let Some(kept) = &commit.run {
            runs::insert(
                &mut writing,
                &kept.document,
                Some((outcome.check.no, kept.is_first)),
            )
            .await?;
        }
        alerts::write(&mut writing, &commit.alerts, outcome.closed_at).await?;
        for part in &outcome.vantages {
            if part.outcome == VantageOutcome::Missing {
                let place = Place {
                    check_no: outcome.check.no,
                    agent_no: agent_number(&mut writing, &part.agent).await?,
                };
                sums.miss(place, outcome.check.definition.every, outcome.starts_at);
            }
        }
    }
    sums.write(&mut writing).await?;
    let checks: BTreeSet<_> = commits
        .iter()
        .filter(|commit| commit.run.is_some())
        .map(|commit| commit.outcome.check.no)
        .collect();
    for check_no in checks {
        runs::prune_check(&mut writing, check_no, runs::RUNS_OF_CHECK).await?;
    }
    writing.commit().await?;
    Ok(())
}

/// The results whose rounds are not closed, as they arrived. Nobody closes those of a check that was removed.
pub(super) async fn open(store: &Sqlite) -> Result<Vec<Fresh>, StoreError> {
    sqlx::query(
        "DELETE FROM open_results WHERE check_no NOT IN (SELECT no FROM checks WHERE removed_at IS NULL)",
    )
    .execute(&store.pool)
    .await?;
    let rows = sqlx::query(
        "SELECT agent, received_at, result FROM open_results JOIN check_agents ON no = agent_no \
         ORDER BY received_at",
    )
    .fetch_all(&store.pool)
    .await?;
    rows.iter()
        .map(|row| {
            let unreadable = || StoreError::Unreadable("result");
            let result =
                v1::CheckResult::decode(row.try_get::<&[u8], _>("result")?).map_err(|_| unreadable())?;
            Ok(Fresh {
                agent: read_agent(row.try_get("agent")?)?,
                result: CheckResult::try_from(result).map_err(|_| unreadable())?,
                received_at: read_time(row.try_get("received_at")?)?,
            })
        })
        .collect()
}

/// The wall clock was set back to this time: rounds that began after it come again, and count then.
pub(super) async fn set_back(store: &Sqlite, to: Timestamp) -> Result<(), StoreError> {
    sqlx::query("UPDATE rounds SET another_clock = 1 WHERE started_at > $1")
        .bind(to.as_microsecond())
        .execute(&store.pool)
        .await?;
    Ok(())
}

/// The last round of each check.
pub(super) async fn last(store: &Sqlite) -> Result<BTreeMap<Uuid, RoundSummary>, StoreError> {
    let rows = sqlx::query(
        "SELECT id, rounds.* FROM checks JOIN rounds ON check_no = no AND started_at = \
         (SELECT MAX(started_at) FROM rounds WHERE check_no = no AND NOT another_clock) WHERE removed_at IS NULL",
    )
    .fetch_all(&store.pool)
    .await?;
    rows.iter()
        .map(|row| {
            let check = row
                .try_get::<&str, _>("id")?
                .parse()
                .map_err(|_| StoreError::Unreadable("check"))?;
            Ok((check, read_round(row)?))
        })
        .collect()
}

async fn forget_open(writing: &mut Writing, run_id: Uuid) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM open_results WHERE run_id = $1")
        .bind(run_id.as_bytes().as_slice())
        .execute(&mut **writing)
        .await?;
    Ok(())
}

/// `false` when the round was closed before: then everything that follows from it was done. One that was over before it
/// began was by a clock that was set back meanwhile.
async fn insert(writing: &mut Writing, outcome: &RoundOutcome, kept: bool) -> Result<bool, StoreError> {
    let count = |meant| {
        let parts = outcome.vantages.iter();
        i64::try_from(parts.filter(|part| part.outcome == meant).count()).unwrap_or(i64::MAX)
    };
    let inserted = sqlx::query(
        "INSERT INTO rounds (check_no, started_at, run_id, verdict, summary, ok, degraded, failed, missing, refused, \
         late, kept, closed_at, another_clock) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) \
         ON CONFLICT (check_no, started_at) DO UPDATE SET run_id = excluded.run_id, verdict = excluded.verdict, \
         summary = excluded.summary, ok = excluded.ok, degraded = excluded.degraded, failed = excluded.failed, \
         missing = excluded.missing, refused = excluded.refused, late = excluded.late, kept = excluded.kept, \
         closed_at = excluded.closed_at, another_clock = excluded.another_clock WHERE another_clock",
    )
    .bind(outcome.check.no)
    .bind(outcome.starts_at.as_microsecond())
    .bind(outcome.run_id.as_bytes().as_slice())
    .bind(outcome.verdict.as_str())
    .bind(&outcome.summary)
    .bind(count(VantageOutcome::Ok))
    .bind(count(VantageOutcome::Degraded))
    .bind(count(VantageOutcome::Failed))
    .bind(count(VantageOutcome::Missing))
    .bind(count(VantageOutcome::Refused))
    .bind(outcome.late)
    .bind(kept)
    .bind(outcome.closed_at.as_microsecond())
    .bind(outcome.starts_at.duration_since(outcome.closed_at) > SET_BACK)
    .execute(&mut **writing)
    .await?;
    Ok(inserted.rows_affected() > 0)
}
