//! When a check is due: the same rounds everywhere, from nothing but the check and the collector's wall clock.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use uuid::{Builder, Uuid};

use crate::finding::Verdict;
use crate::vantage::AgentName;

/// How far the collector's wall clock may be set back so that rounds that were are waited for. Beyond, the old time was
/// wrong: a check that waits for it would be blind so long.
pub const SET_BACK: SignedDuration = SignedDuration::from_mins(5);

/// How a check comes again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cadence {
    /// The check.
    pub check: Uuid,
    /// Length of a round; at least a microsecond.
    pub every: Duration,
    /// Whether all vantage points begin at once, instead of spread over the round.
    pub together: bool,
}

/// One round of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Round {
    /// Ascends with time, by one from round to round.
    pub number: i64,
    /// When it begins, on the collector's wall clock.
    pub starts_at: Timestamp,
    /// UUID version 7: its time is that of the beginning, the rest is a hash.
    pub run_id: Uuid,
}

impl Cadence {
    /// The round of a number.
    pub fn round(&self, number: i64) -> Round {
        let starts_at = self.starts_at(number);
        Round {
            number,
            starts_at,
            run_id: self.run_id(number, starts_at),
        }
    }

    /// The round that is running at a time.
    pub fn at(&self, wall: Timestamp) -> Round {
        let since = i128::from(wall.as_microsecond()) - i128::from(self.phase());
        self.round(saturated(since.div_euclid(i128::from(self.every_us()))))
    }

    /// When a round ends: the next one begins.
    pub fn ends_at(&self, number: i64) -> Timestamp {
        self.starts_at(number.saturating_add(1))
    }

    /// How long after the beginning of a round an agent's part begins.
    pub fn offset(&self, agent: &AgentName) -> Duration {
        if self.together {
            return Duration::ZERO;
        }
        let hash = hash(&[
            b"parallax offset",
            self.check.as_bytes(),
            agent.as_str().as_bytes(),
        ]);
        Duration::from_micros(front(&hash) % self.every_us())
    }

    fn starts_at(&self, number: i64) -> Timestamp {
        let at = i128::from(number) * i128::from(self.every_us()) + i128::from(self.phase());
        let latest = Timestamp::MAX.as_microsecond();
        let at = saturated(at).clamp(Timestamp::MIN.as_microsecond(), latest);
        Timestamp::from_microsecond(at).unwrap_or(Timestamp::MAX)
    }

    /// Checks of one interval don't all begin at once.
    fn phase(&self) -> u64 {
        front(&hash(&[b"parallax phase", self.check.as_bytes()])) % self.every_us()
    }

    fn run_id(&self, number: i64, starts_at: Timestamp) -> Uuid {
        let hash = hash(&[
            b"parallax round",
            self.check.as_bytes(),
            &self.every_us().to_be_bytes(),
            &number.to_be_bytes(),
        ]);
        let mut rest = [0; 10];
        rest.copy_from_slice(&hash[..10]);
        let millis = u64::try_from(starts_at.as_millisecond()).unwrap_or(0);
        Builder::from_unix_timestamp_millis(millis, &rest).into_uuid()
    }

    fn every_us(&self) -> u64 {
        u64::try_from(self.every.as_micros()).unwrap_or(u64::MAX).max(1)
    }
}

/// Whether a run is among a share (0 to 1) of all: everybody who asks finds the same.
pub fn sampled(run_id: Uuid, ratio: f64) -> bool {
    let mut low = [0; 8];
    low[1..].copy_from_slice(&run_id.as_bytes()[9..]);
    let whole = (1_u64 << 56) as f64;
    (u64::from_be_bytes(low) as f64) < ratio * whole
}

fn hash(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}

fn front(hash: &[u8; 32]) -> u64 {
    let mut front = [0; 8];
    front.copy_from_slice(&hash[..8]);
    u64::from_be_bytes(front)
}

fn saturated(number: i128) -> i64 {
    i64::try_from(number).unwrap_or(if number < 0 { i64::MIN } else { i64::MAX })
}

/// A round that was closed, in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RoundSummary {
    /// UUID version 7; also of the run, if it was kept.
    pub run_id: Uuid,
    /// When it began.
    #[schemars(with = "String")]
    pub started_at: Timestamp,
    /// The answer.
    pub verdict: Verdict,
    /// One line a person can act on.
    pub summary: String,
    /// Vantage points by what became of them.
    #[serde(flatten)]
    pub counts: Counts,
    /// Whether it was closed so long after its end that nobody was alerted.
    pub late: bool,
    /// Whether there is a run of it.
    pub kept: bool,
}

/// Vantage points of a round by what became of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Counts {
    /// All worked.
    pub ok: u32,
    /// It worked, with something to be seen.
    pub degraded: u32,
    /// It did not work.
    pub failed: u32,
    /// Nothing was heard.
    pub missing: u32,
    /// The agent did not run it.
    pub refused: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cadence(together: bool) -> Cadence {
        Cadence {
            check: Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001),
            every: Duration::from_secs(60),
            together,
        }
    }

    #[test]
    fn a_rounds_id_is_the_same_everywhere_and_sorts_by_time() {
        let at = "2026-12-01T12:00:00Z".parse().unwrap();
        let round = cadence(true).at(at);
        assert_eq!(round.number, VECTOR.0);
        assert_eq!(round.starts_at.to_string(), VECTOR.1);
        assert_eq!(round.run_id.to_string(), VECTOR.2);
        assert_eq!(cadence(false).round(round.number), round);
        let ids: Vec<_> = (0..50)
            .map(|later| cadence(true).round(round.number + later).run_id)
            .collect();
        assert!(ids.is_sorted());
        assert_eq!(round.run_id.get_version_num(), 7);
    }

    const VECTOR: (i64, &str, &str) = (
        29_935_439,
        "2026-12-01T11:59:51.524028Z",
        "01a23179-bce4-7058-8512-1a749297571e",
    );

    #[test]
    fn every_time_is_in_one_round_and_rounds_meet() {
        let cadence = cadence(true);
        for second in [-7, 0, 59, 60, 61, 1_800_000_000] {
            let wall = Timestamp::from_second(second).unwrap();
            let round = cadence.at(wall);
            assert!(round.starts_at <= wall && wall < cadence.ends_at(round.number));
            assert_eq!(
                cadence.round(round.number + 1).starts_at,
                cadence.ends_at(round.number)
            );
            assert_eq!(cadence.at(round.starts_at), round);
        }
    }

    #[test]
    fn numbers_without_a_time_do_no_harm() {
        assert!(cadence(true).round(i64::MIN).starts_at < cadence(true).round(i64::MAX).starts_at);
        let whole = Cadence {
            every: Duration::MAX,
            ..cadence(true)
        };
        assert!(whole.at(Timestamp::UNIX_EPOCH).number <= 0);
    }

    #[test]
    fn offsets_of_200_agents_fill_the_interval() {
        let cadence = cadence(false);
        let mut tenths = [0_u32; 10];
        for number in 0..200 {
            let offset = cadence.offset(&format!("agent-{number}").parse().unwrap());
            assert!(offset < cadence.every);
            tenths[usize::try_from(offset.as_secs() / 6).unwrap()] += 1;
        }
        assert!(
            tenths.iter().all(|&count| (8..=36).contains(&count)),
            "{tenths:?}"
        );
        let together = Cadence {
            together: true,
            ..cadence
        };
        assert_eq!(together.offset(&"fra-1".parse().unwrap()), Duration::ZERO);
    }

    #[test]
    fn a_share_of_the_runs_is_sampled() {
        let ids = || (0..2000).map(|number| cadence(true).round(number).run_id);
        let tenth = ids().filter(|&id| sampled(id, 0.1)).count();
        assert!((140..260).contains(&tenth), "{tenth}");
        assert_eq!(ids().filter(|&id| sampled(id, 1.0)).count(), 2000);
        assert_eq!(ids().filter(|&id| sampled(id, 0.0)).count(), 0);
    }
}
