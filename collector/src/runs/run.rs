//! One question put to many agents, from the orders to the verdict.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use parallax_diagnosis::Question;
use parallax_model::credential::SealedSecret;
use parallax_model::experiment::Experiment;
use parallax_model::finding::Conclusion;
use parallax_model::observation::{Observation, Purpose, Reason, VantageOutcome};
use parallax_model::run::{RUN_SCHEMA, RunDocument, RunTarget};
use parallax_model::spec::{Depth, ProbeSpec};
use parallax_model::vantage::{AgentName, Labels};
use uuid::Uuid;

use super::login_gate::{LoginAnswer, LoginGate};
use super::order::{PROBE, SEALED_CREDENTIAL};
use super::{Effect, Order, OrderEnd, Report, StageEnded, capability_of};
use crate::agents::Choice;

/// How long after a probe's own time its answer may still come.
const GRACE: Duration = Duration::from_secs(5);

/// The most that one round of experiments may take, and how much of it is for the way of the answer.
const FOLLOW_UP_AT_MOST: Duration = Duration::from_secs(8);
const FOLLOW_UP_GRACE: Duration = Duration::from_secs(2);

/// Rounds of experiments in one run.
const FOLLOW_UP_ROUNDS: u32 = 2;

/// The common start: the slowest round trip and this, but never more than that.
const START_MARGIN: Duration = Duration::from_millis(20);
const START_AT_MOST: Duration = Duration::from_millis(500);

/// The round trip of an agent that has not measured one yet.
const UNMEASURED_RTT: Duration = Duration::from_millis(50);

/// A question, as it was asked.
#[derive(Debug, Clone)]
pub(crate) struct Inquiry {
    /// UUID version 7.
    pub(crate) run_id: Uuid,
    /// 32 hexadecimal digits, when it is traced.
    pub(crate) trace_id: Option<String>,
    /// What is probed, and how.
    pub(crate) spec: Arc<ProbeSpec>,
    /// Whether the diagnosis may order experiments.
    pub(crate) follow_up: bool,
    /// The secret of the login, sealed to each agent that may get it.
    pub(crate) secrets: BTreeMap<AgentName, SealedSecret>,
    /// When it was asked.
    pub(crate) started_at: Timestamp,
}

/// A connected agent that is asked.
#[derive(Debug, Clone)]
pub(crate) struct Participant {
    /// Which, and why.
    pub(crate) choice: Choice,
    /// What it can do.
    pub(crate) capabilities: BTreeSet<String>,
    /// Round trip of its link, if measured.
    pub(crate) rtt: Option<Duration>,
}

/// What whoever asked is told while the run goes on.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Happening {
    /// A stage has ended at a vantage point.
    Stage {
        /// Where.
        agent: AgentName,
        /// What.
        ended: Box<StageEnded>,
    },
    /// A vantage point is done, missing or refused.
    Observation(Box<Observation>),
    /// The diagnosis ordered a round of experiments.
    FollowUp {
        /// 1 or 2.
        round: u32,
        /// Which.
        experiments: Vec<Experiment>,
    },
}

/// A live run.
#[derive(Debug)]
pub(crate) struct Run {
    inquiry: Inquiry,
    question: Question,
    started: Instant,
    deadline: Instant,
    round: u32,
    vantages: BTreeMap<AgentName, Vantage>,
    open: BTreeMap<Uuid, AgentName>,
    tried: BTreeSet<Experiment>,
    gate: LoginGate,
}

#[derive(Debug)]
struct Vantage {
    labels: Labels,
    capabilities: BTreeSet<String>,
    connected: bool,
    observation: Option<Observation>,
}

/// Until when an answer to a question can come.
pub(crate) fn longest(spec: &ProbeSpec, follow_up: bool) -> Duration {
    let rounds = if follow_up { FOLLOW_UP_ROUNDS } else { 0 };
    spec.timeout + GRACE + FOLLOW_UP_AT_MOST * rounds
}

impl Run {
    pub(super) fn new(inquiry: Inquiry, participants: &[Participant], now: Instant) -> Self {
        let vantages = participants
            .iter()
            .map(|participant| {
                let vantage = Vantage {
                    labels: participant.choice.labels.clone(),
                    capabilities: participant.capabilities.clone(),
                    connected: true,
                    observation: None,
                };
                (participant.choice.agent.clone(), vantage)
            })
            .collect();
        let question = Question {
            target: inquiry.spec.target.clone(),
            depth: inquiry.spec.depth,
            login: inquiry.spec.login.is_some(),
            now: inquiry.started_at,
        };
        Self {
            deadline: now + inquiry.spec.timeout + GRACE,
            inquiry,
            question,
            started: now,
            round: 0,
            vantages,
            open: BTreeMap::new(),
            tried: BTreeSet::new(),
            gate: LoginGate::default(),
        }
    }

    /// Orders the probes.
    pub(super) fn begin(
        &mut self,
        participants: Vec<Participant>,
        absent: Vec<Choice>,
        now: Instant,
    ) -> Vec<Effect> {
        let mut effects = Vec::new();
        for Choice {
            agent, labels, why, ..
        } in absent
        {
            let vantage = Vantage {
                labels: labels.clone(),
                capabilities: BTreeSet::new(),
                connected: false,
                observation: None,
            };
            self.vantages.insert(agent.clone(), vantage);
            effects.extend(self.unseen(&agent, VantageOutcome::Missing, Reason::Offline, &why));
        }
        let start_at = common_start(&participants, now);
        for participant in participants {
            let agent = participant.choice.agent;
            match self.obstacle(&agent) {
                Some(note) => {
                    effects.extend(self.unseen(&agent, VantageOutcome::Refused, Reason::Unsupported, &note));
                }
                None => effects.push(self.order_probe(agent, start_at)),
            }
        }
        effects.extend(self.go_on(now));
        effects
    }

    /// Whose an open order is.
    pub(super) fn holder(&self, order: Uuid) -> Option<&AgentName> {
        self.open.get(&order)
    }

    /// When the present round is over.
    pub(super) const fn deadline(&self) -> Instant {
        self.deadline
    }

    /// The holder of an open order says something about it.
    pub(super) fn report(
        &mut self,
        agent: &AgentName,
        order: Uuid,
        report: Report,
        now: Instant,
    ) -> Vec<Effect> {
        match report {
            Report::Accepted => Vec::new(),
            Report::Stage(ended) => self.stage_ended(agent, order, ended),
            Report::LoginAsked => {
                let answers = self.gate.asked(order);
                self.answer(answers)
            }
            Report::Refused { reason, note } => {
                let mut effects = self.end(order, OrderEnd::Refused);
                effects.extend(self.unseen(agent, VantageOutcome::Refused, reason, &note));
                effects.extend(self.go_on(now));
                effects
            }
            Report::Done(observation) => {
                let mut effects = self.settle_login(agent, order, &observation);
                effects.extend(self.end(order, OrderEnd::Done));
                effects.extend(self.seen(agent, *observation));
                effects.extend(self.go_on(now));
                effects
            }
        }
    }

    /// The agent is gone.
    pub(super) fn agent_lost(&mut self, agent: &AgentName, note: &str, now: Instant) -> Vec<Effect> {
        let Some(vantage) = self.vantages.get_mut(agent) else {
            return Vec::new();
        };
        vantage.connected = false;
        let lost = self.orders_of(agent);
        if lost.is_empty() {
            return Vec::new();
        }
        let mut effects: Vec<Effect> = lost
            .into_iter()
            .flat_map(|order| self.end(order, OrderEnd::Lost))
            .collect();
        effects.extend(self.unseen(agent, VantageOutcome::Missing, Reason::Offline, note));
        effects.extend(self.go_on(now));
        effects
    }

    /// The round may be over.
    pub(super) fn tick(&mut self, now: Instant) -> Vec<Effect> {
        if now < self.deadline {
            return Vec::new();
        }
        let waited = self.deadline.saturating_duration_since(self.started).as_secs();
        let note = format!("connected, but no answer within {waited} s");
        let mut effects = Vec::new();
        for (order, agent) in self.open.clone() {
            effects.push(Effect::Cancel {
                agent: agent.clone(),
                order,
            });
            effects.extend(self.end(order, OrderEnd::Expired));
            effects.extend(self.unseen(&agent, VantageOutcome::Missing, Reason::Deadline, &note));
        }
        effects.extend(self.go_on(now));
        effects
    }

    /// Nobody waits for the answer any more.
    pub(super) fn abandon(&mut self) -> Vec<Effect> {
        let open = std::mem::take(&mut self.open);
        open.into_iter()
            .flat_map(|(order, agent)| {
                let end = OrderEnd::Expired;
                [Effect::Cancel { agent, order }, Effect::Ended { order, end }]
            })
            .collect()
    }

    /// Why an agent can't be given the probe.
    fn obstacle(&self, agent: &AgentName) -> Option<String> {
        let capabilities = &self.vantages.get(agent)?.capabilities;
        if !capabilities.contains(PROBE) {
            return Some("the agent does not know how to probe".to_owned());
        }
        self.inquiry.spec.login.as_ref()?;
        if !capabilities.contains(SEALED_CREDENTIAL) {
            return Some("the agent does not take sealed secrets".to_owned());
        }
        if !self.inquiry.secrets.contains_key(agent) {
            return Some(
                "the secret was not sealed to this agent; it may have come after the question".to_owned(),
            );
        }
        None
    }

    fn order_probe(&mut self, agent: AgentName, start_at: Option<Instant>) -> Effect {
        let secret = self.inquiry.secrets.get(&agent).cloned();
        let budget = self.inquiry.spec.timeout + GRACE;
        let spec = Arc::clone(&self.inquiry.spec);
        self.send(Order {
            id: Uuid::now_v7(),
            run: self.inquiry.run_id,
            agent,
            spec,
            start_at,
            budget,
            experiments: Vec::new(),
            secret,
        })
    }

    fn send(&mut self, order: Order) -> Effect {
        self.open.insert(order.id, order.agent.clone());
        Effect::Send(Box::new(order))
    }

    fn stage_ended(&mut self, agent: &AgentName, order: Uuid, ended: Box<StageEnded>) -> Vec<Effect> {
        let answers = self.gate.stage(order, agent.as_str(), &ended.stage);
        let mut effects = self.answer(answers);
        effects.push(self.tell(Happening::Stage {
            agent: agent.clone(),
            ended,
        }));
        effects
    }

    /// A login that was not reported as it ended is read from the whole.
    fn settle_login(&mut self, agent: &AgentName, order: Uuid, observation: &Observation) -> Vec<Effect> {
        let stages = observation.attempts.iter().flat_map(|attempt| &attempt.stages);
        let answers: Vec<_> = stages
            .flat_map(|stage| self.gate.stage(order, agent.as_str(), stage))
            .collect();
        self.answer(answers)
    }

    fn answer(&self, answers: Vec<(Uuid, LoginAnswer)>) -> Vec<Effect> {
        answers
            .into_iter()
            .filter_map(|(order, answer)| {
                let agent = self.open.get(&order)?.clone();
                Some(Effect::Answer { agent, order, answer })
            })
            .collect()
    }

    fn end(&mut self, order: Uuid, end: OrderEnd) -> Vec<Effect> {
        if self.open.remove(&order).is_none() {
            return Vec::new();
        }
        let answers = self.gate.ended(order);
        let mut effects = vec![Effect::Ended { order, end }];
        effects.extend(self.answer(answers));
        effects
    }

    fn orders_of(&self, agent: &AgentName) -> Vec<Uuid> {
        self.open
            .iter()
            .filter(|(_, holder)| *holder == agent)
            .map(|(&order, _)| order)
            .collect()
    }

    /// What an agent saw, under its own name and labels whatever it says. Experiments are added to what it saw
    /// before.
    fn seen(&mut self, agent: &AgentName, mut observation: Observation) -> Option<Effect> {
        let vantage = self.vantages.get_mut(agent)?;
        if self.round > 0 {
            let known = vantage.observation.as_mut()?;
            let made = observation.attempts.into_iter().filter_map(|mut attempt| {
                attempt.purpose = Purpose::FollowUp;
                attempt.experiment.is_some().then_some(attempt)
            });
            known.attempts.extend(made);
        } else {
            observation.agent = agent.clone();
            observation.labels = vantage.labels.clone();
            if !observation.answered() {
                observation.reason = None;
                observation.outcome =
                    Observation::conclude_outcome(observation.resolve.as_ref(), &observation.attempts);
            }
            vantage.observation = Some(observation);
        }
        let known = vantage.observation.clone()?;
        Some(self.tell(Happening::Observation(Box::new(known))))
    }

    /// Nothing was seen by an agent. What it saw in an earlier round still holds.
    fn unseen(
        &mut self,
        agent: &AgentName,
        outcome: VantageOutcome,
        reason: Reason,
        note: &str,
    ) -> Option<Effect> {
        let vantage = self.vantages.get_mut(agent)?;
        if vantage.observation.is_some() {
            return None;
        }
        let observation = Observation::unseen(agent.clone(), vantage.labels.clone(), outcome, reason, note);
        vantage.observation = Some(observation.clone());
        Some(self.tell(Happening::Observation(Box::new(observation))))
    }

    const fn tell(&self, happening: Happening) -> Effect {
        Effect::Tell {
            run: self.inquiry.run_id,
            happening,
        }
    }

    /// When no order is open any more: the next round of experiments, or the answer.
    fn go_on(&mut self, now: Instant) -> Vec<Effect> {
        if !self.open.is_empty() {
            return Vec::new();
        }
        let observations = self.observations();
        let experiments = self.next_experiments(&observations);
        if experiments.is_empty() {
            return vec![self.concluded(observations, now)];
        }
        self.order_experiments(experiments, now)
    }

    fn observations(&self) -> Vec<Observation> {
        self.vantages
            .values()
            .filter_map(|vantage| vantage.observation.clone())
            .collect()
    }

    fn next_experiments(&self, observations: &[Observation]) -> Vec<Experiment> {
        if !self.inquiry.follow_up || self.round >= FOLLOW_UP_ROUNDS {
            return Vec::new();
        }
        let possible = |experiment: &Experiment| {
            !self.tried.contains(experiment)
                && self.vantages.get(&experiment.agent).is_some_and(|vantage| {
                    vantage.connected && vantage.capabilities.contains(&capability_of(experiment.kind))
                })
        };
        parallax_diagnosis::experiments(&self.question, observations)
            .into_iter()
            .filter(possible)
            .collect()
    }

    fn order_experiments(&mut self, experiments: Vec<Experiment>, now: Instant) -> Vec<Effect> {
        self.round += 1;
        self.tried.extend(experiments.iter().cloned());
        let spec = Arc::new(follow_up_spec(&self.inquiry.spec));
        let budget = spec.timeout + FOLLOW_UP_GRACE;
        self.deadline = now + budget;
        let mut effects = vec![self.tell(Happening::FollowUp {
            round: self.round,
            experiments: experiments.clone(),
        })];
        let mut by_agent: BTreeMap<AgentName, Vec<Experiment>> = BTreeMap::new();
        for experiment in experiments {
            by_agent
                .entry(experiment.agent.clone())
                .or_default()
                .push(experiment);
        }
        for (agent, experiments) in by_agent {
            let order = Order {
                id: Uuid::now_v7(),
                run: self.inquiry.run_id,
                agent,
                spec: Arc::clone(&spec),
                start_at: None,
                budget,
                experiments,
                secret: None,
            };
            effects.push(self.send(order));
        }
        effects
    }

    fn concluded(&self, observations: Vec<Observation>, now: Instant) -> Effect {
        let Conclusion {
            verdict,
            summary,
            findings,
        } = parallax_diagnosis::conclude(&self.question, &observations);
        Effect::Concluded(Box::new(RunDocument {
            schema: RUN_SCHEMA.to_owned(),
            run_id: self.inquiry.run_id,
            trace_id: self.inquiry.trace_id.clone(),
            target: RunTarget::from(&self.inquiry.spec.target),
            depth: self.inquiry.spec.depth,
            started_at: self.inquiry.started_at,
            duration: now.saturating_duration_since(self.started),
            vantages: observations,
            verdict,
            summary,
            findings,
        }))
    }
}

/// All agents begin together, as soon as the slowest of them must have its order. One alone begins at once.
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

/// A follow-up never logs in: a wrong secret is tried once.
fn follow_up_spec(spec: &ProbeSpec) -> ProbeSpec {
    let depth = if spec.depth as u8 > Depth::Greeting as u8 {
        Depth::Greeting
    } else {
        spec.depth
    };
    ProbeSpec {
        depth,
        login: None,
        timeout: spec.timeout.min(FOLLOW_UP_AT_MOST - FOLLOW_UP_GRACE),
        ..spec.clone()
    }
}
