//! Where the collector's wall clock stands on this process's monotonic one.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// What the collector's wall clock showed at an instant. Between two of them time goes by the monotonic clock, which
/// nobody sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Anchor {
    pub(crate) at: Instant,
    pub(crate) wall: Timestamp,
}

impl Anchor {
    /// The collector's wall clock at an instant.
    pub(crate) fn wall_at(&self, instant: Instant) -> Timestamp {
        match instant.checked_duration_since(self.at) {
            Some(after) => shifted(self.wall, signed(after)),
            None => shifted(self.wall, -signed(self.at.duration_since(instant))),
        }
    }

    /// When the collector's wall clock shows a time.
    pub(crate) fn instant_of(&self, wall: Timestamp) -> Instant {
        let until = wall.duration_since(self.wall);
        let distance = until.unsigned_abs();
        let instant = if until.is_negative() {
            self.at.checked_sub(distance)
        } else {
            self.at.checked_add(distance)
        };
        instant.unwrap_or(self.at)
    }

    /// How far the clock of `later` is ahead of where this one would be by then; negative when it is behind.
    pub(crate) fn moved(&self, later: &Self) -> SignedDuration {
        later.wall.duration_since(self.wall_at(later.at))
    }
}

/// A time so much later; at the end of the calendar it stays where it is.
pub(super) fn shifted(time: Timestamp, by: SignedDuration) -> Timestamp {
    time.checked_add(by).unwrap_or(time)
}

pub(super) fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn an_instant_and_its_time_belong_together_on_both_sides_of_the_anchor() {
        let at = Instant::now() + HOUR;
        let anchor = Anchor {
            at,
            wall: "2026-12-01T02:00:00Z".parse().unwrap(),
        };
        let later: Timestamp = "2026-12-01T03:00:00Z".parse().unwrap();
        let earlier: Timestamp = "2026-12-01T01:00:00Z".parse().unwrap();
        for (instant, wall) in [(at, anchor.wall), (at + HOUR, later), (at - HOUR, earlier)] {
            assert_eq!(anchor.wall_at(instant), wall);
            assert_eq!(anchor.instant_of(wall), instant);
        }
        let set_back = Anchor {
            at: at + HOUR,
            wall: anchor.wall,
        };
        assert_eq!(anchor.moved(&set_back), SignedDuration::from_hours(-1));
    }
}
