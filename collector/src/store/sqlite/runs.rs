//! Runs, and which of them show a target as it is when all is well.

use jiff::Timestamp;
use parallax_model::finding::Verdict;
use parallax_model::observation::{Observation, VantageOutcome};
use parallax_model::run::{RunDocument, RunRef, RunSummary, RunTarget};
use parallax_proto::v1;
use prost::Message as _;
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row as _, Sqlite as Database};
use uuid::Uuid;

use super::{Sqlite, Writing, captures, read_time};
use crate::runs::LastGood;
use crate::store::{Found, RunFilter, StoreError};

/// How many runs asked by hand are kept; beyond that the oldest go. As many again may stay because they show a target that worked.
const RUNS_KEPT: i64 = 10_000;

/// How many of each check are; ten times as many that begin an incident, or are there to compare with.
pub(super) const RUNS_OF_CHECK: i64 = 1000;

/// From how many runs the last good observations of one target are put together, the newest ones.
const RUNS_COMPARED: usize = 8;

/// Keeps a run, and remembers from where all was well in it.
pub(super) async fn put(store: &Sqlite, run: RunDocument) -> Result<(), StoreError> {
    let mut transaction = store.write().await?;
    insert(&mut transaction, &run, None).await?;
    prune(&mut transaction, RUNS_KEPT).await?;
    transaction.commit().await?;
    Ok(())
}

/// Keeps a run, and remembers from where all was well in it; of a check: its number, and whether the run is kept longer.
/// A round that comes again, after the clock was set back, has the run of its last time.
pub(super) async fn insert(
    transaction: &mut Writing,
    run: &RunDocument,
    check: Option<(i64, bool)>,
) -> Result<(), StoreError> {
    let key = target_key(&run.target);
    sqlx::query(
        "INSERT INTO runs (id, started_at, target, verdict, summary, document, target_key, check_no, is_first) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (id) DO UPDATE SET verdict = excluded.verdict, \
         summary = excluded.summary, document = excluded.document, is_first = excluded.is_first \
         WHERE excluded.check_no IS NOT NULL",
    )
    .bind(run.run_id.to_string())
    .bind(run.started_at.as_microsecond())
    .bind(run.target.input.as_str())
    .bind(run.verdict.as_str())
    .bind(run.summary.as_str())
    .bind(v1::Run::from(run).encode_to_vec())
    .bind(key.as_str())
    .bind(check.map(|(no, _)| no))
    .bind(check.is_some_and(|(_, is_first)| is_first))
    .execute(&mut **transaction)
    .await?;
    remember_good(transaction, &key, run).await
}

/// The latest runs that are meant, newest first.
pub(super) async fn latest(
    store: &Sqlite,
    meant: RunFilter,
    limit: u32,
) -> Result<Vec<RunSummary>, StoreError> {
    // Only conditions that are there: the database finds the index by them.
    let mut query = QueryBuilder::<Database>::new(
        "SELECT runs.id, started_at, target, verdict, summary, name FROM runs LEFT JOIN checks ON no = check_no WHERE 1",
    );
    if let Some(target) = &meant.target {
        query.push(" AND target_key = ").push_bind(target_key(target));
    }
    if let Some(verdict) = meant.verdict {
        query.push(" AND verdict = ").push_bind(verdict.as_str());
    }
    if let Some(before) = meant.before {
        query
            .push(" AND started_at < ")
            .push_bind(before.as_microsecond());
    }
    if let Some(check) = meant.check {
        query
            .push(" AND check_no IN (SELECT no FROM checks WHERE name = ")
            .push_bind(check.to_string())
            .push(")");
    }
    query
        .push(" ORDER BY started_at DESC, runs.id DESC LIMIT ")
        .push_bind(i64::from(limit));
    let rows = query.build().fetch_all(&store.pool).await?;
    rows.iter().map(read_summary).collect()
}

/// The run whose id begins with a text.
pub(super) async fn find(store: &Sqlite, id: String) -> Result<Found, StoreError> {
    // Behind everything that an identifier is written with.
    let rows = sqlx::query("SELECT document FROM runs WHERE id >= $1 AND id < $1 || '~' LIMIT 2")
        .bind(id)
        .fetch_all(&store.pool)
        .await?;
    match rows.as_slice() {
        [] => Ok(Found::None),
        [row] => Ok(Found::One(Box::new(read_run(row)?))),
        _ => Ok(Found::Several),
    }
}

/// The run of that id. [`find`] looks through all of them.
async fn whole(store: &Sqlite, id: &str) -> Result<Option<RunDocument>, StoreError> {
    let row = sqlx::query("SELECT document FROM runs WHERE id = $1")
        .bind(id)
        .fetch_optional(&store.pool)
        .await?;
    row.as_ref().map(read_run).transpose()
}

/// The newest run of a check.
pub(super) async fn newest_of(store: &Sqlite, check_no: i64) -> Result<Option<RunDocument>, StoreError> {
    let row = sqlx::query(
        "SELECT document FROM runs WHERE check_no = $1 ORDER BY started_at DESC, id DESC LIMIT 1",
    )
    .bind(check_no)
    .fetch_optional(&store.pool)
    .await?;
    row.as_ref().map(read_run).transpose()
}

/// What each vantage point saw of a target when all was well there.
pub(super) async fn last_good(store: &Sqlite, target: RunTarget) -> Result<Option<LastGood>, StoreError> {
    let rows = sqlx::query(
        "SELECT agent, run_id, started_at FROM last_good WHERE target_key = $1 \
         ORDER BY started_at DESC, run_id DESC",
    )
    .bind(target_key(&target))
    .fetch_all(&store.pool)
    .await?;
    let mut agents_by_run: Vec<(RunRef, Vec<String>)> = Vec::new();
    for row in &rows {
        let agent: String = row.try_get("agent")?;
        let of = RunRef {
            run_id: read_id(row.try_get("run_id")?)?,
            started_at: read_time(row.try_get("started_at")?)?,
        };
        match agents_by_run.last_mut() {
            Some((run, agents)) if *run == of => agents.push(agent),
            _ => agents_by_run.push((of, vec![agent])),
        }
    }
    let mut runs = Vec::new();
    for (of, agents) in agents_by_run.into_iter().take(RUNS_COMPARED) {
        if let Some(run) = whole(store, &of.run_id.to_string()).await? {
            let is_its = |seen: &Observation| agents.iter().any(|name| name == seen.agent.as_str());
            runs.push((of, run.vantages.into_iter().filter(is_its).collect()));
        }
    }
    Ok((!runs.is_empty()).then_some(LastGood { runs }))
}

/// Says of runs from before that was said which target each is of.
pub(super) async fn name_targets(store: &Sqlite) -> Result<(), StoreError> {
    let mut transaction = store.write().await?;
    let rows = sqlx::query("SELECT id, document FROM runs WHERE target_key = ''")
        .fetch_all(&mut *transaction)
        .await?;
    for row in &rows {
        // One that can not be read is of no target that could be asked for.
        let Ok(run) = read_run(row) else { continue };
        sqlx::query("UPDATE runs SET target_key = $1 WHERE id = $2")
            .bind(target_key(&run.target))
            .bind(run.run_id.to_string())
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await?;
    Ok(())
}

/// The same for every way to write the same target.
fn target_key(target: &RunTarget) -> String {
    let mut endpoints: Vec<_> = target.endpoints.iter().map(ToString::to_string).collect();
    endpoints.sort_unstable();
    endpoints.dedup();
    format!("{} {}", target.host.to_ascii_lowercase(), endpoints.join(" "))
}

/// Runs may be kept in another order than they were made in: the newest one counts.
async fn remember_good(transaction: &mut Writing, key: &str, run: &RunDocument) -> Result<(), StoreError> {
    if !matches!(run.verdict, Verdict::Healthy | Verdict::Partial) {
        return Ok(());
    }
    for seen in run
        .vantages
        .iter()
        .filter(|seen| seen.outcome == VantageOutcome::Ok)
    {
        sqlx::query(
            "INSERT INTO last_good (target_key, agent, run_id, started_at) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (target_key, agent) DO UPDATE SET run_id = excluded.run_id, \
             started_at = excluded.started_at WHERE excluded.started_at >= last_good.started_at",
        )
        .bind(key)
        .bind(seen.agent.as_str())
        .bind(run.run_id.to_string())
        .bind(run.started_at.as_microsecond())
        .execute(&mut **transaction)
        .await?;
    }
    Ok(())
}

/// Leaves the newest `kept` runs that were asked by hand, and as many of those that show a target that worked.
pub(super) async fn prune(transaction: &mut Writing, kept: i64) -> Result<(), StoreError> {
    let gone = sqlx::query(
        "DELETE FROM runs WHERE check_no IS NULL AND id IN (SELECT id FROM runs WHERE check_no IS NULL \
         ORDER BY started_at DESC LIMIT -1 OFFSET $1) \
         AND id NOT IN (SELECT run_id FROM last_good ORDER BY started_at DESC LIMIT $1)",
    )
    .bind(kept)
    .execute(&mut **transaction)
    .await?;
    forget_good(transaction, gone.rows_affected()).await
}

/// Leaves the newest `kept` runs of a check, ten times as many that are kept longer, and what it is compared with.
pub(super) async fn prune_check(
    transaction: &mut Writing,
    check_no: i64,
    kept: i64,
) -> Result<(), StoreError> {
    let mut gone = 0;
    for (is_first, kept) in [(false, kept), (true, 10 * kept)] {
        let deleted = sqlx::query(
            "DELETE FROM runs WHERE check_no = $1 AND is_first = $2 AND started_at <= (SELECT started_at FROM runs \
             WHERE check_no = $1 AND is_first = $2 ORDER BY started_at DESC LIMIT 1 OFFSET $3) \
             AND id NOT IN (SELECT run_id FROM last_good)",
        )
        .bind(check_no)
        .bind(is_first)
        .bind(kept)
        .execute(&mut **transaction)
        .await?;
        gone += deleted.rows_affected();
    }
    forget_good(transaction, gone).await
}

/// Forgets what belonged to runs that are gone.
async fn forget_good(transaction: &mut Writing, gone: u64) -> Result<(), StoreError> {
    if gone > 0 {
        sqlx::query("DELETE FROM last_good WHERE run_id NOT IN (SELECT id FROM runs)")
            .execute(&mut **transaction)
            .await?;
        captures::forget_orphans(transaction, Timestamp::now()).await?;
    }
    Ok(())
}

fn read_summary(row: &SqliteRow) -> Result<RunSummary, StoreError> {
    Ok(RunSummary {
        run_id: read_id(row.try_get("id")?)?,
        started_at: read_time(row.try_get("started_at")?)?,
        target: row.try_get("target")?,
        verdict: Verdict::from_name(row.try_get("verdict")?),
        summary: row.try_get("summary")?,
        check: row.try_get("name")?,
    })
}

fn read_id(text: &str) -> Result<Uuid, StoreError> {
    text.parse().map_err(|_| StoreError::Unreadable("run"))
}

fn read_run(row: &SqliteRow) -> Result<RunDocument, StoreError> {
    let document: &[u8] = row.try_get("document")?;
    let run = v1::Run::decode(document).map_err(|_| StoreError::Unreadable("run"))?;
    RunDocument::try_from(run).map_err(|_| StoreError::Unreadable("run"))
}
