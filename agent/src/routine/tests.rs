use std::collections::BTreeSet;

use jiff::Timestamp;
use parallax_model::observation::{Reason, VantageOutcome};
use parallax_model::round::Cadence;
use parallax_model::spec::Depth;
use parallax_proto::convert;
use tokio::net::TcpListener;

use super::*;
use crate::policy::Policy;
use crate::runner::tests::{order, runner};

/// A check each second of a target where nothing listens.
pub(crate) fn assignment(number: u128) -> v1::CheckAssignment {
    of("127.0.0.1:9", number)
}

fn of(target: &str, number: u128) -> v1::CheckAssignment {
    let assignment = v1::CheckAssignment {
        check_id: Uuid::from_u128(number).into_bytes().to_vec(),
        name: format!("check-{number}"),
        version: 1,
        spec: Some(order(target, Depth::Greeting).spec.into()),
        every_ms: 1000,
        ..v1::CheckAssignment::default()
    };
    sealed(assignment)
}

fn sealed(mut assignment: v1::CheckAssignment) -> v1::CheckAssignment {
    assignment.digest = convert::digest(&assignment);
    assignment
}

pub(crate) fn update<'a>(
    full: bool,
    set: impl IntoIterator<Item = &'a v1::CheckAssignment>,
) -> v1::ChecksUpdate {
    v1::ChecksUpdate {
        full,
        set: set.into_iter().cloned().collect(),
        ..v1::ChecksUpdate::default()
    }
}

/// A routine, and what it makes.
struct Stage {
    handle: RoutineHandle,
    results: mpsc::UnboundedReceiver<CheckResult>,
}

impl Stage {
    fn begin(dir: &tempfile::TempDir, policy: Policy) -> Self {
        let (made, results) = mpsc::unbounded_channel();
        let keep: Keep = Arc::new(move |result| {
            let _ = made.send(result);
            Box::pin(std::future::ready(()))
        });
        let handle = start(dir.path(), Arc::new(runner(policy)), keep).unwrap();
        Self { handle, results }
    }

    async fn update(&self, update: v1::ChecksUpdate) -> v1::ChecksApplied {
        self.handle.update(update).unwrap().await.unwrap()
    }

    async fn results(&mut self, number: usize) -> Vec<CheckResult> {
        let mut results = Vec::new();
        for _ in 0..number {
            let next = timeout(Duration::from_secs(60), self.results.recv()).await;
            results.push(next.expect("a result").unwrap());
        }
        results
    }
}

/// Nothing is touched: time may be played with.
fn forbids_all() -> Policy {
    toml::from_str("allow = []").unwrap()
}

fn new_year() -> Timestamp {
    "2027-01-01T00:00:00Z".parse().unwrap()
}

fn anchor() -> Anchor {
    Anchor {
        at: Instant::now(),
        wall: new_year(),
    }
}

fn is_in_step(result: &CheckResult) -> bool {
    let cadence = Cadence {
        check: result.check,
        every: Duration::from_secs(1),
        together: false,
    };
    let round = cadence.at(result.round_at);
    round.starts_at == result.round_at && round.run_id == result.run_id
}

#[tokio::test(start_paused = true)]
async fn checks_go_on_without_the_collector_and_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let mut stage = Stage::begin(&dir, forbids_all());
    stage.handle.anchored(anchor());
    let applied = stage.update(update(true, [&assignment(1), &assignment(2)])).await;
    assert_eq!((applied.checks, applied.problems.len()), (2, 0));
    let before = stage.results(20).await;
    assert!(before.iter().all(is_in_step));
    assert!(before[0].round_at >= new_year() - SignedDuration::from_secs(1));
    stage.handle.drain(Duration::from_secs(1)).await;
    assert!(stage.results.recv().await.is_none(), "nothing begins any more");

    let mut again = Stage::begin(&dir, forbids_all());
    let after = again.results(20).await;
    assert!(after.iter().all(is_in_step));
    let rounds: BTreeSet<_> = before
        .iter()
        .chain(&after)
        .map(|result| (result.check, result.round_at))
        .collect();
    assert_eq!(rounds.len(), 40, "no round comes twice");
    let last = after[19].started_at.duration_since(new_year());
    assert!(
        last < SignedDuration::from_secs(60),
        "by the collector's clock: {last:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_process_that_is_killed_in_its_first_minute_leaves_the_collectors_clock_behind() {
    let dir = tempfile::tempdir().unwrap();
    let mut stage = Stage::begin(&dir, forbids_all());
    stage.handle.anchored(anchor());
    stage.update(update(true, [&assignment(1)])).await;
    stage.results(2).await;
    // Nobody drains it.
    drop(stage);

    let mut alone = Stage::begin(&dir, forbids_all());
    let result = alone.results(1).await.remove(0);
    let after = result.round_at.duration_since(new_year()).abs();
    assert!(
        after < SignedDuration::from_secs(60),
        "by the collector's clock: {}",
        result.round_at
    );
}

#[tokio::test(start_paused = true)]
async fn a_target_that_the_policy_forbids_is_a_result_that_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let mut stage = Stage::begin(&dir, forbids_all());
    stage.handle.anchored(anchor());
    stage.update(update(true, [&assignment(1)])).await;
    let result = stage.results(1).await.remove(0);
    assert_eq!(result.digest, assignment(1).digest);
    assert_eq!(result.observation.outcome, VantageOutcome::Refused);
    assert_eq!(result.observation.reason, Some(Reason::Policy));
}

#[tokio::test(start_paused = true)]
async fn the_collectors_clock_counts_and_not_that_of_this_host() {
    let dir = tempfile::tempdir().unwrap();
    let mut stage = Stage::begin(&dir, forbids_all());
    stage.handle.anchored(anchor());
    stage.update(update(true, [&assignment(1)])).await;
    stage.results(3).await;
    let later = Anchor {
        at: Instant::now(),
        wall: new_year() + SignedDuration::from_hours(2),
    };
    stage.handle.anchored(later);
    let result = stage.results(2).await.remove(1);
    assert!(result.round_at > later.wall - SignedDuration::from_secs(1));
    let (made_at, _) = result.id.get_timestamp().unwrap().to_unix();
    let began_at = u64::try_from(result.started_at.as_second()).unwrap();
    assert!(made_at.abs_diff(began_at) <= 1, "{made_at} {began_at}");
    let state = stage.handle.state();
    assert_eq!(state.clock_jumps, 1);
    assert!((7190..=7201).contains(&state.skipped), "{}", state.skipped);
}

#[tokio::test(start_paused = true)]
async fn without_a_word_of_the_collector_the_checks_wait_a_moment_and_begin() {
    let dir = tempfile::tempdir().unwrap();
    Stage::begin(&dir, forbids_all())
        .update(update(true, [&assignment(1)]))
        .await;
    let began = Instant::now();
    let mut alone = Stage::begin(&dir, forbids_all());
    alone.results(1).await;
    let waited = began.elapsed();
    assert!(
        waited >= GRACE && waited <= GRACE + Duration::from_secs(2),
        "{waited:?}"
    );
}

#[tokio::test]
async fn a_round_is_left_out_while_the_one_before_waits_for_its_target() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut stage = Stage::begin(&dir, Policy::allow_all());
    stage.handle.anchored(anchor());
    let target = silent.local_addr().unwrap().to_string();
    stage.update(update(true, [&of(&target, 1)])).await;
    let left_out = stage.results(1).await.remove(0);
    assert_eq!(left_out.observation.reason, Some(Reason::Overload));
    assert_eq!(
        left_out.observation.note.as_deref(),
        Some("the round before still ran")
    );
    let state = stage.handle.state();
    assert_eq!((state.started, state.skipped), (1, 1));
    let began = Instant::now();
    stage.handle.drain(Duration::from_millis(300)).await;
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "it is not waited for longer"
    );
}

#[tokio::test]
async fn a_target_where_nothing_listens_fails_each_round_under_the_rounds_id() {
    let dir = tempfile::tempdir().unwrap();
    let mut stage = Stage::begin(&dir, Policy::allow_all());
    stage.handle.anchored(anchor());
    stage.update(update(true, [&assignment(1)])).await;
    let results = stage.results(2).await;
    for result in &results {
        assert_eq!(result.observation.outcome, VantageOutcome::Failed);
        assert!(is_in_step(result));
        let clock = result.observation.clock.unwrap();
        assert!(clock.start_skew_ms < 500.0, "{clock:?}");
    }
    assert_ne!(results[0].run_id, results[1].run_id);
}

#[tokio::test(start_paused = true)]
async fn a_check_that_ends_the_process_each_time_is_let_alone_and_that_is_said() {
    let dir = tempfile::tempdir().unwrap();
    for _ in 0..3 {
        let trials = Arc::new(Trials::load(dir.path()));
        trials.begins(assignment(1).digest).await;
    }
    let mut stage = Stage::begin(&dir, forbids_all());
    stage.handle.anchored(anchor());
    let applied = stage.update(update(true, [&assignment(1), &assignment(2)])).await;
    assert_eq!(applied.problems.len(), 1, "{:?}", applied.problems);
    assert!(
        applied.problems[0].starts_with("check-1: "),
        "{:?}",
        applied.problems
    );
    let ran = stage.results(5).await;
    assert!(ran.iter().all(|result| result.check == Uuid::from_u128(2)));
    let changed = sealed(v1::CheckAssignment {
        version: 2,
        ..assignment(1)
    });
    let applied = stage.update(update(false, [&changed])).await;
    assert_eq!(applied.problems.len(), 0, "{:?}", applied.problems);
}
