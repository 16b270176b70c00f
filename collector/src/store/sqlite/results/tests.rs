mod missing;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use parallax_model::check::{Chain, CheckResult};
use parallax_model::fault::{DnsFault, Fault, FaultKind};
use parallax_model::finding::Verdict;
use parallax_model::history::HistoryStep;
use parallax_model::observation::{Observation, Reason, VantageOutcome};
use parallax_model::run::{RUN_SCHEMA, RunDocument, RunTarget};
use parallax_model::spec::Depth;
use parallax_model::stage::{Outcome, Stage, StageName};
use parallax_model::vantage::Labels;
use uuid::Uuid;

use crate::alerts::AlertChanges;
use crate::config::Retention;
use crate::measure::sample::definition;
use crate::rounds::{RoundOutcome, VantagePart};
use crate::store::sqlite::Sqlite;
use crate::store::{
    Arrived, CheckRecord, CheckStore, CheckWrite, Found, HistoryAsked, KeptRun, ResultStore, RoundCommit,
    RunFilter, Store,
};

/// A store with one check of every minute, and the beginning of one of its rounds.
struct Bench {
    store: Sqlite,
    check: Arc<CheckRecord>,
    now: Timestamp,
}

impl Bench {
    async fn new() -> Self {
        Self::of(Sqlite::in_memory().await.unwrap()).await
    }

    async fn of(store: Sqlite) -> Self {
        let now: Timestamp = "2026-12-01T12:05:00Z".parse().unwrap();
        let put = vec![CheckWrite::Put(Box::new(definition("imap-fra")))];
        let check = store.write_checks(put, "me".into(), now).await.unwrap().remove(0);
        let now = check.cadence().at(now).starts_at;
        Self { store, check, now }
    }

    /// What an agent saw `minutes` after the beginning.
    fn result(&self, agent: &str, minutes: i64, observation: Observation) -> CheckResult {
        let round = self
            .check
            .cadence()
            .at(self.now + SignedDuration::from_mins(minutes));
        let at = round.starts_at + SignedDuration::from_secs(2);
        let observation = Observation {
            agent: agent.parse().unwrap(),
            ..observation
        };
        let mut rest = [0; 10];
        rest[..agent.len()].copy_from_slice(agent.as_bytes());
        CheckResult {
            id: uuid::Builder::from_unix_timestamp_millis(at.as_millisecond().try_into().unwrap(), &rest)
                .into_uuid(),
            check: self.check.id,
            run_id: round.run_id,
            digest: 1,
            round_at: round.starts_at,
            started_at: at,
            observation,
        }
    }

    fn batch(&self, agent: &str, results: impl IntoIterator<Item = (u64, CheckResult)>) -> Arrived {
        Arrived {
            agent: agent.parse().unwrap(),
            epoch: Uuid::from_u128(7),
            chain: Chain::Successes,
            after: 0,
            results: results.into_iter().collect(),
        }
    }

    fn asked(&self, step: HistoryStep) -> HistoryAsked {
        HistoryAsked {
            check: self.check.id,
            since: self.now - SignedDuration::from_hours(24),
            until: self.now + SignedDuration::from_hours(24),
            step,
            agents: None,
            limit: 0,
        }
    }

    fn commit(&self, minutes: i64, verdict: Verdict, run: Option<bool>) -> RoundCommit {
        let round = self
            .check
            .cadence()
            .at(self.now + SignedDuration::from_mins(minutes));
        let outcome = RoundOutcome {
            check: Arc::clone(&self.check),
            run_id: round.run_id,
            starts_at: round.starts_at,
            closed_at: round.starts_at + SignedDuration::from_secs(70),
            late: false,
            new_trouble: false,
            verdict,
            summary: verdict.as_str().to_owned(),
            findings: Vec::new(),
            vantages: vec![VantagePart::of(&seen(Outcome::Ok), round.starts_at)],
            kept: run.is_some(),
            traced: false,
        };
        RoundCommit {
            run: run.map(|is_first| KeptRun {
                document: document(outcome.run_id, outcome.starts_at, verdict),
                is_first,
            }),
            outcome: Arc::new(outcome),
            alerts: AlertChanges::default(),
        }
    }

    /// A round that was closed when nothing had come of these.
    fn commit_without(&self, minutes: i64, agents: &[&str]) -> RoundCommit {
        let mut commit = self.commit(minutes, Verdict::Partial, None);
        let mut outcome = RoundOutcome::clone(&commit.outcome);
        outcome.vantages.extend(agents.iter().map(|agent| {
            let missing = Observation::unseen(
                agent.parse().unwrap(),
                Labels::new(),
                VantageOutcome::Missing,
                Reason::Offline,
                "",
            );
            VantagePart::of(&missing, outcome.starts_at)
        }));
        commit.outcome = Arc::new(outcome);
        commit
    }

    async fn stored(&self) -> usize {
        let asked = self.asked(HistoryStep::Round);
        self.store.results(asked, None).await.unwrap().len()
    }
}

fn seen(resolve: Outcome) -> Observation {
    let outcome = match &resolve {
        Outcome::Failed(_) => VantageOutcome::Failed,
        _ => VantageOutcome::Ok,
    };
    let nothing = Observation::unseen(
        "fra-1".parse().unwrap(),
        Labels::new(),
        outcome,
        Reason::Deadline,
        "",
    );
    Observation {
        reason: None,
        note: None,
        resolve: Some(Stage::new(
            StageName::Resolve,
            resolve,
            Duration::ZERO,
            Duration::from_millis(20),
        )),
        ..nothing
    }
}

fn failed() -> Observation {
    seen(Outcome::Failed(Fault::new(
        FaultKind::Dns(DnsFault::Nxdomain),
        "no such name",
    )))
}

fn document(run_id: Uuid, started_at: Timestamp, verdict: Verdict) -> RunDocument {
    RunDocument {
        schema: RUN_SCHEMA.into(),
        run_id,
        trace_id: None,
        target: RunTarget {
            input: "imap.example.org".into(),
            host: "imap.example.org".into(),
            endpoints: Vec::new(),
        },
        depth: Depth::Greeting,
        started_at,
        duration: Duration::from_millis(42),
        vantages: Vec::new(),
        verdict,
        summary: verdict.as_str().into(),
        findings: Vec::new(),
        clients: Vec::new(),
        experiments: Vec::new(),
        compared_with: None,
        changes: Vec::new(),
        captures: Vec::new(),
        check: None,
    }
}

#[tokio::test]
async fn a_batch_that_comes_twice_counts_once() {
    let bench = Bench::new().await;
    let batch = || {
        let results = (0..3).map(|n| (n + 1, bench.result("fra-1", n as i64, seen(Outcome::Ok))));
        bench.batch("fra-1", results)
    };
    let first = bench
        .store
        .commit_results(vec![batch()], bench.now)
        .await
        .unwrap();
    assert_eq!(
        (first.through, first.fresh.len(), first.duplicates),
        (vec![3], 3, 0)
    );
    let again = bench
        .store
        .commit_results(vec![batch()], bench.now)
        .await
        .unwrap();
    assert_eq!(
        (again.through, again.fresh.len(), again.duplicates),
        (vec![3], 0, 3)
    );
    assert_eq!(bench.stored().await, 3);
    let hours = bench.store.history(bench.asked(HistoryStep::Hour)).await.unwrap();
    assert_eq!(hours.rows.iter().map(|row| row.ok).sum::<u64>(), 3);
    let marks = bench
        .store
        .marks("fra-1".parse().unwrap(), Uuid::from_u128(7))
        .await;
    assert_eq!(marks.unwrap(), (0, 3));
}

#[tokio::test]
async fn a_gap_is_no_obstacle_and_an_unknown_check_neither() {
    let bench = Bench::new().await;
    let stranger = CheckResult {
        check: Uuid::from_u128(1),
        ..bench.result("fra-1", 1, seen(Outcome::Ok))
    };
    let never = CheckResult {
        started_at: Timestamp::MAX,
        ..bench.result("fra-1", 2, seen(Outcome::Ok))
    };
    let results = [
        (5, bench.result("fra-1", 0, seen(Outcome::Ok))),
        (9, stranger),
        (10, never),
    ];
    let batch = bench.batch("fra-1", results);
    let committed = bench.store.commit_results(vec![batch], bench.now).await.unwrap();
    assert_eq!((committed.through, committed.unknown), (vec![10], 2));
    assert_eq!(bench.stored().await, 1);
}

#[tokio::test]
async fn what_follows_a_batch_that_was_lost_waits_for_it() {
    let bench = Bench::new().await;
    let batch = |after, sequence, minute| Arrived {
        after,
        ..bench.batch(
            "fra-1",
            [(sequence, bench.result("fra-1", minute, seen(Outcome::Ok)))],
        )
    };
    let (first, second, third) = (batch(0, 4, 0), batch(4, 8, 1), batch(8, 9, 2));
    let store = &bench.store;
    let early = store
        .commit_results(vec![third.clone(), second.clone()], bench.now)
        .await
        .unwrap();
    assert_eq!(
        (early.through, early.fresh.len(), bench.stored().await),
        (vec![0, 0], 0, 0)
    );
    let all = store
        .commit_results(vec![first, second, third], bench.now)
        .await
        .unwrap();
    assert_eq!(
        (all.through, all.fresh.len(), bench.stored().await),
        (vec![4, 8, 9], 3, 3)
    );
}

#[tokio::test]
async fn two_epochs_do_not_hide_each_other() {
    let bench = Bench::new().await;
    let old = bench.batch("fra-1", [(9, bench.result("fra-1", 0, seen(Outcome::Ok)))]);
    let again = bench.result("fra-1", 0, seen(Outcome::Ok));
    let new = Arrived {
        epoch: Uuid::from_u128(8),
        ..bench.batch(
            "fra-1",
            [(1, again), (2, bench.result("fra-1", 1, seen(Outcome::Ok)))],
        )
    };
    let failures = Arrived {
        chain: Chain::Failures,
        ..bench.batch("fra-1", [(1, bench.result("fra-1", 2, failed()))])
    };
    let batches = vec![old, new, failures];
    let committed = bench.store.commit_results(batches, bench.now).await.unwrap();
    assert_eq!((committed.through, committed.duplicates), (vec![9, 2, 1], 1));
    assert_eq!(bench.stored().await, 3, "the same result in two epochs is one");
}

#[tokio::test]
async fn a_failed_transaction_acknowledges_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("collector.db");
    let bench = Bench::of(Sqlite::open(&file).await.unwrap()).await;
    let batch = || bench.batch("fra-1", [(1, bench.result("fra-1", 0, seen(Outcome::Ok)))]);
    sqlx::query("ALTER TABLE rollups RENAME TO elsewhere")
        .execute(&bench.store.pool)
        .await
        .unwrap();
    bench
        .store
        .commit_results(vec![batch()], bench.now)
        .await
        .unwrap_err();
    sqlx::query("ALTER TABLE elsewhere RENAME TO rollups")
        .execute(&bench.store.pool)
        .await
        .unwrap();
    assert_eq!(bench.stored().await, 0);
    let marks = bench
        .store
        .marks("fra-1".parse().unwrap(), Uuid::from_u128(7))
        .await;
    assert_eq!(marks.unwrap(), (0, 0));
    let committed = bench
        .store
        .commit_results(vec![batch()], bench.now)
        .await
        .unwrap();
    assert_eq!(committed.fresh.len(), 1);
}

#[tokio::test]
async fn a_closed_round_takes_no_open_results() {
    let bench = Bench::new().await;
    let one = |agent: &str, minute| {
        bench.batch(
            agent,
            [(minute, bench.result(agent, minute as i64, seen(Outcome::Ok)))],
        )
    };
    let both = vec![one("fra-1", 1), one("ams-1", 1), one("fra-1", 2)];
    bench.store.commit_results(both, bench.now).await.unwrap();
    assert_eq!(bench.store.open_results().await.unwrap().len(), 3);
    let closing = || vec![bench.commit(1, Verdict::Healthy, None)];
    bench.store.close_rounds(closing()).await.unwrap();
    let open = bench.store.open_results().await.unwrap();
    assert_eq!(open.len(), 1, "the other round is open");
    assert_eq!(open[0].result, bench.result("fra-1", 2, seen(Outcome::Ok)));
    let late = bench
        .store
        .commit_results(vec![one("nyc-1", 1)], bench.now)
        .await
        .unwrap();
    assert_eq!(
        (late.fresh.len(), bench.stored().await),
        (0, 4),
        "it is stored and wakes nobody"
    );
    bench.store.close_rounds(closing()).await.unwrap();
    let last = bench.store.last_rounds().await.unwrap();
    assert_eq!(last[&bench.check.id].counts.ok, 1);
}

#[tokio::test]
async fn rounds_of_a_time_that_the_clock_was_set_back_from_come_again_and_count() {
    let bench = Bench::new().await;
    let result = |sequence: u64, minutes: i64| {
        let result = CheckResult {
            id: Uuid::from_u128(sequence.into()),
            ..bench.result("fra-1", minutes, seen(Outcome::Ok))
        };
        bench.batch("fra-1", [(sequence, result)])
    };
    let fresh = async |batch| {
        let committed = bench.store.commit_results(vec![batch], bench.now).await.unwrap();
        committed.fresh.len()
    };
    let commits = (0..3).map(|minute| bench.commit(minute, Verdict::Healthy, Some(true)));
    bench.store.close_rounds(commits.collect()).await.unwrap();
    assert_eq!(fresh(result(1, 1)).await, 0, "it is closed");

    let to = bench.now + SignedDuration::from_secs(30);
    bench.store.set_back(to).await.unwrap();
    let last = async || {
        bench
            .store
            .last_rounds()
            .await
            .unwrap()
            .remove(&bench.check.id)
            .unwrap()
    };
    assert_eq!(
        last().await.started_at,
        bench.now,
        "the others are of another time"
    );
    assert_eq!(fresh(result(2, 0)).await, 0, "this one was before");
    assert_eq!(fresh(result(3, 1)).await, 1);
    let mut again = bench.commit(1, Verdict::Down, Some(true));
    again
        .alerts
        .memory
        .push(("check/x".to_owned(), Some(serde_json::json!({"v": 1}))));
    bench.store.close_rounds(vec![again]).await.unwrap();
    assert_eq!(last().await.verdict, Verdict::Down);
    let run = bench.commit(1, Verdict::Down, None).outcome.run_id;
    let Found::One(run) = bench.store.run(run.to_string()).await.unwrap() else {
        panic!("its run is there")
    };
    assert_eq!(run.verdict, Verdict::Down);
    let kept = crate::store::AlertStore::kept(&bench.store).await.unwrap();
    assert_eq!(kept.memory.len(), 1, "what it changed of alerts is not lost");
    assert_eq!(fresh(result(4, 1)).await, 0, "it is closed again");
    let history = bench
        .store
        .history(bench.asked(HistoryStep::Round))
        .await
        .unwrap();
    assert_eq!(history.rounds.len(), 3, "each is there once");
}

#[tokio::test]
async fn a_round_that_is_over_before_it_begins_is_of_another_clock() {
    let bench = Bench::new().await;
    let mut commit = bench.commit(30, Verdict::Healthy, None);
    let mut outcome = RoundOutcome::clone(&commit.outcome);
    outcome.closed_at = bench.now;
    commit.outcome = Arc::new(outcome);
    bench.store.close_rounds(vec![commit]).await.unwrap();
    assert!(bench.store.last_rounds().await.unwrap().is_empty());
    let again = bench.commit(30, Verdict::Down, None);
    bench.store.close_rounds(vec![again]).await.unwrap();
    assert_eq!(
        bench.store.last_rounds().await.unwrap()[&bench.check.id].verdict,
        Verdict::Down
    );
}

#[tokio::test]
async fn results_of_a_removed_check_are_open_no_more_at_the_next_start() {
    let bench = Bench::new().await;
    let put = CheckWrite::Put(Box::new(definition("other")));
    let checks = bench
        .store
        .write_checks(vec![put], "me".into(), bench.now)
        .await
        .unwrap();
    let other = checks
        .iter()
        .find(|check| check.definition.name.as_str() == "other")
        .unwrap();
    let of_other = CheckResult {
        id: Uuid::from_u128(9),
        check: other.id,
        run_id: Uuid::from_u128(10),
        ..bench.result("fra-1", 0, seen(Outcome::Ok))
    };
    let both = bench.batch(
        "fra-1",
        [
            (1, bench.result("fra-1", 0, seen(Outcome::Ok))),
            (2, of_other.clone()),
        ],
    );
    bench.store.commit_results(vec![both], bench.now).await.unwrap();
    assert_eq!(bench.store.open_results().await.unwrap().len(), 2);
    // Killed before what is open of it was closed.
    let remove = CheckWrite::Remove("imap-fra".parse().unwrap());
    bench
        .store
        .write_checks(vec![remove], "me".into(), bench.now)
        .await
        .unwrap();
    let open = bench.store.open_results().await.unwrap();
    assert_eq!(open.len(), 1);
    assert_eq!(open[0].result, of_other);
    let left: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM open_results")
        .fetch_one(&bench.store.pool)
        .await
        .unwrap();
    assert_eq!(left, 1);
}

#[tokio::test]
async fn where_nothing_is_old_nobody_who_writes_is_in_the_way() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("collector.db");
    let bench = Bench::of(Sqlite::open(&file).await.unwrap()).await;
    let batch = bench.batch("fra-1", [(1, bench.result("fra-1", 0, seen(Outcome::Ok)))]);
    bench.store.commit_results(vec![batch], bench.now).await.unwrap();
    bench
        .store
        .close_rounds(vec![bench.commit(0, Verdict::Healthy, Some(true))])
        .await
        .unwrap();
    let writing = bench.store.write().await.unwrap();
    let looking = bench.store.prune(Retention::default(), bench.now);
    let pruned = tokio::time::timeout(Duration::from_secs(4), looking).await;
    assert_eq!(pruned.expect("it waits for nobody").unwrap().rows, 0);
    drop(writing);
}

#[tokio::test]
async fn what_is_old_goes_of_every_check_and_agent_and_nothing_beside_it() {
    let bench = Bench::new().await;
    for agent in ["ams-1", "fra-1", "nyc-1"] {
        let results = (0..40).map(|n| {
            let observation = if n % 10 == 3 { failed() } else { seen(Outcome::Ok) };
            (n + 1, bench.result(agent, n as i64, observation))
        });
        let batch = bench.batch(agent, results);
        bench.store.commit_results(vec![batch], bench.now).await.unwrap();
    }
    let after =
        |minutes: i64| bench.now + SignedDuration::from_hours(14 * 24) + SignedDuration::from_mins(minutes);
    let pruned = bench.store.prune(Retention::default(), after(20)).await.unwrap();
    let open = 3 * 40;
    assert_eq!(pruned.rows, 3 * (20 - 2) + open);
    assert_eq!(
        bench.stored().await,
        3 * (20 + 2),
        "the failures of then, and all that came later"
    );
    assert_eq!(
        bench
            .store
            .prune(Retention::default(), after(20))
            .await
            .unwrap()
            .rows,
        0
    );
    assert_eq!(
        bench
            .store
            .prune(Retention::default(), after(30))
            .await
            .unwrap()
            .rows,
        3 * 9
    );
}

#[tokio::test]
async fn what_is_missing_or_long_over_shows_and_is_not_open() {
    let bench = Bench::new().await;
    let old = bench.batch("fra-1", [(1, bench.result("fra-1", -25 * 60, seen(Outcome::Ok)))]);
    let committed = bench.store.commit_results(vec![old], bench.now).await.unwrap();
    assert_eq!(committed.fresh, []);
    let commit = bench.commit_without(0, &["ams-1"]);
    bench.store.close_rounds(vec![commit]).await.unwrap();
    let history = bench.store.history(bench.asked(HistoryStep::Hour)).await.unwrap();
    let gap = history
        .rows
        .iter()
        .find(|row| row.agent.as_str() == "ams-1")
        .unwrap();
    assert_eq!((gap.ok, gap.expected), (0, 1), "{gap:?}");
}

#[tokio::test]
async fn history_tells_the_same_by_round_hour_and_day() {
    let bench = Bench::new().await;
    let results = (0..90).map(|n| {
        let observation = if n == 30 { failed() } else { seen(Outcome::Ok) };
        (n + 1, bench.result("fra-1", n as i64, observation))
    });
    let batch = bench.batch("fra-1", results);
    bench.store.commit_results(vec![batch], bench.now).await.unwrap();
    for step in [
        HistoryStep::Round,
        HistoryStep::Hour,
        HistoryStep::Day,
        HistoryStep::Auto,
    ] {
        let history = bench.store.history(bench.asked(step)).await.unwrap();
        let sum =
            |of: fn(&parallax_model::history::HistoryRow) -> u64| history.rows.iter().map(of).sum::<u64>();
        assert_eq!((sum(|row| row.ok), sum(|row| row.failed)), (89, 1), "{step}");
        let stage = &history.rows[0].stages;
        assert_eq!(stage[1].stage, "resolve", "{step}");
        assert!((19_000..=21_000).contains(&stage[1].p95_us), "{stage:?}");
    }
    let few = HistoryAsked {
        limit: 10,
        agents: Some(BTreeSet::from(["fra-1".parse().unwrap()])),
        ..bench.asked(HistoryStep::Round)
    };
    let rows = bench.store.history(few.clone()).await.unwrap().rows;
    assert_eq!(rows.len(), 10);
    assert_eq!(
        rows[9].at,
        bench.result("fra-1", 89, seen(Outcome::Ok)).started_at,
        "the newest"
    );
    let none = HistoryAsked {
        agents: Some(BTreeSet::new()),
        ..few
    };
    assert_eq!(bench.store.history(none).await.unwrap().rows, []);
    let usual = bench.store.baselines(bench.now).await.unwrap();
    assert_eq!(usual.len(), 2, "all of it, and one stage: {usual:?}");
}

#[tokio::test]
async fn pages_hold_every_result_once_in_order() {
    let bench = Bench::new().await;
    for agent in ["fra-1", "ams-1", "nyc-1"] {
        let results = (0..700).map(|n| (n + 1, bench.result(agent, n as i64, seen(Outcome::Ok))));
        let batch = bench.batch(agent, results);
        bench.store.commit_results(vec![batch], bench.now).await.unwrap();
    }
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let page = bench
            .store
            .results(bench.asked(HistoryStep::Auto), after)
            .await
            .unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        assert!(page.len() <= 1000);
        all.extend(page);
    }
    assert_eq!(all.len(), 2100);
    assert!(all.is_sorted_by(|one, other| one.id < other.id));
    assert_eq!(all[0].run_id, bench.check.cadence().at(bench.now).run_id);
}

#[tokio::test]
async fn failures_outlive_successes_and_what_is_old_goes() {
    let bench = Bench::new().await;
    let results = (0..20).map(|n| {
        let observation = if n < 5 { failed() } else { seen(Outcome::Ok) };
        (n + 1, bench.result("fra-1", n as i64, observation))
    });
    let batch = bench.batch("fra-1", results);
    bench.store.commit_results(vec![batch], bench.now).await.unwrap();
    let commits =
        (0..4).map(|n| bench.commit(n, if n == 0 { Verdict::Down } else { Verdict::Healthy }, None));
    bench.store.close_rounds(commits.collect()).await.unwrap();
    let days = |days: i64| bench.now + SignedDuration::from_hours(24 * days);
    let keep = Retention::default();
    let prune = async |now| {
        let mut gone = 0;
        loop {
            match bench.store.prune(keep, now).await.unwrap().rows {
                0 => break gone,
                rows => gone += rows,
            }
        }
    };
    assert_eq!(prune(days(1)).await, 0);
    assert_eq!(
        prune(days(13)).await,
        16,
        "kept whole for rounds that nobody closed"
    );
    assert_eq!(bench.store.open_results().await.unwrap(), []);
    assert_eq!(prune(days(15)).await, 15);
    assert_eq!(bench.stored().await, 5, "the failures stay");
    assert_eq!(prune(days(31)).await, 3, "the rounds in which all was well");
    assert_eq!(prune(days(93)).await, 6, "the failures, and the hour");
    assert_eq!(prune(days(420)).await, 2, "the last round, and the day");
}

#[tokio::test]
async fn over_its_size_results_in_which_all_was_well_go_first() {
    let bench = Bench::new().await;
    let results = (0..200).map(|n| {
        let observation = if n < 20 { failed() } else { seen(Outcome::Ok) };
        (n + 1, bench.result("fra-1", n as i64, observation))
    });
    let batch = bench.batch("fra-1", results);
    bench.store.commit_results(vec![batch], bench.now).await.unwrap();
    let keep = Retention {
        max_bytes: 1,
        ..Retention::default()
    };
    let later = bench.now + SignedDuration::from_hours(3 * 24);
    while bench.store.prune(keep, later).await.unwrap().rows > 0 {}
    assert_eq!(bench.stored().await, 20);
    while bench
        .store
        .prune(keep, later + SignedDuration::from_hours(7 * 24))
        .await
        .unwrap()
        .rows
        > 0
    {}
    assert_eq!(bench.stored().await, 0);
}

#[tokio::test]
async fn the_newest_run_of_a_check_is_none_of_another_or_by_hand() {
    let bench = Bench::new().await;
    assert_eq!(bench.store.newest_run_of(bench.check.no).await.unwrap(), None);
    let commits = [
        bench.commit(1, Verdict::Down, Some(true)),
        bench.commit(3, Verdict::Partial, Some(false)),
        bench.commit(2, Verdict::Healthy, Some(true)),
        bench.commit(4, Verdict::Down, None),
    ];
    bench.store.close_rounds(commits.into()).await.unwrap();
    let by_hand = document(Uuid::from_u128(9), Timestamp::now(), Verdict::Healthy);
    bench.store.put_run(by_hand).await.unwrap();
    let newest = bench.store.newest_run_of(bench.check.no).await.unwrap().unwrap();
    assert_eq!(newest.verdict, Verdict::Partial);
    assert_eq!(bench.store.newest_run_of(bench.check.no + 1).await.unwrap(), None);
}

#[tokio::test]
async fn failing_checks_do_not_push_out_runs_by_hand() {
    let bench = Bench::new().await;
    let by_hand = document(Uuid::from_u128(1), bench.now, Verdict::Down);
    bench.store.put_run(by_hand).await.unwrap();
    let most = super::super::runs::RUNS_OF_CHECK;
    let commits = (1..=most + 5).map(|n| bench.commit(n, Verdict::Down, Some(n == 1)));
    bench.store.close_rounds(commits.collect()).await.unwrap();
    let all = bench.store.runs(RunFilter::default(), 100_000).await.unwrap();
    assert!(all.iter().any(|run| run.run_id == Uuid::from_u128(1)));
    let of_check = RunFilter {
        check: Some("imap-fra".parse().unwrap()),
        ..RunFilter::default()
    };
    let of_check = bench.store.runs(of_check, 100_000).await.unwrap();
    assert_eq!(
        i64::try_from(of_check.len()).unwrap(),
        most + 1,
        "the first of the incident stays too"
    );
    assert_eq!(
        of_check.last().unwrap().run_id,
        bench.commit(1, Verdict::Down, None).outcome.run_id
    );
    assert!(
        of_check
            .iter()
            .all(|run| run.check.as_deref() == Some("imap-fra"))
    );
}
