//! A trace: packets of one flow, each a little further than the one before.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use parallax_model::path::{Hop, PathEnd};

use crate::path::hop::Asked;
use crate::path::{Answer, Shot, Step};

/// Further than any path of the Internet.
const LONGEST: u8 = 30;
/// Packets of one trace, whatever comes back.
pub(super) const SHOTS: u8 = 48;
/// Distances in a row that nobody answers from, after which nobody behind them is asked.
const SILENT: u8 = 4;
/// Of those, how many are asked once more.
const SILENT_AGAIN: u8 = 2;
/// After which a router that had spent its allowance has some again.
const AGAIN_AFTER: Duration = Duration::from_millis(1_100);
/// Bounds of the wait for one answer, and what is added to three times the slowest one.
const WAIT: (Duration, Duration) = (Duration::from_millis(300), Duration::from_secs(1));
const MARGIN: Duration = Duration::from_millis(150);

/// What is traced, and what is known before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wish {
    /// The target.
    pub address: IpAddr,
    /// Whether the target is known to answer this port: then silence on the way says nothing about its end.
    pub answers: bool,
    /// How long an answer of the target takes, where that is known.
    pub rtt: Option<Duration>,
    /// When it must be over, from the start of the probe.
    pub until: Duration,
}

/// What a trace found.
#[derive(Debug, Clone, PartialEq)]
pub struct Traced {
    /// Why it ended.
    pub ended: PathEnd,
    /// Whether an answer came from the target itself.
    pub reached: bool,
    /// What came from each distance that was asked, nearest first.
    pub hops: Vec<Hop>,
}

/// A trace, whatever its packets are: the first segment of a connection is the very packet that a filter looks at,
/// and a datagram one that few filters care for.
#[derive(Debug)]
pub struct Trace {
    wish: Wish,
    asked: BTreeMap<u8, Asked>,
    phase: Phase,
    flying: Option<(u8, Duration)>,
    slowest: Duration,
    shots: u8,
}

#[derive(Debug, Clone, Copy)]
enum Phase {
    /// One further.
    Up(u8),
    /// Between what was asked in vain and what would be too far, for a target that is known to answer.
    Between {
        near: u8,
        far: u8,
    },
    /// Back from the target to what was asked before.
    Back {
        ttl: u8,
        silent: u8,
    },
    /// Once more, where nobody answered behind the last that did.
    Again {
        ttl: u8,
        silent: u8,
    },
    Over(PathEnd),
}

impl Trace {
    /// A trace that has not begun.
    pub fn new(wish: Wish) -> Self {
        Self {
            wish,
            asked: BTreeMap::new(),
            phase: Phase::Up(1),
            flying: None,
            slowest: wish.rtt.unwrap_or_default(),
            shots: 0,
        }
    }

    /// What to do now.
    pub fn next(&mut self, now: Duration) -> Step {
        // A shorter wait would take an answer for silence.
        let wait = self.wait();
        let late = now + wait > self.wish.until;
        let ttl = match self.phase {
            Phase::Over(ended) => return self.done(ended),
            // The first pass is whole: what is missing is the second opinion.
            Phase::Again { .. } if late => return self.done(PathEnd::Silent),
            Phase::Back { .. } if late => return self.done(PathEnd::Reached),
            _ if late || self.shots >= SHOTS => return self.done(PathEnd::Deadline),
            Phase::Again { ttl, .. } => {
                let ready = self
                    .asked
                    .get(&ttl)
                    .map_or(now, |asked| asked.first + AGAIN_AFTER);
                if ready + wait > self.wish.until {
                    return self.done(PathEnd::Silent);
                }
                if ready > now {
                    return Step::Rest { until: ready };
                }
                ttl
            }
            Phase::Up(ttl) | Phase::Back { ttl, .. } => ttl,
            Phase::Between { near, far } => near.midpoint(far),
        };
        self.shots += 1;
        self.flying = Some((ttl, now));
        Step::Shoot(Shot {
            ttl,
            least: None,
            wait,
        })
    }

    /// Takes what came of the packet that flies.
    pub fn handle(&mut self, answer: Answer) {
        let Some((ttl, sent)) = self.flying.take() else {
            return;
        };
        if let Some(rtt) = answer.rtt() {
            self.slowest = self.slowest.max(rtt);
        }
        let asked = self.asked.entry(ttl).or_insert_with(|| Asked::at(sent));
        asked.note(answer.clone());
        self.phase = self.after(ttl, &answer);
        if self.goes_round(ttl) {
            self.phase = Phase::Over(PathEnd::Loop);
        }
    }

    fn after(&self, ttl: u8, answer: &Answer) -> Phase {
        let reached = match answer {
            Answer::SynAck { .. } | Answer::Reset { .. } | Answer::Answered { .. } => true,
            Answer::Icmp(icmp) => icmp.is_port_unreachable() && answer.is_of(self.wish.address),
            Answer::Expired { .. } | Answer::Silence | Answer::NotSent(_) => false,
        };
        match (self.phase, answer) {
            (Phase::Over(ended), _) => Phase::Over(ended),
            (_, Answer::NotSent(_)) => Phase::Over(PathEnd::NotSent),
            (_, Answer::Icmp(icmp)) if !icmp.is_time_exceeded() && !reached => {
                Phase::Over(PathEnd::Unreachable)
            }
            (Phase::Between { near, .. }, _) if reached => self.between(near, ttl),
            (Phase::Between { far, .. }, _) => self.between(ttl, far),
            (Phase::Back { silent, .. }, Answer::Silence) => self.back(ttl, silent + 1),
            (Phase::Back { silent, .. }, _) => self.back(ttl, silent),
            (_, _) if reached => Phase::Over(PathEnd::Reached),
            (Phase::Up(_), Answer::Silence) => self.up_after_silence(ttl),
            (Phase::Up(_), _) => up(ttl),
            (Phase::Again { silent, .. }, Answer::Silence) => self.again(ttl + 1, silent + 1),
            (Phase::Again { .. }, _) => self.again(ttl + 1, 0),
        }
    }

    fn up_after_silence(&self, ttl: u8) -> Phase {
        let silent = (1..=ttl).rev().take_while(|before| self.is_silent(*before));
        if silent.count() < usize::from(SILENT) {
            return up(ttl);
        }
        if self.wish.answers {
            return self.between(ttl, LONGEST + 1);
        }
        self.again(ttl + 1 - SILENT, 0)
    }

    fn between(&self, near: u8, far: u8) -> Phase {
        if far - near > 1 {
            Phase::Between { near, far }
        } else if far > LONGEST {
            Phase::Over(PathEnd::HopLimit)
        } else {
            self.back(far, 0)
        }
    }

    /// Hops in front of the target that nobody asked yet.
    fn back(&self, from: u8, silent: u8) -> Phase {
        let known = self.asked.range(..from).next_back().map_or(0, |(ttl, _)| *ttl);
        if silent >= SILENT_AGAIN || from <= known + 1 {
            Phase::Over(PathEnd::Reached)
        } else {
            Phase::Back {
                ttl: from - 1,
                silent,
            }
        }
    }

    /// On from `ttl`: what was asked once is asked again, and behind it everything goes on where somebody answered.
    fn again(&self, ttl: u8, silent: u8) -> Phase {
        match self.asked.get(&ttl) {
            _ if silent >= SILENT_AGAIN => Phase::Over(PathEnd::Silent),
            Some(asked) if asked.times > 1 => Phase::Over(PathEnd::Silent),
            Some(_) => Phase::Again { ttl, silent },
            None if silent == 0 => up(ttl - 1),
            None => Phase::Over(PathEnd::Silent),
        }
    }

    /// Whether two routers handed the packet to each other twice.
    fn goes_round(&self, ttl: u8) -> bool {
        let pair = |end: u8| Some((self.router(end.checked_sub(1)?)?, self.router(end)?));
        let Some((one, other)) = pair(ttl) else {
            return false;
        };
        one != other && (2..ttl).any(|end| pair(end) == Some((one, other)))
    }

    fn router(&self, ttl: u8) -> Option<IpAddr> {
        self.asked.get(&ttl)?.router()
    }

    fn is_silent(&self, ttl: u8) -> bool {
        self.asked.get(&ttl).is_some_and(Asked::is_silent)
    }

    /// Three times what the slowest answer took; more than the least where the first try was in vain.
    fn wait(&self) -> Duration {
        let (least, most) = WAIT;
        let least = match self.phase {
            Phase::Again { .. } => least * 3 / 2,
            _ => least,
        };
        (self.slowest * 3 + MARGIN).clamp(least, most)
    }

    /// What is found already, should there be no time for more.
    pub fn so_far(&self) -> Traced {
        self.traced(PathEnd::Deadline)
    }

    fn done(&mut self, ended: PathEnd) -> Step {
        self.phase = Phase::Over(ended);
        Step::Done(self.traced(ended))
    }

    fn traced(&self, ended: PathEnd) -> Traced {
        let target = self.wish.address;
        let end = self.asked.iter().find(|(_, asked)| asked.answer.is_of(target));
        let end = end.map(|(ttl, _)| *ttl);
        let hop = |(ttl, asked): (&u8, &Asked)| asked.hop(*ttl, target);
        Traced {
            ended,
            reached: end.is_some(),
            // Whatever is sent further meets the target too.
            hops: self.asked.range(..=end.unwrap_or(u8::MAX)).map(hop).collect(),
        }
    }
}

const fn up(ttl: u8) -> Phase {
    if ttl >= LONGEST {
        Phase::Over(PathEnd::HopLimit)
    } else {
        Phase::Up(ttl + 1)
    }
}
