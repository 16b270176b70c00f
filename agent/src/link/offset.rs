//! The collector's clocks, as far as heartbeats tell.

use std::collections::VecDeque;

/// As many answers as are kept; the one with the shortest way is believed.
const KEPT: usize = 8;

/// What no heartbeat is wrong by beyond its round trip.
const STEP_US: u64 = 100_000;

/// One heartbeat and its answer, all times in microseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Exchange {
    /// This process's monotonic clock when the heartbeat was sent.
    pub(crate) sent_us: u64,
    /// And when its answer came.
    pub(crate) received_us: u64,
    /// This host's wall clock when the heartbeat was sent.
    pub(crate) wall_sent_us: i64,
    /// The collector's monotonic clock at the answer.
    pub(crate) collector_us: u64,
    /// The collector's wall clock at the answer.
    pub(crate) collector_wall_us: i64,
}

/// What one exchange says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sample {
    rtt: u64,
    /// Collector's monotonic clock minus ours.
    monotonic: i64,
    /// Our wall clock minus the collector's.
    wall: i64,
    /// Collector's wall clock minus our monotonic one.
    collector_wall: i64,
}

impl Sample {
    /// Whether a wall clock was set between the two: more than their errors, and what a clock is slewed by meanwhile.
    fn is_of_other_clocks(&self, other: &Self) -> bool {
        let errors = self.rtt / 2 + other.rtt / 2;
        let limit = STEP_US.saturating_add(errors);
        self.wall.abs_diff(other.wall) > limit || self.collector_wall.abs_diff(other.collector_wall) > limit
    }
}

/// The offsets of the collector's clocks. An exchange is wrong by at most half its round trip, so the shortest of
/// the last ones is the best.
#[derive(Debug, Default)]
pub(crate) struct Offset {
    samples: VecDeque<Sample>,
}

impl Offset {
    /// Takes an answered heartbeat in.
    pub(crate) fn learn(&mut self, exchange: Exchange) {
        let rtt = exchange.received_us.saturating_sub(exchange.sent_us);
        let half = rtt / 2;
        let middle = exchange.sent_us + half;
        let sample = Sample {
            rtt,
            monotonic: signed(exchange.collector_us).saturating_sub(signed(middle)),
            wall: exchange
                .wall_sent_us
                .saturating_add(signed(half))
                .saturating_sub(exchange.collector_wall_us),
            collector_wall: exchange.collector_wall_us.saturating_sub(signed(middle)),
        };
        // The shortest way says nothing of a clock that was set since.
        self.samples.retain(|kept| !kept.is_of_other_clocks(&sample));
        if self.samples.len() == KEPT {
            self.samples.pop_front();
        }
        self.samples.push_back(sample);
    }

    /// The last round trip, in microseconds.
    pub(crate) fn rtt_us(&self) -> Option<u64> {
        self.samples.back().map(|sample| sample.rtt)
    }

    /// This host's wall clock minus the collector's, in microseconds.
    pub(crate) fn wall_us(&self) -> Option<i64> {
        self.best().map(|sample| sample.wall)
    }

    /// The collector's wall clock at a time of our monotonic one, in microseconds.
    pub(crate) fn collector_wall_us(&self, ours_us: u64) -> Option<i64> {
        let best = self.best()?;
        Some(best.collector_wall.saturating_add(signed(ours_us)))
    }

    /// A time of the collector's monotonic clock on ours.
    pub(crate) fn to_ours(&self, collector_us: u64) -> Option<u64> {
        let best = self.best()?;
        u64::try_from(signed(collector_us).saturating_sub(best.monotonic)).ok()
    }

    /// A time of our monotonic clock on the collector's.
    pub(crate) fn to_theirs(&self, ours_us: u64) -> Option<u64> {
        let best = self.best()?;
        u64::try_from(signed(ours_us).saturating_add(best.monotonic)).ok()
    }

    /// How far a time that was carried over may be off, in microseconds.
    pub(crate) fn uncertainty_us(&self) -> Option<u64> {
        self.best().map(|sample| sample.rtt / 2)
    }

    fn best(&self) -> Option<&Sample> {
        self.samples.iter().min_by_key(|sample| sample.rtt)
    }
}

fn signed(micros: u64) -> i64 {
    i64::try_from(micros).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The collector's clock is 5 s ahead, our wall clock 2 s; the way there takes `there`, the way back `back`.
    fn exchange(sent_us: u64, there: u64, back: u64) -> Exchange {
        Exchange {
            sent_us,
            received_us: sent_us + there + back,
            wall_sent_us: signed(sent_us) + 2_000_000,
            collector_us: sent_us + there + 5_000_000,
            collector_wall_us: signed(sent_us + there),
        }
    }

    #[test]
    fn an_even_way_gives_the_exact_offset() {
        let mut offset = Offset::default();
        assert_eq!(offset.to_ours(1), None);
        offset.learn(exchange(100, 40, 40));
        assert_eq!(offset.to_ours(6_000_000), Some(1_000_000));
        assert_eq!(offset.to_theirs(1_000_000), Some(6_000_000));
        assert_eq!(offset.uncertainty_us(), Some(40));
        assert_eq!(offset.wall_us(), Some(2_000_000));
        assert_eq!(offset.rtt_us(), Some(80));
    }

    #[test]
    fn a_clock_that_is_set_is_believed_at_once() {
        const HOURS: i64 = 2 * 3600 * 1_000_000;
        let mut offset = Offset::default();
        offset.learn(exchange(0, 10, 10));
        assert_eq!(offset.collector_wall_us(1_000_000), Some(1_000_000));
        let mut ours = exchange(1_000_000, 400, 400);
        ours.wall_sent_us += HOURS;
        offset.learn(ours);
        assert_eq!(offset.wall_us(), Some(2_000_000 + HOURS));
        assert_eq!(
            offset.collector_wall_us(2_000_000),
            Some(2_000_000),
            "that is ours alone"
        );
        let mut theirs = exchange(2_000_000, 900, 900);
        theirs.wall_sent_us += HOURS;
        theirs.collector_wall_us -= HOURS;
        offset.learn(theirs);
        assert_eq!(offset.collector_wall_us(3_000_000), Some(3_000_000 - HOURS));
    }

    #[test]
    fn the_shortest_way_is_believed_and_forgotten_in_time() {
        let mut offset = Offset::default();
        offset.learn(exchange(0, 10, 10));
        offset.learn(exchange(100, 90_000, 10));
        assert_eq!(offset.to_ours(6_000_000), Some(1_000_000));
        for round in 0..KEPT as u64 {
            offset.learn(exchange(1_000_000 * round, 500, 100));
        }
        assert_eq!(offset.to_ours(6_000_000), Some(1_000_000 - 200));
    }
}
