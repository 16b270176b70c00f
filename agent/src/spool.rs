//! Results that the collector has not acknowledged yet, on disk and bounded.
//!
//! A result counts once whatever is killed in between: it has a sequence from the moment it is made, it is sent only when
//! it is on the disk for sure, and it leaves when the collector has it. What finds no room is counted.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use parallax_model::check::{Chain, CheckResult, SpoolState};
use parallax_proto::v1;
use prost::Message as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};
use uuid::Uuid;

use crate::clock::wall_us;
use crate::spool::disk::Disk;
use crate::spool::record::LONGEST;

pub use limits::SpoolLimits;

mod chain;
mod counters;
mod disk;
mod limits;
mod record;
mod recover;
mod segment;
mod tally;

/// Requests that may wait for the disk; whoever has one more waits.
const WAITING: usize = 256;
/// How long a result waits for others, so that they go to the disk together, and how many go.
const BATCH: Duration = Duration::from_millis(20);
const MOST: usize = 64;

/// The spool. Its clones are the same; the disk is touched by one thread alone.
#[derive(Clone)]
pub(crate) struct Spool {
    asks: Sender<Asked>,
    room: Arc<Semaphore>,
    shared: Arc<Shared>,
}

struct Shared {
    shown: Mutex<Shown>,
    /// The last sequences that are on the disk for sure: failures, successes.
    durable: watch::Sender<[u64; 2]>,
    /// The newest acknowledgement of each chain, until the thread has it.
    acknowledged: Mutex<[Option<(Uuid, u64)>; 2]>,
    told: AtomicBool,
}

#[derive(Debug, Clone, Copy)]
struct Shown {
    epoch: Uuid,
    state: SpoolState,
}

/// A result as it is on the disk, with its sequence.
pub(crate) type Numbered = (u64, Vec<u8>);

/// A request, and its place in the queue.
type Asked = (Ask, Option<OwnedSemaphorePermit>);

enum Ask {
    Append {
        chain: Chain,
        /// Without one it is too large for any disk.
        payload: Option<Vec<u8>>,
        made_at_us: i64,
        reply: oneshot::Sender<Kept>,
    },
    ReadAfter {
        chain: Chain,
        sequence: u64,
        bytes: usize,
        reply: oneshot::Sender<Vec<Numbered>>,
    },
    Resume {
        epoch: Uuid,
        through: [u64; 2],
        reply: oneshot::Sender<Resumed>,
    },
    Acknowledged,
    Flush(oneshot::Sender<()>),
}

/// What became of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    /// It is on the disk, with this sequence.
    Stored(u64),
    /// There was no room for it. It is counted.
    Dropped,
}

/// What became of the spool when it heard what the collector has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Resumed {
    /// It goes on after these sequences: failures, successes.
    Same([u64; 2]),
    /// It is an older copy of itself: what waits goes under another epoch.
    NewEpoch([u64; 2]),
}

impl Spool {
    /// Opens the spool in this directory, or makes it. Its thread ends with the last clone.
    ///
    /// # Errors
    /// When the directory can't be used, or another process uses it.
    pub(crate) fn open(dir: &Path, limits: SpoolLimits) -> io::Result<Self> {
        let disk = Disk::open(dir, limits)?;
        let (asks, asked) = channel();
        let shared = Arc::new(Shared::of(&disk));
        let thread = Thread {
            disk,
            shared: Arc::clone(&shared),
            pending: Vec::new(),
            due: None,
        };
        std::thread::Builder::new()
            .name("spool".to_owned())
            .spawn(move || thread.work(&asked))?;
        Ok(Self {
            asks,
            room: Arc::new(Semaphore::new(WAITING)),
            shared,
        })
    }

    /// Keeps a result. Once it is there, no end of this process or of its host loses it.
    pub(crate) async fn append(&self, result: CheckResult) -> Kept {
        let (id, chain) = (result.id, Chain::of(&result.observation));
        let kept = self.put(chain, written(result), wall_us(SystemTime::now())).await;
        match kept {
            Kept::Stored(sequence) => tracing::debug!(result = %id, %chain, sequence, "result made"),
            Kept::Dropped => tracing::debug!(result = %id, %chain, "result dropped"),
        }
        kept
    }

    async fn put(&self, chain: Chain, payload: Option<Vec<u8>>, made_at_us: i64) -> Kept {
        let asked = |reply| Ask::Append {
            chain,
            payload,
            made_at_us,
            reply,
        };
        self.ask(asked).await.unwrap_or(Kept::Dropped)
    }

    /// Results of a chain after this sequence that are on the disk for sure: at most so many bytes, but at least one.
    pub(crate) async fn read_after(&self, chain: Chain, sequence: u64, bytes: usize) -> Vec<Numbered> {
        let asked = |reply| Ask::ReadAfter {
            chain,
            sequence,
            bytes,
            reply,
        };
        self.ask(asked).await.unwrap_or_default()
    }

    /// The collector has everything of this chain up to this sequence.
    pub(crate) fn kept(&self, epoch: Uuid, chain: Chain, through: u64) {
        let mut acknowledged = self
            .shared
            .acknowledged
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        acknowledged[place(chain)] = Some((epoch, through));
        drop(acknowledged);
        // One word is enough for all that comes before it is heard.
        if !self.shared.told.swap(true, Ordering::AcqRel) {
            let _ = self.asks.send((Ask::Acknowledged, None));
        }
    }

    /// What the collector has of the epoch, at the beginning of a connection: failures, successes.
    pub(crate) async fn resume(&self, epoch: Uuid, through: [u64; 2]) -> Resumed {
        let asked = |reply| Ask::Resume {
            epoch,
            through,
            reply,
        };
        self.ask(asked).await.unwrap_or(Resumed::Same(through))
    }

    /// Names the spool; sequences mean something within it alone.
    pub(crate) fn epoch(&self) -> Uuid {
        self.shared.shown().epoch
    }

    /// How it is.
    pub(crate) fn state(&self) -> SpoolState {
        self.shared.shown().state
    }

    /// The last sequences that are on the disk for sure: failures, successes.
    pub(crate) fn durable(&self) -> watch::Receiver<[u64; 2]> {
        self.shared.durable.subscribe()
    }

    /// Waits until everything is on the disk, counters too.
    pub(crate) async fn flush(&self) {
        self.ask(Ask::Flush).await;
    }

    async fn ask<T>(&self, ask: impl FnOnce(oneshot::Sender<T>) -> Ask) -> Option<T> {
        let place = Arc::clone(&self.room).acquire_owned().await.ok()?;
        let (reply, answer) = oneshot::channel();
        let sent = self.asks.send((ask(reply), Some(place)));
        let answer = match sent {
            Ok(()) => answer.await.ok(),
            Err(_) => None,
        };
        if answer.is_none() {
            tracing::error!("the spool's thread has ended");
        }
        answer
    }
}

impl Shared {
    fn of(disk: &Disk) -> Self {
        Self {
            shown: Mutex::new(Shown {
                epoch: disk.epoch(),
                state: disk.state(),
            }),
            durable: watch::Sender::new(disk.settled()),
            acknowledged: Mutex::default(),
            told: AtomicBool::new(false),
        }
    }

    fn shown(&self) -> Shown {
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whoever touches the disk.
struct Thread {
    disk: Disk,
    shared: Arc<Shared>,
    /// Results that were written and are to be brought to the disk.
    pending: Vec<Pending>,
    due: Option<Instant>,
}

struct Pending {
    chain: Chain,
    sequence: Option<u64>,
    reply: oneshot::Sender<Kept>,
}

impl Thread {
    fn work(mut self, asked: &Receiver<Asked>) {
        loop {
            let next = match self.due {
                Some(due) => asked.recv_timeout(due.saturating_duration_since(Instant::now())),
                None => asked.recv().map_err(RecvTimeoutError::from),
            };
            match next {
                Ok((ask, _place)) => self.answer(ask),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    self.settle();
                    self.disk.flush();
                    return;
                }
            }
            let due = self.due.is_some_and(|due| due <= Instant::now());
            if due || self.pending.len() >= MOST {
                self.settle();
            }
        }
    }

    fn answer(&mut self, ask: Ask) {
        match ask {
            Ask::Append {
                chain,
                payload,
                made_at_us,
                reply,
            } => {
                let sequence = match payload {
                    Some(payload) => self.disk.append(chain, &payload, made_at_us),
                    None => self.disk.no_place(chain),
                };
                self.due.get_or_insert_with(|| Instant::now() + BATCH);
                self.pending.push(Pending {
                    chain,
                    sequence,
                    reply,
                });
            }
            Ask::ReadAfter {
                chain,
                sequence,
                bytes,
                reply,
            } => {
                let _ = reply.send(self.disk.read_after(chain, sequence, bytes));
            }
            Ask::Resume {
                epoch,
                through,
                reply,
            } => {
                self.settle();
                let is_new = self.disk.resume(epoch, through);
                self.show();
                let through = self.disk.through();
                let _ = reply.send(if is_new {
                    Resumed::NewEpoch(through)
                } else {
                    Resumed::Same(through)
                });
            }
            Ask::Acknowledged => self.acknowledged(),
            Ask::Flush(reply) => {
                self.settle();
                self.disk.flush();
                let _ = reply.send(());
            }
        }
    }

    fn acknowledged(&mut self) {
        self.shared.told.store(false, Ordering::Release);
        let acknowledged = std::mem::take(
            &mut *self
                .shared
                .acknowledged
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        );
        for (chain, acknowledged) in [Chain::Failures, Chain::Successes].into_iter().zip(acknowledged) {
            if let Some((epoch, through)) = acknowledged {
                self.disk.kept(epoch, chain, through);
            }
        }
        self.show();
    }

    /// Brings to the disk what was written, and says so to whoever waits for it.
    fn settle(&mut self) {
        self.due = None;
        if self.pending.is_empty() {
            return;
        }
        self.disk.sync();
        self.show();
        for pending in self.pending.drain(..) {
            let kept = pending
                .sequence
                .filter(|sequence| self.disk.was_kept(pending.chain, *sequence));
            let _ = pending.reply.send(kept.map_or(Kept::Dropped, Kept::Stored));
        }
    }

    fn show(&self) {
        let shown = Shown {
            epoch: self.disk.epoch(),
            state: self.disk.state(),
        };
        *self.shared.shown.lock().unwrap_or_else(PoisonError::into_inner) = shown;
        self.shared.durable.send_replace(self.disk.settled());
    }
}

/// Where the numbers of a chain stand among those of both.
const fn place(chain: Chain) -> usize {
    match chain {
        Chain::Failures => 0,
        Chain::Successes => 1,
    }
}

/// A result as it goes to the disk. One that is too large loses the dialogues first, then the paths; none is left of one
/// that is too large even then.
fn written(mut result: CheckResult) -> Option<Vec<u8>> {
    let mut bytes = to_bytes(&result);
    if bytes.len() > LONGEST {
        for attempt in &mut result.observation.attempts {
            attempt.transcript.clear();
        }
        bytes = to_bytes(&result);
    }
    if bytes.len() > LONGEST {
        result.observation.network.paths.clear();
        result.observation.network.sweeps.clear();
        bytes = to_bytes(&result);
    }
    (bytes.len() <= LONGEST).then_some(bytes)
}

fn to_bytes(result: &CheckResult) -> Vec<u8> {
    v1::CheckResult::from(result.clone()).encode_to_vec()
}

#[cfg(test)]
pub(crate) mod tests;
