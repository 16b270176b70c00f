//! This host's clocks.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;

/// The wall clock in microseconds since the Unix epoch; before it is negative.
pub(crate) fn wall_us(time: SystemTime) -> i64 {
    let micros = |duration: Duration| i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => micros(after),
        Err(before) => -micros(before.duration()),
    }
}

/// The wall clock now.
pub(crate) fn now() -> Timestamp {
    Timestamp::from_microsecond(wall_us(SystemTime::now())).unwrap_or(Timestamp::UNIX_EPOCH)
}
