//! What is wrong and who is to be told: judged on rounds, not on single results.
//!
//! Each rule of each check is a case, and so is each agent. A case goes from quiet to pending to firing and back. What
//! fires is told once, when nothing holds it: a silence, a maintenance, or an alert that says the same and more. All
//! of this is values: the hub feeds it, and what it answers is stored with what caused it.

mod baseline;
mod case;
mod change;
pub(crate) mod deliver;
mod flap;
mod hold;
mod labels;
mod lost;
mod machine;
mod rules;
mod said;
#[cfg(test)]
mod tests;
pub(crate) mod usual;
mod words;

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use parallax_model::alert::{Alert, AlertState, Silence};
use parallax_model::vantage::AgentName;
use tracing::warn;
use uuid::Uuid;

pub(crate) use change::{AlertChanges, KeptAlert, Notice};

use crate::rounds::RoundOutcome;
use crate::store::{AlertsKept, Baselines};
use case::{Case, Subject};
use lost::{Links, Loss};
use machine::{Judgement, Patience, Step};
use rules::{Judged, Rule};
use said::Said;

/// So long what is over is still listed.
const LISTED: SignedDuration = SignedDuration::from_hours(7 * 24);

/// So many of those at most.
const LISTED_AT_MOST: usize = 1000;

/// An agent that flaps is back when it stays so long.
const STAYS: SignedDuration = SignedDuration::from_mins(10);

/// An agent is lost when it is due, and back when it is back. What it does in between is no turn: every link is down
/// while the collector itself restarts.
const LOST: Patience = Patience {
    rounds: 1,
    recover: 1,
};

/// What happened.
pub(crate) enum AlertEvent<'a> {
    /// A round was closed.
    Round(&'a RoundOutcome),
    /// An agent's link is down since then. At a start, every agent that is remembered is.
    AgentLost { agent: &'a AgentName, since: Timestamp },
    /// An agent's link is up.
    AgentBack(&'a AgentName),
    /// An agent does not take part any more.
    AgentRemoved(&'a AgentName),
    /// A check is paused or removed.
    CheckGone(Uuid),
    /// What is usual.
    Baselines(Baselines),
    /// All silences, as they are now.
    Silences(Vec<Silence>),
    /// Time went by.
    Time,
}

/// Every case there is.
#[derive(Debug)]
pub(crate) struct Alerts {
    cases: BTreeMap<Subject, Case>,
    links: Links,
    /// What is over, by fingerprint.
    over: BTreeMap<String, Alert>,
    silences: Vec<Silence>,
    baselines: Baselines,
    receivers: Vec<String>,
    /// The latest time that was heard of.
    at: Timestamp,
}

impl Alerts {
    /// As they were when everything was last kept. Receivers are named as in the outbox.
    pub(crate) fn restored(kept: AlertsKept, receivers: Vec<String>, now: Timestamp) -> Self {
        let mut alerts: BTreeMap<String, Alert> = kept
            .alerts
            .into_iter()
            .map(|alert| (alert.fingerprint.clone(), alert))
            .collect();
        let mut cases = BTreeMap::new();
        for (text, memory) in kept.memory {
            let subject = Subject::read(&text);
            let case = Case::read(memory, |fingerprint| alerts.remove(fingerprint));
            match subject.zip(case.filter(Case::is_whole)) {
                Some((subject, case)) => {
                    cases.insert(subject, case);
                }
                None => warn!("what was kept of {text} can't be read; it begins anew"),
            }
        }
        alerts.retain(|_, alert| alert.state == AlertState::Resolved);
        let mut lost: BTreeSet<AgentName> = BTreeSet::new();
        for (subject, case) in &cases {
            match subject {
                Subject::Agent(agent) if case.machine.is_firing() => drop(lost.insert(agent.clone())),
                Subject::Agents => lost.extend(case.members.iter().cloned()),
                Subject::Agent(_) | Subject::Check(..) => {}
            }
        }
        Self {
            cases,
            links: Links::new(now, lost),
            over: alerts,
            silences: kept.silences,
            baselines: Baselines::default(),
            receivers,
            at: now,
        }
    }

    /// Others are told from now on.
    pub(crate) fn told_are(&mut self, receivers: Vec<String>) {
        self.receivers = receivers;
    }

    /// Takes what happened. The answer is to be kept, with the round if it was one.
    pub(crate) fn handle(&mut self, event: AlertEvent<'_>, now: Timestamp) -> AlertChanges {
        let mut said = Said::default();
        if now < self.at {
            self.set_back(now);
        }
        self.at = now;
        match event {
            AlertEvent::Round(outcome) => self.round(outcome, now, &mut said),
            AlertEvent::AgentLost { agent, since } => self.agent_went(agent, since, now, &mut said),
            AlertEvent::AgentBack(agent) => self.agent_came(agent, now, &mut said),
            AlertEvent::AgentRemoved(agent) => self.agent_removed(agent, now, &mut said),
            AlertEvent::CheckGone(check) => self.end_all(check, &BTreeSet::new(), now, &mut said),
            AlertEvent::Baselines(baselines) => self.baselines = baselines,
            AlertEvent::Silences(silences) => self.silences = silences,
            AlertEvent::Time => {}
        }
        self.settle(now, &mut said);
        said.into_changes(&self.cases)
    }

    /// When time alone changes something next.
    pub(crate) fn next(&self) -> Option<Timestamp> {
        let silences = self
            .silences
            .iter()
            .flat_map(|silence| [silence.starts_at, silence.ends_at]);
        let firing = self.cases.values().filter(|case| case.machine.is_firing());
        let windows = firing
            .clone()
            .flat_map(|case| &case.windows)
            .filter_map(|window| window.holds(self.at));
        let back = firing.filter_map(|case| Some(case.back_at? + STAYS));
        let edges = silences.chain(windows).chain(back).filter(|edge| *edge > self.at);
        edges.chain(self.links.next()).min()
    }

    /// Whether something is waited for by a clock that was set back.
    pub(crate) fn is_behind(&self, now: Timestamp) -> bool {
        now < self.at
    }

    /// What is wrong, what fires first; with `all` also what is over.
    pub(crate) fn list(&self, all: bool, now: Timestamp) -> Vec<Alert> {
        let mut alerts: Vec<Alert> = self
            .cases
            .values()
            .filter_map(|case| case.alert.clone())
            .collect();
        if all {
            let listed = |alert: &&Alert| {
                alert
                    .resolved_at
                    .is_some_and(|at| now.duration_since(at) < LISTED)
            };
            alerts.extend(self.over.values().filter(listed).cloned());
        }
        let order = |state: AlertState| match state {
            AlertState::Firing => 0,
            AlertState::Pending => 1,
            AlertState::Resolved => 2,
        };
        alerts.sort_by(|one, other| {
            (order(one.state), other.since, &one.fingerprint).cmp(&(
                order(other.state),
                one.since,
                &other.fingerprint,
            ))
        });
        alerts
    }

    fn round(&mut self, outcome: &RoundOutcome, now: Timestamp, said: &mut Said) {
        let check = outcome.check.id;
        let judged = rules::judge(outcome, &self.baselines, self.links.lost());
        let kept: BTreeSet<Rule> = judged.iter().map(|judged| judged.rule).collect();
        self.end_all(check, &kept, now, said);
        for judged in judged {
            self.judged(outcome, judged, now, said);
        }
    }

    fn judged(&mut self, outcome: &RoundOutcome, judged: Judged, now: Timestamp, said: &mut Said) {
        let subject = Subject::Check(outcome.check.id, judged.rule);
        let labels = words::labels(outcome, judged.rule);
        let fingerprint = labels::fingerprint(&labels);
        let alert = self.cases.get(&subject).and_then(|case| case.alert.as_ref());
        if alert.is_some_and(|alert| alert.fingerprint != fingerprint) {
            // It is about something else from now on.
            self.end(&subject, now, said);
            self.cases.remove(&subject);
        }
        let case = self.cases.entry(subject.clone()).or_default();
        let before = case.machine.clone();
        let step = case.machine.judge(judged.judgement, judged.patience, now);
        if case.machine != before {
            said.touched(&subject);
        }
        if case.windows != outcome.check.definition.maintenance {
            case.windows.clone_from(&outcome.check.definition.maintenance);
            said.touched(&subject);
        }
        if judged.judgement == Judgement::Bad {
            let is_news =
                outcome.new_trouble || (words::tells_time(judged.rule) && said_otherwise(case, &judged));
            match &mut case.alert {
                Some(alert) if is_news => {
                    words::renew(alert, outcome, &judged);
                    said.touched(&subject);
                    said.alert(case);
                }
                Some(_) => {}
                None => case.alert = Some(words::alert(outcome, &judged, labels, now)),
            }
        }
        let flaps = case.machine.is_flapping(now);
        let changed = |alert: &&mut Alert| alert.state == AlertState::Firing && alert.flapping != flaps;
        if let Some(alert) = case.alert.as_mut().filter(changed) {
            alert.flapping = flaps;
            said.alert(case);
        }
        self.step(&subject, step, now, said);
    }

    /// What was said to last until a time is counted from now on.
    fn set_back(&mut self, now: Timestamp) {
        self.links.not_after(now);
        for case in self.cases.values_mut() {
            case.back_at = case.back_at.map(|at| at.min(now));
        }
    }

    fn agent_went(&mut self, agent: &AgentName, since: Timestamp, now: Timestamp, said: &mut Said) {
        let in_group = |case: &Case| case.members.contains(agent);
        if self.cases.get(&Subject::Agents).is_some_and(in_group) {
            return;
        }
        let subject = Subject::Agent(agent.clone());
        let case = self.cases.entry(subject.clone()).or_default();
        if case.machine.is_firing() {
            self.links.is_lost_still(agent);
            if case.back_at.take().is_some() {
                case.machine.judge(Judgement::Bad, LOST, now);
                said.touched(&subject);
            }
            return;
        }
        let since = since.min(now);
        self.links.went(agent, since);
        case.alert.get_or_insert_with(|| words::lost(agent, since));
    }

    fn agent_came(&mut self, agent: &AgentName, now: Timestamp, said: &mut Said) {
        self.links.came(agent);
        self.leave_group(agent, now, said);
        let subject = Subject::Agent(agent.clone());
        let Some(case) = self.cases.get_mut(&subject) else {
            return;
        };
        if case.machine.is_firing() {
            let step = case.machine.judge(Judgement::Good, LOST, now);
            case.back_at = (step == Step::Stays).then(|| case.back_at.unwrap_or(now));
            said.touched(&subject);
            self.step(&subject, step, now, said);
        } else {
            // That it was down for a moment is nothing to keep.
            case.alert = None;
        }
    }

    fn agent_removed(&mut self, agent: &AgentName, now: Timestamp, said: &mut Said) {
        self.links.removed(agent);
        self.leave_group(agent, now, said);
        let subject = Subject::Agent(agent.clone());
        self.end(&subject, now, said);
        self.cases.remove(&subject);
    }

    /// An agent is not among those that are lost together any more.
    fn leave_group(&mut self, agent: &AgentName, now: Timestamp, said: &mut Said) {
        let Some(group) = self.cases.get_mut(&Subject::Agents) else {
            return;
        };
        if !group.members.remove(agent) {
            return;
        }
        said.touched(&Subject::Agents);
        if group.members.is_empty() {
            self.end(&Subject::Agents, now, said);
        } else if let Some(alert) = &mut group.alert {
            words::still_lost(alert, &group.members);
            said.alert(group);
        }
    }

    /// Whatever the check had besides these rules is over.
    fn end_all(&mut self, check: Uuid, kept: &BTreeSet<Rule>, now: Timestamp, said: &mut Said) {
        let of_check = |subject: &&Subject| matches!(subject, Subject::Check(id, rule) if *id == check && !kept.contains(rule));
        let gone: Vec<Subject> = self.cases.keys().filter(of_check).cloned().collect();
        for subject in gone {
            self.end(&subject, now, said);
            self.cases.remove(&subject);
        }
    }

    fn end(&mut self, subject: &Subject, now: Timestamp, said: &mut Said) {
        if let Some(case) = self.cases.get_mut(subject) {
            said.touched(subject);
            let step = case.machine.end();
            self.step(subject, step, now, said);
        }
    }

    /// Time does its part: agents that are due, and what nothing holds any more.
    fn settle(&mut self, now: Timestamp, said: &mut Said) {
        while let Some(loss) = self.links.due_now(now) {
            self.lost(loss, now, said);
        }
        let stayed = |case: &Case| case.back_at.is_some_and(|at| at + STAYS <= now);
        let calm = self.cases.iter().filter(|(_, case)| stayed(case));
        let calm: Vec<Subject> = calm.map(|(subject, _)| subject.clone()).collect();
        for subject in calm {
            self.end(&subject, now, said);
        }
        self.tell(now, said);
        self.forget(now);
    }

    fn lost(&mut self, loss: Loss, now: Timestamp, said: &mut Said) {
        match loss {
            Loss::Each(agents) => {
                for agent in agents {
                    let subject = Subject::Agent(agent);
                    if let Some(case) = self.cases.get_mut(&subject) {
                        let step = case.machine.judge(Judgement::Bad, LOST, now);
                        said.touched(&subject);
                        self.step(&subject, step, now, said);
                    }
                }
            }
            Loss::Together { agents, everybody } => self.lost_together(agents, everybody, now, said),
        }
    }

    fn lost_together(
        &mut self,
        agents: BTreeSet<AgentName>,
        everybody: bool,
        now: Timestamp,
        said: &mut Said,
    ) {
        let mut since = now;
        for agent in &agents {
            let subject = Subject::Agent(agent.clone());
            let alone = self.cases.remove(&subject);
            said.touched(&subject);
            since = alone
                .and_then(|case| case.alert)
                .map_or(since, |alert| alert.since.min(since));
        }
        let group = self.cases.entry(Subject::Agents).or_default();
        group.members.extend(agents);
        let alert = words::lost_together(&group.members, everybody, since);
        match &mut group.alert {
            Some(told) => words::still_lost(told, &group.members),
            None => group.alert = Some(alert),
        }
        let step = group.machine.judge(Judgement::Bad, LOST, now);
        said.touched(&Subject::Agents);
        said.alert(group);
        self.step(&Subject::Agents, step, now, said);
    }

    /// What a step means for the alert.
    fn step(&mut self, subject: &Subject, step: Step, now: Timestamp, said: &mut Said) {
        let Some(case) = self.cases.get_mut(subject) else {
            return;
        };
        let is_flapping = case.machine.is_flapping(now);
        match step {
            Step::Stays | Step::Began => {}
            Step::PassedOver => case.alert = None,
            Step::Fired => {
                if let Some(alert) = &mut case.alert {
                    alert.state = AlertState::Firing;
                    alert.fired_at = Some(now);
                    alert.flapping = is_flapping;
                    self.over.remove(&alert.fingerprint);
                }
                said.alert(case);
            }
            Step::Resolved => {
                case.back_at = None;
                let told = std::mem::take(&mut case.told);
                if let Some(mut alert) = case.alert.take() {
                    alert.state = AlertState::Resolved;
                    alert.resolved_at = Some(now.max(alert.fired_at.unwrap_or(now)));
                    alert.silenced_by = None;
                    if told {
                        said.notice(&self.receivers, &alert);
                    }
                    said.over(alert.clone());
                    self.over.insert(alert.fingerprint.clone(), alert);
                }
            }
        }
    }

    /// Tells what fires, is not told, and is held by nothing.
    fn tell(&mut self, now: Timestamp, said: &mut Said) {
        let firing = self.cases.iter().filter(|(_, case)| case.machine.is_firing());
        let holds: Vec<(Subject, Option<String>)> = firing
            .map(|(subject, case)| (subject.clone(), self.held_by(subject, case, now)))
            .collect();
        for (subject, held) in holds {
            let Some(case) = self.cases.get_mut(&subject) else {
                continue;
            };
            let tells = held.is_none() && !case.told;
            let Some(alert) = case
                .alert
                .as_mut()
                .filter(|alert| tells || alert.silenced_by != held)
            else {
                continue;
            };
            alert.silenced_by = held;
            if tells {
                said.notice(&self.receivers, alert);
                case.told = true;
                said.touched(&subject);
            }
            said.alert(case);
        }
    }

    /// What keeps an alert from being told.
    fn held_by(&self, subject: &Subject, case: &Case, now: Timestamp) -> Option<String> {
        let alert = case.alert.as_ref()?;
        hold::silence(&self.silences, &alert.labels, now)
            .or_else(|| hold::maintenance(&case.windows, now))
            .or_else(|| {
                let Subject::Check(check, rule) = subject else {
                    return None;
                };
                let stronger = rule.said_by()?;
                let other = self.cases.get(&Subject::Check(*check, stronger))?;
                other.alert.as_ref().map(hold::stronger)
            })
    }

    fn forget(&mut self, now: Timestamp) {
        self.over.retain(|_, alert| {
            alert
                .resolved_at
                .is_some_and(|at| now.duration_since(at) < LISTED)
        });
        while self.over.len() > LISTED_AT_MOST {
            let oldest = self.over.iter().min_by_key(|(_, alert)| alert.resolved_at);
            let Some(fingerprint) = oldest.map(|(fingerprint, _)| fingerprint.clone()) else {
                return;
            };
            self.over.remove(&fingerprint);
        }
    }
}

fn said_otherwise(case: &Case, judged: &Judged) -> bool {
    let alert = case.alert.as_ref();
    alert.is_some_and(|alert| alert.summary != words::summary(judged))
}
