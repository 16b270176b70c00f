//! When something was, by a clock that nobody sets.

use std::sync::LazyLock;
use std::time::Duration;

use jiff::Timestamp;
use nix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// Since the host started, with the time that it slept.
#[cfg(target_os = "linux")]
const UPTIME: ClockId = ClockId::CLOCK_BOOTTIME;
#[cfg(not(target_os = "linux"))]
const UPTIME: ClockId = ClockId::CLOCK_MONOTONIC;

/// A moment. How long ago it was does not change when somebody sets the wall clock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Written")]
pub(crate) struct Moment {
    /// By the wall clock, for people.
    pub(crate) at: Timestamp,
    /// From which start of the host on `up_ms` counts. Empty: not known.
    boot: String,
    /// Milliseconds.
    up_ms: u64,
}

/// As it was kept before uptimes were, and as it is now.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Wall(Timestamp),
    Whole { at: Timestamp, boot: String, up_ms: u64 },
}

impl From<Written> for Moment {
    fn from(written: Written) -> Self {
        match written {
            Written::Wall(at) => Self {
                at,
                boot: String::new(),
                up_ms: 0,
            },
            Written::Whole { at, boot, up_ms } => Self { at, boot, up_ms },
        }
    }
}

impl Moment {
    pub(crate) fn now() -> Self {
        static BOOT: LazyLock<String> = LazyLock::new(boot);
        let up = clock_gettime(UPTIME).map(Duration::from);
        Self {
            at: crate::clock::now(),
            boot: BOOT.clone(),
            up_ms: up.map_or(0, |up| u64::try_from(up.as_millis()).unwrap_or(u64::MAX)),
        }
    }

    /// How long ago it was. Across a start of the host only the wall clock can tell; where that goes back, or was ahead
    /// once, it was before this start at least.
    pub(crate) fn age(&self, now: &Self) -> Duration {
        if self.boot == now.boot && !now.boot.is_empty() {
            return Duration::from_millis(now.up_ms.saturating_sub(self.up_ms));
        }
        let by_wall = Duration::try_from(now.at.duration_since(self.at)).unwrap_or_default();
        by_wall.max(Duration::from_millis(now.up_ms))
    }
}

/// The host's own word for its present start; where it has none, each process counts for one.
fn boot() -> String {
    match std::fs::read_to_string(BOOT_ID) {
        Ok(text) => text.trim().to_owned(),
        Err(_) => uuid::Uuid::now_v7().to_string(),
    }
}

#[cfg(test)]
impl Moment {
    /// So long after a certain evening, by both clocks of one start of the host.
    pub(crate) fn after(since: Duration) -> Self {
        let evening: Timestamp = "2026-11-24T22:00:00Z".parse().unwrap();
        Self {
            at: evening + since,
            boot: "one".to_owned(),
            up_ms: u64::try_from(since.as_millis()).unwrap() + 3_600_000,
        }
    }

    /// The same with a wall clock that is so much ahead.
    pub(crate) fn ahead(self, by: Duration) -> Self {
        Self {
            at: self.at + by,
            ..self
        }
    }

    /// The same so long after the host has started again.
    pub(crate) fn restarted(self, up: Duration) -> Self {
        Self {
            boot: "two".to_owned(),
            up_ms: u64::try_from(up.as_millis()).unwrap(),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);
    const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

    #[test]
    fn a_step_of_the_wall_clock_changes_no_age() {
        let then = Moment::after(Duration::ZERO);
        let later = Moment::after(HOUR);
        assert_eq!(then.age(&later), HOUR);
        assert_eq!(then.clone().ahead(YEAR).age(&later), HOUR, "it was ahead");
        assert_eq!(then.age(&later.clone().ahead(YEAR)), HOUR, "it is ahead");
    }

    #[test]
    fn what_was_before_this_start_is_as_old_as_the_start_at_least() {
        let then = Moment::after(Duration::ZERO);
        let up = Duration::from_secs(700);
        let later = Moment::after(HOUR).restarted(up);
        assert_eq!(then.age(&later), HOUR);
        assert_eq!(then.ahead(YEAR).age(&later), up, "its wall clock was ahead");
    }

    #[test]
    fn a_moment_is_read_as_it_was_written_and_as_it_was_written_before() {
        let now = Moment::now();
        let text = serde_json::to_string(&now).unwrap();
        assert_eq!(serde_json::from_str::<Moment>(&text).unwrap(), now);
        let old: Moment = serde_json::from_str("\"2026-11-24T22:00:00Z\"").unwrap();
        assert_eq!(old.age(&Moment::after(HOUR)), HOUR * 2, "the host is up so long");
    }
}
