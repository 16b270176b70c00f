//! Stores results as they come from agents, then tells those that they are stored.
//!
//! One task writes; what waits meanwhile goes into one transaction. An agent that is told nothing sends again, so
//! whatever is given up here is only late.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use parallax_model::check::Chain;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinHandle;
use tracing::{debug, error};
use uuid::Uuid;

use crate::hub::{Event, HubHandle, ToAgent};
use crate::metrics::Metrics;
use crate::store::{Arrived, Committed, ResultStore};

/// Batches that may wait, in number and in KiB.
const QUEUE: usize = 64;
const ROOM: usize = 32 * 1024;

/// What goes into one transaction at most.
const AT_ONCE: usize = 64;
const KIB_AT_ONCE: u32 = 4 * 1024;

/// How long a link waits for room before the batch is left out: its heartbeats come behind.
const TO_WAIT: Duration = Duration::from_secs(10);

/// How long to wait after a failure, first and at most.
const AGAIN: Duration = Duration::from_secs(1);
const AGAIN_AT_MOST: Duration = Duration::from_secs(30);

/// The way to the writer; any number of them.
#[derive(Debug, Clone)]
pub(crate) struct Intake {
    queue: mpsc::Sender<Batch>,
    room: Arc<Semaphore>,
}

/// A batch could not be taken in now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the database is too far behind; the results are sent again")]
pub(crate) struct NotTaken;

#[derive(Debug)]
struct Batch {
    arrived: Arrived,
    answers: mpsc::WeakSender<ToAgent>,
    kib: u32,
    _room: OwnedSemaphorePermit,
}

impl Intake {
    /// Starts the writer. It ends when every way to it is gone and everything is written.
    pub(crate) fn start(
        store: Arc<dyn ResultStore>,
        hub: HubHandle,
        metrics: Arc<Metrics>,
    ) -> (Self, JoinHandle<()>) {
        let (queue, batches) = mpsc::channel(QUEUE);
        let room = Arc::new(Semaphore::new(ROOM));
        let writer = Writer { store, hub, metrics };
        (Self { queue, room }, tokio::spawn(writer.write(batches)))
    }

    /// Stores a batch, soon. Waits for room, which slows down its sender alone.
    ///
    /// # Errors
    /// There was no room for so long that the sender had better send again.
    pub(crate) async fn take(
        &self,
        arrived: Arrived,
        bytes: usize,
        answers: mpsc::WeakSender<ToAgent>,
    ) -> Result<(), NotTaken> {
        let kib = u32::try_from(bytes / 1024 + 1)
            .unwrap_or(u32::MAX)
            .min(KIB_AT_ONCE);
        let waiting = async {
            let room = Arc::clone(&self.room)
                .acquire_many_owned(kib)
                .await
                .map_err(|_| NotTaken)?;
            let batch = Batch {
                arrived,
                answers,
                kib,
                _room: room,
            };
            self.queue.send(batch).await.map_err(|_| NotTaken)
        };
        tokio::time::timeout(TO_WAIT, waiting)
            .await
            .unwrap_or(Err(NotTaken))
    }
}

struct Writer {
    store: Arc<dyn ResultStore>,
    hub: HubHandle,
    metrics: Arc<Metrics>,
}

impl Writer {
    async fn write(self, mut batches: mpsc::Receiver<Batch>) {
        let mut wait = AGAIN;
        while let Some(first) = batches.recv().await {
            let merged = merge(first, &mut batches);
            let count = merged
                .iter()
                .map(|batch| batch.arrived.results.len() as u64)
                .sum();
            let (arrived, places): (Vec<Arrived>, Vec<Place>) = merged.into_iter().map(part).unzip();
            match self.store.commit_results(arrived, Timestamp::now()).await {
                Ok(committed) => {
                    wait = AGAIN;
                    self.metrics.results_kept(&committed, count);
                    self.kept(places, committed).await;
                }
                Err(problem) => {
                    error!("results are not kept, their agents send them again: {problem}");
                    self.metrics.record_dropped("results");
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(AGAIN_AT_MOST);
                }
            }
        }
    }

    async fn kept(&self, places: Vec<Place>, committed: Committed) {
        for (place, through) in places.into_iter().zip(committed.through) {
            let kept = ToAgent::ResultsKept {
                epoch: place.epoch,
                chain: place.chain,
                through,
            };
            // Without the answer the agent sends again, and is answered then.
            let told = place
                .answers
                .upgrade()
                .is_some_and(|sender| sender.try_send(kept).is_ok());
            if !told {
                debug!("an agent is not told what is kept of it");
            }
        }
        if !committed.fresh.is_empty() {
            // A hub that has stopped finds them at the next start.
            let _ = self.hub.tell(Event::ResultsKept(committed.fresh)).await;
        }
    }
}

/// Where the answer to a batch goes.
struct Place {
    answers: mpsc::WeakSender<ToAgent>,
    epoch: Uuid,
    chain: Chain,
}

fn part(batch: Batch) -> (Arrived, Place) {
    let place = Place {
        answers: batch.answers,
        epoch: batch.arrived.epoch,
        chain: batch.arrived.chain,
    };
    (batch.arrived, place)
}

/// What waits goes along.
fn merge(first: Batch, batches: &mut mpsc::Receiver<Batch>) -> Vec<Batch> {
    let mut kib = first.kib;
    let mut merged = vec![first];
    while merged.len() < AT_ONCE
        && kib < KIB_AT_ONCE
        && let Ok(next) = batches.try_recv()
    {
        kib = kib.saturating_add(next.kib);
        merged.push(next);
    }
    merged
}
