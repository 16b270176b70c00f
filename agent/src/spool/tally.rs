//! What is known of one chain beside its results: how many were made, left and were dropped.

/// Ranges that are remembered of what was dropped after it was sent.
pub(super) const DOUBTS: usize = 8;

/// The count of one chain. `made = taken by the collector + waiting + dropped`, at any moment, whatever ends the process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tally {
    /// The next result's sequence; the first is 1.
    pub(super) next: u64,
    /// Up to here nothing waits: it was acknowledged or dropped.
    pub(super) through: u64,
    /// Sequences after `through` that have no result: dropped, and counted, when they were made.
    pub(super) holes: u64,
    /// Results that nobody will ever have.
    pub(super) dropped: u64,
    /// Sequences before those of this epoch.
    pub(super) base: u64,
    /// Dropped although the collector may have them: sent, and not acknowledged. First and last sequence, ascending.
    pub(super) doubts: Vec<(u64, u64)>,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            next: 1,
            through: 0,
            holes: 0,
            dropped: 0,
            base: 0,
            doubts: Vec::new(),
        }
    }
}

impl Tally {
    /// The last sequence that was given to a result; 0 before the first.
    pub(super) const fn last(&self) -> u64 {
        self.next - 1
    }

    /// Results made in this epoch.
    pub(super) const fn made(&self) -> u64 {
        self.last().saturating_sub(self.base)
    }

    /// Results that wait, if all are there.
    pub(super) const fn waiting(&self) -> u64 {
        (self.last() - self.through).saturating_sub(self.holes)
    }

    /// `count` results from `next` on found no place.
    pub(super) const fn no_place(&mut self, count: u64) {
        self.next += count;
        self.lost(count);
    }

    /// `count` results that had a sequence are gone; it stays empty.
    pub(super) const fn lost(&mut self, count: u64) {
        self.holes += count;
        self.dropped += count;
    }

    /// `left` results up to the sequence `to` wait no longer.
    pub(super) fn pass(&mut self, to: u64, left: u64) {
        let to = to.min(self.last());
        let Some(passed) = to.checked_sub(self.through) else {
            return;
        };
        self.through = to;
        self.holes = self.holes.saturating_sub(passed.saturating_sub(left));
    }

    /// These were dropped, and had been sent: an acknowledgement may still come.
    pub(super) fn doubt(&mut self, first: u64, last: u64) {
        if first > last {
            return;
        }
        match self.doubts.last_mut() {
            Some((_, end)) if *end + 1 == first => *end = last,
            _ => self.doubts.push((first, last)),
        }
        if self.doubts.len() > DOUBTS {
            self.doubts.remove(0);
        }
    }

    /// The collector has everything up to `through` that was sent: what was dropped of it is not lost.
    pub(super) fn heard(&mut self, through: u64) {
        let dropped = &mut self.dropped;
        self.doubts.retain_mut(|(first, last)| {
            let had = (through.min(*last) + 1).saturating_sub(*first);
            *dropped = dropped.saturating_sub(had);
            *first += had;
            *first <= *last
        });
    }

    /// A new epoch begins with what waits.
    pub(super) fn begin_again(&mut self) {
        self.base = self.last() - self.waiting();
        self.dropped = 0;
        self.doubts.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_acknowledgement_takes_back_what_was_counted_as_dropped() {
        let mut tally = Tally {
            next: 31,
            ..Tally::default()
        };
        tally.pass(20, 20);
        tally.dropped = 20;
        tally.doubt(1, 10);
        tally.doubt(11, 12);
        tally.heard(5);
        assert_eq!((tally.dropped, tally.doubts.as_slice()), (15, &[(6, 12)][..]));
        tally.heard(40);
        assert_eq!((tally.dropped, tally.doubts.len()), (8, 0));
    }

    #[test]
    fn a_new_epoch_has_made_what_waits() {
        let mut tally = Tally {
            next: 101,
            ..Tally::default()
        };
        tally.pass(90, 90);
        tally.no_place(5);
        assert_eq!((tally.made(), tally.waiting(), tally.dropped), (105, 10, 5));
        tally.begin_again();
        assert_eq!((tally.made(), tally.waiting(), tally.dropped), (10, 10, 0));
    }
}
