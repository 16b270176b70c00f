//! Takes changes of the checks, one after the other, and keeps each before it is said to be taken.

use std::sync::{Arc, Mutex, PoisonError};

use parallax_proto::v1;
use tokio::sync::{mpsc, oneshot};

use super::Ask;
use super::trials::Trials;
use crate::checks::{Checks, Task};

/// Changes that may wait.
const WAITING: usize = 64;

type Word = (Option<v1::ChecksUpdate>, oneshot::Sender<v1::ChecksApplied>);

/// Where the keeper is told of changes.
#[derive(Clone)]
pub(super) struct Door {
    words: mpsc::Sender<Word>,
    known: Arc<Mutex<Vec<v1::KnownCheck>>>,
}

impl Door {
    /// Asks for a change, or only for what became of the last; `None` when too many wait.
    pub(super) fn ask(
        &self,
        update: Option<v1::ChecksUpdate>,
    ) -> Option<oneshot::Receiver<v1::ChecksApplied>> {
        let (reply, applied) = oneshot::channel();
        self.words.try_send((update, reply)).ok()?;
        Some(applied)
    }

    pub(super) fn known(&self) -> Vec<v1::KnownCheck> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Keeps the checks until the last door is gone.
pub(super) struct Keeper {
    checks: Arc<Mutex<Checks>>,
    trials: Arc<Trials>,
    known: Arc<Mutex<Vec<v1::KnownCheck>>>,
    routine: mpsc::Sender<Ask>,
}

/// Begins with the checks that are kept.
pub(super) fn open(checks: Checks, trials: Arc<Trials>, routine: mpsc::Sender<Ask>) -> Door {
    let known = Arc::new(Mutex::new(checks.known()));
    let (words, asked) = mpsc::channel(WAITING);
    let keeper = Keeper {
        checks: Arc::new(Mutex::new(checks)),
        trials,
        known: known.clone(),
        routine,
    };
    tokio::spawn(keeper.keep(asked));
    Door { words, known }
}

impl Keeper {
    async fn keep(self, mut asked: mpsc::Receiver<Word>) {
        self.tell_routine().await;
        while let Some((update, reply)) = asked.recv().await {
            let problems = match update {
                Some(update) => self.apply(update).await,
                None => Vec::new(),
            };
            // Whoever asked may have gone with its connection.
            let _ = reply.send(self.applied(problems));
        }
    }

    async fn apply(&self, update: v1::ChecksUpdate) -> Vec<String> {
        let checks = self.checks.clone();
        let applying = move || {
            let mut checks = checks.lock().unwrap_or_else(PoisonError::into_inner);
            let problems = checks.apply(update);
            let digests = checks.tasks().map(|task| task.assignment.digest).collect();
            (checks.known(), digests, problems)
        };
        let (known, digests, problems) = match tokio::task::spawn_blocking(applying).await {
            Ok(applied) => applied,
            Err(error) => {
                tracing::error!(%error, "taking the checks broke off");
                return vec!["a fault in the agent's program; its log says more".to_owned()];
            }
        };
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = known;
        self.trials.retain(&digests);
        self.tell_routine().await;
        problems
    }

    async fn tell_routine(&self) {
        let (tasks, sum) = self.runnable();
        // The routine is gone when this process stops, and nothing begins any more.
        let _ = self.routine.send(Ask::Set(tasks, sum)).await;
    }

    fn runnable(&self) -> (Vec<Task>, u64) {
        let checks = self.checks.lock().unwrap_or_else(PoisonError::into_inner);
        let tasks = checks.tasks().filter(|task| !self.is_let_alone(task));
        (tasks.cloned().collect(), checks.sum())
    }

    fn is_let_alone(&self, task: &Task) -> bool {
        self.trials.ends_processes(task.assignment.digest)
    }

    fn applied(&self, mut problems: Vec<String>) -> v1::ChecksApplied {
        let checks = self.checks.lock().unwrap_or_else(PoisonError::into_inner);
        problems.extend(checks.problems());
        let alone = checks.tasks().filter(|task| self.is_let_alone(task));
        problems.extend(alone.map(|task| {
            format!(
                "{}: it ended this agent's process each time it began, and is let alone until it is changed",
                task.assignment.name
            )
        }));
        v1::ChecksApplied {
            sum: checks.sum(),
            checks: u32::try_from(checks.len()).unwrap_or(u32::MAX),
            problems,
        }
    }
}
