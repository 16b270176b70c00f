//! Which checks this agent got through once. One that ends the process each time it begins would end it for ever: the
//! checks are kept, and begin by themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use parallax_identity::{Readers, write_whole};
use serde::{Deserialize, Serialize};

/// In the state directory.
const FILE: &str = "trials.json";
/// Processes that a check may end before it is let alone.
const PATIENCE: u32 = 3;

/// What is known of each form of a check, by its digest.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Book {
    /// Got through a round.
    proven: BTreeSet<u64>,
    /// Began, in so many processes, and did not get through yet.
    tried: BTreeMap<u64, u32>,
    /// Began in this process, and did not get through yet.
    #[serde(skip)]
    under_way: BTreeSet<u64>,
    #[serde(skip)]
    version: u64,
}

/// The book, on disk before a check begins for the first time.
pub(super) struct Trials {
    path: PathBuf,
    book: Mutex<Book>,
    /// The version that is written; whoever holds it writes.
    written: tokio::sync::Mutex<u64>,
}

impl Trials {
    pub(super) fn load(state_dir: &Path) -> Self {
        let path = state_dir.join(FILE);
        let book = std::fs::read(&path)
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok());
        Self {
            path,
            book: Mutex::new(book.unwrap_or_default()),
            written: tokio::sync::Mutex::new(0),
        }
    }

    /// Whether it ended so many processes that it is let alone until it is another.
    pub(super) fn ends_processes(&self, digest: u64) -> bool {
        self.book()
            .tried
            .get(&digest)
            .is_some_and(|tried| *tried >= PATIENCE)
    }

    /// Forgets all but these.
    pub(super) fn retain(&self, digests: &BTreeSet<u64>) {
        let mut book = self.book();
        book.proven.retain(|digest| digests.contains(digest));
        book.tried.retain(|digest, _| digests.contains(digest));
    }

    /// A check begins. The first time that is on disk before this returns.
    pub(super) async fn begins(self: &Arc<Self>, digest: u64) {
        let version = {
            let mut book = self.book();
            if book.proven.contains(&digest) {
                return;
            }
            *book.tried.entry(digest).or_default() += 1;
            book.under_way.insert(digest);
            book.version += 1;
            book.version
        };
        self.write(version).await;
    }

    /// A check got through a round, whatever that saw.
    pub(super) async fn ended(self: &Arc<Self>, digest: u64) {
        let version = {
            let mut book = self.book();
            if !book.proven.insert(digest) {
                return;
            }
            book.tried.remove(&digest);
            book.under_way.remove(&digest);
            book.version += 1;
            book.version
        };
        self.write(version).await;
    }

    /// This process ends because it is told to: that is held against nobody.
    pub(super) async fn stopped(self: &Arc<Self>) {
        let version = {
            let mut book = self.book();
            let under_way = std::mem::take(&mut book.under_way);
            if under_way.is_empty() {
                return;
            }
            for digest in under_way {
                if let Some(tried) = book.tried.get_mut(&digest) {
                    *tried = tried.saturating_sub(1);
                }
            }
            book.version += 1;
            book.version
        };
        self.write(version).await;
    }

    /// Many that begin together are written together.
    async fn write(self: &Arc<Self>, version: u64) {
        let mut written = self.written.lock().await;
        if *written >= version {
            return;
        }
        let book = self.book().clone();
        let version = book.version;
        let path = self.path.clone();
        let writing = tokio::task::spawn_blocking(move || {
            let text = serde_json::to_vec(&book)?;
            write_whole(&path, &text, Readers::Owner)
        });
        match writing.await {
            Ok(Ok(())) => *written = version,
            Ok(Err(error)) => {
                tracing::debug!(path = %self.path.display(), %error, "the trials of the checks are not kept");
            }
            Err(error) => tracing::error!(%error, "writing the trials of the checks broke off"),
        }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_check_that_ended_three_processes_is_let_alone_until_it_is_another() {
        let dir = tempfile::tempdir().unwrap();
        for _ in 0..PATIENCE {
            let trials = Arc::new(Trials::load(dir.path()));
            assert!(!trials.ends_processes(7));
            trials.begins(7).await;
            trials.begins(8).await;
            trials.ended(8).await;
        }
        let trials = Arc::new(Trials::load(dir.path()));
        assert!(trials.ends_processes(7) && !trials.ends_processes(8));
        trials.retain(&BTreeSet::from([8, 9]));
        assert!(!trials.ends_processes(7), "it is no check of this agent any more");
    }

    #[tokio::test]
    async fn a_process_that_is_stopped_within_a_first_round_holds_it_against_nobody() {
        let dir = tempfile::tempdir().unwrap();
        for _ in 0..10 {
            let trials = Arc::new(Trials::load(dir.path()));
            trials.begins(7).await;
            trials.stopped().await;
        }
        assert!(!Trials::load(dir.path()).ends_processes(7));
    }

    #[tokio::test]
    async fn one_round_that_ends_clears_a_check_for_good() {
        let dir = tempfile::tempdir().unwrap();
        for round in 0..10 {
            let trials = Arc::new(Trials::load(dir.path()));
            trials.begins(7).await;
            if round == PATIENCE - 2 {
                trials.ended(7).await;
            }
        }
        assert!(!Trials::load(dir.path()).ends_processes(7));
    }
}
