//! Which agents are lost: one alert for one, one for many at once.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use parallax_model::vantage::AgentName;

/// So long a link is down until its agent is lost. A restart of either side is shorter.
const DOWN: SignedDuration = SignedDuration::from_secs(90);

/// So long after its own start the collector waits for everybody.
const AFTER_START: SignedDuration = SignedDuration::from_secs(120);

/// Agents that go within so long of each other, so many or all of them, are one loss.
const TOGETHER: SignedDuration = SignedDuration::from_secs(30);
const MANY: usize = 3;

/// Which agents there are, and since when a link is down.
#[derive(Debug)]
pub(super) struct Links {
    started: Timestamp,
    known: BTreeSet<AgentName>,
    /// Down, and not told yet.
    down: BTreeMap<AgentName, Timestamp>,
    /// Down, and told.
    lost: BTreeSet<AgentName>,
}

/// Who is lost now.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Loss {
    /// Each for itself.
    Each(Vec<AgentName>),
    /// These together; whether that is everybody.
    Together {
        agents: BTreeSet<AgentName>,
        everybody: bool,
    },
}

impl Links {
    /// At a start, with those whose loss is told already.
    pub(super) fn new(started: Timestamp, lost: BTreeSet<AgentName>) -> Self {
        Self {
            started,
            known: lost.clone(),
            down: BTreeMap::new(),
            lost,
        }
    }

    /// A link is down; what was told stays told.
    pub(super) fn went(&mut self, agent: &AgentName, since: Timestamp) {
        self.known.insert(agent.clone());
        if !self.lost.contains(agent) {
            // Before the start nobody could have come.
            self.down.entry(agent.clone()).or_insert(since.max(self.started));
        }
    }

    /// A link is down again whose loss is told and not over.
    pub(super) fn is_lost_still(&mut self, agent: &AgentName) {
        self.known.insert(agent.clone());
        self.lost.insert(agent.clone());
    }

    /// A link is up.
    pub(super) fn came(&mut self, agent: &AgentName) {
        self.known.insert(agent.clone());
        self.down.remove(agent);
        self.lost.remove(agent);
    }

    /// The agent does not take part any more.
    pub(super) fn removed(&mut self, agent: &AgentName) {
        self.came(agent);
        self.known.remove(agent);
    }

    /// Whose link is down for so long that it was told.
    pub(super) const fn lost(&self) -> &BTreeSet<AgentName> {
        &self.lost
    }

    /// When somebody is lost next.
    pub(super) fn next(&self) -> Option<Timestamp> {
        self.down.values().map(|&since| self.due(since)).min()
    }

    /// Nothing was after now: what is said to have been was by a clock that was set back, and is counted from now on.
    pub(super) fn not_after(&mut self, now: Timestamp) {
        self.started = self.started.min(now);
        for since in self.down.values_mut() {
            *since = now.min(*since);
        }
    }

    /// Who is lost by now and was not told.
    pub(super) fn due_now(&mut self, now: Timestamp) -> Option<Loss> {
        let is_due = |since: Timestamp| self.due(since) <= now;
        let due: Vec<(AgentName, Timestamp)> = self
            .down
            .iter()
            .filter(|(_, since)| is_due(**since))
            .map(|(agent, since)| (agent.clone(), *since))
            .collect();
        let first = due.iter().map(|(_, since)| *since).min()?;
        let near: BTreeSet<AgentName> = self
            .down
            .iter()
            .filter(|(_, since)| **since <= first + TOGETHER)
            .map(|(agent, _)| agent.clone())
            .collect();
        let everybody = near.len() + self.lost.len() >= self.known.len();
        let loss = if near.len() >= MANY || (everybody && near.len() >= 2) {
            Loss::Together {
                agents: near,
                everybody,
            }
        } else {
            Loss::Each(due.into_iter().map(|(agent, _)| agent).collect())
        };
        for agent in loss.agents() {
            self.down.remove(&agent);
            self.lost.insert(agent);
        }
        Some(loss)
    }

    fn due(&self, since: Timestamp) -> Timestamp {
        (since + DOWN).max(self.started + AFTER_START)
    }
}

impl Loss {
    fn agents(&self) -> Vec<AgentName> {
        match self {
            Self::Each(agents) => agents.clone(),
            Self::Together { agents, .. } => agents.iter().cloned().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + second).unwrap()
    }

    fn agent(number: u32) -> AgentName {
        format!("a{number}").parse().unwrap()
    }

    fn links(agents: u32) -> Links {
        let mut links = Links::new(at(-1000), BTreeSet::new());
        for number in 0..agents {
            links.came(&agent(number));
        }
        links
    }

    #[test]
    fn one_that_is_back_within_ninety_seconds_was_never_lost() {
        let mut links = links(5);
        links.went(&agent(0), at(0));
        assert_eq!(links.next(), Some(at(90)));
        assert_eq!(links.due_now(at(89)), None);
        links.came(&agent(0));
        assert_eq!(links.due_now(at(500)), None);
    }

    #[test]
    fn three_that_go_together_are_one_loss_and_two_of_five_are_two() {
        let mut five = links(5);
        for number in 0..2 {
            five.went(&agent(number), at(0));
        }
        assert_eq!(five.due_now(at(90)), Some(Loss::Each(vec![agent(0), agent(1)])));
        let mut five = links(5);
        for (number, second) in [(0, 0), (1, 12), (2, 30)] {
            five.went(&agent(number), at(second));
        }
        let together = Loss::Together {
            agents: (0..3).map(agent).collect(),
            everybody: false,
        };
        assert_eq!(five.due_now(at(90)), Some(together));
        assert_eq!(five.due_now(at(900)), None, "told once");
    }

    #[test]
    fn when_two_are_all_that_there_are_everybody_is_lost() {
        let mut two = links(2);
        two.went(&agent(0), at(0));
        two.went(&agent(1), at(5));
        assert!(matches!(
            two.due_now(at(90)),
            Some(Loss::Together { everybody: true, .. })
        ));
    }

    #[test]
    fn nobody_is_lost_while_the_collector_has_just_started() {
        let mut links = Links::new(at(0), BTreeSet::from([agent(9)]));
        for number in 0..4 {
            links.went(&agent(number), at(-5000));
        }
        links.went(&agent(9), at(-9000));
        assert_eq!(links.due_now(at(119)), None);
        links.came(&agent(0));
        let Some(Loss::Together { agents, .. }) = links.due_now(at(120)) else {
            panic!("three are lost together");
        };
        assert_eq!(
            agents,
            (1..4).map(agent).collect(),
            "what was told before is not told again"
        );
    }
}
