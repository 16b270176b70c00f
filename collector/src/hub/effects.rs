//! Carries out what the state machines want done.

use std::collections::VecDeque;
use std::time::Instant;

use jiff::Timestamp;
use parallax_model::run::RunDocument;
use parallax_model::vantage::AgentName;
use tracing::{debug, info, warn};
use uuid::Uuid;

use super::{Hub, Record, ToAgent};
use crate::runs::{Effect, Happening, LoginAnswer, Order, OrderEnd, Word};
use crate::store::AgentRecord;
use crate::telemetry::RunTrace;

impl Hub {
    /// Carries out what is to be done, and what follows from that.
    pub(super) fn carry_out(&mut self, effects: Vec<Effect>, now: Instant) {
        let mut queue = VecDeque::from(effects);
        while let Some(effect) = queue.pop_front() {
            match effect {
                Effect::Send(order) => queue.extend(self.send_order(order, now)),
                Effect::Cancel { agent, order } => {
                    queue.extend(self.send(&agent, ToAgent::Cancel(order), now));
                }
                Effect::Answer { agent, order, answer } => {
                    match &answer {
                        LoginAnswer::Granted => {}
                        LoginAnswer::Withheld(reason) => debug!(%agent, %order, "login withheld: {reason}"),
                        LoginAnswer::Known(fault) => {
                            debug!(%agent, %order, "login withheld: {}", fault.message);
                        }
                    }
                    queue.extend(self.send(&agent, ToAgent::Login { order, answer }, now));
                }
                Effect::PassOn { agent, order, word } => self.pass_on(&agent, order, word),
                Effect::Ended { order, end } => self.order_ended(order, end),
                Effect::Keep { run, kept } => {
                    let kept = self.recorder.record_capture(run, kept);
                    self.metrics.capture(kept);
                }
                Effect::Settled(settled) => {
                    self.login_settled(&settled, now);
                    self.recorder.record(Record::Login(settled));
                }
                Effect::Tell { run, happening } => self.tell(run, happening),
                Effect::Concluded(document) => self.concluded(document, now),
            }
        }
    }

    fn send_order(&mut self, order: Box<Order>, now: Instant) -> Vec<Effect> {
        // Its agent may have been lost over an order before it.
        if !self.runs.is_open(order.id) {
            return Vec::new();
        }
        let context = self
            .trace_of(order.run)
            .map(|trace| trace.order_sent(order.id, order.agent.as_str(), order.run));
        self.orders.insert(order.id, order.run);
        let agent = order.agent.clone();
        let context = context.unwrap_or_default();
        self.send(&agent, ToAgent::Order { order, context }, now)
    }

    /// Puts a message into an agent's queue. An agent whose queue is full, or whose link is gone, is lost.
    fn send(&mut self, agent: &AgentName, message: ToAgent, now: Instant) -> Vec<Effect> {
        let Some(link) = self.agents.link_of(agent) else {
            return self.runs.agent_lost(agent, "the link was lost", now);
        };
        let sent = self
            .links
            .get(&link)
            .is_some_and(|outbound| outbound.sender.try_send(message).is_ok());
        if sent {
            return Vec::new();
        }
        warn!(%agent, "the agent does not read its orders; its link is cut");
        self.close(link, ToAgent::TooSlow, "does_not_read");
        self.agents.disconnected(link, Timestamp::now());
        self.metrics.agent_connected(agent, false);
        self.remember(agent);
        self.check_out(agent, now);
        self.runs
            .agent_lost(agent, "the agent did not read its orders; its link was cut", now)
    }

    /// Passes a word on while there is room: what agents say to each other crowds out nothing else.
    fn pass_on(&self, agent: &AgentName, order: Uuid, word: Box<Word>) {
        let link = self.agents.link_of(agent).and_then(|link| self.links.get(&link));
        let room = link.filter(|outbound| outbound.sender.capacity() > outbound.sender.max_capacity() / 2);
        let sent =
            room.is_some_and(|outbound| outbound.sender.try_send(ToAgent::Signal { order, word }).is_ok());
        if !sent {
            debug!(%agent, %order, "a word between two agents is lost");
        }
    }

    fn order_ended(&mut self, order: Uuid, end: OrderEnd) {
        self.metrics.order_ended(end);
        if let Some(run) = self.orders.remove(&order)
            && let Some(trace) = self.trace_of(run)
        {
            trace.order_ended(order, end);
        }
    }

    fn trace_of(&mut self, run: Uuid) -> Option<&mut RunTrace> {
        match self.callers.get_mut(&run) {
            Some(caller) => Some(&mut caller.trace),
            None => self.round_traces.get_mut(&run),
        }
    }

    fn tell(&mut self, run: Uuid, happening: Happening) {
        if let Some(caller) = self.callers.get(&run)
            && !caller.live.tell(happening)
        {
            self.metrics.live_event_dropped();
        }
    }

    fn concluded(&mut self, document: Box<RunDocument>, now: Instant) {
        let Err(document) = self.round_concluded(document, now) else {
            return;
        };
        self.metrics.run_concluded(document.verdict);
        info!(run = %document.run_id, verdict = %document.verdict, "{}", document.summary);
        if let Some(caller) = self.callers.remove(&document.run_id) {
            caller.trace.concluded(&document);
            self.recorder.record(Record::Run {
                document,
                conclusion: caller.conclusion,
            });
        }
    }

    /// Has an agent kept as it now is.
    pub(super) fn remember(&self, name: &AgentName) {
        if let Some(agent) = self.agents.get(name) {
            let record = AgentRecord {
                name: name.clone(),
                introduction: agent.introduction.clone(),
                last_seen: Some(agent.last_seen.unwrap_or_else(Timestamp::now)),
            };
            self.recorder.record(Record::Agent(Box::new(record)));
        }
    }
}
