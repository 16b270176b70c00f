//! What is old goes, a little at a time; earlier than it should when there is no more room.

use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::time::Duration;

use jiff::Timestamp;
use parallax_model::finding::Verdict;
use sqlx::query::Query;
use sqlx::sqlite::SqliteArguments;
use sqlx::{Row as _, Sqlite as Database};

use super::Sqlite;
use super::results::first_id;
use crate::config::Retention;
use crate::store::{Pruned, StoreError};

/// Rows of one call: nobody else can write meanwhile.
const ROWS: usize = 2000;

const DAY: Duration = Duration::from_hours(24);

/// A result that is open for longer is of a round that nobody will close: its check is gone.
const OPEN: Duration = Duration::from_hours(48);

/// Runs of one call: each can be as large as thousands of other rows.
const RUNS: usize = 100;

/// Up to where results, or rounds, were gone through for those in which all was well. What is left of that time is kept
/// longer, and need not be looked at again each minute.
pub(super) type Swept = BTreeMap<Kind, Timestamp>;

impl Sqlite {
    fn swept(&self, kind: Kind) -> Timestamp {
        let swept = self.swept.lock().unwrap_or_else(PoisonError::into_inner);
        swept.get(&kind).copied().unwrap_or(Timestamp::MIN)
    }

    /// An identifier was made by a clock that may have been wrong: a day is gone through again.
    fn sweep(&self, kind: Kind, before: Timestamp) {
        let mut swept = self.swept.lock().unwrap_or_else(PoisonError::into_inner);
        swept.insert(kind, before.saturating_sub(DAY).unwrap_or(before));
    }
}

/// What goes first when there is no more room, and what only then.
const FIRST_TO_GO: [&[Kind]; 3] = [
    &[Kind::Results],
    &[Kind::Failures, Kind::CheckRuns],
    &[Kind::Rounds, Kind::UnhealthyRounds, Kind::Hours],
];

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Results,
    Failures,
    Rounds,
    UnhealthyRounds,
    Hours,
    Days,
    CheckRuns,
}

impl Kind {
    const ALL: [Self; 7] = [
        Self::Results,
        Self::Failures,
        Self::Rounds,
        Self::UnhealthyRounds,
        Self::Hours,
        Self::Days,
        Self::CheckRuns,
    ];

    const fn age(self, keep: &Retention) -> Duration {
        match self {
            Self::Results => keep.results,
            Self::Failures => keep.failures,
            Self::Rounds => keep.rounds,
            Self::UnhealthyRounds => keep.unhealthy_rounds,
            Self::Hours => keep.hours,
            Self::Days => keep.days,
            Self::CheckRuns => keep.check_runs,
        }
    }
}

/// Deletes what is too old, about [`ROWS`] at most; over the size, what would soon be.
pub(super) async fn prune(store: &Sqlite, keep: Retention, now: Timestamp) -> Result<Pruned, StoreError> {
    let mut left = ROWS;
    for kind in Kind::ALL {
        left = left.saturating_sub(delete(store, kind, before(now, kind.age(&keep)), left).await?);
    }
    left = left.saturating_sub(forget_open(store, before(now, OPEN), left).await?);
    let bytes = bytes(store).await?;
    if left == ROWS && bytes > keep.max_bytes {
        left = left.saturating_sub(make_room(store, &keep, now).await?);
    }
    let rows = u64::try_from(ROWS - left).unwrap_or(u64::MAX);
    Ok(Pruned { rows, bytes })
}

/// Bytes in use; the file may be larger, since freed pages stay in it and are used again.
async fn bytes(store: &Sqlite) -> Result<u64, StoreError> {
    let row = sqlx::query(
        "SELECT (page_count - freelist_count) * page_size \
         FROM pragma_page_count, pragma_freelist_count, pragma_page_size",
    )
    .fetch_one(&store.pool)
    .await?;
    Ok(u64::try_from(row.try_get::<i64, _>(0)?).unwrap_or(0))
}

/// Ages shrink by tenths until something goes.
async fn make_room(store: &Sqlite, keep: &Retention, now: Timestamp) -> Result<usize, StoreError> {
    for kinds in FIRST_TO_GO {
        for tenths in (1..10).rev() {
            let mut gone = 0;
            for &kind in kinds {
                let age = kind.age(keep) / 10 * tenths;
                gone += delete(store, kind, before(now, age), ROWS.saturating_sub(gone)).await?;
            }
            if gone > 0 {
                return Ok(gone);
            }
        }
    }
    Ok(0)
}

async fn delete(store: &Sqlite, kind: Kind, before: Timestamp, most: usize) -> Result<usize, StoreError> {
    if most == 0 {
        return Ok(0);
    }
    match kind {
        Kind::Results => results(store, true, before, most).await,
        Kind::Failures => results(store, false, before, most).await,
        Kind::Rounds => rounds(store, true, before, most).await,
        Kind::UnhealthyRounds => rounds(store, false, before, most).await,
        Kind::Hours => rollups(store, 3600, before, most).await,
        Kind::Days => rollups(store, 86_400, before, most).await,
        Kind::CheckRuns => runs(store, before, most).await,
    }
}

// What is to go is looked for first: nobody waits for that, and where nothing is too old nothing is written. Then it goes
// by ranges of the key.

/// Results of a check and an agent, the first and the last, and how many.
type Range = (i64, i64, Vec<u8>, Vec<u8>, i64);

/// Results of each check and agent. An identifier tells when it was made, by a clock that may have been wrong: both times
/// must be over.
async fn results(store: &Sqlite, well: bool, before: Timestamp, most: usize) -> Result<usize, StoreError> {
    let begins = if well {
        store.swept(Kind::Results)
    } else {
        Timestamp::MIN
    };
    let old: Vec<Range> = sqlx::query_as(
        "WITH RECURSIVE pairs (check_no, agent_no) AS ( \
         SELECT no, (SELECT MIN(agent_no) FROM results WHERE check_no = no) FROM checks UNION ALL \
         SELECT check_no, (SELECT MIN(agent_no) FROM results AS next WHERE next.check_no = pairs.check_no \
         AND next.agent_no > pairs.agent_no) FROM pairs WHERE agent_no IS NOT NULL) \
         SELECT check_no, agent_no, MIN(id), MAX(id), COUNT(*) FROM ( \
         SELECT results.check_no, results.agent_no, id FROM pairs CROSS JOIN results \
         ON results.check_no = pairs.check_no AND results.agent_no = pairs.agent_no AND id >= $1 AND id < $2 \
         WHERE at < $3 AND (NOT $4 OR outcome = 0) LIMIT $5) GROUP BY check_no, agent_no",
    )
    .bind(first_id(begins).as_bytes().to_vec())
    .bind(first_id(before).as_bytes().to_vec())
    .bind(before.as_microsecond())
    .bind(well)
    .bind(signed(most))
    .fetch_all(&store.pool)
    .await?;
    let found: i64 = old.iter().map(|(.., found)| found).sum();
    let deletions = old.into_iter().map(|(check_no, agent_no, first, last, _)| {
        sqlx::query(
            "DELETE FROM results WHERE check_no = $1 AND agent_no = $2 AND id >= $3 AND id <= $4 AND at < $5 \
             AND (NOT $6 OR outcome = 0)",
        )
        .bind(check_no)
        .bind(agent_no)
        .bind(first)
        .bind(last)
        .bind(before.as_microsecond())
        .bind(well)
    });
    let gone = execute(store, deletions).await?;
    if well && found < signed(most) {
        store.sweep(Kind::Results, before);
    }
    Ok(gone)
}

async fn rounds(store: &Sqlite, well: bool, before: Timestamp, most: usize) -> Result<usize, StoreError> {
    let begins = if well {
        store.swept(Kind::Rounds)
    } else {
        Timestamp::MIN
    };
    let old: Vec<(i64, i64, i64, i64)> = sqlx::query_as(
        "SELECT check_no, MIN(started_at), MAX(started_at), COUNT(*) FROM ( \
         SELECT check_no, started_at FROM checks CROSS JOIN rounds ON check_no = no AND started_at >= $1 \
         AND started_at < $2 WHERE NOT $3 OR verdict = $4 LIMIT $5) GROUP BY check_no",
    )
    .bind(begins.as_microsecond())
    .bind(before.as_microsecond())
    .bind(well)
    .bind(Verdict::Healthy.as_str())
    .bind(signed(most))
    .fetch_all(&store.pool)
    .await?;
    let found: i64 = old.iter().map(|(.., found)| found).sum();
    let deletions = old.into_iter().map(|(check_no, first, last, _)| {
        sqlx::query(
            "DELETE FROM rounds WHERE check_no = $1 AND started_at >= $2 AND started_at <= $3 \
             AND (NOT $4 OR verdict = $5)",
        )
        .bind(check_no)
        .bind(first)
        .bind(last)
        .bind(well)
        .bind(Verdict::Healthy.as_str())
    });
    let gone = execute(store, deletions).await?;
    if well && found < signed(most) {
        store.sweep(Kind::Rounds, before);
    }
    Ok(gone)
}

async fn rollups(store: &Sqlite, span: i64, before: Timestamp, most: usize) -> Result<usize, StoreError> {
    let old: Vec<(i64, i64)> = sqlx::query_as(
        "SELECT check_no, MAX(at) FROM (SELECT check_no, at FROM checks CROSS JOIN rollups \
         ON check_no = no AND span = $1 AND at < $2 LIMIT $3) GROUP BY check_no",
    )
    .bind(span)
    .bind(before.as_microsecond())
    .bind(signed(most))
    .fetch_all(&store.pool)
    .await?;
    let deletions = old.into_iter().map(|(check_no, last)| {
        sqlx::query("DELETE FROM rollups WHERE check_no = $1 AND span = $2 AND at <= $3")
            .bind(check_no)
            .bind(span)
            .bind(last)
    });
    execute(store, deletions).await
}

/// Runs of checks, except those that show how a target was when it last worked.
async fn runs(store: &Sqlite, before: Timestamp, most: usize) -> Result<usize, StoreError> {
    let old: Vec<(String,)> = sqlx::query_as(
        "SELECT runs.id FROM checks CROSS JOIN runs ON check_no = no AND started_at < $1 \
         WHERE runs.id NOT IN (SELECT run_id FROM last_good) LIMIT $2",
    )
    .bind(before.as_microsecond())
    .bind(signed(most.min(RUNS)))
    .fetch_all(&store.pool)
    .await?;
    let deletions = old
        .into_iter()
        .map(|(id,)| sqlx::query("DELETE FROM runs WHERE id = $1").bind(id));
    execute(store, deletions).await
}

async fn forget_open(store: &Sqlite, before: Timestamp, most: usize) -> Result<usize, StoreError> {
    let old: Vec<(Vec<u8>, i64)> =
        sqlx::query_as("SELECT run_id, agent_no FROM open_results WHERE received_at < $1 LIMIT $2")
            .bind(before.as_microsecond())
            .bind(signed(most))
            .fetch_all(&store.pool)
            .await?;
    let deletions = old.into_iter().map(|(run_id, agent_no)| {
        sqlx::query("DELETE FROM open_results WHERE run_id = $1 AND agent_no = $2")
            .bind(run_id)
            .bind(agent_no)
    });
    execute(store, deletions).await
}

/// Deletes in one transaction; how many rows went.
async fn execute<'q>(
    store: &Sqlite,
    deletions: impl ExactSizeIterator<Item = Query<'q, Database, SqliteArguments>>,
) -> Result<usize, StoreError> {
    if deletions.len() == 0 {
        return Ok(0);
    }
    let mut writing = store.write().await?;
    let mut gone = 0;
    for deletion in deletions {
        gone += deletion.execute(&mut *writing).await?.rows_affected();
    }
    writing.commit().await?;
    Ok(usize::try_from(gone).unwrap_or(usize::MAX))
}

fn before(now: Timestamp, age: Duration) -> Timestamp {
    now.saturating_sub(age).unwrap_or(Timestamp::MIN)
}

fn signed(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
