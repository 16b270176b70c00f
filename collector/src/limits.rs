//! How much one operator may ask, how much one target is asked, and how often a stranger may fail to join.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use parallax_model::bucket::{Buckets, Rate};

use crate::config;
use crate::source::Source;

/// Names that are remembered at a time, of each kind.
const NAMES: usize = 4096;

/// The limits of a collector that others reach; one inside a program has its own operator alone, and none.
#[derive(Clone, Default)]
pub(crate) struct Limits(Option<Arc<Limited>>);

struct Limited {
    counted: Mutex<Counted>,
}

struct Counted {
    at_once: usize,
    operators: Buckets<String>,
    targets: Buckets<String>,
    under_way: BTreeMap<String, usize>,
    failures: Buckets<Source>,
    kept_out: BTreeMap<Source, Instant>,
}

/// One run of an operator, until it is dropped.
pub(crate) struct Leave {
    limited: Arc<Limited>,
    operator: String,
}

/// What there is too much of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TooMuch {
    /// The operator has so many runs under way.
    AtOnce(usize),
    /// The operator asks too often; in so long there is room again.
    OfOperator(Duration),
    /// The target is asked too often by all together.
    OfTarget(Duration),
}

impl TooMuch {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::AtOnce(_) => "at_once",
            Self::OfOperator(_) => "operator",
            Self::OfTarget(_) => "target",
        }
    }

    /// When there is room again; not known while it depends on a run that is under way.
    pub(crate) const fn again_in(self) -> Option<Duration> {
        match self {
            Self::AtOnce(_) => None,
            Self::OfOperator(wait) | Self::OfTarget(wait) => Some(wait),
        }
    }
}

impl Limits {
    pub(crate) fn new(limits: &config::Limits) -> Self {
        let counted = Counted {
            at_once: limits.runs_at_once_per_operator,
            operators: Buckets::new(each(limits.runs_per_operator), NAMES),
            targets: Buckets::new(each(limits.runs_per_target), NAMES),
            under_way: BTreeMap::new(),
            failures: Buckets::new(each(limits.failed_joins), NAMES),
            kept_out: BTreeMap::new(),
        };
        Self(Some(Arc::new(Limited {
            counted: Mutex::new(counted),
        })))
    }

    /// Others from now on. What is under way goes on, and what was asked is not forgotten.
    pub(crate) fn change(&self, limits: &config::Limits) {
        let Some(limited) = &self.0 else {
            return;
        };
        limited.with(|counted| {
            counted.at_once = limits.runs_at_once_per_operator;
            counted.operators.change(each(limits.runs_per_operator));
            counted.targets.change(each(limits.runs_per_target));
            counted.failures.change(each(limits.failed_joins));
        });
    }

    /// Leave for one more run; none is needed where there are no limits.
    pub(crate) fn run(&self, operator: &str, target: &str, now: Instant) -> Result<Option<Leave>, TooMuch> {
        let Some(limited) = &self.0 else {
            return Ok(None);
        };
        limited.with(|counted| counted.run(operator, target, now))?;
        Ok(Some(Leave {
            limited: Arc::clone(limited),
            operator: operator.to_owned(),
        }))
    }

    /// Whether somebody may try to join, or in how long.
    pub(crate) fn may_join(&self, source: Source, now: Instant) -> Result<(), Duration> {
        let Some(limited) = &self.0 else {
            return Ok(());
        };
        limited.with(|counted| match counted.kept_out.get(&source) {
            Some(until) if *until > now => Err(*until - now),
            _ => Ok(()),
        })
    }

    /// Somebody failed to join. Those who get in are bounded by their tokens.
    pub(crate) fn join_failed(&self, source: Source, now: Instant) {
        let Some(limited) = &self.0 else {
            return;
        };
        limited.with(|counted| {
            if let Err(wait) = counted.failures.take(source, now) {
                counted.kept_out.retain(|_, until| *until > now);
                if counted.kept_out.len() < NAMES {
                    counted.kept_out.insert(source, now + wait);
                }
            }
        });
    }
}

/// So many a minute, twice as many at once after a rest.
fn each(count: usize) -> Rate {
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    Rate::per_minute(count).with_burst(count.saturating_mul(2))
}

impl Limited {
    fn with<T>(&self, change: impl FnOnce(&mut Counted) -> T) -> T {
        change(&mut self.counted.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Counted {
    fn run(&mut self, operator: &str, target: &str, now: Instant) -> Result<(), TooMuch> {
        let under_way = self.under_way.get(operator).copied().unwrap_or_default();
        if under_way >= self.at_once {
            return Err(TooMuch::AtOnce(self.at_once));
        }
        self.operators
            .take(operator.to_owned(), now)
            .map_err(TooMuch::OfOperator)?;
        self.targets
            .take(target.to_ascii_lowercase(), now)
            .map_err(TooMuch::OfTarget)?;
        self.under_way.insert(operator.to_owned(), under_way + 1);
        Ok(())
    }
}

impl Drop for Leave {
    fn drop(&mut self) {
        self.limited.with(|counted| {
            let Some(under_way) = counted.under_way.get_mut(&self.operator) else {
                return;
            };
            *under_way -= 1;
            if *under_way == 0 {
                counted.under_way.remove(&self.operator);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        Limits::new(&config::Limits {
            runs_per_operator: 6,
            runs_per_target: 3,
            runs_at_once_per_operator: 2,
            failed_joins: 30,
            ..config::Limits::default()
        })
    }

    #[test]
    fn one_operator_leaves_room_for_the_others() {
        let (limits, now) = (limits(), Instant::now());
        let held: Vec<_> = ["a", "b"].map(|target| limits.run("ada", target, now)).into();
        assert!(held.iter().all(Result::is_ok));
        assert_eq!(limits.run("ada", "c", now).err(), Some(TooMuch::AtOnce(2)));
        assert!(limits.run("bob", "c", now).is_ok());
        drop(held);
        for number in 0..10 {
            assert!(limits.run("ada", &format!("t{number}"), now).is_ok(), "{number}");
        }
        let refused = limits.run("ada", "d", now).err();
        assert_eq!(refused, Some(TooMuch::OfOperator(Duration::from_secs(10))));
        assert!(limits.run("ada", "d", now + Duration::from_secs(10)).is_ok());
    }

    #[test]
    fn a_target_is_asked_so_often_whoever_asks_and_however_it_is_written() {
        let (limits, now) = (limits(), Instant::now());
        for number in 0..6 {
            let (operator, target) = (format!("o{number}"), ["IMAP.example", "imap.example"][number % 2]);
            assert!(limits.run(&operator, target, now).is_ok());
        }
        let refused = limits.run("ada", "imap.example", now).err();
        assert_eq!(refused, Some(TooMuch::OfTarget(Duration::from_secs(20))));
        assert!(limits.run("ada", "other.example", now).is_ok());
    }

    #[test]
    fn whoever_fails_to_join_without_end_waits_and_nobody_else_does() {
        let (limits, now) = (limits(), Instant::now());
        let (guesser, other) = (
            Source::of([192, 0, 2, 1].into()),
            Source::of([192, 0, 2, 2].into()),
        );
        for _ in 0..61 {
            assert_eq!(limits.may_join(guesser, now), Ok(()));
            limits.join_failed(guesser, now);
        }
        assert_eq!(limits.may_join(guesser, now), Err(Duration::from_secs(2)));
        assert_eq!(limits.may_join(other, now), Ok(()));
        assert_eq!(limits.may_join(guesser, now + Duration::from_secs(2)), Ok(()));
    }

    #[test]
    fn other_limits_hold_from_the_next_question_on_and_forget_nothing() {
        let (few, now) = (limits(), Instant::now());
        let held: Vec<_> = ["a", "b"].map(|target| few.run("ada", target, now)).into();
        assert_eq!(few.run("ada", "c", now).err(), Some(TooMuch::AtOnce(2)));
        let clone = few.clone();
        let more = config::Limits {
            runs_at_once_per_operator: 3,
            ..config::Limits::default()
        };
        few.change(&more);
        let third = clone.run("ada", "c", now);
        assert!(third.is_ok(), "whoever has a clone is asked by the new ones");
        assert_eq!(clone.run("ada", "d", now).err(), Some(TooMuch::AtOnce(3)));
        let fewer = config::Limits {
            runs_at_once_per_operator: 1,
            ..more
        };
        few.change(&fewer);
        drop(held);
        assert_eq!(
            clone.run("ada", "d", now).err(),
            Some(TooMuch::AtOnce(1)),
            "what was under way before still counts"
        );
        drop(third);
        assert!(clone.run("ada", "d", now).is_ok());
    }

    #[test]
    fn inside_a_program_there_are_none() {
        let (limits, now) = (Limits::default(), Instant::now());
        for _ in 0..1000 {
            assert!(
                limits
                    .run("ada", "imap.example", now)
                    .is_ok_and(|leave| leave.is_none())
            );
        }
    }
}
