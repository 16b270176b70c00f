//! One question put to many agents, from the orders to the verdict.

mod adopt;
mod captures;
mod common_start;
mod conclusion;
mod early;
mod follow_up;
mod login;
mod open;
mod orders;
mod records;
mod vantage;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use parallax_diagnosis::Question;
use parallax_model::experiment::Experiment;
use parallax_model::observation::{Observation, Reason, VantageOutcome};
use parallax_model::refusal::PolicyRefusal;
use parallax_model::spec::ProbeSpec;
use parallax_model::vantage::AgentName;
use uuid::Uuid;

use super::inquiry::{Cast, Happening, Inquiry};
use super::login_gate::LoginGate;
use super::{Effect, OrderEnd, Report, StageEnded};
use captures::Captures;
use common_start::Starts;
use follow_up::{FOLLOW_UP_AT_MOST, FOLLOW_UP_ROUNDS};
use open::OpenOrders;
use records::Records;
use vantage::Vantage;
use watch::Watches;

/// How long after a probe's own time its answer may still come.
const GRACE: Duration = Duration::from_secs(5);

/// A live run.
#[derive(Debug)]
pub(super) struct Run {
    inquiry: Inquiry,
    question: Question,
    started: Instant,
    round: u32,
    vantages: BTreeMap<AgentName, Vantage>,
    open: OpenOrders,
    tried: BTreeSet<Experiment>,
    records: Records,
    captures: Captures,
    gate: LoginGate,
    watches: Watches,
}

/// Until when an answer to a question can come.
pub(crate) fn longest(spec: &ProbeSpec, follow_up: bool) -> Duration {
    let rounds = if follow_up { FOLLOW_UP_ROUNDS } else { 0 };
    first_round(spec) + FOLLOW_UP_AT_MOST * rounds
}

/// Until when the answers of the probes themselves can come: a held session has its quiet time beside the rest.
fn first_round(spec: &ProbeSpec) -> Duration {
    spec.timeout + spec.options.hold.unwrap_or_default() + GRACE
}

impl Run {
    pub(super) fn new(inquiry: Inquiry, cast: &Cast, now: Instant) -> Self {
        let vantages = cast
            .participants
            .iter()
            .map(|participant| (participant.choice.agent.clone(), Vantage::asked(participant)))
            .collect();
        let question = Question {
            target: inquiry.spec.target.clone(),
            depth: inquiry.spec.depth,
            login: inquiry.spec.login.is_some(),
            now: inquiry.started_at,
        };
        Self {
            inquiry,
            question,
            started: now,
            round: 0,
            vantages,
            open: OpenOrders::default(),
            tried: BTreeSet::new(),
            records: Records::default(),
            captures: Captures::default(),
            gate: LoginGate::default(),
            watches: Watches::by(cast.watcher.clone()),
        }
    }

    /// Orders the probes.
    pub(super) fn begin(&mut self, cast: Cast, now: Instant) -> Vec<Effect> {
        self.consider_the_past(&cast);
        let mut effects = Vec::new();
        for choice in cast.absent {
            self.vantages
                .insert(choice.agent.clone(), Vantage::absent(&choice));
            effects.extend(self.unseen(
                &choice.agent,
                VantageOutcome::Missing,
                Reason::Offline,
                &choice.why,
            ));
        }
        let mut starts = Starts::of(&cast.participants, now);
        for participant in cast.participants {
            let agent = participant.choice.agent;
            match self.obstacle(&agent, &participant.capabilities) {
                Some(note) => {
                    effects.extend(self.unseen(&agent, VantageOutcome::Refused, Reason::Unsupported, &note));
                }
                None => effects.extend(self.order_probe(agent, starts.next(participant.source), now)),
            }
        }
        effects.extend(self.go_on(now));
        effects
    }

    /// Whose an open order is.
    pub(super) fn holder(&self, order: Uuid) -> Option<&AgentName> {
        self.open.holder(order)
    }

    /// When an answer is no longer waited for.
    pub(super) fn deadline(&self) -> Instant {
        self.open.deadline().unwrap_or(self.started)
    }

    /// The holder of an open order says something about it.
    pub(super) fn report(
        &mut self,
        agent: &AgentName,
        order: Uuid,
        report: Report,
        now: Instant,
    ) -> Vec<Effect> {
        if self.watches.has(order) {
            return self.watch_reported(agent, order, report, now);
        }
        match report {
            Report::Accepted => {
                self.open.accepted(order);
                Vec::new()
            }
            Report::Overdue(so_far) => self.overdue(agent, order, *so_far, now),
            Report::Said(word) => self.said(order, *word),
            Report::Captured(capture) => self.captured(agent, order, *capture).into_iter().collect(),
            Report::Stage(ended) => self.stage_ended(agent, order, ended),
            Report::LoginAsked => {
                let answers = self.gate.asked(order);
                self.answer(answers)
            }
            Report::Refused { reason, note, rule } => {
                let round = self.open.round(order);
                self.records.refused(round, agent);
                let mut effects = self.end(order, OrderEnd::Refused, &note);
                if round == 0 {
                    effects.extend(self.was_refused(agent, reason, &note, rule));
                }
                effects.extend(self.go_on(now));
                effects
            }
            Report::Done(observation) => {
                let mut effects = self.settle_login(agent, order, &observation);
                let round = self.open.round(order);
                effects.extend(self.end(order, OrderEnd::Done, ""));
                effects.extend(self.seen(agent, round, *observation));
                effects.extend(self.go_on(now));
                effects
            }
        }
    }

    /// The agent is gone.
    pub(super) fn agent_lost(&mut self, agent: &AgentName, note: &str, now: Instant) -> Vec<Effect> {
        if let Some(vantage) = self.vantages.get_mut(agent) {
            vantage.connected = false;
        }
        let lost = self.open.of(agent);
        if lost.is_empty() {
            return Vec::new();
        }
        let mut effects = Vec::new();
        for order in lost {
            effects.extend(self.end(order, OrderEnd::Lost, &format!("{agent}: {note}")));
            if !self.watches.has(order) {
                effects.extend(self.unseen(agent, VantageOutcome::Missing, Reason::Offline, note));
            }
        }
        effects.extend(self.go_on(now));
        effects
    }

    /// What is waited for may be too late.
    pub(super) fn tick(&mut self, now: Instant) -> Vec<Effect> {
        let late = self.open.late(now);
        if late.is_empty() {
            return Vec::new();
        }
        let mut effects = Vec::new();
        for (order, late) in late {
            let waited = late.until.saturating_duration_since(self.started).as_secs();
            let note = if late.accepted {
                format!("connected, but no answer within {waited} s")
            } else {
                format!("connected, but the order was not taken within {waited} s")
            };
            effects.push(Effect::Cancel {
                agent: late.agent.clone(),
                order,
            });
            effects.extend(self.end(order, OrderEnd::Expired, &note));
            if !self.watches.has(order) {
                effects.extend(self.unseen(&late.agent, VantageOutcome::Missing, Reason::Deadline, &note));
            }
        }
        effects.extend(self.go_on(now));
        effects
    }

    /// Nobody waits for the answer any more.
    pub(super) fn abandon(&mut self) -> Vec<Effect> {
        let open = std::mem::take(&mut self.open);
        open.all()
            .flat_map(|(order, open)| {
                let (agent, end) = (open.agent, OrderEnd::Expired);
                [Effect::Cancel { agent, order }, Effect::Ended { order, end }]
            })
            .collect()
    }

    fn stage_ended(&mut self, agent: &AgentName, order: Uuid, ended: Box<StageEnded>) -> Vec<Effect> {
        let answers = self.gate.stage(order, agent.as_str(), &ended.stage);
        let mut effects = self.answer(answers);
        effects.extend(self.login_settled(agent));
        effects.push(self.tell(Happening::Stage {
            agent: agent.clone(),
            ended,
        }));
        effects
    }

    fn end(&mut self, order: Uuid, end: OrderEnd, why: &str) -> Vec<Effect> {
        if !self.open.remove(order) {
            return Vec::new();
        }
        let answers = self.gate.ended(order);
        let mut effects = vec![Effect::Ended { order, end }];
        effects.extend(self.part(order, why));
        effects.extend(self.answer(answers));
        effects
    }

    fn seen(&mut self, agent: &AgentName, round: u32, observation: Observation) -> Option<Effect> {
        let vantage = self.vantages.get_mut(agent)?;
        self.records.done(round, agent, &observation);
        let known = if round == 0 {
            vantage.saw(observation)
        } else {
            vantage.saw_more(observation)?
        };
        let known = Box::new(known.clone());
        Some(self.tell(Happening::Observation(known)))
    }

    fn unseen(
        &mut self,
        agent: &AgentName,
        outcome: VantageOutcome,
        reason: Reason,
        note: &str,
    ) -> Option<Effect> {
        let vantage = self.vantages.get_mut(agent)?;
        let unseen = Box::new(vantage.saw_nothing(outcome, reason, note)?.clone());
        Some(self.tell(Happening::Observation(unseen)))
    }

    fn was_refused(
        &mut self,
        agent: &AgentName,
        reason: Reason,
        note: &str,
        rule: Option<Box<PolicyRefusal>>,
    ) -> Option<Effect> {
        let vantage = self.vantages.get_mut(agent)?;
        vantage.saw_nothing(VantageOutcome::Refused, reason, note)?;
        let unseen = vantage.observation.as_mut()?;
        unseen.refusal = rule.map(|rule| *rule);
        let unseen = Box::new(unseen.clone());
        Some(self.tell(Happening::Observation(unseen)))
    }

    const fn tell(&self, happening: Happening) -> Effect {
        Effect::Tell {
            run: self.inquiry.run_id,
            happening,
        }
    }
}
