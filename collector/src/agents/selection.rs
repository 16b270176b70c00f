//! Which agents a question goes to, and why the others are passed over.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use parallax_model::selector::Selector;
use parallax_model::vantage::{AgentName, Labels};

use super::{Agent, Agents};

/// Whether an agent is asked, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Choice {
    /// The agent.
    pub(crate) agent: AgentName,
    /// Its labels.
    pub(crate) labels: Labels,
    /// Whether its link is up.
    pub(crate) connected: bool,
    /// In words.
    pub(crate) why: String,
}

/// What became of every agent that a selector could mean.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Selection {
    /// Connected, chosen.
    pub(crate) asked: Vec<Choice>,
    /// Chosen, but not there: known and not connected, or spelled out and never seen.
    pub(crate) absent: Vec<Choice>,
    /// Meant by the selector, but beyond the limit.
    pub(crate) beyond: Vec<Choice>,
    /// Not meant.
    pub(crate) others: Vec<Choice>,
}

impl Agents {
    /// Chooses. A limit takes connected agents before absent ones, spread over the values of their labels.
    pub(crate) fn select(&self, selector: &Selector, limit: Option<usize>) -> Selection {
        let mut selection = Selection::default();
        let why = format!("matches {selector}");
        for (name, agent) in self.iter() {
            let choice = choice(name, agent);
            if !selector.matches(name.as_str(), &choice.labels) {
                let why = format!("does not match {selector}");
                selection.others.push(Choice { why, ..choice });
            } else if choice.connected {
                selection.asked.push(Choice {
                    why: why.clone(),
                    ..choice
                });
            } else {
                let why = not_connected(agent);
                selection.absent.push(Choice { why, ..choice });
            }
        }
        for unknown in selector.names().filter_map(|name| name.parse().ok()) {
            let listed = selection.absent.iter().any(|choice| choice.agent == unknown);
            if self.get(&unknown).is_none() && !listed {
                selection.absent.push(never_seen(unknown));
            }
        }
        if let Some(limit) = limit {
            selection.keep(limit);
        }
        selection
    }
}

impl Selection {
    fn keep(&mut self, limit: usize) {
        let beyond = |choice: Choice| Choice {
            why: format!("beyond --limit {limit}"),
            ..choice
        };
        let (kept, left) = spread(std::mem::take(&mut self.asked), limit);
        self.asked = kept;
        let room = limit.saturating_sub(self.asked.len()).min(self.absent.len());
        let absent = self.absent.split_off(room);
        self.beyond = left.into_iter().chain(absent).map(beyond).collect();
    }
}

fn choice(name: &AgentName, agent: &Agent) -> Choice {
    Choice {
        agent: name.clone(),
        labels: agent.labels(),
        connected: agent.link.is_some(),
        why: String::new(),
    }
}

fn not_connected(agent: &Agent) -> String {
    agent.last_seen.map_or_else(
        || "not connected".to_owned(),
        |seen| format!("not connected since {}", seen.strftime("%Y-%m-%dT%H:%M:%SZ")),
    )
}

fn never_seen(agent: AgentName) -> Choice {
    Choice {
        agent,
        labels: Labels::new(),
        connected: false,
        why: "no agent of this name has ever connected".to_owned(),
    }
}

/// Takes `limit` of the candidates so that each next one shares as few labels as possible with those taken. A
/// candidate only ever gets less welcome, so one that still is as welcome as when it was queued is the best.
fn spread(candidates: Vec<Choice>, limit: usize) -> (Vec<Choice>, Vec<Choice>) {
    let mut taken: BTreeMap<(String, String), usize> = BTreeMap::new();
    let mut slots: Vec<Option<Choice>> = candidates.into_iter().map(Some).collect();
    let mut queue: BinaryHeap<Reverse<(usize, usize)>> =
        (0..slots.len()).map(|at| Reverse((0, at))).collect();
    let mut kept = Vec::new();
    while kept.len() < limit
        && let Some(Reverse((queued_with, at))) = queue.pop()
    {
        let Some(choice) = slots.get(at).and_then(Option::as_ref) else {
            continue;
        };
        let shared = choice
            .labels
            .iter()
            .map(|(key, value)| taken.get(&(key.clone(), value.clone())).copied().unwrap_or(0))
            .sum();
        if shared > queued_with {
            queue.push(Reverse((shared, at)));
            continue;
        }
        for (key, value) in &choice.labels {
            *taken.entry((key.clone(), value.clone())).or_default() += 1;
        }
        kept.extend(slots[at].take());
    }
    kept.sort_by(|one, other| one.agent.cmp(&other.agent));
    (kept, slots.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use jiff::Timestamp;

    use super::super::{Introduction, LinkId};
    use super::*;

    fn agents(list: &[(&str, &[(&str, &str)])]) -> Agents {
        let mut agents = Agents::default();
        for (number, (name, labels)) in list.iter().enumerate() {
            let introduction = Introduction {
                labels: labels
                    .iter()
                    .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                    .collect(),
                ..Introduction::default()
            };
            let link = LinkId(u64::try_from(number).unwrap());
            agents.connected(
                name.parse().unwrap(),
                link,
                introduction,
                "peer".into(),
                Instant::now(),
            );
        }
        agents
    }

    fn names(choices: &[Choice]) -> Vec<&str> {
        choices.iter().map(|choice| choice.agent.as_str()).collect()
    }

    fn select(agents: &Agents, from: &[&str], limit: Option<usize>) -> Selection {
        agents.select(&Selector::parse_any(from).unwrap(), limit)
    }

    #[test]
    fn a_limit_spreads_over_the_labels() {
        let agents = agents(&[
            ("a1", &[("region", "eu"), ("net", "x")]),
            ("a2", &[("region", "eu"), ("net", "x")]),
            ("a3", &[("region", "eu"), ("net", "y")]),
            ("b1", &[("region", "us"), ("net", "z")]),
        ]);
        let two = select(&agents, &["all"], Some(2));
        assert_eq!(names(&two.asked), ["a1", "b1"]);
        assert_eq!(two.beyond[0].why, "beyond --limit 2");
        let three = select(&agents, &["all"], Some(3));
        assert_eq!(names(&three.asked), ["a1", "a3", "b1"]);
        assert_eq!(names(&three.beyond), ["a2"]);
    }

    #[test]
    fn a_known_agent_that_is_away_and_a_name_never_seen_are_both_absent() {
        let mut agents = agents(&[("fra-1", &[]), ("fra-2", &[])]);
        agents.disconnected(LinkId(1), Timestamp::UNIX_EPOCH);
        let selection = select(&agents, &["fra-*", "nyc-9"], None);
        assert_eq!(names(&selection.asked), ["fra-1"]);
        assert_eq!(names(&selection.absent), ["fra-2", "nyc-9"]);
        assert_eq!(
            selection.absent[0].why,
            "not connected since 1970-01-01T00:00:00Z"
        );
        assert_eq!(
            selection.absent[1].why,
            "no agent of this name has ever connected"
        );
    }

    #[test]
    fn the_others_are_told_why_they_are_not_asked() {
        let agents = agents(&[("fra-1", &[("tier", "test")]), ("ams-1", &[("tier", "prod")])]);
        let selection = select(&agents, &["tier!=test"], None);
        assert_eq!(names(&selection.asked), ["ams-1"]);
        assert_eq!(selection.others[0].why, "does not match tier!=test");
    }
}
