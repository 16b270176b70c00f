//! One file of results that follow each other without a gap.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::spool::Numbered;
use crate::spool::record::{self, HEAD, Record};

const MAGIC: &[u8; 8] = b"PLXSPL01";
/// Results that are read at a time.
const MOST: usize = 256;
/// A file takes a block, however little is in it.
pub(super) const BLOCK: u64 = 4096;

/// A file of results.
#[derive(Debug)]
pub(super) struct Segment {
    path: PathBuf,
    /// Open as long as it grows.
    file: Option<File>,
    first: u64,
    /// Where each record begins.
    offsets: Vec<u32>,
    /// Up to where there are whole records.
    length: u64,
    /// Records that are on the disk for sure.
    synced: usize,
    newest_us: i64,
}

/// What a file turned out to be.
#[derive(Debug)]
pub(super) struct Recovered {
    /// Without one whole record there is none.
    pub(super) segment: Option<Segment>,
    /// Whether something came after the last whole record.
    pub(super) damaged: bool,
}

impl Segment {
    /// Begins a file whose first result has this sequence.
    pub(super) fn create(dir: &Path, letter: char, first: u64) -> io::Result<Self> {
        let path = dir.join(format!("{letter}-{first:016x}.seg"));
        let begun = begin(&path).and_then(|file| {
            File::open(dir)?.sync_all()?;
            Ok(file)
        });
        let file = begun.inspect_err(|_| drop(fs::remove_file(&path)))?;
        Ok(Self {
            path,
            file: Some(file),
            first,
            offsets: Vec::new(),
            length: MAGIC.len() as u64,
            synced: 0,
            newest_us: i64::MIN,
        })
    }

    /// Reads a file of an earlier process. What comes after the last whole record is cut off.
    pub(super) fn recover(path: PathBuf, first: u64) -> io::Result<Recovered> {
        let bytes = fs::read(&path)?;
        let mut segment = Self {
            path,
            file: None,
            first,
            offsets: Vec::new(),
            length: MAGIC.len() as u64,
            synced: 0,
            newest_us: i64::MIN,
        };
        if bytes.starts_with(MAGIC) {
            segment.scan(&bytes);
        }
        let damaged = segment.length < bytes.len() as u64;
        let empty = segment.offsets.is_empty();
        if damaged && !empty {
            let file = OpenOptions::new().write(true).open(&segment.path)?;
            file.set_len(segment.length)?;
            file.sync_all()?;
        }
        segment.synced = segment.offsets.len();
        Ok(Recovered {
            segment: (!empty).then_some(segment),
            damaged,
        })
    }

    fn scan(&mut self, bytes: &[u8]) {
        while let Some(record) = usize::try_from(self.length)
            .ok()
            .and_then(|at| record::read(bytes.get(at..)?))
            .filter(|record| record.sequence == self.next())
        {
            self.count(&record);
        }
    }

    fn count(&mut self, record: &Record<'_>) {
        self.offsets.push(u32::try_from(self.length).unwrap_or(u32::MAX));
        self.length += record.size() as u64;
        self.newest_us = self.newest_us.max(record.made_at_us);
    }

    /// Writes a result behind the others. One that found no room leaves nothing.
    pub(super) fn append(&mut self, payload: &[u8], made_at_us: i64) -> io::Result<()> {
        let record = Record {
            sequence: self.next(),
            made_at_us,
            payload,
        };
        let Some(file) = &self.file else {
            return Err(io::Error::other("the file is closed"));
        };
        if let Err(error) = file.write_all_at(&record.to_bytes(), self.length) {
            // Half a record is none: whoever reads stops there.
            let _ = file.set_len(self.length);
            return Err(error);
        }
        self.count(&record);
        Ok(())
    }

    /// Waits until all of it is on the disk. What is not then is cut off, and said: so many results.
    pub(super) fn sync(&mut self) -> Result<(), (usize, io::Error)> {
        let Some(file) = &self.file else {
            return Ok(());
        };
        if self.synced == self.offsets.len() {
            return Ok(());
        }
        match file.sync_data() {
            Ok(()) => {
                self.synced = self.offsets.len();
                Ok(())
            }
            Err(error) => {
                let lost = self.cut(self.synced);
                Err((lost, error))
            }
        }
    }

    /// Ends it before the record of this number; how many go.
    fn cut(&mut self, number: usize) -> usize {
        let lost = self.offsets.len().saturating_sub(number);
        if let Some(offset) = self.offsets.get(number) {
            self.length = u64::from(*offset);
            self.offsets.truncate(number);
            if let Some(file) = &self.file {
                let _ = file.set_len(self.length);
            }
        }
        self.synced = self.synced.min(number);
        self.file = None;
        lost
    }

    /// Nothing more is written here.
    pub(super) fn close(&mut self) {
        self.file = None;
    }

    pub(super) const fn is_open(&self) -> bool {
        self.file.is_some()
    }

    /// Results of it after this sequence that are on the disk for sure, until they are this many bytes; at least one.
    /// A record that can't be read ends the file: so many results are lost.
    pub(super) fn read_after(&mut self, sequence: u64, bytes: usize) -> io::Result<(Vec<Numbered>, usize)> {
        let from = self.number_after(sequence);
        let mut results = Vec::new();
        let Some(begin) = self.offsets.get(from).filter(|_| from < self.synced) else {
            return Ok((results, 0));
        };
        let begin = u64::from(*begin);
        let mut read = vec![0; usize::try_from(self.end_of(from, bytes as u64) - begin).unwrap_or_default()];
        match File::open(&self.path).and_then(|file| file.read_exact_at(&mut read, begin)) {
            Ok(()) => {}
            Err(error) if will_pass(&error) => return Err(error),
            Err(error) => {
                tracing::error!(%error, file = %self.path.display(), "results in the spool can't be read");
                return Ok((results, self.cut(from)));
            }
        }
        let mut rest = read.as_slice();
        while !rest.is_empty() {
            let sequence = self.first + (from + results.len()) as u64;
            let Some(record) = record::read(rest).filter(|record| record.sequence == sequence) else {
                let lost = self.cut(from + results.len());
                return Ok((results, lost));
            };
            rest = &rest[record.size()..];
            results.push((sequence, record.payload.to_vec()));
        }
        Ok((results, 0))
    }

    /// Where the records end that begin with this one and fit.
    fn end_of(&self, from: usize, bytes: u64) -> u64 {
        let begin = u64::from(self.offsets[from]);
        let ends = (from + 1..=self.synced.min(from + MOST))
            .map(|next| self.offsets.get(next).map_or(self.length, |at| u64::from(*at)));
        let mut end = begin;
        for next in ends {
            if end > begin && next - begin > bytes {
                break;
            }
            end = next;
        }
        end
    }

    /// The number in this file of the first record after this sequence.
    fn number_after(&self, sequence: u64) -> usize {
        usize::try_from((sequence + 1).saturating_sub(self.first)).unwrap_or(usize::MAX)
    }

    /// How many records come after this sequence.
    pub(super) fn count_after(&self, sequence: u64) -> u64 {
        self.offsets.len().saturating_sub(self.number_after(sequence)) as u64
    }

    /// When the first record after this sequence was made.
    pub(super) fn made_after(&self, sequence: u64) -> Option<i64> {
        let offset = self.offsets.get(self.number_after(sequence))?;
        let mut head = [0; HEAD];
        let file = File::open(&self.path).ok()?;
        file.read_exact_at(&mut head, u64::from(*offset)).ok()?;
        record::made_at_us(&head)
    }

    /// The sequence of the first record that is written.
    pub(super) const fn first(&self) -> u64 {
        self.first
    }

    /// The sequence that the next record would have.
    pub(super) fn next(&self) -> u64 {
        self.first + self.offsets.len() as u64
    }

    /// The last sequence that is on the disk for sure.
    pub(super) const fn synced_through(&self) -> u64 {
        self.first + self.synced as u64 - 1
    }

    /// When its newest result was made.
    pub(super) const fn newest_us(&self) -> i64 {
        self.newest_us
    }

    /// What it takes of the disk.
    pub(super) fn size(&self) -> u64 {
        self.length.max(BLOCK)
    }

    /// Takes the file away.
    pub(super) fn delete(self) -> io::Result<()> {
        fs::remove_file(&self.path)
    }
}

/// Whether the same may be read later: too many files are open in this process, or on this host.
fn will_pass(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM)
    )
}

fn begin(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all_at(MAGIC, 0)?;
    Ok(file)
}
