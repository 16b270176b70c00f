//! Orders to watch what others write: one for each writer, and the words between the two.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use parallax_model::experiment::ExperimentKind;
use parallax_model::observation::{Attempt, Observation, Purpose};
use parallax_model::spec::Depth;
use parallax_model::vantage::AgentName;
use uuid::Uuid;

use super::Run;
use crate::runs::inquiry::{Happening, Watcher};
use crate::runs::order::{Order, capability_of};
use crate::runs::{Effect, OrderEnd, Report, Word};

/// Words that one order may have passed on. A writer makes a handful of changes at each address.
const WORDS_AT_MOST: u32 = 512;

/// Who watches whom.
#[derive(Debug, Default)]
pub(super) struct Watches {
    watcher: Option<Watcher>,
    /// By the order to watch.
    watched: BTreeMap<Uuid, Watched>,
    /// By the order to write.
    watching: BTreeMap<Uuid, Uuid>,
    words: BTreeMap<Uuid, u32>,
}

/// What an order to watch is about.
#[derive(Debug)]
struct Watched {
    writer: AgentName,
    order: Uuid,
}

impl Watches {
    pub(super) fn by(watcher: Option<Watcher>) -> Self {
        Self {
            watcher,
            ..Self::default()
        }
    }

    pub(super) fn has(&self, order: Uuid) -> bool {
        self.watched.contains_key(&order)
    }

    /// The order at the other end.
    fn partner(&self, order: Uuid) -> Option<Uuid> {
        let writing = self.watched.get(&order).map(|watched| watched.order);
        writing.or_else(|| self.watching.get(&order).copied())
    }
}

impl Run {
    /// Has somebody watch an order that writes, or has its writer told that nobody does.
    pub(super) fn order_watch(&mut self, writer: &AgentName, order: Uuid, now: Instant) -> Vec<Effect> {
        let spec = &self.inquiry.spec;
        let watcher = match &self.watches.watcher {
            Some(watcher) if spec.depth == Depth::Sync && watcher.agent != *writer => watcher,
            _ => return Vec::new(),
        };
        let agent = watcher.agent.clone();
        if let Some(why) = self.no_watch(&agent, watcher.capabilities.as_ref()) {
            let why = format!("{agent}: {why}");
            return self.pass_on(order, Word::gone(&why)).into_iter().collect();
        }
        let watch = Order {
            watches: Some(order),
            ..self.order_for(agent)
        };
        let watched = Watched {
            writer: writer.clone(),
            order,
        };
        self.watches.watched.insert(watch.id, watched);
        self.watches.watching.insert(order, watch.id);
        vec![self.send(watch, 0, now)]
    }

    fn no_watch(&self, agent: &AgentName, capabilities: Option<&BTreeSet<String>>) -> Option<String> {
        let Some(capabilities) = capabilities else {
            return Some("not connected".to_owned());
        };
        if !capabilities.contains(&capability_of(ExperimentKind::Watch)) {
            return Some("it does not know how to watch".to_owned());
        }
        self.obstacle(agent, capabilities)
    }

    /// The holder of an order to watch says something about it. It is no vantage point of the run for that.
    pub(super) fn watch_reported(
        &mut self,
        agent: &AgentName,
        order: Uuid,
        report: Report,
        now: Instant,
    ) -> Vec<Effect> {
        match report {
            Report::Accepted => {
                self.open.accepted(order);
                Vec::new()
            }
            Report::Overdue(_) => Vec::new(),
            Report::Said(word) => self.said(order, *word),
            Report::Captured(capture) => self.captured(agent, order, *capture).into_iter().collect(),
            Report::LoginAsked => {
                let answers = self.gate.asked(order);
                self.answer(answers)
            }
            Report::Stage(ended) => {
                let answers = self.gate.stage(order, agent.as_str(), &ended.stage);
                self.answer(answers)
            }
            Report::Refused { note, .. } => {
                let mut effects = self.end(order, OrderEnd::Refused, &format!("{agent} refuses: {note}"));
                effects.extend(self.go_on(now));
                effects
            }
            Report::Done(observation) => {
                let mut effects = self.settle_login(agent, order, &observation);
                effects.extend(self.watched(agent, order, *observation));
                effects.extend(self.end(order, OrderEnd::Done, &format!("{agent} has stopped watching")));
                effects.extend(self.go_on(now));
                effects
            }
        }
    }

    /// What was seen of a writer's changes goes to what the writer saw.
    fn watched(&mut self, watcher: &AgentName, order: Uuid, seen: Observation) -> Option<Effect> {
        let writer = &self.watches.watched.get(&order)?.writer;
        let attempts = seen.attempts.into_iter().filter_map(|attempt| {
            (attempt.experiment == Some(ExperimentKind::Watch)).then(|| Attempt {
                purpose: Purpose::FollowUp,
                by: Some(watcher.clone()),
                ..attempt
            })
        });
        let known = self.vantages.get_mut(writer)?.was_watched(attempts)?.clone();
        Some(self.tell(Happening::Observation(Box::new(known))))
    }

    /// A session says something; it goes to the other end, if it makes sense there.
    pub(super) fn said(&mut self, order: Uuid, word: Word) -> Vec<Effect> {
        let said = self.watches.words.entry(order).or_default();
        *said += 1;
        if *said > WORDS_AT_MOST || word.is_the_writers() == self.watches.has(order) {
            return Vec::new();
        }
        let partner = self.watches.partner(order);
        partner
            .and_then(|partner| self.pass_on(partner, word))
            .into_iter()
            .collect()
    }

    /// An order has ended: whoever is at the other end hears of it at once.
    pub(super) fn part(&mut self, order: Uuid, why: &str) -> Option<Effect> {
        let partner = self.watches.partner(order)?;
        let word = if self.watches.has(order) {
            Word::gone(why)
        } else {
            Word::over()
        };
        self.pass_on(partner, word)
    }

    fn pass_on(&self, order: Uuid, word: Word) -> Option<Effect> {
        Some(Effect::PassOn {
            agent: self.open.holder(order)?.clone(),
            order,
            word: Box::new(word),
        })
    }
}
