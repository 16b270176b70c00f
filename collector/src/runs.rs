//! The questions that are being answered now.
//!
//! Nothing here waits or sends: an event and the time come in, effects come out, and the hub carries them out.

mod inquiry;
mod login_gate;
mod order;
mod run;
mod word;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Instant;

use parallax_model::capture::Capture;
use parallax_model::observation::{Observation, Reason};
use parallax_model::refusal::PolicyRefusal;
use parallax_model::run::RunDocument;
use parallax_model::stage::Stage;
use parallax_model::target::Endpoint;
use parallax_model::vantage::AgentName;
use uuid::Uuid;

pub(crate) use inquiry::{
    Cast, Happening, Inquiry, LastGood, LoginPast, LoginSettled, OwnCredential, Participant, SeenRejected,
    Watcher,
};
pub(crate) use login_gate::LoginAnswer;
pub(crate) use order::{Order, OrderEnd};
pub(crate) use run::longest;
pub(crate) use word::Word;

use crate::store::KeptCapture;
use run::Run;

/// What an agent says about one of its orders.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Report {
    /// From here on the order is the agent's.
    Accepted,
    /// The agent will not run it.
    Refused {
        /// Why.
        reason: Reason,
        /// Why, in words.
        note: String,
        /// The rule of its policy that forbids it.
        rule: Option<Box<PolicyRefusal>>,
    },
    /// A stage has ended.
    Stage(Box<StageEnded>),
    /// The agent stands before the login.
    LoginAsked,
    /// A session of the order says something to the one that it is synchronised with.
    Said(Box<Word>),
    /// Packets of one attempt were recorded.
    Captured(Box<Capture>),
    /// Something is overdue; what was seen so far, as if it never came.
    Overdue(Box<Observation>),
    /// The order has been carried out.
    Done(Box<Observation>),
}

/// A stage that has ended, and of which attempt.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct StageEnded {
    /// `None` for the name's resolution, which stands before the attempts.
    pub(crate) address: Option<IpAddr>,
    /// `None` likewise.
    pub(crate) endpoint: Option<Endpoint>,
    /// The stage.
    pub(crate) stage: Stage,
}

/// What is to be done because of something that happened.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Effect {
    /// Give the order to its agent.
    Send(Box<Order>),
    /// Tell the agent that the order is not wanted any more.
    Cancel { agent: AgentName, order: Uuid },
    /// Tell the agent whether it may log in.
    Answer {
        agent: AgentName,
        order: Uuid,
        answer: LoginAnswer,
    },
    /// Tell a session of an order what the one that it is synchronised with said. May be lost.
    PassOn {
        agent: AgentName,
        order: Uuid,
        word: Box<Word>,
    },
    /// An order has ended; said once for each.
    Ended { order: Uuid, end: OrderEnd },
    /// Keep packets beside the run.
    Keep { run: Uuid, kept: Box<KeptCapture> },
    /// Remember what came of the login.
    Settled(Box<LoginSettled>),
    /// Tell whoever asked.
    Tell { run: Uuid, happening: Happening },
    /// The run is over, and this is its answer.
    Concluded(Box<RunDocument>),
}

/// Why a report was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rejection {
    /// There is no such order, or it has ended.
    NotOpen,
    /// The order is another agent's.
    NotYours,
}

impl Rejection {
    /// The value of a metric's label.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::NotOpen => "order_not_open",
            Self::NotYours => "order_of_another_agent",
        }
    }
}

/// Every live run, and to which of them an order belongs.
#[derive(Debug, Default)]
pub(crate) struct Runs {
    live: BTreeMap<Uuid, Run>,
    orders: BTreeMap<Uuid, Uuid>,
}

impl Runs {
    /// A question has been asked.
    pub(crate) fn start(&mut self, inquiry: Inquiry, cast: Cast, now: Instant) -> Vec<Effect> {
        let id = inquiry.run_id;
        let mut run = Run::new(inquiry, &cast, now);
        let effects = run.begin(cast, now);
        self.live.insert(id, run);
        self.note(id, effects)
    }

    /// What vantage points saw by themselves is to be diagnosed.
    pub(crate) fn adopt(
        &mut self,
        inquiry: Inquiry,
        cast: &Cast,
        seen: Vec<Observation>,
        now: Instant,
    ) -> Vec<Effect> {
        let id = inquiry.run_id;
        let (run, effects) = Run::adopted(inquiry, cast, seen, now);
        self.live.insert(id, run);
        self.note(id, effects)
    }

    /// An agent says something about an order. Taken only from the agent that has the order.
    pub(crate) fn report(
        &mut self,
        agent: &AgentName,
        order: Uuid,
        report: Report,
        now: Instant,
    ) -> Result<Vec<Effect>, Rejection> {
        let id = *self.orders.get(&order).ok_or(Rejection::NotOpen)?;
        let run = self.live.get_mut(&id).ok_or(Rejection::NotOpen)?;
        if run.holder(order) != Some(agent) {
            return Err(Rejection::NotYours);
        }
        let effects = run.report(agent, order, report, now);
        Ok(self.note(id, effects))
    }

    /// Whether an order has not ended yet.
    pub(crate) fn is_open(&self, order: Uuid) -> bool {
        self.orders.contains_key(&order)
    }

    /// The link of an agent has ended; its orders are lost.
    pub(crate) fn agent_lost(&mut self, agent: &AgentName, note: &str, now: Instant) -> Vec<Effect> {
        self.each(|run| run.agent_lost(agent, note, now))
    }

    /// Nobody waits for a run any more.
    pub(crate) fn abandon(&mut self, run: Uuid) -> Vec<Effect> {
        let Some(mut run) = self.live.remove(&run) else {
            return Vec::new();
        };
        let effects = run.abandon();
        self.forget(&effects);
        effects
    }

    /// Time has passed.
    pub(crate) fn tick(&mut self, now: Instant) -> Vec<Effect> {
        self.each(|run| run.tick(now))
    }

    /// When time matters next.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.live.values().map(Run::deadline).min()
    }

    /// The runs that are live.
    pub(crate) fn ids(&self) -> Vec<Uuid> {
        self.live.keys().copied().collect()
    }

    fn each(&mut self, mut act: impl FnMut(&mut Run) -> Vec<Effect>) -> Vec<Effect> {
        let mut all = Vec::new();
        for id in self.ids() {
            if let Some(run) = self.live.get_mut(&id) {
                let effects = act(run);
                all.extend(self.note(id, effects));
            }
        }
        all
    }

    fn note(&mut self, id: Uuid, effects: Vec<Effect>) -> Vec<Effect> {
        for effect in &effects {
            match effect {
                Effect::Send(order) => {
                    self.orders.insert(order.id, id);
                }
                Effect::Concluded(_) => {
                    self.live.remove(&id);
                }
                Effect::Cancel { .. }
                | Effect::Answer { .. }
                | Effect::PassOn { .. }
                | Effect::Keep { .. }
                | Effect::Settled(_)
                | Effect::Ended { .. }
                | Effect::Tell { .. } => {}
            }
        }
        self.forget(&effects);
        effects
    }

    fn forget(&mut self, effects: &[Effect]) {
        for effect in effects {
            if let Effect::Ended { order, .. } = effect {
                self.orders.remove(order);
            }
        }
    }
}

#[cfg(test)]
mod tests;
