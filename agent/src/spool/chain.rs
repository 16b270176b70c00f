//! The results of one kind, oldest first: failures, or successes.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};

use crate::spool::Numbered;
use crate::spool::segment::Segment;
use crate::spool::tally::Tally;

/// One chain of results on the disk.
#[derive(Debug)]
pub(super) struct Chain {
    dir: PathBuf,
    letter: char,
    segment_bytes: u64,
    pub(super) tally: Tally,
    /// Ascending; sequences between two of them were dropped.
    segments: VecDeque<Segment>,
    /// Up to here the collector may have everything, acknowledged or not.
    ever_sent: u64,
    /// Up to here everything was sent over this connection.
    sent: u64,
}

impl Chain {
    pub(super) fn new(
        dir: &Path,
        letter: char,
        segment_bytes: u64,
        tally: Tally,
        segments: VecDeque<Segment>,
    ) -> Self {
        Self {
            dir: dir.to_owned(),
            letter,
            segment_bytes,
            // The process before this one may have sent all that it wrote.
            ever_sent: tally.last(),
            sent: tally.last(),
            tally,
            segments,
        }
    }

    /// Writes a result behind the others and gives its sequence. It is not on the disk for sure before [`Self::sync`].
    pub(super) fn append(&mut self, payload: &[u8], made_at_us: i64) -> io::Result<u64> {
        let sequence = self.tally.next;
        let fits = |segment: &&mut Segment| {
            segment.is_open() && segment.next() == sequence && segment.size() < self.segment_bytes
        };
        let written = match self.segments.back_mut().filter(fits) {
            Some(segment) => segment.append(payload, made_at_us),
            None => self.begin(payload, made_at_us),
        };
        written?;
        self.tally.next += 1;
        Ok(sequence)
    }

    fn begin(&mut self, payload: &[u8], made_at_us: i64) -> io::Result<()> {
        self.sync_last()?;
        let mut segment = Segment::create(&self.dir, self.letter, self.tally.next)?;
        match segment.append(payload, made_at_us) {
            Ok(()) => {
                self.segments.push_back(segment);
                Ok(())
            }
            Err(error) => {
                let _ = segment.delete();
                Err(error)
            }
        }
    }

    /// Counts a result for which there is no room.
    pub(super) const fn no_place(&mut self) {
        self.tally.no_place(1);
    }

    /// Before another file begins, the last is on the disk: sequences that are there for sure have no gap.
    fn sync_last(&mut self) -> io::Result<()> {
        self.sync()?;
        if let Some(last) = self.segments.back_mut() {
            last.close();
        }
        Ok(())
    }

    /// Waits until everything is on the disk. What is not then is counted as dropped.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        let Some(last) = self.segments.back_mut() else {
            return Ok(());
        };
        last.sync().map_err(|(lost, error)| {
            self.tally.lost(lost as u64);
            error
        })
    }

    /// The last sequence that is settled: on the disk for sure, or dropped.
    pub(super) fn settled(&self) -> u64 {
        match self
            .segments
            .back()
            .filter(|last| last.is_open() && last.synced_through() + 1 < last.next())
        {
            Some(last) => last.synced_through(),
            None => self.tally.last(),
        }
    }

    /// Whether a result that was written came to the disk, wherever it is now.
    pub(super) fn was_kept(&self, sequence: u64) -> bool {
        let holds = |segment: &Segment| segment.first() <= sequence && sequence <= segment.synced_through();
        sequence <= self.tally.through || self.segments.iter().any(holds)
    }

    /// What waits after this sequence and is on the disk for sure, at most so many bytes of it, but one result at least.
    /// Results that can't be read any more are counted as dropped.
    pub(super) fn read_after(&mut self, sequence: u64, bytes: usize) -> io::Result<Vec<Numbered>> {
        let after = sequence.max(self.tally.through);
        let mut lost = 0;
        for segment in self
            .segments
            .iter_mut()
            .filter(|segment| segment.next() > after + 1)
        {
            let (results, unreadable) = segment.read_after(after, bytes)?;
            lost += unreadable as u64;
            if let Some((last, _)) = results.last() {
                self.sent = self.sent.max(*last);
                self.ever_sent = self.ever_sent.max(*last);
                self.tally.lost(lost);
                return Ok(results);
            }
        }
        self.tally.lost(lost);
        Ok(Vec::new())
    }

    /// The collector has everything up to here that was sent. Files that nobody needs are handed out, to be deleted when
    /// the count is on the disk.
    pub(super) fn acknowledged(&mut self, through: u64) -> Vec<Segment> {
        let through = through.min(self.sent);
        self.tally.heard(through);
        self.leave(through)
    }

    /// What the collector has of this chain, said at the beginning of a connection: nothing is on its way now.
    pub(super) fn resumed(&mut self, through: u64) -> Vec<Segment> {
        self.sent = self.ever_sent;
        let gone = self.acknowledged(through);
        self.tally.doubts.clear();
        self.sent = self.tally.through;
        gone
    }

    /// Whether the collector has what this spool never sent: it is an older copy of itself.
    pub(super) const fn is_behind(&self, through: u64) -> bool {
        through > self.ever_sent
    }

    /// The same results under another epoch: nothing of it was sent.
    pub(super) fn begin_again(&mut self) {
        self.tally.begin_again();
        self.sent = self.tally.through;
        self.ever_sent = self.tally.through;
    }

    /// Drops the oldest file and counts what waited in it. The file is to be deleted when the count is on the disk.
    pub(super) fn evict(&mut self) -> Option<Segment> {
        let oldest = self.segments.pop_front()?;
        let (first, last) = (oldest.first().max(self.tally.through + 1), oldest.next() - 1);
        let waited = oldest.count_after(self.tally.through);
        self.tally.dropped += waited;
        self.tally.doubt(first, last.min(self.sent));
        self.tally.pass(last, waited);
        Some(oldest)
    }

    fn leave(&mut self, through: u64) -> Vec<Segment> {
        let before = self.tally.through;
        let count = |segments: &VecDeque<Segment>, after| {
            segments
                .iter()
                .map(|segment| segment.count_after(after))
                .sum::<u64>()
        };
        let through = through.min(self.tally.last()).max(before);
        let left = count(&self.segments, before) - count(&self.segments, through);
        self.tally.pass(through, left);
        let mut gone = Vec::new();
        while self
            .segments
            .front()
            .is_some_and(|segment| segment.next() <= through + 1 && !segment.is_open())
        {
            gone.extend(self.segments.pop_front());
        }
        gone
    }

    /// Results that wait.
    pub(super) fn waiting(&self) -> u64 {
        self.segments
            .iter()
            .map(|segment| segment.count_after(self.tally.through))
            .sum()
    }

    /// What all files take of the disk.
    pub(super) fn bytes(&self) -> u64 {
        self.segments.iter().map(Segment::size).sum()
    }

    /// When the newest result of the oldest file was made.
    pub(super) fn oldest_file_us(&self) -> Option<i64> {
        self.segments.front().map(Segment::newest_us)
    }

    /// When the oldest result that waits was made.
    pub(super) fn oldest_us(&self) -> Option<i64> {
        self.segments
            .iter()
            .find_map(|segment| segment.made_after(self.tally.through))
    }
}
