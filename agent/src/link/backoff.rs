//! When to dial again.

use std::time::Duration;

/// The ceiling of the first wait; a collector that was restarted has its agents back within it.
const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(30);
/// A link that lived this long was healthy; one that did not may be refused again at once.
const HEALTHY: Duration = Duration::from_secs(60);

/// Exponential back-off with full jitter: many agents that lost one collector do not come back as one.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// How long to wait after a link that lived for `lived`, zero if there was none. `random` is from 0 to 1.
    pub(crate) fn next(&mut self, lived: Duration, random: f64) -> Duration {
        if lived >= HEALTHY {
            self.failures = 0;
        }
        let ceiling = FIRST
            .saturating_mul(2_u32.saturating_pow(self.failures))
            .min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        ceiling.mul_f64(random.clamp(0.0, 1.0))
    }

    /// How long to wait before asking somebody who said no: only a person can change that.
    pub(crate) fn after_refusal(random: f64) -> Duration {
        LONGEST.mul_f64(1.0 + random.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_their_cap_and_never_beyond() {
        let mut backoff = Backoff::default();
        let ceilings: Vec<_> = (0..9)
            .map(|_| backoff.next(Duration::ZERO, 1.0).as_millis())
            .collect();
        assert_eq!(
            ceilings,
            [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]
        );
        for _ in 0..100 {
            assert!(backoff.next(Duration::ZERO, 1.0) <= LONGEST);
        }
    }

    #[test]
    fn only_a_healthy_link_starts_from_the_beginning() {
        let mut backoff = Backoff::default();
        for _ in 0..5 {
            backoff.next(Duration::ZERO, 1.0);
        }
        assert!(backoff.next(Duration::from_secs(59), 1.0) > FIRST);
        assert_eq!(backoff.next(Duration::from_secs(60), 1.0), FIRST);
    }

    #[test]
    fn jitter_spreads_over_the_whole_wait() {
        assert_eq!(Backoff::default().next(Duration::ZERO, 0.0), Duration::ZERO);
        assert_eq!(Backoff::default().next(Duration::ZERO, 0.5), FIRST / 2);
        assert!(Backoff::after_refusal(0.0) >= LONGEST);
    }
}
