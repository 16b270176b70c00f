//! When the agents of a run begin.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::runs::inquiry::Participant;
use crate::source::Source;

/// The slowest round trip and this, but never more than that.
const START_MARGIN: Duration = Duration::from_millis(20);
const START_AT_MOST: Duration = Duration::from_millis(500);

/// The round trip of an agent that has not measured one yet.
const UNMEASURED_RTT: Duration = Duration::from_millis(50);

/// So many agents of one source may begin together. More would look like an attack to a server that counts connections
/// of an address; they begin one after another, so far apart, and all within so long.
const TOGETHER_AT_MOST: usize = 2;
const APART: Duration = Duration::from_millis(300);
const SPREAD_AT_MOST: Duration = Duration::from_millis(1500);

/// All agents begin together, as soon as the slowest of them must have its order, but for many of one source. One
/// alone begins at once.
#[derive(Debug)]
pub(super) struct Starts {
    together: Option<Instant>,
    sources: BTreeMap<Source, Queue>,
}

/// The agents of one source.
#[derive(Debug, Default)]
struct Queue {
    agents: usize,
    begun: u32,
}

impl Starts {
    pub(super) fn of(participants: &[Participant], now: Instant) -> Self {
        let mut sources: BTreeMap<Source, Queue> = BTreeMap::new();
        for source in participants.iter().filter_map(|participant| participant.source) {
            sources.entry(source).or_default().agents += 1;
        }
        Self {
            together: common_start(participants, now),
            sources,
        }
    }

    /// When the next agent of this source begins.
    pub(super) fn next(&mut self, source: Option<Source>) -> Option<Instant> {
        let together = self.together?;
        let queue = source.and_then(|source| self.sources.get_mut(&source));
        let Some(queue) = queue.filter(|queue| queue.agents > TOGETHER_AT_MOST) else {
            return Some(together);
        };
        let others = u32::try_from(queue.agents - 1).unwrap_or(u32::MAX);
        let apart = APART.min(SPREAD_AT_MOST / others);
        let start = together + apart * queue.begun;
        queue.begun += 1;
        Some(start)
    }
}

fn common_start(participants: &[Participant], now: Instant) -> Option<Instant> {
    if participants.len() < 2 {
        return None;
    }
    let slowest = participants
        .iter()
        .map(|participant| participant.rtt.unwrap_or(UNMEASURED_RTT))
        .max()?;
    Some(now + (slowest + START_MARGIN).min(START_AT_MOST))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agents::Choice;

    fn participant(source: &str) -> Participant {
        Participant {
            choice: Choice {
                agent: "fra-1".parse().unwrap(),
                labels: parallax_model::vantage::Labels::new(),
                connected: true,
                why: String::new(),
            },
            capabilities: Default::default(),
            rtt: None,
            source: Some(Source::of(source.parse().unwrap())),
        }
    }

    fn delays(sources: &[&str]) -> Vec<Duration> {
        let participants: Vec<_> = sources.iter().map(|source| participant(source)).collect();
        let now = Instant::now();
        let mut starts = Starts::of(&participants, now);
        let all: Vec<_> = participants
            .iter()
            .map(|participant| starts.next(participant.source).unwrap())
            .collect();
        all.iter().map(|start| *start - all[0]).collect()
    }

    #[test]
    fn many_of_one_source_begin_one_after_another_and_the_others_together() {
        let milliseconds = |number| Duration::from_millis(number);
        let (here, there) = ("192.0.2.1", "192.0.2.2");
        assert_eq!(delays(&[here, here, there]), [Duration::ZERO; 3]);
        assert_eq!(
            delays(&[here, there, here, here]),
            [0, 0, 300, 600].map(milliseconds)
        );
        let crowd = delays(&[here; 101]);
        assert_eq!(crowd[1], milliseconds(15));
        assert_eq!(crowd[100], SPREAD_AT_MOST);
    }
}
