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

use super::missed::Missed;
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
        let came = forget_open(&mut writing, outcome.run_id).await?;
        let missed = missed(&mut writing, outcome, &came).await?;
        let before = missed_before(&mut writing, outcome).await?;
        if !insert(&mut writing, commit, &missed).await? {
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
        let place = |agent_no| Place {
            check_no: outcome.check.no,
            agent_no,
        };
        for agent_no in before.iter() {
            sums.take_back(place(agent_no), outcome.starts_at);
        }
        for agent_no in missed.iter() {
            sums.miss(place(agent_no), outcome.starts_at);
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

/// These are missed in a closed round from now on.
pub(super) async fn still_missed(
    writing: &mut Writing,
    (check_no, started_at): (i64, i64),
    missed: &Missed,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE rounds SET missed = $3 WHERE check_no = $1 AND started_at = $2")
        .bind(check_no)
        .bind(started_at)
        .bind(missed.text())
        .execute(&mut **writing)
        .await?;
    Ok(())
}

/// The numbers of those of whom something was there.
async fn forget_open(writing: &mut Writing, run_id: Uuid) -> Result<BTreeSet<i64>, StoreError> {
    let gone = sqlx::query("DELETE FROM open_results WHERE run_id = $1 RETURNING agent_no")
        .bind(run_id.as_bytes().as_slice())
        .fetch_all(&mut **writing)
        .await?;
    gone.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// Who was missed, but for those whose result came while the round was on its way here.
async fn missed(
    writing: &mut Writing,
    outcome: &RoundOutcome,
    came: &BTreeSet<i64>,
) -> Result<Missed, StoreError> {
    let mut missed = Missed::default();
    for part in &outcome.vantages {
        if part.outcome == VantageOutcome::Missing {
            let agent_no = agent_number(writing, &part.agent).await?;
            if !came.contains(&agent_no) {
                missed.add(agent_no);
            }
        }
    }
    Ok(missed)
}

/// Who was missed in the same round, by the clock before it was set back.
async fn missed_before(writing: &mut Writing, outcome: &RoundOutcome) -> Result<Missed, StoreError> {
    let row =
        sqlx::query("SELECT missed FROM rounds WHERE check_no = $1 AND started_at = $2 AND another_clock")
            .bind(outcome.check.no)
            .bind(outcome.starts_at.as_microsecond())
            .fetch_optional(&mut **writing)
            .await?;
    row.map_or(Ok(Missed::default()), |row| Missed::read(row.try_get(0)?))
}

/// `false` when the round was closed before: then everything that follows from it was done. One that was over before it
/// began was by a clock that was set back meanwhile.
async fn insert(writing: &mut Writing, commit: &RoundCommit, missed: &Missed) -> Result<bool, StoreError> {
    let outcome = &commit.outcome;
    let count = |meant| {
        let parts = outcome.vantages.iter();
        i64::try_from(parts.filter(|part| part.outcome == meant).count()).unwrap_or(i64::MAX)
    };
    let inserted = sqlx::query(
        "INSERT INTO rounds (check_no, started_at, run_id, verdict, summary, ok, degraded, failed, missing, refused, \
         late, kept, closed_at, another_clock, missed) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) \
         ON CONFLICT (check_no, started_at) DO UPDATE SET run_id = excluded.run_id, verdict = excluded.verdict, \
         summary = excluded.summary, ok = excluded.ok, degraded = excluded.degraded, failed = excluded.failed, \
         missing = excluded.missing, refused = excluded.refused, late = excluded.late, kept = excluded.kept, \
         closed_at = excluded.closed_at, another_clock = excluded.another_clock, missed = excluded.missed \
         WHERE another_clock",
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
    .bind(commit.run.is_some())
    .bind(outcome.closed_at.as_microsecond())
    .bind(outcome.starts_at.duration_since(outcome.closed_at) > SET_BACK)
    .bind(missed.text())
    .execute(&mut **writing)
    .await?;
    Ok(inserted.rows_affected() > 0)
}
