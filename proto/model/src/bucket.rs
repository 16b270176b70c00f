//! How often something may happen: a burst at once, then one each interval. The time comes in as a value.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// So much at once, and then one each interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    interval: Duration,
    burst: u32,
}

impl Rate {
    /// So many a minute, at least one.
    pub const fn per_minute(count: u32) -> Self {
        let count = if count == 0 { 1 } else { count };
        Self {
            interval: Duration::from_nanos(60_000_000_000 / count as u64),
            burst: 1,
        }
    }

    /// One each interval.
    pub const fn one_each(interval: Duration) -> Self {
        Self { interval, burst: 1 }
    }

    /// The same, after so many at once.
    #[must_use]
    pub const fn with_burst(self, burst: u32) -> Self {
        Self {
            burst: if burst == 0 { 1 } else { burst },
            ..self
        }
    }

    /// How far what was taken may run ahead of the interval.
    fn ahead(self) -> Duration {
        self.interval.saturating_mul(self.burst - 1)
    }
}

/// One thing that has a rate.
#[derive(Debug, Clone, Copy)]
pub struct Bucket {
    rate: Rate,
    /// When the bucket is full again; in the past when it is. None before anything was taken.
    full_at: Option<Instant>,
}

impl Bucket {
    /// A full bucket.
    pub const fn new(rate: Rate) -> Self {
        Self { rate, full_at: None }
    }

    /// Takes one, or says after which time there will be one.
    pub fn take(&mut self, now: Instant) -> Result<(), Duration> {
        let full_at = self.full_at.map_or(now, |full_at| full_at.max(now));
        let taken = full_at.saturating_duration_since(now);
        match taken.checked_sub(self.rate.ahead()) {
            Some(wait) if !wait.is_zero() => Err(wait),
            _ => {
                self.full_at = Some(full_at + self.rate.interval);
                Ok(())
            }
        }
    }

    fn is_full(&self, now: Instant) -> bool {
        self.full_at.is_none_or(|full_at| full_at <= now)
    }
}

/// Many things that have the same rate each, by name; bounded, however many names somebody invents.
#[derive(Debug, Clone)]
pub struct Buckets<K> {
    rate: Rate,
    room: usize,
    buckets: BTreeMap<K, Bucket>,
}

impl<K: Ord> Buckets<K> {
    /// Buckets for at most `room` names at a time.
    pub const fn new(rate: Rate, room: usize) -> Self {
        Self {
            rate,
            room,
            buckets: BTreeMap::new(),
        }
    }

    /// Another rate from now on. What was taken before counts as what it is worth by the new one.
    pub fn change(&mut self, rate: Rate) {
        self.rate = rate;
        for bucket in self.buckets.values_mut() {
            bucket.rate = rate;
        }
    }

    /// Takes one of this name, or says after which time there will be one. A name for which there is no room waits for
    /// the next interval: whoever floods with names must not make others forgotten.
    pub fn take(&mut self, key: K, now: Instant) -> Result<(), Duration> {
        if let Some(bucket) = self.buckets.get_mut(&key) {
            return bucket.take(now);
        }
        if self.buckets.len() >= self.room {
            self.buckets.retain(|_, bucket| !bucket.is_full(now));
        }
        if self.buckets.len() >= self.room {
            return Err(self.rate.interval);
        }
        let mut bucket = Bucket::new(self.rate);
        let taken = bucket.take(now);
        self.buckets.insert(key, bucket);
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate::per_minute(60).with_burst(3);

    #[test]
    fn a_burst_goes_at_once_and_then_one_each_interval() {
        let now = Instant::now();
        let mut bucket = Bucket::new(RATE);
        for _ in 0..3 {
            assert_eq!(bucket.take(now), Ok(()));
        }
        assert_eq!(bucket.take(now), Err(Duration::from_secs(1)));
        let later = now + Duration::from_millis(400);
        assert_eq!(bucket.take(later), Err(Duration::from_millis(600)));
        assert_eq!(bucket.take(now + Duration::from_secs(1)), Ok(()));
        assert!(bucket.take(now + Duration::from_secs(1)).is_err());
    }

    #[test]
    fn a_rested_bucket_holds_its_burst_and_no_more() {
        let now = Instant::now();
        let mut bucket = Bucket::new(RATE);
        assert_eq!(bucket.take(now), Ok(()));
        let much_later = now + Duration::from_secs(3600);
        for _ in 0..3 {
            assert_eq!(bucket.take(much_later), Ok(()));
        }
        assert!(bucket.take(much_later).is_err());
    }

    #[test]
    fn names_do_not_share_and_an_invented_one_makes_none_forgotten() {
        let now = Instant::now();
        let mut buckets = Buckets::new(Rate::one_each(Duration::from_secs(5)), 2);
        assert_eq!(buckets.take("a", now), Ok(()));
        assert_eq!(buckets.take("b", now), Ok(()));
        assert_eq!(buckets.take("a", now), Err(Duration::from_secs(5)));
        assert!(buckets.take("c", now).is_err(), "there is no room");
        let later = now + Duration::from_secs(5);
        assert_eq!(buckets.take("c", later), Ok(()), "the others are full again");
    }

    #[test]
    fn another_rate_holds_at_once_for_those_who_are_known_and_those_who_are_not() {
        let now = Instant::now();
        let mut buckets = Buckets::new(Rate::one_each(Duration::from_secs(60)), 2);
        assert_eq!(buckets.take("a", now), Ok(()));
        buckets.change(RATE);
        assert_eq!(
            buckets.take("a", now),
            Err(Duration::from_secs(58)),
            "what was taken stays taken"
        );
        let later = now + Duration::from_secs(60);
        for name in ["a", "b"] {
            for _ in 0..3 {
                assert_eq!(buckets.take(name, later), Ok(()), "{name}");
            }
            assert_eq!(buckets.take(name, later), Err(Duration::from_secs(1)), "{name}");
        }
    }
}
