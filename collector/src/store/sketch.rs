//! How durations are spread: small enough to keep for a year, and two of them together are one.

use std::time::Duration;

/// How much wider a bucket is than the one before. A quantile is off by half of it at most.
const GROWTH: f64 = 1.06;

/// Counts of durations in buckets that grow by 6 %.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Sketch {
    /// Bucket and count, ascending; no bucket twice.
    counts: Vec<(u16, u64)>,
}

impl Sketch {
    /// Counts one more.
    pub(crate) fn add(&mut self, duration: Duration) {
        self.count_in(bucket(duration), 1);
    }

    /// Counts everything that the other counted.
    pub(crate) fn merge(&mut self, other: &Self) {
        for &(bucket, count) in &other.counts {
            self.count_in(bucket, count);
        }
    }

    fn count_in(&mut self, bucket: u16, more: u64) {
        match self.counts.binary_search_by_key(&bucket, |(bucket, _)| *bucket) {
            Ok(place) => self.counts[place].1 += more,
            Err(place) => self.counts.insert(place, (bucket, more)),
        }
    }

    /// How many were counted.
    pub(crate) fn count(&self) -> u64 {
        self.counts.iter().map(|(_, count)| count).sum()
    }

    /// The duration below which this part of them is, between 0 and 1; none of none.
    pub(crate) fn quantile(&self, part: f64) -> Option<Duration> {
        let last = self.count().checked_sub(1)?;
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rank among what was counted"
        )]
        let rank = (last as f64 * part.clamp(0.0, 1.0)).round() as u64;
        let mut below = 0;
        let (bucket, _) = self.counts.iter().find(|(_, count)| {
            below += count;
            below > rank
        })?;
        Some(middle(*bucket))
    }

    /// A few bytes: the distance to the bucket before, and what is in it, each a varint.
    pub(crate) fn encode(&self, bytes: &mut Vec<u8>) {
        let mut before = 0;
        for &(bucket, count) in &self.counts {
            put_varint(bytes, u64::from(bucket - before));
            put_varint(bytes, count);
            before = bucket;
        }
    }

    /// Reads what was encoded; `None` of anything else.
    pub(crate) fn decode(mut bytes: &[u8]) -> Option<Self> {
        let (mut counts, mut bucket) = (Vec::with_capacity(bytes.len() / 2), 0_u16);
        while !bytes.is_empty() {
            let distance = u16::try_from(take_varint(&mut bytes)?).ok()?;
            if distance == 0 && !counts.is_empty() {
                return None;
            }
            bucket = bucket.checked_add(distance)?;
            counts.push((bucket, take_varint(&mut bytes)?));
        }
        Some(Self { counts })
    }
}

/// Bucket 0 is what took no microsecond, bucket `n` what took at most `GROWTH^(n - 1)` of them.
fn bucket(duration: Duration) -> u16 {
    #[expect(clippy::cast_precision_loss, reason = "a bucket is wider than the loss")]
    let microseconds = duration.as_micros() as f64;
    if microseconds < 1.0 {
        return 0;
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 0 and 1600, whatever the duration"
    )]
    let exponent = (microseconds.ln() / GROWTH.ln()).ceil() as u16;
    exponent + 1
}

/// As far, in parts of itself, from both ends of the bucket.
fn middle(bucket: u16) -> Duration {
    let Some(exponent) = bucket.checked_sub(1) else {
        return Duration::ZERO;
    };
    let microseconds = 2.0 * GROWTH.powi(i32::from(exponent)) / (GROWTH + 1.0);
    Duration::try_from_secs_f64(microseconds.round() / 1e6).unwrap_or(Duration::MAX)
}

/// Seven bits a byte, the lowest first; the eighth says that more follow.
pub(super) fn put_varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value > 0x7f {
        bytes.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    bytes.push(value.to_le_bytes()[0]);
}

/// The next number, and the bytes behind it; `None` when there is none, or it is larger than 64 bits.
pub(super) fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        let part = u64::from(byte & 0x7f);
        let moved = part << shift;
        if moved >> shift != part {
            return None;
        }
        value |= moved;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn sketch(microseconds: &[u64]) -> Sketch {
        let mut sketch = Sketch::default();
        for &duration in microseconds {
            sketch.add(Duration::from_micros(duration));
        }
        sketch
    }

    fn encoded(sketch: &Sketch) -> Vec<u8> {
        let mut bytes = Vec::new();
        sketch.encode(&mut bytes);
        bytes
    }

    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rank in a test"
    )]
    fn exact(sorted: &[u64], part: f64) -> f64 {
        sorted[((sorted.len() - 1) as f64 * part).round() as usize] as f64
    }

    proptest! {
        #[test]
        fn quantiles_are_within_four_percent(mut durations in vec(0_u64..600_000_000, 1..200), part in 0.0_f64..=1.0) {
            let told = sketch(&durations).quantile(part).unwrap().as_secs_f64() * 1e6;
            durations.sort_unstable();
            let meant = exact(&durations, part);
            prop_assert!((told - meant).abs() <= (meant * 0.04).max(1.0), "{told} of {meant}");
        }

        #[test]
        fn two_together_are_as_if_counted_in_one(
            one in vec(0_u64..10_000_000, 0..50),
            other in vec(0_u64..10_000_000, 0..50),
        ) {
            let mut merged = sketch(&one);
            merged.merge(&sketch(&other));
            let all: Vec<u64> = one.into_iter().chain(other).collect();
            prop_assert_eq!(&merged, &sketch(&all));
            prop_assert_eq!(Sketch::decode(&encoded(&merged)), Some(merged));
        }

        #[test]
        fn any_bytes_are_read_or_turned_down(bytes in vec(any::<u8>(), 0..64)) {
            let _ = Sketch::decode(&bytes);
        }
    }

    #[test]
    fn a_day_of_one_stage_takes_little_room() {
        let durations: Vec<u64> = (0..1440).map(|minute| 20_000 + minute * 7).collect();
        assert!(encoded(&sketch(&durations)).len() < 40);
        assert_eq!(Sketch::default().quantile(0.5), None);
    }

    #[test]
    fn the_longest_duration_is_counted() {
        let mut sketch = Sketch::default();
        sketch.add(Duration::MAX);
        assert!(sketch.quantile(1.0) > Some(Duration::from_hours(1 << 30)));
    }
}
