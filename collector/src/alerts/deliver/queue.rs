//! The task of one receiver: what waits for it, in its order, until it has taken it.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::{Notify, watch};
use tracing::{debug, error, warn};

use super::{Link, Progress, Refusal, backoff, locked};
use crate::clock;
use crate::metrics::Metrics;
use crate::store::{AlertStore, StoreError, Waiting};

/// How often who is told what is, and not what changed, is told.
const REMINDED: Duration = Duration::from_secs(60);

/// How often the outbox is looked into without a word: for what waits for another try.
const LOOK: Duration = Duration::from_secs(5);

/// Notices that are read at once.
const BATCH: u32 = 50;

/// How often a notice is sent that its receiver does not want.
const TRIES: u32 = 10;

/// One receiver, and what it takes to tell it.
pub(super) struct Queue {
    pub(super) name: String,
    pub(super) link: watch::Receiver<Arc<Link>>,
    pub(super) wake: Arc<Notify>,
    pub(super) progress: Arc<Mutex<Progress>>,
    pub(super) store: Arc<dyn AlertStore>,
    pub(super) metrics: Arc<Metrics>,
}

/// How it stands with a receiver.
#[derive(Default)]
struct Standing {
    /// Tries in a row that failed for a reason that is not the notice's.
    failures: u32,
    /// Until when it is left alone.
    pause: Option<Instant>,
    /// When it is reminded next; at the start at once.
    remind: Option<Instant>,
}

impl Queue {
    /// Never ends by itself.
    pub(super) async fn work(mut self) {
        let mut standing = Standing::default();
        loop {
            let link = Arc::clone(&self.link.borrow_and_update());
            if let Err(problem) = self.work_off(&link, &mut standing).await {
                error!(receiver = %self.name, "the outbox can't be read: {problem}");
            }
            let pause = standing.pause.take();
            let wake = &self.wake;
            let wait = async {
                match pause {
                    // What wakes others wakes nobody who is to be left alone.
                    Some(until) => tokio::time::sleep_until(until.into()).await,
                    // Without a word it is time to look.
                    None => drop(tokio::time::timeout(LOOK, wake.notified()).await),
                }
            };
            tokio::select! {
                () = wait => {}
                Ok(()) = self.link.changed() => {
                    standing = Standing::default();
                    self.hurry().await;
                }
            }
        }
    }

    /// What failed on the old way is tried on the new one.
    async fn hurry(&self) {
        if let Err(problem) = self.store.hurry(self.name.clone(), Timestamp::now()).await {
            error!(receiver = %self.name, "what waits is not tried before its time: {problem}");
        }
    }

    async fn work_off(&self, link: &Link, standing: &mut Standing) -> Result<(), StoreError> {
        if link.is_reminded() && standing.remind.is_none_or(|at| at <= clock::now()) {
            let firing = self.store.told().await?;
            match link.remind(firing, Timestamp::now()).await {
                Ok(()) => standing.failures = 0,
                Err(Refusal::Later(problem)) => {
                    self.pause(standing, &problem);
                    return Ok(());
                }
                // It takes those that it does want.
                Err(Refusal::Final(problem)) => self.count("refused", |progress| progress.problem = problem),
            }
            standing.remind = Some(clock::now() + REMINDED);
        }
        loop {
            let due = self.store.due(self.name.clone(), Timestamp::now(), BATCH).await?;
            if due.is_empty() {
                return Ok(());
            }
            let mut stuck = BTreeSet::new();
            for waiting in due {
                // What is behind one that waits waits too: nobody hears the end before the beginning.
                if stuck.contains(&waiting.alert.fingerprint) {
                    continue;
                }
                if self.link.has_changed().unwrap_or_default() {
                    return Ok(());
                }
                let fingerprint = waiting.alert.fingerprint.clone();
                if !self.send(waiting, link, standing).await? {
                    stuck.insert(fingerprint);
                }
                if standing.pause.is_some() {
                    return Ok(());
                }
            }
        }
    }

    /// Whether the notice has left the queue.
    async fn send(&self, waiting: Waiting, link: &Link, standing: &mut Standing) -> Result<bool, StoreError> {
        let tries = waiting.attempts + 1;
        let name = waiting.alert.name.clone();
        match link.tell(waiting.alert, Timestamp::now()).await {
            Ok(()) => {
                standing.failures = 0;
                self.count("sent", |progress| {
                    progress.sent += 1;
                    progress.problem.clear();
                });
                self.store.sent(waiting.no).await?;
                Ok(true)
            }
            Err(Refusal::Final(problem)) if tries >= TRIES => {
                warn!(receiver = %self.name, alert = %name, "given up after {tries} tries: {problem}");
                self.count("given_up", |progress| {
                    progress.failed += 1;
                    progress.problem = problem;
                });
                self.store.sent(waiting.no).await?;
                Ok(true)
            }
            Err(Refusal::Final(problem)) => {
                debug!(receiver = %self.name, alert = %name, "not wanted: {problem}");
                self.count("refused", |progress| progress.problem.clone_from(&problem));
                let next = Timestamp::now() + backoff::pause(tries, rand::random());
                self.store.failed(waiting.no, problem, next).await?;
                Ok(false)
            }
            Err(Refusal::Later(problem)) => {
                let pause = self.pause(standing, &problem);
                self.store
                    .failed(waiting.no, problem, Timestamp::now() + pause)
                    .await?;
                Ok(false)
            }
        }
    }

    /// Leaves the receiver alone for a while.
    fn pause(&self, standing: &mut Standing, problem: &str) -> Duration {
        standing.failures = standing.failures.saturating_add(1);
        // Once, until it works again: a dead receiver is one fact.
        if standing.failures == 1 {
            warn!(receiver = %self.name, "not told, tried again until it is: {problem}");
        }
        self.count("failed", |progress| problem.clone_into(&mut progress.problem));
        let pause = backoff::pause(standing.failures, rand::random());
        standing.pause = Some(clock::now() + pause);
        pause
    }

    fn count(&self, outcome: &'static str, change: impl FnOnce(&mut Progress)) {
        self.metrics.notification(&self.name, outcome);
        change(&mut locked(&self.progress));
    }
}
