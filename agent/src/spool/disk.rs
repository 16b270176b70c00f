//! The spool on the disk: both chains, the file that counts, and what goes when there is no room.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use parallax_model::check::{Chain, SpoolState};
use uuid::Uuid;

use crate::spool::chain::Chain as Files;
use crate::spool::counters::{Counters, Counts};
use crate::spool::record::HEAD;
use crate::spool::recover::recover;
use crate::spool::segment::{BLOCK, Segment};
use crate::spool::{Numbered, SpoolLimits};

const LOCK: &str = "lock";
/// How long is waited for another process that holds the spool.
const TO_END: Duration = Duration::from_secs(1);
/// A file of results; a spool that is small has smaller ones.
const SEGMENT: u64 = 512 << 10;
/// So many files at least, so that few results go at a time.
const SEGMENTS: u64 = 8;

/// The spool, as one thread holds it.
#[derive(Debug)]
pub(super) struct Disk {
    dir: PathBuf,
    /// Held until the end of the process: two would give the same sequences.
    _lock: File,
    limits: SpoolLimits,
    epoch: Uuid,
    counters: Counters,
    failures: Files,
    successes: Files,
    /// Counts that must be on the disk before somebody hears of them.
    to_sync: bool,
    /// That there is no room is said once, until there is.
    told: bool,
}

impl Disk {
    /// Opens the spool in this directory as an earlier process left it, or makes it.
    pub(super) fn open(dir: &Path, limits: SpoolLimits) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        let lock = lock(dir)?;
        let (counters, counts) = Counters::open(dir)?;
        // Without counts nobody knows which sequences were used.
        let epoch = counts.as_ref().map_or_else(Uuid::now_v7, |counts| counts.epoch);
        let [failures, successes] = counts.map_or([None, None], |counts| counts.tallies.map(Some));
        let segment = (limits.max_bytes / SEGMENTS).min(SEGMENT);
        let chain = |letter, tally| {
            let (tally, segments) = recover(dir, letter, tally)?;
            Ok::<_, io::Error>(Files::new(dir, letter, segment, tally, segments))
        };
        let mut disk = Self {
            dir: dir.to_owned(),
            _lock: lock,
            limits,
            epoch,
            counters,
            failures: chain('f', failures)?,
            successes: chain('s', successes)?,
            to_sync: true,
            told: false,
        };
        disk.count()?;
        Ok(disk)
    }

    /// Writes a result. It has the sequence that is given back, if it is still there after [`Self::sync`]; without one
    /// there is no room for it, and it is counted as dropped.
    pub(super) fn append(&mut self, chain: Chain, payload: &[u8], made_at_us: i64) -> Option<u64> {
        self.expire(made_at_us);
        let most = self.limits.max_bytes.saturating_sub(room_of(payload));
        while self.bytes() > most && self.make_room(chain) {}
        if self.bytes() > most {
            return self.no_place(chain);
        }
        let mut written = self.chain(chain).append(payload, made_at_us);
        if written.as_ref().is_err_and(is_full) && self.make_room(chain) {
            written = self.chain(chain).append(payload, made_at_us);
        }
        match written {
            Ok(sequence) => Some(sequence),
            Err(error) => {
                if !self.told {
                    tracing::warn!(%error, "a result could not be written");
                }
                self.no_place(chain)
            }
        }
    }

    /// Counts a result for which there is no room.
    pub(super) fn no_place(&mut self, chain: Chain) -> Option<u64> {
        self.chain(chain).no_place();
        self.to_sync = true;
        self.tell();
        None
    }

    fn tell(&mut self) {
        if !self.told {
            let bytes = self.bytes();
            tracing::warn!(
                bytes,
                "the spool has no room: results are dropped, the oldest successes first, and counted"
            );
            self.told = true;
        }
    }

    /// Drops the oldest file of results, successes before failures; a success takes no failure's place.
    fn make_room(&mut self, chain: Chain) -> bool {
        let evicted = match (self.successes.evict(), chain) {
            (Some(segment), _) => Some(segment),
            (None, Chain::Failures) => self.failures.evict(),
            (None, Chain::Successes) => None,
        };
        let found = evicted.is_some();
        if found {
            self.tell();
        }
        self.delete(evicted);
        found
    }

    /// Drops files of which even the newest result is too old.
    fn expire(&mut self, now_us: i64) {
        let age = i64::try_from(self.limits.max_age.as_micros()).unwrap_or(i64::MAX);
        let too_old = |newest: i64| newest < now_us.saturating_sub(age);
        let mut gone = Vec::new();
        for chain in [&mut self.failures, &mut self.successes] {
            while chain.oldest_file_us().is_some_and(too_old) {
                gone.extend(chain.evict());
            }
        }
        self.delete(gone);
    }

    /// Waits until everything that was written is on the disk.
    pub(super) fn sync(&mut self) {
        for chain in [&mut self.failures, &mut self.successes] {
            if let Err(error) = chain.sync() {
                tracing::error!(%error, "results could not be brought to the disk; they are counted as dropped");
                self.to_sync = true;
            }
        }
        if let Err(error) = self.count() {
            tracing::warn!(%error, "the spool's counters could not be written");
        }
    }

    /// Everything, for the end of the process.
    pub(super) fn flush(&mut self) {
        self.to_sync = true;
        self.sync();
    }

    pub(super) fn was_kept(&mut self, chain: Chain, sequence: u64) -> bool {
        self.chain(chain).was_kept(sequence)
    }

    /// What waits of a chain after this sequence, and is on the disk for sure.
    pub(super) fn read_after(&mut self, chain: Chain, sequence: u64, bytes: usize) -> Vec<Numbered> {
        self.chain(chain)
            .read_after(sequence, bytes)
            .unwrap_or_else(|error| {
                tracing::error!(%error, "results in the spool could not be read");
                Vec::new()
            })
    }

    /// The collector has these.
    pub(super) fn kept(&mut self, epoch: Uuid, chain: Chain, through: u64) {
        if epoch == self.epoch {
            let gone = self.chain(chain).acknowledged(through);
            self.delete(gone);
            self.told &= self.bytes() > self.limits.max_bytes / 2;
            self.sync();
        }
    }

    /// What the collector has of this epoch: failures, successes. Whether a new epoch begins.
    pub(super) fn resume(&mut self, epoch: Uuid, through: [u64; 2]) -> bool {
        let [failures, successes] = through;
        let behind = self.failures.is_behind(failures) || self.successes.is_behind(successes);
        if epoch != self.epoch || behind {
            self.begin_again();
            return true;
        }
        let mut gone = self.failures.resumed(failures);
        gone.extend(self.successes.resumed(successes));
        self.delete(gone);
        self.sync();
        false
    }

    fn begin_again(&mut self) {
        self.epoch = Uuid::now_v7();
        self.failures.begin_again();
        self.successes.begin_again();
        self.to_sync = true;
        self.sync();
    }

    pub(super) const fn epoch(&self) -> Uuid {
        self.epoch
    }

    /// The last sequences that are settled: failures, successes.
    pub(super) fn settled(&self) -> [u64; 2] {
        [self.failures.settled(), self.successes.settled()]
    }

    /// Up to where nothing waits: failures, successes.
    pub(super) const fn through(&self) -> [u64; 2] {
        [self.failures.tally.through, self.successes.tally.through]
    }

    pub(super) fn state(&self) -> SpoolState {
        let both = [&self.failures, &self.successes];
        let tallies = both.map(|chain| &chain.tally);
        let oldest = both.iter().filter_map(|chain| chain.oldest_us()).min();
        SpoolState {
            made: tallies.iter().map(|tally| tally.made()).sum(),
            waiting: both.iter().map(|chain| chain.waiting()).sum(),
            bytes: self.bytes(),
            dropped: tallies.iter().map(|tally| tally.dropped).sum(),
            dropped_failures: self.failures.tally.dropped,
            oldest_at: oldest.and_then(|oldest| Timestamp::from_microsecond(oldest).ok()),
        }
    }

    fn bytes(&self) -> u64 {
        self.failures.bytes() + self.successes.bytes()
    }

    const fn chain(&mut self, chain: Chain) -> &mut Files {
        match chain {
            Chain::Failures => &mut self.failures,
            Chain::Successes => &mut self.successes,
        }
    }

    /// The count goes to the disk first: what is in no file is else taken for lost at the next start.
    fn delete(&mut self, gone: impl IntoIterator<Item = Segment>) {
        let mut gone = gone.into_iter().peekable();
        if gone.peek().is_none() {
            return;
        }
        self.to_sync = true;
        let counted = self.count();
        let deleted = gone
            .try_for_each(Segment::delete)
            .and_then(|()| File::open(&self.dir)?.sync_all());
        if let Err(error) = counted.and(deleted) {
            tracing::warn!(%error, "results that left the spool could not be cleared away");
        }
    }

    fn count(&mut self) -> io::Result<()> {
        self.counters.write(Counts {
            epoch: self.epoch,
            tallies: [self.failures.tally.clone(), self.successes.tally.clone()],
        })?;
        if self.to_sync {
            self.counters.sync()?;
            self.to_sync = false;
        }
        Ok(())
    }
}

/// What a result takes at most: it may begin a file.
const fn room_of(payload: &[u8]) -> u64 {
    BLOCK + (HEAD + payload.len()) as u64
}

/// Waits a moment for a process that is about to end.
fn lock(dir: &Path) -> io::Result<File> {
    let lock = File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(dir.join(LOCK))?;
    let until = Instant::now() + TO_END;
    loop {
        match lock.try_lock() {
            Ok(()) => return Ok(lock),
            Err(TryLockError::WouldBlock) if Instant::now() < until => std::thread::sleep(TO_END / 20),
            Err(TryLockError::WouldBlock) => {
                let used = "another agent uses this state directory";
                return Err(io::Error::new(io::ErrorKind::ResourceBusy, used));
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}
