//! The checks of this agent, carried out round after round, with or without the collector.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use parallax_model::check::{CheckResult, ScheduleState};
use parallax_proto::v1;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};
use uuid::Uuid;

use crate::checks::{Checks, Task};
use crate::routine::keeper::Door;
use crate::routine::memory::Memory;
use crate::routine::part::Part;
use crate::routine::trials::Trials;
use crate::runner::Runner;
use crate::schedule::{Anchor, Schedule};

mod keeper;
mod memory;
mod part;
mod trials;

/// How long the collector is waited for to tell its clock, at the start: rounds begin by it, and the last one known
/// may be wrong.
const GRACE: Duration = Duration::from_secs(10);
/// How far the collector's clock may be elsewhere before the schedule follows it.
const MOVED: SignedDuration = SignedDuration::from_millis(250);
/// Between two times that the schedule is kept.
const KEPT_EVERY: Duration = Duration::from_secs(60);
/// Parts of rounds that may be under way, or wait for the disk. Beyond, rounds are left out and not told.
const UNDER_WAY: usize = 1024;
/// Words for the routine that may wait.
const ASKS: usize = 64;

/// Takes a result, and comes back when it is kept or given up.
pub(crate) type Keep = Arc<dyn Fn(CheckResult) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// What others have of the routine. It ends with the last of them.
#[derive(Clone)]
pub(crate) struct RoutineHandle {
    door: Door,
    asks: mpsc::Sender<Ask>,
    anchors: watch::Sender<Option<Anchor>>,
    state: watch::Receiver<ScheduleState>,
}

enum Ask {
    Set(Vec<Task>, u64),
    Drain(Duration, oneshot::Sender<()>),
}

impl RoutineHandle {
    /// The checks of this agent, for the hello.
    pub(crate) fn known(&self) -> Vec<v1::KnownCheck> {
        self.door.known()
    }

    /// Takes a change of the checks, in the order of the calls; they are on disk when it is said what became of it.
    /// `None` when too many changes wait.
    pub(crate) fn update(&self, update: v1::ChecksUpdate) -> Option<oneshot::Receiver<v1::ChecksApplied>> {
        self.door.ask(Some(update))
    }

    /// What became of the checks that there are.
    pub(crate) fn applied(&self) -> Option<oneshot::Receiver<v1::ChecksApplied>> {
        self.door.ask(None)
    }

    /// What a heartbeat says of the collector's wall clock.
    pub(crate) fn anchored(&self, anchor: Anchor) {
        let _ = self.anchors.send(Some(anchor));
    }

    /// How it keeps up.
    pub(crate) fn state(&self) -> ScheduleState {
        *self.state.borrow()
    }

    /// Begins nothing more, waits for what is under way, and keeps the schedule.
    pub(crate) async fn drain(&self, at_most: Duration) {
        let (drained, over) = oneshot::channel();
        if self.asks.send(Ask::Drain(at_most, drained)).await.is_ok() {
            let _ = over.await;
        }
    }
}

/// Begins with the checks that are kept.
///
/// # Errors
/// When the state directory can't be read.
pub(crate) fn start(state_dir: &Path, runner: Arc<Runner>, keep: Keep) -> io::Result<RoutineHandle> {
    let checks = Checks::load(state_dir)?;
    let trials = Arc::new(Trials::load(state_dir));
    let (asks, asked) = mpsc::channel(ASKS);
    let anchors = watch::Sender::new(None);
    let shown = watch::Sender::new(ScheduleState::default());
    let handle = RoutineHandle {
        door: keeper::open(checks, trials.clone(), asks.clone()),
        asks,
        anchors: anchors.clone(),
        state: shown.subscribe(),
    };
    let routine = Routine {
        schedule: None,
        memory: Memory::load(state_dir),
        wake: Instant::now() + GRACE,
        tasks: BTreeMap::new(),
        sum: 0,
        under_way: JoinSet::new(),
        means: Arc::new(Means { runner, keep, trials }),
        shown,
        state_dir: state_dir.to_owned(),
        is_news: false,
    };
    tokio::spawn(routine.run(asked, anchors.subscribe()));
    Ok(handle)
}

/// What a part of a round is carried out with.
struct Means {
    runner: Arc<Runner>,
    keep: Keep,
    trials: Arc<Trials>,
}

struct Routine {
    /// Not before the collector's clock is known, or was waited for long enough.
    schedule: Option<Schedule>,
    memory: Option<Memory>,
    wake: Instant,
    tasks: BTreeMap<Uuid, Task>,
    sum: u64,
    /// Each tells the check whose round it was, if it was carried out.
    under_way: JoinSet<Option<Uuid>>,
    means: Arc<Means>,
    shown: watch::Sender<ScheduleState>,
    state_dir: PathBuf,
    /// There are checks of which the next process would know nothing.
    is_news: bool,
}

impl Routine {
    async fn run(mut self, mut asked: mpsc::Receiver<Ask>, mut anchors: watch::Receiver<Option<Anchor>>) {
        let mut keeping = interval(KEPT_EVERY);
        keeping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let next = self.next();
            tokio::select! {
                ask = asked.recv() => match ask {
                    None => return,
                    Some(Ask::Set(tasks, sum)) => self.set(tasks, sum),
                    Some(Ask::Drain(at_most, drained)) => {
                        self.drain(at_most).await;
                        let _ = drained.send(());
                        return;
                    }
                },
                Ok(()) = anchors.changed() => {
                    if let Some(anchor) = *anchors.borrow_and_update() {
                        self.anchored(anchor);
                    }
                }
                () = at(next) => self.begin(),
                Some(ended) = self.under_way.join_next() => self.ended(ended.ok().flatten()),
                _ = keeping.tick() => self.keep().await,
            }
            self.show();
            if std::mem::take(&mut self.is_news) {
                keeping.reset_immediately();
            }
        }
    }

    fn next(&self) -> Option<Instant> {
        match &self.schedule {
            Some(schedule) => schedule.next(),
            None => Some(self.wake),
        }
    }

    fn set(&mut self, tasks: Vec<Task>, sum: u64) {
        self.sum = sum;
        self.tasks = tasks
            .into_iter()
            .map(|task| (task.assignment.check, task))
            .collect();
        self.schedule();
    }

    fn schedule(&mut self) {
        let assignments: Vec<_> = self.tasks.values().map(|task| task.assignment.clone()).collect();
        if let Some(schedule) = &mut self.schedule {
            schedule.set(&assignments, Instant::now());
            // Without a check yet, what the last process knew of them is kept as it is.
            self.is_news = !assignments.is_empty();
        }
    }

    fn anchored(&mut self, anchor: Anchor) {
        match &mut self.schedule {
            None => self.awake(anchor),
            Some(schedule) => {
                let moved = schedule.anchor().moved(&anchor);
                if moved.abs() > MOVED {
                    let moved_ms = i64::try_from(moved.as_millis()).unwrap_or(i64::MAX);
                    tracing::warn!(
                        moved_ms,
                        "the collector's clock is elsewhere; the checks follow it"
                    );
                    schedule.anchored(anchor);
                }
            }
        }
    }

    fn awake(&mut self, anchor: Anchor) {
        let last = self.memory.take().map(|memory| memory.last).unwrap_or_default();
        self.schedule = Some(Schedule::new(self.means.runner.name.clone(), anchor, last));
        self.schedule();
    }

    fn begin(&mut self) {
        let now = Instant::now();
        let Some(schedule) = &mut self.schedule else {
            let anchor = self.memory.as_ref().map(Memory::anchor);
            self.awake(anchor.unwrap_or_else(|| Anchor {
                at: now,
                wall: crate::clock::now(),
            }));
            return;
        };
        let anchor = *schedule.anchor();
        for due in schedule.due(now) {
            let check = due.assignment.check;
            let runs = due.skipped.is_none();
            if self.under_way.len() >= UNDER_WAY {
                tracing::warn!(check = %due.assignment.name, "a round is left out: this agent does not keep up");
                if runs {
                    schedule.done(check);
                }
                continue;
            }
            let Some(task) = self.tasks.get(&check) else {
                continue;
            };
            let part = Part::new(due, task.order.clone(), anchor, self.means.clone());
            self.under_way.spawn(async move {
                part.carry_out().await;
                runs.then_some(check)
            });
        }
    }

    fn ended(&mut self, check: Option<Uuid>) {
        if let (Some(check), Some(schedule)) = (check, &mut self.schedule) {
            schedule.done(check);
        }
    }

    fn show(&self) {
        let state = self.schedule.as_ref().map(Schedule::state).unwrap_or_default();
        self.shown.send_replace(ScheduleState {
            sum: self.sum,
            checks: u32::try_from(self.tasks.len()).unwrap_or(u32::MAX),
            ..state
        });
    }

    /// Best effort: without it, the next process is exact as soon as the collector answers.
    async fn keep(&self) {
        let Some(schedule) = &self.schedule else { return };
        let memory = Memory::of(schedule.anchor(), schedule.last());
        let state_dir = self.state_dir.clone();
        match tokio::task::spawn_blocking(move || memory.keep(&state_dir)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the schedule is not kept"),
            Err(error) => tracing::error!(%error, "keeping the schedule broke off"),
        }
    }

    async fn drain(&mut self, at_most: Duration) {
        let all = async { while self.under_way.join_next().await.is_some() {} };
        if timeout(at_most, all).await.is_err() {
            tracing::info!(given_up = self.under_way.len(), "probes of checks are given up");
            self.under_way.shutdown().await;
        }
        self.means.trials.stopped().await;
        self.keep().await;
    }
}

async fn at(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
pub(crate) mod tests;
