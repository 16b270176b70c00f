//! Results as they come in: stored, summed up and acknowledged in one transaction.

mod baseline;
mod history;
mod marks;
mod names;
mod page;
mod rollup;

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use parallax_model::check::CheckResult;
use parallax_model::history::StoredResult;
use parallax_model::round::RoundSummary;
use parallax_model::run::RunDocument;
use parallax_model::vantage::AgentName;
use parallax_proto::v1;
use prost::Message as _;
use sqlx::{QueryBuilder, Row as _, Sqlite as Database};
use uuid::Uuid;

use super::missed::Missed;
use super::{Sqlite, Writing, retention, rounds, runs};
use crate::config::Retention;
use crate::rounds::VantagePart;
use crate::store::latency::encode_stages;
use crate::store::{
    Answer, Arrived, Baselines, Committed, Fresh, History, HistoryAsked, Pruned, ResultStore, RoundCommit,
    StoreError,
};

pub(super) use history::read_round;
pub(super) use names::{agent as agent_number, read_agent};
pub(super) use page::first_id;
pub(super) use rollup::{Place, Sums};

use marks::{Advance, Spool};
use names::KnownCheck;

/// A round that began longer ago is closed, or never will be.
const OPEN: SignedDuration = SignedDuration::from_hours(24);

/// What is said to be further away in time than this is said by a clock that nobody set.
const FAR: SignedDuration = SignedDuration::from_hours(400 * 24);

/// Rows of one statement: a statement costs as much as storing several rows.
const ROWS: usize = 32;

/// A result, with the numbers it is stored under.
struct Row {
    check: KnownCheck,
    agent_no: i64,
    certificate_no: Option<i64>,
    result: CheckResult,
    part: VantagePart,
}

impl Row {
    /// The key of its round.
    fn round(&self) -> (i64, i64) {
        (self.check.no, self.result.round_at.as_microsecond())
    }
}

/// Rounds that are closed, by their key, and who was missed in each.
type Closed = BTreeMap<(i64, i64), Missed>;

impl ResultStore for Sqlite {
    fn marks(&self, agent: AgentName, epoch: Uuid) -> Answer<'_, (u64, u64)> {
        Box::pin(marks::both(self, agent, epoch))
    }

    fn commit_results(&self, arrived: Vec<Arrived>, now: Timestamp) -> Answer<'_, Committed> {
        Box::pin(commit(self, arrived, now))
    }

    fn open_results(&self) -> Answer<'_, Vec<Fresh>> {
        Box::pin(rounds::open(self))
    }

    fn last_rounds(&self) -> Answer<'_, BTreeMap<Uuid, RoundSummary>> {
        Box::pin(rounds::last(self))
    }

    fn newest_run_of(&self, check_no: i64) -> Answer<'_, Option<RunDocument>> {
        Box::pin(runs::newest_of(self, check_no))
    }

    fn close_rounds(&self, commits: Vec<RoundCommit>) -> Answer<'_, ()> {
        Box::pin(rounds::close(self, commits))
    }

    fn set_back(&self, to: Timestamp) -> Answer<'_, ()> {
        Box::pin(rounds::set_back(self, to))
    }

    fn history(&self, asked: HistoryAsked) -> Answer<'_, History> {
        Box::pin(history::history(self, asked))
    }

    fn results(&self, asked: HistoryAsked, after: Option<Uuid>) -> Answer<'_, Vec<StoredResult>> {
        Box::pin(page::page(self, asked, after))
    }

    fn baselines(&self, now: Timestamp) -> Answer<'_, Baselines> {
        Box::pin(baseline::baselines(self, now))
    }

    fn prune(&self, keep: Retention, now: Timestamp) -> Answer<'_, Pruned> {
        Box::pin(retention::prune(self, keep, now))
    }
}

/// Stores what was not stored yet, and moves the marks: all of it or nothing.
async fn commit(store: &Sqlite, arrived: Vec<Arrived>, now: Timestamp) -> Result<Committed, StoreError> {
    let mut writing = store.write().await?;
    let mut committed = Committed::default();
    let (mut sums, mut checks) = (Sums::default(), BTreeMap::new());
    for one in arrived {
        let agent_no = names::agent(&mut writing, &one.agent).await?;
        let spool = Spool {
            agent_no,
            epoch: one.epoch,
            chain: one.chain,
        };
        let through = marks::read(&mut writing, spool).await?;
        if one.after > through {
            // A batch before it came to nothing: with this one stored, the mark would pass over that.
            committed.through.push(through);
            continue;
        }
        let mut by = Advance {
            through,
            ..Advance::default()
        };
        let mut rows = Vec::new();
        for (sequence, result) in one.results {
            if sequence <= by.through {
                by.duplicates += 1;
                continue;
            }
            by.through = sequence;
            match known(&mut writing, &mut checks, &result, now).await? {
                Some(check) => rows.push(row(&mut writing, check, agent_no, result).await?),
                None => committed.unknown += 1,
            }
        }
        let new = insert(&mut writing, &rows).await?;
        by.duplicates += u64::try_from(rows.len() - new.len()).unwrap_or(0);
        by.stored = u64::try_from(new.len()).unwrap_or(0);
        let rows: Vec<_> = keep_new(rows, new);
        for row in &rows {
            let place = Place {
                check_no: row.check.no,
                agent_no,
            };
            sums.add(place, &row.part, row.certificate_no);
        }
        let mut closed = closed(&mut writing, &rows).await?;
        take_back(&mut writing, &rows, &mut closed, &mut sums).await?;
        let open = open(&mut writing, rows, &closed, now).await?;
        committed.fresh.extend(open.into_iter().map(|result| Fresh {
            agent: one.agent.clone(),
            result,
            received_at: now,
        }));
        marks::advance(&mut writing, spool, by, now).await?;
        committed.through.push(by.through);
        committed.duplicates += by.duplicates;
    }
    sums.write(&mut writing).await?;
    writing.commit().await?;
    Ok(committed)
}

/// The check of a result; `None` when there never was one, or when the result is of no time that could be.
async fn known(
    writing: &mut Writing,
    checks: &mut BTreeMap<Uuid, Option<KnownCheck>>,
    result: &CheckResult,
    now: Timestamp,
) -> Result<Option<KnownCheck>, StoreError> {
    let is_near = |at: Timestamp| at.duration_since(now).abs() < FAR;
    if !is_near(result.started_at) || !is_near(result.round_at) {
        return Ok(None);
    }
    if let Some(&known) = checks.get(&result.check) {
        return Ok(known);
    }
    let known = names::check(writing, result.check).await?;
    checks.insert(result.check, known);
    Ok(known)
}

async fn row(
    writing: &mut Writing,
    check: KnownCheck,
    agent_no: i64,
    result: CheckResult,
) -> Result<Row, StoreError> {
    let part = VantagePart::of(&result.observation, result.started_at);
    let certificate_no = match &part.certificate {
        Some(leaf) => Some(names::certificate(writing, leaf).await?),
        None => None,
    };
    Ok(Row {
        check,
        agent_no,
        certificate_no,
        result,
        part,
    })
}

/// Inserts what is not there yet; the identifiers of that.
async fn insert(writing: &mut Writing, rows: &[Row]) -> Result<BTreeSet<Uuid>, StoreError> {
    let mut new = BTreeSet::new();
    for rows in rows.chunks(ROWS) {
        let mut query = QueryBuilder::<Database>::new(
            "INSERT INTO results (check_no, agent_no, id, at, round_at, outcome, stage, fault, total_us, stages, \
             certificate_no) ",
        );
        query.push_values(rows, |mut values, row| {
            let failed = row.part.failed;
            values
                .push_bind(row.check.no)
                .push_bind(row.agent_no)
                .push_bind(row.result.id.as_bytes().as_slice())
                .push_bind(row.result.started_at.as_microsecond())
                .push_bind(row.result.round_at.as_microsecond())
                .push_bind(i64::try_from(rollup::outcome_number(row.part.outcome)).unwrap_or(0))
                .push_bind(failed.map(|(stage, _)| stage.as_str()))
                .push_bind(failed.map(|(_, fault)| fault.as_str()))
                .push_bind(i64::try_from(row.part.total.as_micros()).unwrap_or(i64::MAX))
                .push_bind(encode_stages(&row.part.stages))
                .push_bind(row.certificate_no);
        });
        query.push(" ON CONFLICT DO NOTHING RETURNING id");
        for row in query.build().fetch_all(&mut **writing).await? {
            new.insert(read_uuid(row.try_get(0)?)?);
        }
    }
    Ok(new)
}

/// The rows that were inserted; the same one twice in a batch was inserted once.
fn keep_new(rows: Vec<Row>, mut new: BTreeSet<Uuid>) -> Vec<Row> {
    rows.into_iter()
        .filter(|row| new.remove(&row.result.id))
        .collect()
}

/// Keeps the results whole whose rounds are not closed yet, and gives them back.
async fn open(
    writing: &mut Writing,
    mut rows: Vec<Row>,
    closed: &Closed,
    now: Timestamp,
) -> Result<Vec<CheckResult>, StoreError> {
    rows.retain(|row| {
        !row.check.removed && row.result.round_at > now - OPEN && !closed.contains_key(&row.round())
    });
    let mut open = Vec::new();
    while !rows.is_empty() {
        let rest = rows.split_off(rows.len().min(ROWS));
        open.extend(insert_open(writing, rows, now).await?);
        rows = rest;
    }
    Ok(open)
}

/// Which of their rounds are closed.
async fn closed(writing: &mut Writing, rows: &[Row]) -> Result<Closed, StoreError> {
    let rounds: BTreeSet<_> = rows.iter().map(Row::round).collect();
    let rounds: Vec<_> = rounds.into_iter().collect();
    let mut closed = Closed::new();
    for rounds in rounds.chunks(ROWS) {
        // By the key: a list of pairs would be looked for in every round there is.
        let mut query = QueryBuilder::<Database>::new("WITH asked (no, at) AS (");
        query.push_values(rounds, |mut values, (check_no, at)| {
            values.push_bind(*check_no).push_bind(*at);
        });
        query.push(
            ") SELECT check_no, started_at, missed FROM asked CROSS JOIN rounds \
             ON check_no = no AND started_at = at WHERE NOT another_clock",
        );
        for row in query.build().fetch_all(&mut **writing).await? {
            let round = (row.try_get(0)?, row.try_get(1)?);
            closed.insert(round, Missed::read(row.try_get(2)?)?);
        }
    }
    Ok(closed)
}

/// What came after all of rounds that were closed without it is missing no more.
async fn take_back(
    writing: &mut Writing,
    rows: &[Row],
    closed: &mut Closed,
    sums: &mut Sums,
) -> Result<(), StoreError> {
    for row in rows {
        let Some(missed) = closed.get_mut(&row.round()) else {
            continue;
        };
        if !missed.came(row.agent_no) {
            continue;
        }
        let place = Place {
            check_no: row.check.no,
            agent_no: row.agent_no,
        };
        sums.take_back(place, row.result.round_at);
        rounds::still_missed(writing, row.round(), missed).await?;
    }
    Ok(())
}

async fn insert_open(
    writing: &mut Writing,
    rows: Vec<Row>,
    now: Timestamp,
) -> Result<Vec<CheckResult>, StoreError> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let mut query = QueryBuilder::<Database>::new(
        "INSERT INTO open_results (run_id, agent_no, check_no, received_at, result) ",
    );
    query.push_values(&rows, |mut values, row| {
        values
            .push_bind(row.result.run_id.as_bytes().as_slice())
            .push_bind(row.agent_no)
            .push_bind(row.check.no)
            .push_bind(now.as_microsecond())
            .push_bind(v1::CheckResult::from(row.result.clone()).encode_to_vec());
    });
    // An agent that forgot where it was may take part twice: the first time counts.
    query.push(" ON CONFLICT DO NOTHING RETURNING run_id");
    let mut new = BTreeSet::new();
    for row in query.build().fetch_all(&mut **writing).await? {
        new.insert(read_uuid(row.try_get(0)?)?);
    }
    Ok(rows
        .into_iter()
        .map(|row| row.result)
        .filter(|result| new.remove(&result.run_id))
        .collect())
}

pub(super) fn read_uuid(bytes: &[u8]) -> Result<Uuid, StoreError> {
    Uuid::from_slice(bytes).map_err(|_| StoreError::Unreadable("identifier"))
}

#[cfg(test)]
mod tests;
