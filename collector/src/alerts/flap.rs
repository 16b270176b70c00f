//! Whether something comes and goes too often to be told each time.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// So many turns within this time are flapping.
const TURNS: usize = 4;
const WITHIN: SignedDuration = SignedDuration::from_mins(30);

/// When it last turned from good to bad or back, the latest last.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Turns(Vec<Timestamp>);

impl Turns {
    /// It turned.
    pub(super) fn turned(&mut self, now: Timestamp) {
        self.0.push(now);
        let surplus = self.0.len().saturating_sub(TURNS);
        self.0.drain(..surplus);
    }

    /// Whether it turned so often lately that a while of good means little.
    pub(super) fn is_flapping(&self, now: Timestamp) -> bool {
        let first = self.0.first().filter(|_| self.0.len() >= TURNS);
        first.is_some_and(|&first| now.duration_since(first).abs() <= WITHIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_turns_in_half_an_hour_are_flapping_and_an_hour_later_they_are_not() {
        let at = |minute: i64| Timestamp::from_second(1_700_000_000 + 60 * minute).unwrap();
        let mut turns = Turns::default();
        for minute in [0, 5, 10] {
            turns.turned(at(minute));
            assert!(!turns.is_flapping(at(minute)));
        }
        turns.turned(at(15));
        assert!(turns.is_flapping(at(30)));
        assert!(!turns.is_flapping(at(31)));
        turns.turned(at(32));
        assert!(turns.is_flapping(at(32)), "the last four are within half an hour");
    }
}
