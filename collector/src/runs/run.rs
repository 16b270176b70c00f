//! One question put to many agents, from the orders to the verdict.

mod captures;
mod common_start;
mod early;
mod follow_up;
mod open;
mod records;
mod vantage;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::SignedDuration;
use parallax_diagnosis::Question;
use parallax_model::credential::Mechanism;
use parallax_model::experiment::Experiment;
use parallax_model::finding::Conclusion;
use parallax_model::observation::{Observation, Reason, VantageOutcome};
use parallax_model::run::{RUN_SCHEMA, RunDocument, RunRef, RunTarget};
use parallax_model::spec::ProbeSpec;
use parallax_model::vantage::AgentName;
use uuid::Uuid;

use super::inquiry::{Cast, Happening, Inquiry, LoginSettled};
use super::login_gate::{LoginAnswer, LoginGate, LoginNews};
use super::order::{PROBE, SEALED_CREDENTIAL};
use super::{Effect, Order, OrderEnd, Report, StageEnded};
use captures::Captures;
use common_start::Starts;
use follow_up::{FOLLOW_UP_AT_MOST, FOLLOW_UP_ROUNDS};
use open::{Open, OpenOrders};
use records::Records;
use vantage::Vantage;
use watch::Watches;

/// How long after a probe's own time its answer may still come.
const GRACE: Duration = Duration::from_secs(5);

/// How long after a rejection a typed secret is taken for the rejected one, where nobody can tell.
const MAY_BE_THE_SAME: SignedDuration = SignedDuration::from_mins(15);

/// How long an agent may take to say that it has an order; it says so before it does anything.
const TO_ACCEPT: Duration = Duration::from_secs(5);

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
            Report::Refused { reason, note } => {
                let round = self.open.round(order);
                self.records.refused(round, agent);
                let mut effects = self.end(order, OrderEnd::Refused, &note);
                if round == 0 {
                    effects.extend(self.unseen(agent, VantageOutcome::Refused, reason, &note));
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

    /// Why an agent can't be given the probe.
    fn obstacle(&self, agent: &AgentName, capabilities: &BTreeSet<String>) -> Option<String> {
        if !capabilities.contains(PROBE) {
            return Some("the agent does not know how to probe".to_owned());
        }
        let login = self.inquiry.spec.login.as_ref()?;
        if !capabilities.contains(SEALED_CREDENTIAL) {
            return Some("the agent does not take sealed secrets".to_owned());
        }
        // With EXTERNAL the certificate is the secret (RFC 4422 appendix A).
        let by_certificate = login.mechanism == Some(Mechanism::External)
            && self.inquiry.client_identities.contains_key(agent);
        if !by_certificate && !self.inquiry.secrets.contains_key(agent) {
            let past = &self.inquiry.past;
            let account = past
                .account
                .as_ref()
                .filter(|account| !account.credential.is_empty());
            return Some(account.map_or_else(
                || "the secret was not sealed to this agent; it may have come after the question".to_owned(),
                |account| {
                    let name = &account.credential;
                    format!(
                        "the credential {name} is not sealed to this agent: ctl credential set {name} --add --from {agent}"
                    )
                },
            ));
        }
        None
    }

    fn order_probe(&mut self, agent: AgentName, start_at: Option<Instant>, now: Instant) -> Vec<Effect> {
        let order = Order {
            start_at,
            ..self.order_for(agent.clone())
        };
        let id = order.id;
        let past = &self.inquiry.past;
        if past
            .seen_rejected
            .as_ref()
            .is_some_and(|seen| seen.agent == agent)
        {
            self.gate.wait_for(id);
        }
        let mut effects = vec![self.send(order, 0, now)];
        effects.extend(self.order_watch(&agent, id, now));
        effects
    }

    /// What was asked, for one agent.
    fn order_for(&self, agent: AgentName) -> Order {
        Order {
            id: Uuid::now_v7(),
            run: self.inquiry.run_id,
            spec: Arc::clone(&self.inquiry.spec),
            start_at: None,
            budget: first_round(&self.inquiry.spec),
            experiments: Vec::new(),
            secret: self.inquiry.secrets.get(&agent).cloned(),
            client_identity: self.inquiry.client_identities.get(&agent).cloned(),
            retry_login: self.inquiry.past.retry,
            watches: None,
            agent,
        }
    }

    fn send(&mut self, order: Order, round: u32, now: Instant) -> Effect {
        let open = Open {
            agent: order.agent.clone(),
            round,
            until: now + order.budget,
            accept_by: now + TO_ACCEPT.min(order.budget),
            accepted: false,
        };
        self.open.insert(order.id, open);
        Effect::Send(Box::new(order))
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

    /// A login that was not reported as it ended is read from the whole.
    fn settle_login(&mut self, agent: &AgentName, order: Uuid, observation: &Observation) -> Vec<Effect> {
        let stages = observation.attempts.iter().flat_map(|attempt| &attempt.stages);
        let answers: Vec<_> = stages
            .flat_map(|stage| self.gate.stage(order, agent.as_str(), stage))
            .collect();
        let mut effects = self.answer(answers);
        effects.extend(self.login_settled(agent));
        effects
    }

    /// What the server said of the secret, where that is news for later runs.
    fn login_settled(&mut self, agent: &AgentName) -> Option<Effect> {
        let rejected = match self.gate.news()? {
            LoginNews::Accepted if !self.inquiry.past.had_circuit => return None,
            LoginNews::Accepted => None,
            LoginNews::Rejected(how) => Some(how),
        };
        Some(Effect::Settled(Box::new(LoginSettled {
            run: self.inquiry.run_id,
            agent: agent.clone(),
            account: self.inquiry.past.account.clone()?,
            rejected,
        })))
    }

    /// A secret of the account was turned down before, and it may be this one.
    fn consider_the_past(&mut self, cast: &Cast) {
        let past = &self.inquiry.past;
        if let Some(reason) = &past.withheld {
            self.gate.withhold(reason.clone());
        }
        let Some(seen) = past.seen_rejected.as_ref().filter(|_| !past.retry) else {
            return;
        };
        let asked = cast.participants.iter().any(|one| one.choice.agent == seen.agent);
        if !asked && self.inquiry.started_at.duration_since(seen.at) < MAY_BE_THE_SAME {
            let (agent, at) = (&seen.agent, seen.at);
            self.gate.withhold(format!(
                "a secret of this user was rejected for {agent} on {at:.0}, and {agent}, which could tell whether this is the \
                 same, is not asked: ask it too, or use --retry-login"
            ));
        }
    }

    fn answer(&self, answers: Vec<(Uuid, LoginAnswer)>) -> Vec<Effect> {
        answers
            .into_iter()
            .filter_map(|(order, answer)| {
                let agent = self.open.holder(order)?.clone();
                Some(Effect::Answer { agent, order, answer })
            })
            .collect()
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

    const fn tell(&self, happening: Happening) -> Effect {
        Effect::Tell {
            run: self.inquiry.run_id,
            happening,
        }
    }

    /// When no order is open any more: the next round of experiments, or the answer. Before, where all that is open
    /// waits in vain, a round of those that need not wait for it.
    fn go_on(&mut self, now: Instant) -> Vec<Effect> {
        if !self.open.is_empty() {
            return self.go_on_early(now);
        }
        let observations = self.observations();
        let before = self.inquiry.before_of(&observations);
        let good = before.as_ref().map_or(&[][..], |(_, good)| good);
        let (conclusion, wishes) = if self.may_ask_more() {
            parallax_diagnosis::judge(&self.question, &observations, good)
        } else {
            let conclusion = parallax_diagnosis::conclude(&self.question, &observations, good);
            (conclusion, Vec::new())
        };
        self.records.over(self.round, &conclusion.findings);
        let experiments = self.possible(wishes);
        if experiments.is_empty() {
            return vec![self.concluded(observations, before, conclusion, now)];
        }
        self.order_experiments(experiments, conclusion.findings, now)
    }

    fn observations(&self) -> Vec<Observation> {
        self.vantages
            .values()
            .filter_map(|vantage| vantage.observation.clone())
            .collect()
    }

    fn concluded(
        &self,
        observations: Vec<Observation>,
        before: Option<(RunRef, Vec<Observation>)>,
        conclusion: Conclusion,
        now: Instant,
    ) -> Effect {
        let Conclusion {
            verdict,
            summary,
            findings,
            clients,
        } = conclusion;
        Effect::Concluded(Box::new(RunDocument {
            schema: RUN_SCHEMA.to_owned(),
            run_id: self.inquiry.run_id,
            trace_id: self.inquiry.trace_id.clone(),
            target: RunTarget::from(&self.inquiry.spec.target),
            depth: self.inquiry.spec.depth,
            started_at: self.inquiry.started_at,
            duration: now.saturating_duration_since(self.started),
            compared_with: before.as_ref().map(|(run, _)| *run),
            changes: before
                .map(|(_, before)| parallax_diagnosis::changes(&before, &observations))
                .unwrap_or_default(),
            experiments: self.records.all(),
            captures: self.captures.all(),
            vantages: observations,
            verdict,
            summary,
            findings,
            clients,
        }))
    }
}
