//! Writes rounds that are over, and what changed of alerts, in the order in which it happened. Nothing is lost while the
//! database is slow: a round that finds no room is rebuilt from its results at the next start, and what changed of alerts
//! is as much as there are alerts.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use parallax_model::observation::Observation;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tracing::{error, warn};
use uuid::Uuid;

use crate::alerts::AlertChanges;
use crate::alerts::deliver::{self, Delivery};
use crate::metrics::Metrics;
use crate::store::{AlertStore, CheckStore, CheckWrite, KeptRun, ResultStore, RoundCommit};
use crate::telemetry::Telemetry;

/// Rounds that may wait for the database.
const WAITING_AT_MOST: usize = 1024;

/// Rounds that are written at once.
const AT_ONCE: usize = 64;

/// How long to wait after a failure, first and at most.
const AGAIN: Duration = Duration::from_secs(1);
const AGAIN_AT_MOST: Duration = Duration::from_secs(30);

/// A round, and what is told of it once it is kept.
#[derive(Debug)]
pub(crate) struct ToClose {
    pub(crate) commit: RoundCommit,
    pub(crate) observations: Vec<Observation>,
}

/// Something to write.
#[derive(Debug)]
enum Job {
    Round(Box<ToClose>),
    /// What changed of alerts without a round.
    Alerts(AlertChanges),
    /// The wall clock was set back.
    SetBack(Timestamp),
    /// These are told of alerts from here on, and nobody else.
    Receivers(Vec<String>),
}

#[derive(Debug, Default)]
struct Queue {
    jobs: VecDeque<Job>,
    cleared: Vec<(Uuid, String)>,
    stopped: bool,
}

#[derive(Debug, Default)]
struct Inner {
    queue: Mutex<Queue>,
    wake: Notify,
}

/// The way to the writer. It ends once this is dropped and everything is written.
#[derive(Debug, Default)]
pub(crate) struct Closing(Arc<Inner>);

/// What the writer works with.
pub(crate) struct ClosingParts {
    pub(crate) results: Arc<dyn ResultStore>,
    pub(crate) checks: Arc<dyn CheckStore>,
    pub(crate) telemetry: Telemetry,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) alerts: Arc<dyn AlertStore>,
    /// Woken when something was kept that somebody may be told of.
    pub(crate) delivery: Delivery,
}

impl Closing {
    /// Starts the writer.
    pub(crate) fn start(parts: ClosingParts) -> (Self, JoinHandle<()>) {
        let inner = Arc::new(Inner::default());
        let writing = tokio::spawn(write(parts, Arc::clone(&inner)));
        (Self(inner), writing)
    }

    /// Keeps a round, soon.
    ///
    /// # Errors
    /// What is not kept for want of room; its results are, and the next start closes it.
    pub(crate) fn keep(&self, round: ToClose) -> Result<(), &'static str> {
        let mut queue = self.0.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let has_room = queue.jobs.len() < WAITING_AT_MOST;
        if has_room {
            queue.jobs.push_back(Job::Round(Box::new(round)));
        } else {
            queue.alerts(round.commit.alerts);
        }
        drop(queue);
        self.0.wake.notify_one();
        if has_room { Ok(()) } else { Err("round") }
    }

    /// Keeps what changed of alerts without a round, soon.
    pub(crate) fn alerts(&self, changes: AlertChanges) {
        if changes.is_empty() {
            return;
        }
        let mut queue = self.0.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.alerts(changes);
        drop(queue);
        self.0.wake.notify_one();
    }

    /// The wall clock was set back to this time: rounds after it come again.
    pub(crate) fn set_back(&self, to: Timestamp) {
        let mut queue = self.0.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.jobs.push_back(Job::SetBack(to));
        drop(queue);
        self.0.wake.notify_one();
    }

    /// These are told of alerts from now on. What waits for others is let go of, after all that was said before.
    pub(crate) fn receivers(&self, names: Vec<String>) {
        let mut queue = self.0.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.jobs.push_back(Job::Receivers(names));
        drop(queue);
        self.0.wake.notify_one();
    }

    /// A server took the secret of a check.
    pub(crate) fn login_cleared(&self, check: Uuid, generation: String) {
        let mut queue = self.0.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.cleared.push((check, generation));
        drop(queue);
        self.0.wake.notify_one();
    }
}

impl Drop for Closing {
    fn drop(&mut self) {
        let mut queue = self.0.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.stopped = true;
        drop(queue);
        self.0.wake.notify_one();
    }
}

impl Queue {
    /// One after another they are one.
    fn alerts(&mut self, changes: AlertChanges) {
        match self.jobs.back_mut() {
            Some(Job::Alerts(waiting)) => waiting.extend(changes),
            Some(Job::Round(_) | Job::SetBack(_) | Job::Receivers(_)) | None => {
                self.jobs.push_back(Job::Alerts(changes));
            }
        }
    }

    /// What can be written at once: rounds in a row, or one of the others.
    fn next(&mut self) -> Work {
        let mut rounds = Vec::new();
        while rounds.len() < AT_ONCE {
            match self.jobs.pop_front() {
                None => break,
                Some(Job::Round(round)) => rounds.push(*round),
                Some(Job::Alerts(changes)) if rounds.is_empty() => return Work::Alerts(changes),
                Some(Job::SetBack(to)) if rounds.is_empty() => return Work::SetBack(to),
                Some(Job::Receivers(names)) if rounds.is_empty() => return Work::Receivers(names),
                Some(later @ (Job::Alerts(_) | Job::SetBack(_) | Job::Receivers(_))) => {
                    self.jobs.push_front(later);
                    break;
                }
            }
        }
        Work::Rounds(rounds)
    }
}

/// What is written in one transaction.
enum Work {
    Rounds(Vec<ToClose>),
    Alerts(AlertChanges),
    SetBack(Timestamp),
    Receivers(Vec<String>),
}

impl Inner {
    /// What is to be written, and whether more may come.
    fn take(&self) -> (Work, Vec<(Uuid, String)>, bool) {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        (queue.next(), std::mem::take(&mut queue.cleared), queue.stopped)
    }
}

async fn write(parts: ClosingParts, inner: Arc<Inner>) {
    loop {
        let (work, cleared, stopped) = inner.take();
        let is_idle = cleared.is_empty();
        if !is_idle {
            clear(&parts, cleared).await;
        }
        match work {
            Work::Alerts(changes) => keep_alerts(&parts, changes).await,
            Work::SetBack(to) => set_back(&parts, to).await,
            Work::Receivers(names) => keep_receivers(&parts, names).await,
            Work::Rounds(rounds) if !rounds.is_empty() => close(&parts, rounds).await,
            Work::Rounds(_) if !is_idle => {}
            Work::Rounds(_) if stopped => return,
            Work::Rounds(_) => inner.wake.notified().await,
        }
    }
}

async fn keep_alerts(parts: &ClosingParts, changes: AlertChanges) {
    let mut wait = AGAIN;
    while let Err(problem) = parts.alerts.write_alerts(changes.clone(), Timestamp::now()).await {
        error!(
            "alerts are not kept yet, it is tried again in {} s: {problem}",
            wait.as_secs()
        );
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(AGAIN_AT_MOST);
    }
    parts.delivery.wake();
}

async fn keep_receivers(parts: &ClosingParts, names: Vec<String>) {
    let mut wait = AGAIN;
    while let Err(problem) = deliver::let_go(parts.alerts.as_ref(), &parts.metrics, names.clone()).await {
        error!(
            "the outbox still has what nobody is told, it is tried again in {} s: {problem}",
            wait.as_secs()
        );
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(AGAIN_AT_MOST);
    }
    // What waited under another name is somebody's now.
    parts.delivery.wake();
}

async fn close(parts: &ClosingParts, rounds: Vec<ToClose>) {
    let commits: Vec<RoundCommit> = rounds.iter().map(|round| round.commit.clone()).collect();
    let mut wait = AGAIN;
    while let Err(problem) = parts.results.close_rounds(commits.clone()).await {
        error!(
            "rounds are not kept yet, it is tried again in {} s: {problem}",
            wait.as_secs()
        );
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(AGAIN_AT_MOST);
    }
    parts.delivery.wake();
    for round in rounds {
        parts.metrics.round_closed(&round.commit.outcome);
        let until = round.commit.run.as_ref().and_then(asked_until);
        parts
            .telemetry
            .round(&round.commit.outcome, &round.observations, until);
    }
}

async fn set_back(parts: &ClosingParts, to: Timestamp) {
    let mut wait = AGAIN;
    while let Err(problem) = parts.results.set_back(to).await {
        error!(
            "that the clock was set back is not kept yet, it is tried again in {} s: {problem}",
            wait.as_secs()
        );
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(AGAIN_AT_MOST);
    }
}

/// When the answer of a round was there for which more was asked.
fn asked_until(run: &KeptRun) -> Option<Timestamp> {
    let document = &run.document;
    let asked = !document.experiments.is_empty();
    asked.then(|| document.started_at + document.duration)
}

async fn clear(parts: &ClosingParts, cleared: Vec<(Uuid, String)>) {
    let writes = cleared
        .into_iter()
        .map(|(check, generation)| CheckWrite::Cleared(check, generation))
        .collect();
    // Forgotten, it is found out again by one agent alone.
    if let Err(problem) = parts
        .checks
        .write_checks(writes, String::new(), Timestamp::now())
        .await
    {
        warn!("that a secret was taken is not kept: {problem}");
    }
}

#[cfg(test)]
mod tests;
