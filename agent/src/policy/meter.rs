//! How many probes a minute.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use parallax_model::bucket::{Bucket, Buckets, Rate};
use parallax_model::refusal::PolicyMatter;

use crate::policy::{Forbidden, Policy};

/// Targets that are remembered at a time; a flood of names waits.
const TARGETS: usize = 4096;

/// Counts what was let through against `rate` and `rate_per_target`.
#[derive(Debug)]
pub(super) struct Meter {
    all: Bucket,
    targets: Buckets<String>,
}

impl Meter {
    pub(super) fn of(policy: &Policy) -> Self {
        Self {
            all: Bucket::new(per_minute(policy.rate)),
            targets: Buckets::new(per_minute(policy.rate_per_target), TARGETS),
        }
    }

    /// Lets one order for these targets through, or says when there will be room again.
    pub(super) fn take(
        &mut self,
        policy: &Policy,
        targets: impl IntoIterator<Item = String>,
        now: Instant,
    ) -> Result<(), Forbidden> {
        for target in targets {
            self.targets.take(target.clone(), now).map_err(|wait| {
                let rule = format!("rate_per_target = {}", policy.rate_per_target);
                too_many(&rule, &target, wait)
            })?;
        }
        self.all.take(now).map_err(|wait| {
            let rule = format!("rate = {}", policy.rate);
            too_many(&rule, "all targets", wait)
        })
    }
}

/// Twice as many at once after a rest.
fn per_minute(count: NonZeroU32) -> Rate {
    Rate::per_minute(count.get()).with_burst(count.get().saturating_mul(2))
}

fn too_many(rule: &str, of: &str, wait: Duration) -> Forbidden {
    let wait = wait.as_secs() + 1;
    let sentence = format!("this agent's policy has {rule} probes a minute: again in {wait} s for {of}");
    Forbidden::new(PolicyMatter::Rate, rule, of, sentence)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(rate: u32, rate_per_target: u32) -> Policy {
        Policy {
            rate: rate.try_into().unwrap(),
            rate_per_target: rate_per_target.try_into().unwrap(),
            ..Policy::default()
        }
    }

    fn names(count: usize) -> impl Iterator<Item = String> {
        (0..count).map(|number| format!("{number}.example"))
    }

    #[test]
    fn a_target_has_its_rate_and_all_together_have_theirs() {
        let policy = policy(60, 2);
        let (mut meter, now) = (Meter::of(&policy), Instant::now());
        let mut ask = |target: &str, now| meter.take(&policy, [target.to_owned()], now);
        for _ in 0..4 {
            assert_eq!(ask("imap.example.org", now), Ok(()));
        }
        let refused = ask("imap.example.org", now).unwrap_err();
        assert_eq!(refused.refusal().what, PolicyMatter::Rate);
        assert_eq!(refused.refusal().rule, "rate_per_target = 2");
        assert_eq!(refused.refusal().value, "imap.example.org");
        assert_eq!(ask("imap.example.com", now), Ok(()));
        assert_eq!(ask("imap.example.org", now + Duration::from_secs(30)), Ok(()));
        let let_through = names(1000).filter(|name| ask(name, now).is_ok()).count();
        assert!(let_through < 120, "{let_through}");
        let refused = ask("another.example", now).unwrap_err();
        assert_eq!(refused.refusal().rule, "rate = 60");
    }

    #[test]
    fn the_default_is_above_what_a_collector_lets_people_ask() {
        let policy = Policy::default();
        let (mut meter, now) = (Meter::of(&policy), Instant::now());
        // 120 runs of one target at once, three orders each and a watcher's beside.
        for _ in 0..480 {
            assert_eq!(meter.take(&policy, names(1), now), Ok(()));
        }
    }
}
