//! The file that counts. It has its whole size from the first moment, so that it can be written on a full disk, and two
//! places that are written in turn, so that one of them is always whole.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;

use uuid::Uuid;

use crate::spool::tally::{DOUBTS, Tally};

const FILE: &str = "counters";
const MAGIC: &[u8; 8] = b"PLXCNT01";
/// A page each: no write touches both places.
const PLACE: usize = 4096;
const TALLY: usize = 8 * (6 + 2 * DOUBTS);
const USED: usize = 8 + 8 + 16 + 2 * TALLY + 4;

/// What is counted, in the order failures, successes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Counts {
    /// Names this spool: sequences mean something within it alone.
    pub(super) epoch: Uuid,
    pub(super) tallies: [Tally; 2],
}

/// The open file.
#[derive(Debug)]
pub(super) struct Counters {
    file: File,
    generation: u64,
    written: Option<Counts>,
}

impl Counters {
    /// Opens the file, or makes it. Without counts where there are none that can be trusted.
    pub(super) fn open(dir: &Path) -> io::Result<(Self, Option<Counts>)> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(dir.join(FILE))?;
        let mut bytes = vec![0; 2 * PLACE];
        if file.metadata()?.len() < bytes.len() as u64 {
            // Zeros that are written have a place on the disk; those of a longer file alone have not.
            file.write_all_at(&bytes, 0)?;
            file.sync_all()?;
            File::open(dir)?.sync_all()?;
        }
        file.read_exact_at(&mut bytes, 0)?;
        let newest = bytes
            .chunks(PLACE)
            .filter_map(read)
            .max_by_key(|(generation, _)| *generation);
        let (generation, counts) = newest.unzip();
        let counters = Self {
            file,
            generation: generation.unwrap_or_default(),
            written: counts.clone(),
        };
        Ok((counters, counts))
    }

    /// Writes them where the older ones are, unless they are the same. The end of this process can't undo it, the end of
    /// the host's power can.
    pub(super) fn write(&mut self, counts: Counts) -> io::Result<()> {
        if self.written.as_ref() == Some(&counts) {
            return Ok(());
        }
        let generation = self.generation + 1;
        let place = if generation.is_multiple_of(2) {
            0
        } else {
            PLACE as u64
        };
        self.file.write_all_at(&to_bytes(generation, &counts), place)?;
        self.generation = generation;
        self.written = Some(counts);
        Ok(())
    }

    /// Waits until what was written is on the disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

fn to_bytes(generation: u64, counts: &Counts) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(USED);
    bytes.extend(MAGIC);
    bytes.extend(generation.to_le_bytes());
    bytes.extend(counts.epoch.as_bytes());
    for tally in &counts.tallies {
        let doubts = tally.doubts.iter().take(DOUBTS);
        let numbers = [tally.next, tally.through, tally.holes, tally.dropped, tally.base];
        let count = doubts.len() as u64;
        let doubts = doubts.flat_map(|(first, last)| [*first, *last]);
        let numbers = numbers.into_iter().chain([count]).chain(doubts);
        let padded = numbers.chain(std::iter::repeat(0)).take(TALLY / 8);
        bytes.extend(padded.flat_map(u64::to_le_bytes));
    }
    let sum = crc32fast::hash(&bytes);
    bytes.extend(sum.to_le_bytes());
    bytes
}

fn read(place: &[u8]) -> Option<(u64, Counts)> {
    let (used, sum) = place.get(..USED)?.split_at(USED - 4);
    if !used.starts_with(MAGIC) || crc32fast::hash(used).to_le_bytes() != *sum {
        return None;
    }
    let (head, tallies) = used.split_at(USED - 4 - 2 * TALLY);
    let (failures, successes) = tallies.split_at(TALLY);
    let counts = Counts {
        epoch: Uuid::from_slice(&head[16..]).ok()?,
        tallies: [tally(failures)?, tally(successes)?],
    };
    Some((u64::from_le_bytes(head[8..16].try_into().ok()?), counts))
}

fn tally(bytes: &[u8]) -> Option<Tally> {
    let numbers = bytes
        .chunks_exact(8)
        .map(|number| number.try_into().map(u64::from_le_bytes));
    let numbers: Vec<u64> = numbers.collect::<Result<_, _>>().ok()?;
    let [next, through, holes, dropped, base, count, doubts @ ..] = numbers.as_slice() else {
        return None;
    };
    let doubts = doubts.chunks_exact(2).map(|range| (range[0], range[1]));
    Some(Tally {
        next: *next,
        through: *through,
        holes: *holes,
        dropped: *dropped,
        base: *base,
        doubts: doubts.take(usize::try_from(*count).ok()?).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(next: u64) -> Counts {
        let tally = |next| Tally {
            next,
            through: 3,
            holes: 1,
            dropped: 2,
            base: 1,
            doubts: vec![(1, 2)],
        };
        Counts {
            epoch: Uuid::from_u128(5),
            tallies: [tally(next), tally(next * 2)],
        }
    }

    #[test]
    fn what_was_counted_last_is_there_and_a_torn_write_leaves_what_was_before() {
        let dir = tempfile::tempdir().unwrap();
        let (mut counters, none) = Counters::open(dir.path()).unwrap();
        assert_eq!(none, None);
        for next in 10..15 {
            counters.write(counts(next)).unwrap();
        }
        drop(counters);
        let path = dir.path().join(FILE);
        let whole = std::fs::read(&path).unwrap();
        assert_eq!(Counters::open(dir.path()).unwrap().1, Some(counts(14)));
        for torn in (PLACE..PLACE + USED).step_by(7) {
            let mut bytes = whole.clone();
            bytes[torn] ^= 1;
            std::fs::write(&path, &bytes).unwrap();
            assert_eq!(
                Counters::open(dir.path()).unwrap().1,
                Some(counts(13)),
                "byte {torn}"
            );
        }
    }

    #[test]
    fn counts_of_nobody_are_no_counts() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(FILE), vec![7; 2 * PLACE]).unwrap();
        assert_eq!(Counters::open(dir.path()).unwrap().1, None);
    }
}
