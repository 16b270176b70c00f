//! How much is sent at a time: little over a slow link, so that results are never long before an answer to an order.

use std::time::Duration;

const LEAST: usize = 8 << 10;
const FIRST: usize = 32 << 10;
const MOST: usize = 256 << 10;
/// An answer within this time means that more may be sent at a time; one after that, less.
const SOON: Duration = Duration::from_millis(250);
const LATE: Duration = Duration::from_secs(1);

/// The size of a batch.
#[derive(Debug)]
pub(super) struct Pace(usize);

impl Default for Pace {
    fn default() -> Self {
        Self(FIRST)
    }
}

impl Pace {
    /// Bytes of a batch.
    pub(super) const fn bytes(&self) -> usize {
        self.0
    }

    /// How long the answer to a batch took.
    pub(super) fn answered(&mut self, after: Duration) {
        if after <= SOON {
            self.0 = (self.0 * 2).min(MOST);
        } else if after >= LATE {
            self.0 = (self.0 / 2).max(LEAST);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quick_link_gets_large_batches_and_a_slow_one_small_ones() {
        let mut pace = Pace::default();
        for _ in 0..10 {
            pace.answered(Duration::from_millis(20));
        }
        assert_eq!(pace.bytes(), MOST);
        pace.answered(Duration::from_millis(600));
        assert_eq!(pace.bytes(), MOST);
        for _ in 0..10 {
            pace.answered(Duration::from_secs(3));
        }
        assert_eq!(pace.bytes(), LEAST);
    }
}
