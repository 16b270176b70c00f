//! With what time to live an answer arrives: how far away is whoever gave it?
//!
//! A host begins at 64, 128 or 255, and each router on the way back takes one. Nobody need see the packet: this host
//! can be told to drop what arrives with less than a limit, and whether an answer still comes through says the rest.

use std::time::Duration;

use crate::path::{Answer, Shot};

/// What most hosts begin with, and so where to look first.
const USUAL: u8 = 64;
/// What parts those that begin with it from the others.
const PARTS: u16 = USUAL as u16 + 1;
/// Paths are short: what is looked for is a little below where its host began.
const STRIDE: u16 = 16;
/// Packets of one question, whatever comes back.
pub(super) const SHOTS: u8 = 16;
/// Bounds of the wait for one answer, and what is added to three times the slowest one.
const WAIT: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(1));
const MARGIN: Duration = Duration::from_millis(100);

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// Send this, and tell whether the answer came through.
    Shoot(Shot),
    /// The TTL of the answer; nothing where it is not the same each time.
    Done(Option<u8>),
}

/// Finds the TTL with which an answer arrives.
#[derive(Debug)]
pub struct AnswerTtl {
    phase: Phase,
    slowest: Duration,
    until: Duration,
    shots: u8,
}

#[derive(Debug, Clone, Copy)]
enum Phase {
    /// Without a limit: is there an answer, and how long does it take?
    Any,
    /// It is at least `passes` and less than `stops`.
    Between {
        passes: u16,
        stops: u16,
    },
    /// It would be this, unless the answer that was missing was lost on the way.
    StopsAgain(u8),
    PassesAgain(u8),
    Over(Option<u8>),
}

impl AnswerTtl {
    /// A question that has not been asked; over at `until`, from the start of the probe.
    pub const fn new(until: Duration) -> Self {
        Self {
            phase: Phase::Any,
            slowest: Duration::ZERO,
            until,
            shots: 0,
        }
    }

    /// What to do now.
    pub fn next(&mut self, now: Duration) -> Question {
        if let Phase::Over(found) = self.phase {
            return Question::Done(found);
        }
        let wait = self.wait();
        if now + wait > self.until || self.shots >= SHOTS {
            self.phase = Phase::Over(None);
            return Question::Done(None);
        }
        self.shots += 1;
        Question::Shoot(Shot {
            ttl: Shot::FAR,
            least: self.limit(),
            wait,
        })
    }

    /// Takes what came through.
    pub fn handle(&mut self, answer: &Answer) {
        if let Some(rtt) = answer.rtt() {
            self.slowest = self.slowest.max(rtt);
        }
        let came = match answer {
            Answer::SynAck { .. } | Answer::Reset { .. } | Answer::Answered { .. } => true,
            Answer::Silence => false,
            // Somebody else's word, of which the limit says nothing.
            Answer::Icmp(_) | Answer::Expired { .. } | Answer::NotSent(_) => {
                self.phase = Phase::Over(None);
                return;
            }
        };
        self.phase = match (self.phase, came) {
            (Phase::Any, true) => Phase::Between {
                passes: 1,
                stops: 256,
            },
            (Phase::Between { stops, .. }, true) => Self::between(self.limit().unwrap_or(1).into(), stops),
            (Phase::Between { passes, .. }, false) => Self::between(passes, self.limit().unwrap_or(1).into()),
            (Phase::StopsAgain(ttl), false) => Phase::PassesAgain(ttl),
            (Phase::PassesAgain(ttl), true) => Phase::Over(Some(ttl)),
            (Phase::Over(found), _) => Phase::Over(found),
            (Phase::Any | Phase::PassesAgain(_), false) | (Phase::StopsAgain(_), true) => Phase::Over(None),
        };
    }

    fn between(passes: u16, stops: u16) -> Phase {
        if stops - passes > 1 {
            return Phase::Between { passes, stops };
        }
        match u8::try_from(passes) {
            // Nothing is above it that could be asked for.
            Ok(u8::MAX) => Phase::PassesAgain(u8::MAX),
            Ok(ttl) => Phase::StopsAgain(ttl),
            Err(_) => Phase::Over(None),
        }
    }

    fn limit(&self) -> Option<u8> {
        let limit = match self.phase {
            Phase::Any | Phase::Over(_) => return None,
            // First what parts those that begin with 64 from the others, then halves, the nearer ones first.
            Phase::Between {
                passes: 1,
                stops: 256,
            } => PARTS,
            Phase::Between {
                passes: PARTS,
                stops: 256,
            } => 2 * u16::from(USUAL) + 1,
            Phase::Between { passes, stops } => stops - (stops - passes).div_ceil(2).min(STRIDE),
            Phase::StopsAgain(ttl) => u16::from(ttl) + 1,
            Phase::PassesAgain(ttl) => ttl.into(),
        };
        u8::try_from(limit).ok()
    }

    fn wait(&self) -> Duration {
        let (least, most) = WAIT;
        match self.phase {
            Phase::Any => most,
            _ => (self.slowest * 3 + MARGIN).clamp(least, most),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RTT: Duration = Duration::from_millis(5);
    const BUDGET: Duration = Duration::from_secs(10);

    /// Asks a host whose answers arrive with these TTLs, each after another and then the last for ever; a zero is an
    /// answer that is lost.
    fn ask(ttls: &[u8], until: Duration) -> (Option<u8>, usize, Duration) {
        let mut question = AnswerTtl::new(until);
        let (mut now, mut shots) = (Duration::ZERO, 0);
        loop {
            match question.next(now) {
                Question::Done(found) => return (found, shots, now),
                Question::Shoot(shot) => {
                    let ttl = ttls.get(shots).or(ttls.last()).copied().unwrap_or_default();
                    shots += 1;
                    let passes = ttl > 0 && shot.least.is_none_or(|least| ttl >= least);
                    now += if passes { RTT.min(shot.wait) } else { shot.wait };
                    question.handle(&if passes {
                        Answer::Reset { rtt: RTT }
                    } else {
                        Answer::Silence
                    });
                }
            }
        }
    }

    #[test]
    fn every_ttl_is_found() {
        for ttl in 1..=u8::MAX {
            let (found, shots, _) = ask(&[ttl], BUDGET);
            assert_eq!(found, Some(ttl));
            assert!(shots <= usize::from(SHOTS), "{ttl}: {shots}");
        }
    }

    #[test]
    fn a_usual_one_is_found_in_a_second() {
        for ttl in 55..=64 {
            let (_, shots, took) = ask(&[ttl], BUDGET);
            assert!(
                shots <= 11 && took < Duration::from_millis(1_500),
                "{ttl}: {shots}, {took:?}"
            );
        }
    }

    #[test]
    fn whoever_does_not_answer_has_none() {
        assert_eq!(ask(&[0], BUDGET).0, None);
        assert_eq!(ask(&[64], Duration::ZERO), (None, 0, Duration::ZERO));
    }

    proptest! {
        #[test]
        fn what_is_told_is_never_more_than_some_answer_had(
            ttls in prop::collection::vec(prop_oneof![Just(0), 1_u8..=255], 1..20),
            until in 0_u64..5_000,
        ) {
            let until = Duration::from_millis(until);
            let (found, shots, took) = ask(&ttls, until);
            prop_assert!(shots <= usize::from(SHOTS) && took <= until);
            if let Some(found) = found {
                prop_assert!(ttls.iter().any(|ttl| *ttl >= found));
            }
        }
    }
}
