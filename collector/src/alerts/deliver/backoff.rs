//! How long to wait before the next try.

use std::time::Duration;

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(300);

/// After so many tries that failed: anything from nothing up to 1 s, doubled each time up to 5 min, so that many who
/// wait for the same receiver do not come back at once. `luck` is from 0 to 1.
pub(super) fn pause(failed: u32, luck: f64) -> Duration {
    let doubled = FIRST.saturating_mul(1 << failed.saturating_sub(1).min(16));
    doubled.min(LONGEST).mul_f64(luck.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_five_minutes_and_luck_shortens_them() {
        let longest: Vec<u64> = (1..12).map(|failed| pause(failed, 1.0).as_secs()).collect();
        assert_eq!(longest, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        assert_eq!(pause(5, 0.5), Duration::from_secs(8));
        assert_eq!(pause(u32::MAX, 1.0), LONGEST);
    }
}
