//! What months of checks cost the store, with generated data: for the benchmark `routine`.

mod fill;
mod judge;
pub(crate) mod sample;

pub use judge::judge;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use parallax_model::check::Chain;
use parallax_model::finding::Verdict;
use parallax_model::history::HistoryStep;
use uuid::Uuid;

use crate::alerts::AlertChanges;
use crate::config::Retention;
use crate::rounds::{RoundOutcome, VantagePart};
use crate::store::{
    Answer, Arrived, CheckRecord, CheckStore as _, CheckWrite, HistoryAsked, ResultStore as _, RoundCommit,
    RunFilter, Sqlite, Store as _, StoreError,
};

/// How large the fleet is, and for how long it has been at work. Every check is of every minute.
#[derive(Debug, Clone, Copy)]
pub struct Fleet {
    /// Vantage points.
    pub agents: i64,
    /// Checks that each of them repeats.
    pub checks: i64,
    /// Days of hourly roll-ups and rounds; there is a year of daily ones.
    pub days: i64,
    /// Days of single results.
    pub raw_days: i64,
}

impl Default for Fleet {
    fn default() -> Self {
        Self {
            agents: 50,
            checks: 20,
            days: 30,
            raw_days: 14,
        }
    }
}

/// Fills a database in a file, and says what it holds and how long its answers take.
///
/// # Errors
/// When the database can't be written.
pub async fn routine(file: &Path, fleet: Fleet) -> Result<Vec<String>, Box<dyn std::error::Error>> {
    let store = Sqlite::open(file).await?;
    let now = Timestamp::now();
    let definitions = (0..fleet.checks).map(|number| CheckWrite::Put(Box::new(sample::check(number))));
    let checks = store
        .write_checks(definitions.collect(), "benchmark".into(), now)
        .await?;
    let mut lines = vec![format!(
        "{} agents x {} checks x 60 s: {} days of results, {} days of rounds and hours, 365 days",
        fleet.agents, fleet.checks, fleet.raw_days, fleet.days
    )];
    lines.extend(hour(&store, &checks, fleet, now).await?);
    lines.extend(fill::fill(&store, &checks, fleet, now).await?);
    lines.push(format!(
        "file {}, in use {}",
        size(std::fs::metadata(file)?.len()),
        size(store.prune(forever(), now).await?.bytes)
    ));
    lines.extend(questions(&store, &checks[0], now).await?);
    store.close().await?;
    Ok(lines)
}

/// One hour as it really comes: each agent's batch of each minute, then the rounds.
async fn hour(
    store: &Sqlite,
    checks: &[Arc<CheckRecord>],
    fleet: Fleet,
    now: Timestamp,
) -> Result<Vec<String>, StoreError> {
    let (mut storing, mut closing, mut results) = (Duration::ZERO, Duration::ZERO, 0_u64);
    for minute in (0..60).rev() {
        let at = now - SignedDuration::from_mins(minute);
        let batches: Vec<_> = (0..fleet.agents).map(|agent| batch(checks, agent, at)).collect();
        results += u64::try_from(fleet.agents * fleet.checks).unwrap_or(0);
        let begun = Instant::now();
        store.commit_results(batches, at).await?;
        storing += begun.elapsed();
        let commits = checks.iter().map(|check| round(check, fleet, at)).collect();
        let begun = Instant::now();
        store.close_rounds(commits).await?;
        closing += begun.elapsed();
    }
    let rate = |time: Duration, count: u64| {
        let per_second = u128::from(count) * 1_000_000 / time.as_micros().max(1);
        format!("{count} in {:.1} s, {per_second}/s", time.as_secs_f64())
    };
    let rounds = 60 * u64::try_from(fleet.checks).unwrap_or(0);
    Ok(vec![
        format!("results stored: {}", rate(storing, results)),
        format!("rounds closed: {}", rate(closing, rounds)),
    ])
}

fn batch(checks: &[Arc<CheckRecord>], agent: i64, at: Timestamp) -> Arrived {
    let sequence = u64::try_from(at.as_second()).unwrap_or(0) * 1000;
    Arrived {
        agent: sample::agent(agent),
        epoch: Uuid::from_u128(1),
        chain: Chain::Successes,
        after: 0,
        results: checks
            .iter()
            .zip(sequence..)
            .map(|(check, sequence)| (sequence, sample::result(check, agent, at)))
            .collect(),
    }
}

fn round(check: &Arc<CheckRecord>, fleet: Fleet, at: Timestamp) -> RoundCommit {
    let round = check.cadence().at(at);
    let vantages = (0..fleet.agents).map(|agent| {
        let result = sample::result(check, agent, at);
        VantagePart::of(&result.observation, result.started_at)
    });
    let outcome = RoundOutcome {
        check: Arc::clone(check),
        run_id: round.run_id,
        starts_at: round.starts_at,
        closed_at: at,
        late: false,
        new_trouble: false,
        verdict: Verdict::Healthy,
        summary: "every vantage point can use it".into(),
        findings: Vec::new(),
        vantages: vantages.collect(),
        kept: false,
        traced: false,
    };
    RoundCommit {
        outcome: Arc::new(outcome),
        run: None,
        alerts: AlertChanges::default(),
    }
}

/// What people ask, the slowest of three times each.
async fn questions(store: &Sqlite, check: &CheckRecord, now: Timestamp) -> Result<Vec<String>, StoreError> {
    let asked = |hours: i64, step| HistoryAsked {
        check: check.id,
        since: now - SignedDuration::from_hours(hours),
        until: now,
        step,
        agents: None,
        limit: 0,
    };
    let runs = |check: Option<&str>| RunFilter {
        check: check.and_then(|name| name.parse().ok()),
        ..RunFilter::default()
    };
    let history = |hours, step| -> Answer<'_, usize> {
        let asked = asked(hours, step);
        Box::pin(async move { Ok(store.history(asked).await?.rows.len()) })
    };
    let listed = |check| -> Answer<'_, usize> {
        let filter = runs(check);
        Box::pin(async move { Ok(store.runs(filter, 50).await?.len()) })
    };
    let name = check.definition.name.to_string();
    Ok(vec![
        timed("history of 1 h, every round", || history(1, HistoryStep::Round)).await?,
        timed("history of 1 day by hours", || history(24, HistoryStep::Hour)).await?,
        timed("history of 30 days by hours", || {
            history(30 * 24, HistoryStep::Hour)
        })
        .await?,
        timed("history of 1 year by days", || {
            history(365 * 24, HistoryStep::Day)
        })
        .await?,
        timed("first page of 1 day of results", || {
            let asked = asked(24, HistoryStep::Auto);
            Box::pin(async move { Ok(store.results(asked, None).await?.len()) })
        })
        .await?,
        timed("runs list", || listed(None)).await?,
        timed("runs list --check", || listed(Some(&name))).await?,
        timed("baselines of all checks", || {
            Box::pin(async move { Ok(store.baselines(now).await?.len()) })
        })
        .await?,
        timed("a look for what is old, in vain", || {
            Box::pin(async move { Ok(usize::try_from(store.prune(forever(), now).await?.rows).unwrap_or(0)) })
        })
        .await?,
        timed("a piece of what is old goes", || {
            let keep = Retention {
                results: Duration::from_hours(24),
                ..forever()
            };
            Box::pin(async move { Ok(usize::try_from(store.prune(keep, now).await?.rows).unwrap_or(0)) })
        })
        .await?,
    ])
}

async fn timed<'a>(what: &str, ask: impl Fn() -> Answer<'a, usize>) -> Result<String, StoreError> {
    let (mut slowest, mut rows) = (Duration::ZERO, 0);
    for _ in 0..3 {
        let begun = Instant::now();
        rows = ask().await?.max(rows);
        slowest = slowest.max(begun.elapsed());
    }
    Ok(format!(
        "{what}: {rows} rows in {:.0} ms",
        slowest.as_secs_f64() * 1e3
    ))
}

fn forever() -> Retention {
    let long = Duration::from_hours(24 * 3660);
    Retention {
        results: long,
        failures: long,
        rounds: long,
        unhealthy_rounds: long,
        hours: long,
        days: long,
        check_runs: long,
        max_bytes: u64::MAX,
    }
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn size(bytes: u64) -> String {
    format!("{:.2} GB", bytes as f64 / 1e9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_year_answers_in_under_a_second() {
        let directory = tempfile::tempdir().unwrap();
        let fleet = Fleet {
            agents: 5,
            checks: 2,
            days: 2,
            raw_days: 1,
        };
        let lines = routine(&directory.path().join("collector.db"), fleet)
            .await
            .unwrap();
        let year = lines
            .iter()
            .find_map(|line| line.strip_prefix("history of 1 year by days: "));
        let (rows, took) = year.unwrap().split_once(" rows in ").unwrap();
        assert!(rows.parse::<i64>().unwrap() >= fleet.agents * 365, "{lines:#?}");
        let took: u64 = took.trim_end_matches(" ms").parse().unwrap();
        assert!(took < 1000, "{lines:#?}");
    }
}
