//! One task owns the live state: who is connected, and what is being asked.
//!
//! Everything that happens comes in as an [`Event`] through one bounded queue and is judged by the state machines of
//! `agents` and `runs`; what they want done is carried out here. The hub never waits for anybody: a reader that is
//! too slow for its own queue pays for it alone.

mod event;
mod handle;
mod recorder;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use parallax_model::vantage::AgentName;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use tonic::Code;
use tracing::{debug, info, warn};
use uuid::Uuid;

pub(crate) use event::{AgentView, Event, Outbound, RunAsked, Started, ToAgent};
pub(crate) use handle::{HubHandle, Stopping};
pub(crate) use recorder::{Record, Recorder};

use crate::agents::{Agent, Agents, LinkId};
use crate::clock;
use crate::metrics::Metrics;
use crate::runs::{Effect, Happening, LoginAnswer, Order, OrderEnd, Participant, Report, Runs, longest};
use crate::store::AgentRecord;
use event::Caller;

/// Events that may wait for the hub.
const MAILBOX: usize = 4096;

/// Runs at the same time.
const RUNS_AT_MOST: usize = 256;

/// How often links are looked at for signs of life.
const SWEEP: Duration = Duration::from_secs(5);

/// How agents that come back after a stop are spread: so long for each, within these bounds.
const RETURN_EACH: Duration = Duration::from_millis(2);
const RETURN_SOONEST: Duration = Duration::from_millis(500);
const RETURN_LATEST: Duration = Duration::from_secs(120);

/// Starts the hub with the agents that are remembered.
pub(crate) fn start(agents: Agents, recorder: Recorder, metrics: Arc<Metrics>) -> HubHandle {
    let (sender, mailbox) = mpsc::channel(MAILBOX);
    for (name, _) in agents.iter() {
        metrics.agent_connected(name, false);
    }
    let hub = Hub {
        agents,
        runs: Runs::default(),
        links: BTreeMap::new(),
        callers: BTreeMap::new(),
        orders: BTreeMap::new(),
        recorder,
        metrics,
    };
    tokio::spawn(hub.work(mailbox));
    HubHandle::new(sender)
}

struct Hub {
    agents: Agents,
    runs: Runs,
    links: BTreeMap<LinkId, Outbound>,
    callers: BTreeMap<Uuid, Caller>,
    orders: BTreeMap<Uuid, Uuid>,
    recorder: Recorder,
    metrics: Arc<Metrics>,
}

impl Hub {
    async fn work(mut self, mut mailbox: mpsc::Receiver<Event>) {
        let mut sweep = tokio::time::interval(SWEEP);
        sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let deadline = self.runs.next_deadline();
            tokio::select! {
                event = mailbox.recv() => match event {
                    None => return,
                    Some(Event::Stop { done }) => {
                        self.stop();
                        // Whoever asked to stop may have stopped listening.
                        let _ = done.send(());
                        return;
                    }
                    Some(event) => self.handle(event, clock::now()),
                },
                () = sleep_until(deadline) => {
                    let now = clock::now();
                    let effects = self.runs.tick(now);
                    self.carry_out(effects, now);
                }
                _ = sweep.tick() => self.cut_silent(clock::now()),
            }
        }
    }

    fn handle(&mut self, event: Event, now: Instant) {
        match event {
            Event::AgentConnected {
                name,
                link,
                introduction,
                peer,
                outbound,
            } => {
                let superseded = self
                    .agents
                    .connected(name.clone(), link, introduction, peer.clone(), now);
                if let Some(old) = superseded {
                    let same = if old.same_process {
                        "the same process"
                    } else {
                        "another process of the same name"
                    };
                    warn!(agent = %name, %peer, "a newer connection, of {same}, replaces the older one");
                    self.close(old.link, ToAgent::Superseded, "superseded");
                    let effects = self
                        .runs
                        .agent_lost(&name, "the link was replaced by a newer one", now);
                    self.carry_out(effects, now);
                }
                info!(agent = %name, %peer, "agent connected");
                self.links.insert(link, outbound);
                self.metrics.agent_connected(&name, true);
                self.remember(&name);
            }
            Event::AgentPulse { link, pulse } => {
                if let Some(name) = self.agents.heard(link, now) {
                    self.agents.pulse(link, pulse);
                    self.metrics.agent_pulse(&name, pulse);
                }
            }
            Event::AgentReported { link, order, report } => self.reported(link, order, report, now),
            Event::AgentDisconnected { link, why } => self.disconnected(link, &why, now),
            Event::AgentRemoved { name } => self.removed(&name, now),
            Event::RunAsked(asked) => self.ask(*asked, now),
            Event::SelectionAsked {
                selector,
                limit,
                reply,
            } => {
                let _ = reply.send(self.agents.select(&selector, limit));
            }
            Event::CallerGone { run } => {
                if let Some(caller) = self.callers.remove(&run) {
                    caller.trace.ended(Code::Cancelled);
                    info!(%run, "nobody waits for the run any more; its orders are cancelled");
                    let effects = self.runs.abandon(run);
                    self.carry_out(effects, now);
                }
            }
            Event::AgentsAsked { reply } => {
                let wall = Timestamp::now();
                let views = self.agents.iter().map(|(name, agent)| AgentView {
                    summary: agent.summary(name, wall),
                    capabilities: agent.introduction.capabilities.clone(),
                });
                let _ = reply.send(views.collect());
            }
            Event::Stop { .. } => {}
        }
    }

    fn reported(&mut self, link: LinkId, order: Uuid, report: Report, now: Instant) {
        let Some(name) = self.agents.heard(link, now) else {
            return;
        };
        match self.runs.report(&name, order, report, now) {
            Ok(effects) => self.carry_out(effects, now),
            Err(rejection) => {
                self.metrics.report_rejected(rejection);
                warn!(agent = %name, %order, reason = rejection.as_str(), "a report was not taken");
            }
        }
    }

    fn disconnected(&mut self, link: LinkId, why: &str, now: Instant) {
        self.links.remove(&link);
        let Some(name) = self.agents.disconnected(link, Timestamp::now()) else {
            return;
        };
        info!(agent = %name, "agent lost: {why}");
        self.metrics.agent_connected(&name, false);
        self.remember(&name);
        let effects = self
            .runs
            .agent_lost(&name, &format!("the link was lost during the run: {why}"), now);
        self.carry_out(effects, now);
    }

    fn removed(&mut self, name: &AgentName, now: Instant) {
        self.metrics.agent_removed(name);
        if let Some(link) = self.agents.remove(name) {
            self.close(link, ToAgent::Removed, "removed");
            let effects = self
                .runs
                .agent_lost(name, "the agent was removed during the run", now);
            self.carry_out(effects, now);
        }
        info!(agent = %name, "agent removed");
    }

    fn ask(&mut self, asked: RunAsked, now: Instant) {
        if self.callers.len() >= RUNS_AT_MOST {
            asked.trace.ended(Code::ResourceExhausted);
            let _ = asked.reply.send(Err(RUNS_AT_MOST));
            return;
        }
        let selection = self.agents.select(&asked.selector, asked.limit);
        let participants: Vec<Participant> = selection
            .asked
            .iter()
            .filter_map(|choice| {
                let agent: &Agent = self.agents.get(&choice.agent)?;
                Some(Participant {
                    choice: choice.clone(),
                    capabilities: agent.introduction.capabilities.clone(),
                    rtt: agent.rtt(),
                })
            })
            .collect();
        let run = asked.inquiry.run_id;
        let started = Started {
            longest: longest(&asked.inquiry.spec, asked.inquiry.follow_up),
            selection: selection.clone(),
        };
        if asked.reply.send(Ok(started)).is_err() {
            return;
        }
        info!(%run, target = %asked.inquiry.spec.target.input, agents = participants.len(), "run started");
        let caller = Caller {
            live: asked.live,
            conclusion: asked.conclusion,
            trace: asked.trace,
        };
        self.callers.insert(run, caller);
        let effects = self
            .runs
            .start(asked.inquiry, participants, selection.absent, now);
        self.carry_out(effects, now);
    }

    /// Carries out what is to be done, and what follows from that.
    fn carry_out(&mut self, effects: Vec<Effect>, now: Instant) {
        let mut queue = VecDeque::from(effects);
        while let Some(effect) = queue.pop_front() {
            match effect {
                Effect::Send(order) => queue.extend(self.send_order(order, now)),
                Effect::Cancel { agent, order } => {
                    queue.extend(self.send(&agent, ToAgent::Cancel(order), now));
                }
                Effect::Answer { agent, order, answer } => {
                    if let LoginAnswer::Withheld(reason) = &answer {
                        debug!(%agent, %order, "login withheld: {reason}");
                    }
                    queue.extend(self.send(&agent, ToAgent::Login { order, answer }, now));
                }
                Effect::Ended { order, end } => self.order_ended(order, end),
                Effect::Tell { run, happening } => self.tell(run, happening),
                Effect::Concluded(document) => self.concluded(document),
            }
        }
    }

    fn send_order(&mut self, order: Box<Order>, now: Instant) -> Vec<Effect> {
        let context = self
            .callers
            .get_mut(&order.run)
            .map(|caller| caller.trace.order_sent(order.id, order.agent.as_str(), order.run));
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
        self.runs
            .agent_lost(agent, "the agent did not read its orders; its link was cut", now)
    }

    fn order_ended(&mut self, order: Uuid, end: OrderEnd) {
        self.metrics.order_ended(end);
        if let Some(run) = self.orders.remove(&order)
            && let Some(caller) = self.callers.get_mut(&run)
        {
            caller.trace.order_ended(order, end);
        }
    }

    fn tell(&mut self, run: Uuid, happening: Happening) {
        if let Some(caller) = self.callers.get(&run)
            && caller.live.try_send(happening).is_err()
        {
            self.metrics.live_event_dropped();
        }
    }

    fn concluded(&mut self, document: Box<parallax_model::run::RunDocument>) {
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

    fn cut_silent(&mut self, now: Instant) {
        for link in self.agents.silent(now) {
            self.close(link, ToAgent::Silent, "silent");
            self.disconnected(link, "no sign of life", now);
        }
    }

    /// Ends a link with a last word.
    fn close(&mut self, link: LinkId, last_word: ToAgent, reason: &'static str) {
        if let Some(outbound) = self.links.remove(&link) {
            self.metrics.link_cut(reason);
            // A full queue has no room for a last word; the link ends all the same.
            let _ = outbound.sender.try_send(last_word);
        }
    }

    fn remember(&self, name: &AgentName) {
        if let Some(agent) = self.agents.get(name) {
            self.recorder.record(Record::Agent(AgentRecord {
                name: name.clone(),
                introduction: agent.introduction.clone(),
                last_seen: Some(agent.last_seen.unwrap_or_else(Timestamp::now)),
            }));
        }
    }

    /// Tells everybody, and lets go of everything.
    fn stop(&mut self) {
        let now = clock::now();
        for run in self.runs.ids() {
            let effects = self.runs.abandon(run);
            self.carry_out(effects, now);
        }
        for (_, caller) in std::mem::take(&mut self.callers) {
            caller.trace.ended(Code::Unavailable);
        }
        let number = u32::try_from(self.links.len()).unwrap_or(u32::MAX);
        let spread = RETURN_EACH.saturating_mul(number).min(RETURN_LATEST);
        for outbound in self.links.values() {
            let delay = RETURN_SOONEST + spread.mul_f64(rand::random());
            let _ = outbound.sender.try_send(ToAgent::Draining(delay));
        }
        let connected: Vec<AgentName> = self.agents.connected_names().cloned().collect();
        for name in connected {
            self.remember(&name);
        }
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}
