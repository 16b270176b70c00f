//! Checks in the hub: who repeats them, and the rounds that their results make.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use parallax_model::observation::Observation;
use parallax_model::run::RunDocument;
use parallax_model::vantage::AgentName;
use parallax_proto::v1;
use tracing::{debug, info, warn};
use uuid::Uuid;

use super::closing::{Closing, ToClose};
use super::{Hub, Record, ToAgent};
use crate::agents::{Choice, LinkId};
use crate::alerts::{AlertChanges, AlertEvent, Alerts};
use crate::checks::{Checks, CredentialsNow, Known, LoginWord, parts};
use crate::rounds::{ClosedRound, Now, RoundEffect, Rounds, ToDiagnose};
use crate::runs::{Cast, LoginSettled, Participant};
use crate::store::{CheckRecord, Fresh, KeptRun, RoundCommit};
use crate::telemetry::Telemetry;

/// What the hub knows of checks.
pub(crate) struct Routine {
    pub(crate) checks: Checks,
    pub(crate) rounds: Rounds,
    pub(crate) closing: Closing,
    pub(crate) alerts: Alerts,
    /// Results of rounds that were not closed when the collector stopped.
    pub(crate) open: Vec<Fresh>,
    /// Whether rounds are traced, and which.
    pub(crate) telemetry: Telemetry,
}

/// The checks that agents repeat now.
fn at_work<'a>(records: impl Iterator<Item = &'a Arc<CheckRecord>>) -> BTreeSet<Uuid> {
    let at_work = records.filter(|record| !record.paused);
    at_work.map(|record| record.id).collect()
}

pub(super) fn now_at(instant: Instant) -> Now {
    Now {
        instant,
        wall: Timestamp::now(),
    }
}

impl Hub {
    /// Takes up what was going on when the collector stopped.
    pub(super) fn resume_routine(&mut self, now: Instant) {
        let names: Vec<AgentName> = self.agents.iter().map(|(name, _)| name.clone()).collect();
        for name in names {
            self.routine.rounds.agent(&name, false, now_at(now));
            let since = self.agents.get(&name).and_then(|agent| agent.last_seen);
            let since = since.unwrap_or_else(Timestamp::now);
            self.alert(AlertEvent::AgentLost { agent: &name, since });
        }
        self.agents_may_have_changed(now);
        for fresh in std::mem::take(&mut self.routine.open) {
            let effects = self.routine.rounds.result(fresh, now_at(now));
            self.carry_out_rounds(effects, now);
        }
    }

    /// An agent is there: it is told what it should repeat and does not.
    pub(super) fn check_in(&mut self, name: &AgentName, now: Instant) {
        self.routine.rounds.agent(name, true, now_at(now));
        self.alert(AlertEvent::AgentBack(name));
        let Some(agent) = self.agents.get(name) else {
            return;
        };
        let said = agent.introduction.checks.clone();
        let can = agent.introduction.spool.is_some();
        self.agents_may_have_changed_but_for(name, now);
        if can {
            self.routine.checks.says(name, &said, Timestamp::now());
            if let Some(update) = self.routine.checks.update_for(name, Known::Said(&said)) {
                self.send_checks(name, update);
            }
            self.expect(now);
        }
    }

    /// The link of an agent is gone.
    pub(super) fn check_out(&mut self, name: &AgentName, now: Instant) {
        self.routine.rounds.agent(name, false, now_at(now));
        let since = Timestamp::now();
        self.alert(AlertEvent::AgentLost { agent: name, since });
        self.agents_may_have_changed(now);
        self.tick_rounds(now);
    }

    /// An agent does not take part any more.
    pub(super) fn strike_out(&mut self, name: &AgentName, now: Instant) {
        self.alert(AlertEvent::AgentRemoved(name));
        let effects = self.routine.rounds.removed(name, now_at(now));
        self.carry_out_rounds(effects, now);
        self.agents_may_have_changed(now);
    }

    /// Who is there, or under which labels, may be another.
    pub(super) fn agents_may_have_changed(&mut self, now: Instant) {
        if self.routine.checks.agents_changed(&self.agents) {
            self.reassign(None, now);
        }
    }

    fn agents_may_have_changed_but_for(&mut self, name: &AgentName, now: Instant) {
        if self.routine.checks.agents_changed(&self.agents) {
            self.reassign(Some(name), now);
        }
    }

    /// Checks were changed.
    pub(super) fn checks_changed(&mut self, records: Vec<Arc<CheckRecord>>, now: Instant) {
        let before = at_work(self.routine.checks.records());
        self.routine.checks.changed(records);
        let after = at_work(self.routine.checks.records());
        self.reassign(None, now);
        // What is closed from now on is of a check that is there no more.
        for gone in before.difference(&after) {
            self.alert(AlertEvent::CheckGone(*gone));
        }
    }

    /// Credentials were changed, or what is known of them.
    pub(super) fn credentials_changed(&mut self, credentials: CredentialsNow, now: Instant) {
        self.routine.checks.credentials_changed(credentials);
        self.reassign(None, now);
    }

    /// A server took a secret, or turned it down, when it was tried by hand: the checks heed that too.
    pub(super) fn login_settled(&mut self, settled: &LoginSettled, now: Instant) {
        self.routine.checks.login_settled(settled);
        self.reassign(None, now);
    }

    /// An agent took an update.
    pub(super) fn checks_applied(&mut self, link: LinkId, applied: v1::ChecksApplied, now: Instant) {
        let Some(name) = self.agents.heard(link, now) else {
            return;
        };
        debug!(agent = %name, checks = applied.checks, "the agent has its checks");
        for problem in &applied.problems {
            warn!(agent = %name, "a check can't run there: {problem}");
        }
        self.routine.checks.applied(&name, applied, Timestamp::now());
        self.expect(now);
    }

    /// An agent says what it repeats.
    pub(super) fn compare_checks(&mut self, name: &AgentName, sum: u64, now: Instant) {
        if self.routine.checks.confirmed(name, sum, Timestamp::now()) {
            self.expect(now);
        }
        if let Some(update) = self.routine.checks.beat(name, sum) {
            info!(agent = %name, "the agent has other checks than it should: it is told all of them");
            self.send_checks(name, update);
        }
    }

    /// Results were stored.
    pub(super) fn results_kept(&mut self, results: Vec<Fresh>, now: Instant) {
        for fresh in results {
            self.heard_of_login(&fresh, now);
            let effects = self.routine.rounds.result(fresh, now_at(now));
            self.carry_out_rounds(effects, now);
        }
    }

    /// A run that may be the diagnosis of a round is over; given back if it is not.
    pub(super) fn round_concluded(
        &mut self,
        document: Box<RunDocument>,
        now: Instant,
    ) -> Result<(), Box<RunDocument>> {
        if !self.routine.rounds.waits_for(document.run_id) {
            return Err(document);
        }
        if let Some(trace) = self.round_traces.remove(&document.run_id) {
            trace.concluded(&document);
        }
        let effects = self.routine.rounds.concluded(document, now_at(now));
        self.carry_out_rounds(effects, now);
        Ok(())
    }

    /// Time has passed.
    pub(super) fn tick_rounds(&mut self, now: Instant) {
        let effects = self.routine.rounds.tick(now_at(now));
        self.carry_out_rounds(effects, now);
    }

    fn reassign(&mut self, but_for: Option<&AgentName>, now: Instant) {
        let names: Vec<AgentName> = self.agents.iter().map(|(name, _)| name.clone()).collect();
        for name in &names {
            if let Some(labels) = self.routine.checks.labels(name).cloned() {
                self.routine.rounds.known(name, labels);
            }
            let repeats = self
                .agents
                .get(name)
                .is_some_and(|agent| agent.link.is_some() && agent.introduction.spool.is_some());
            if repeats
                && but_for != Some(name)
                && let Some(update) = self.routine.checks.update_for(name, Known::Sent)
            {
                self.send_checks(name, update);
            }
        }
        self.expect(now);
    }

    /// Whom rounds wait for may be another.
    fn expect(&mut self, now: Instant) {
        let expected = self.routine.checks.expected();
        let effects = self
            .routine
            .rounds
            .checks(self.routine.checks.records(), expected, now_at(now));
        self.carry_out_rounds(effects, now);
    }

    /// An update that finds no room is sent again when the sums of a heartbeat show that it is missing.
    fn send_checks(&self, agent: &AgentName, update: v1::ChecksUpdate) {
        let link = self.agents.link_of(agent).and_then(|link| self.links.get(&link));
        let sent = link.is_some_and(|outbound| {
            let mut parts = parts(update).into_iter();
            parts.all(|part| outbound.sender.try_send(ToAgent::Checks(Box::new(part))).is_ok())
        });
        if !sent {
            debug!(%agent, "there is no room for its checks");
        }
    }

    fn carry_out_rounds(&mut self, effects: Vec<RoundEffect>, now: Instant) {
        let mut is_doubted = false;
        for effect in effects {
            match effect {
                RoundEffect::Diagnose(question) => self.diagnose(*question, now),
                RoundEffect::Close(closed) => {
                    is_doubted |= self.doubts_of(&closed);
                    self.close_round(*closed);
                }
                RoundEffect::SetBack(to) => {
                    warn!(%to, "this host's clock was set back: rounds that began later come again");
                    self.routine.closing.set_back(to);
                    self.routine.checks.set_back(to);
                    self.expect(now);
                }
            }
        }
        if is_doubted {
            self.reassign(None, now);
        }
    }

    /// Whether a round lets its secret be doubted; what is long over says nothing of now.
    fn doubts_of(&mut self, closed: &ClosedRound) -> bool {
        let (check, at) = (closed.outcome.check.id, Timestamp::now());
        !closed.outcome.late && self.routine.checks.round_closed(check, &closed.observations, at)
    }

    fn diagnose(&mut self, question: ToDiagnose, now: Instant) {
        let (inquiry, seen) = question.ask();
        if inquiry.follow_up {
            let trace = self.routine.telemetry.asks_more(inquiry.run_id);
            self.round_traces.insert(inquiry.run_id, trace);
        }
        let cast = self.cast_of(&seen);
        let effects = self.runs.adopt(inquiry, &cast, seen, now);
        self.carry_out(effects, now);
    }

    /// Those that are there can be asked for more.
    fn cast_of(&self, seen: &[Observation]) -> Cast {
        let mut cast = Cast::default();
        for observation in seen {
            let agent = self.agents.get(&observation.agent);
            let choice = Choice {
                agent: observation.agent.clone(),
                labels: observation.labels.clone(),
                connected: agent.is_some_and(|agent| agent.link.is_some()),
                why: "repeats the check".to_owned(),
            };
            match agent.filter(|agent| agent.link.is_some()) {
                Some(agent) => cast.participants.push(Participant {
                    choice,
                    capabilities: agent.introduction.capabilities.clone(),
                    rtt: agent.rtt(),
                    source: agent.source(),
                }),
                None => cast.absent.push(choice),
            }
        }
        cast
    }

    fn close_round(&mut self, closed: ClosedRound) {
        let ClosedRound {
            mut outcome,
            observations,
            run,
            is_first,
        } = closed;
        outcome.traced = self.routine.telemetry.traces(&outcome);
        let check = &outcome.check.definition.name;
        if outcome.new_trouble {
            info!(run = %outcome.run_id, %check, verdict = %outcome.verdict, "{}", outcome.summary);
        } else {
            debug!(run = %outcome.run_id, %check, verdict = %outcome.verdict, late = outcome.late, "{}", outcome.summary);
        }
        let run = run.map(|mut document| {
            document.trace_id = outcome.trace_id();
            KeptRun {
                document: *document,
                is_first,
            }
        });
        // A check that is paused or removed by now has no alerts any more.
        let alerts = if at_work(self.routine.checks.records()).contains(&outcome.check.id) {
            self.routine
                .alerts
                .handle(AlertEvent::Round(&outcome), Timestamp::now())
        } else {
            AlertChanges::default()
        };
        let commit = RoundCommit {
            outcome: Arc::new(outcome),
            run,
            alerts,
        };
        if let Err(what) = self.routine.closing.keep(ToClose { commit, observations }) {
            self.metrics.record_dropped(what);
        }
    }

    fn heard_of_login(&mut self, fresh: &Fresh, now: Instant) {
        let word = self
            .routine
            .checks
            .heard(&fresh.agent, &fresh.result, fresh.received_at);
        match word {
            None => return,
            Some(LoginWord::Accepted {
                check,
                generation,
                settled,
            }) => {
                self.routine.closing.login_cleared(check, generation);
                self.recorder.record(Record::Login(Box::new(settled)));
            }
            Some(LoginWord::Rejected(settled)) => {
                let (agent, credential) = (&settled.agent, &settled.account.credential);
                let how = settled.rejected.as_deref().unwrap_or_default();
                warn!(%agent, credential, "a check's secret was turned down ({how}): nobody tries it");
                self.recorder.record(Record::Login(Box::new(settled)));
            }
        }
        self.reassign(None, now);
    }

    /// When time matters next to a round.
    pub(super) fn rounds_deadline(&self, now: Instant) -> Option<Instant> {
        self.routine.rounds.next_deadline(now_at(now))
    }

    /// How checks stand at the agents.
    pub(super) fn check_views(&self) -> Vec<crate::checks::CheckView> {
        self.routine.checks.views()
    }
}
