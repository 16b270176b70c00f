//! Writes rounds that are over. Nothing of them is lost while the database is slow: what finds no room in the queue
//! waits at the hub, and what finds none there is rebuilt from the results at the next start.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use parallax_model::observation::Observation;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tracing::{error, warn};
use uuid::Uuid;

use crate::metrics::Metrics;
use crate::store::{CheckStore, CheckWrite, ResultStore, RoundCommit};
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

#[derive(Debug, Default)]
struct Queue {
    rounds: VecDeque<ToClose>,
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
    /// Woken when something was kept that somebody may be told of.
    pub(crate) told: Arc<Notify>,
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
        if queue.rounds.len() >= WAITING_AT_MOST {
            return Err("round");
        }
        queue.rounds.push_back(round);
        drop(queue);
        self.0.wake.notify_one();
        Ok(())
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

impl Inner {
    /// What is to be written, and whether more may come.
    fn take(&self) -> (Vec<ToClose>, Vec<(Uuid, String)>, bool) {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let count = queue.rounds.len().min(AT_ONCE);
        let rounds = queue.rounds.drain(..count).collect();
        (rounds, std::mem::take(&mut queue.cleared), queue.stopped)
    }
}

async fn write(parts: ClosingParts, inner: Arc<Inner>) {
    loop {
        let (rounds, cleared, stopped) = inner.take();
        if rounds.is_empty() && cleared.is_empty() {
            if stopped {
                return;
            }
            inner.wake.notified().await;
            continue;
        }
        if !cleared.is_empty() {
            clear(&parts, cleared).await;
        }
        if !rounds.is_empty() {
            close(&parts, rounds).await;
        }
    }
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
    parts.told.notify_waiters();
    for round in rounds {
        parts.metrics.round_closed(&round.commit.outcome);
        parts.telemetry.round(&round.commit.outcome, &round.observations);
    }
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
