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

/// Up to where the results of a check and an agent, or the rounds of a check, were gone through for those in which all
/// was well. What is left of that time is kept longer, and need not be looked at again each minute.
pub(super) type Swept = BTreeMap<Place, Timestamp>;

type Place = (Kind, i64, i64);

impl Sqlite {
    fn swept(&self, place: Place) -> Timestamp {
        let swept = self.swept.lock().unwrap_or_else(PoisonError::into_inner);
        swept.get(&place).copied().unwrap_or(Timestamp::MIN)
    }

    /// An identifier was made by a clock that may have been wrong: a day is gone through again.
    fn sweep(&self, place: Place, before: Timestamp) {
        let mut swept = self.swept.lock().unwrap_or_else(PoisonError::into_inner);
        swept.insert(place, before.saturating_sub(DAY).unwrap_or(before));
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

/// Deletes what is too old, [`ROWS`] at most; over the size, what would soon be.
pub(super) async fn prune(store: &Sqlite, keep: Retention, now: Timestamp) -> Result<Pruned, StoreError> {
    let mut left = ROWS;
    for kind in Kind::ALL {
        left -= delete(store, kind, before(now, kind.age(&keep)), left).await?;
    }
    left -= forget_open(store, before(now, OPEN), left).await?;
    let bytes = bytes(store).await?;
    if left == ROWS && bytes > keep.max_bytes {
        left -= make_room(store, &keep, now).await?;
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
                gone += delete(store, kind, before(now, age), ROWS - gone).await?;
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

/// Results of each check and agent in turn, by ranges of the key. An identifier tells when it was made, by a clock that
/// may have been wrong: both times must be over.
async fn results(store: &Sqlite, well: bool, before: Timestamp, most: usize) -> Result<usize, StoreError> {
    let ends = first_id(before);
    let (mut gone, mut pair) = (0, (i64::MIN, i64::MIN));
    while gone < most
        && let Some(next) = next_pair(store, pair).await?
    {
        pair = next;
        let of = (Kind::Results, pair.0, pair.1);
        let begins = first_id(if well { store.swept(of) } else { Timestamp::MIN });
        let deleted = sqlx::query(
            "DELETE FROM results WHERE (check_no, agent_no, id) IN (SELECT check_no, agent_no, id FROM results \
             WHERE check_no = $1 AND agent_no = $2 AND id >= $3 AND id < $4 AND at < $5 AND (NOT $6 OR outcome = 0) \
             LIMIT $7)",
        )
        .bind(pair.0)
        .bind(pair.1)
        .bind(begins.as_bytes().as_slice())
        .bind(ends.as_bytes().as_slice())
        .bind(before.as_microsecond())
        .bind(well)
        .bind(signed(most - gone));
        gone += execute(store, deleted).await?;
        if well && gone < most {
            store.sweep(of, before);
        }
    }
    Ok(gone)
}

/// The next check and agent of which there are results.
async fn next_pair(store: &Sqlite, after: (i64, i64)) -> Result<Option<(i64, i64)>, StoreError> {
    let row = sqlx::query(
        "SELECT check_no, agent_no FROM results WHERE (check_no, agent_no) > ($1, $2) \
         ORDER BY check_no, agent_no LIMIT 1",
    )
    .bind(after.0)
    .bind(after.1)
    .fetch_optional(&store.pool)
    .await?;
    row.map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).transpose()
}

async fn rounds(store: &Sqlite, well: bool, before: Timestamp, most: usize) -> Result<usize, StoreError> {
    let mut gone = 0;
    for check_no in checks(store).await? {
        let of = (Kind::Rounds, check_no, 0);
        let begins = if well { store.swept(of) } else { Timestamp::MIN };
        let deleted = sqlx::query(
            "DELETE FROM rounds WHERE (check_no, started_at) IN (SELECT check_no, started_at FROM rounds \
             WHERE check_no = $1 AND started_at >= $2 AND started_at < $3 AND (NOT $4 OR verdict = $5) LIMIT $6)",
        )
        .bind(check_no)
        .bind(begins.as_microsecond())
        .bind(before.as_microsecond())
        .bind(well)
        .bind(Verdict::Healthy.as_str())
        .bind(signed(most - gone));
        gone += execute(store, deleted).await?;
        if gone >= most {
            break;
        }
        if well {
            store.sweep(of, before);
        }
    }
    Ok(gone)
}

async fn rollups(store: &Sqlite, span: i64, before: Timestamp, most: usize) -> Result<usize, StoreError> {
    let mut gone = 0;
    for check_no in checks(store).await? {
        let deleted = sqlx::query(
            "DELETE FROM rollups WHERE (check_no, span, at, agent_no) IN \
             (SELECT check_no, span, at, agent_no FROM rollups \
             WHERE check_no = $1 AND span = $2 AND at < $3 LIMIT $4)",
        )
        .bind(check_no)
        .bind(span)
        .bind(before.as_microsecond())
        .bind(signed(most - gone));
        gone += execute(store, deleted).await?;
        if gone >= most {
            break;
        }
    }
    Ok(gone)
}

/// Runs of checks, except those that show how a target was when it last worked.
async fn runs(store: &Sqlite, before: Timestamp, most: usize) -> Result<usize, StoreError> {
    let mut gone = 0;
    for check_no in checks(store).await? {
        let deleted = sqlx::query(
            "DELETE FROM runs WHERE id IN (SELECT id FROM runs WHERE check_no = $1 AND started_at < $2 \
             AND id NOT IN (SELECT run_id FROM last_good) LIMIT $3)",
        )
        .bind(check_no)
        .bind(before.as_microsecond())
        .bind(signed(most.min(RUNS) - gone));
        gone += execute(store, deleted).await?;
        if gone >= most.min(RUNS) {
            break;
        }
    }
    Ok(gone)
}

async fn forget_open(store: &Sqlite, before: Timestamp, most: usize) -> Result<usize, StoreError> {
    let deleted = sqlx::query(
        "DELETE FROM open_results WHERE (run_id, agent_no) IN \
         (SELECT run_id, agent_no FROM open_results WHERE received_at < $1 LIMIT $2)",
    )
    .bind(before.as_microsecond())
    .bind(signed(most));
    execute(store, deleted).await
}

/// Every check, also those that are gone.
async fn checks(store: &Sqlite) -> Result<Vec<i64>, StoreError> {
    let rows = sqlx::query("SELECT no FROM checks")
        .fetch_all(&store.pool)
        .await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

async fn execute(store: &Sqlite, query: Query<'_, Database, SqliteArguments>) -> Result<usize, StoreError> {
    let done = query.execute(&store.pool).await?;
    Ok(usize::try_from(done.rows_affected()).unwrap_or(usize::MAX))
}

fn before(now: Timestamp, age: Duration) -> Timestamp {
    now.saturating_sub(age).unwrap_or(Timestamp::MIN)
}

fn signed(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
