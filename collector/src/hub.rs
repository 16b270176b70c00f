//! One task owns the live state: who is connected, and what is being asked.
//!
//! Everything that happens comes in as an [`Event`] through one bounded queue and is judged by the state machines of
//! `agents` and `runs`; what they want done is carried out here. The hub never waits for anybody: a reader that is
//! too slow for its own queue pays for it alone.

mod alerting;
pub(crate) mod closing;
mod effects;
mod event;
mod handle;
mod live;
mod recorder;
mod routine;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use parallax_model::vantage::AgentName;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use tonic::Code;
use tracing::{info, warn};
use uuid::Uuid;

pub(crate) use event::{AgentConnected, AgentView, Event, Outbound, RunAsked, Started, ToAgent};
pub(crate) use handle::{HubHandle, Stopping};
pub(crate) use live::{LiveReceiver, LiveSender, live_queue};
pub(crate) use recorder::{Record, Recorder};
pub(crate) use routine::Routine;

use crate::agents::{Agent, Agents, LinkId};
use crate::alerts::AlertEvent;
use crate::clock;
use crate::metrics::Metrics;
use crate::runs::{Cast, Participant, Report, Runs, Watcher, longest};
use crate::telemetry::RunTrace;
use event::Caller;

/// Events that may wait for the hub.
const MAILBOX: usize = 4096;

/// Runs at the same time.
const RUNS_AT_MOST: usize = 256;

/// How often links are looked at for signs of life.
const SWEEP: Duration = Duration::from_secs(5);

/// How often it is kept who was heard of: after the end of a power cut nobody is asked.
const HEARD: Duration = Duration::from_secs(60);

/// How agents that come back after a stop are spread: so long for each, within these bounds.
const RETURN_EACH: Duration = Duration::from_millis(2);
const RETURN_SOONEST: Duration = Duration::from_millis(500);
const RETURN_LATEST: Duration = Duration::from_secs(120);

/// Starts the hub with the agents that are remembered.
pub(crate) fn start(
    agents: Agents,
    recorder: Recorder,
    metrics: Arc<Metrics>,
    routine: Routine,
) -> HubHandle {
    let (sender, mailbox) = mpsc::channel(MAILBOX);
    for (name, _) in agents.iter() {
        metrics.agent_connected(name, false);
    }
    let hub = Hub {
        agents,
        runs: Runs::default(),
        links: BTreeMap::new(),
        callers: BTreeMap::new(),
        round_traces: BTreeMap::new(),
        orders: BTreeMap::new(),
        recorder,
        metrics,
        routine,
    };
    tokio::spawn(hub.work(mailbox));
    HubHandle::new(sender)
}

struct Hub {
    agents: Agents,
    runs: Runs,
    links: BTreeMap<LinkId, Outbound>,
    callers: BTreeMap<Uuid, Caller>,
    /// Of the runs that rounds are diagnosed by and that may ask for more.
    round_traces: BTreeMap<Uuid, RunTrace>,
    orders: BTreeMap<Uuid, Uuid>,
    recorder: Recorder,
    metrics: Arc<Metrics>,
    routine: Routine,
}

impl Hub {
    async fn work(mut self, mut mailbox: mpsc::Receiver<Event>) {
        let mut sweep = tokio::time::interval(SWEEP);
        sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut heard = tokio::time::interval(HEARD);
        heard.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.resume_routine(clock::now());
        loop {
            let now = clock::now();
            let others = self
                .rounds_deadline(now)
                .into_iter()
                .chain(self.alerts_deadline(now));
            let deadline = self.runs.next_deadline().into_iter().chain(others).min();
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
                    self.tick_rounds(now);
                    self.tick_alerts();
                }
                _ = sweep.tick() => self.cut_silent(clock::now()),
                _ = heard.tick() => self.remember_who_was_heard(clock::now()),
            }
        }
    }

    fn handle(&mut self, event: Event, now: Instant) {
        match event {
            Event::AgentConnected(connected) => self.connected(*connected, now),
            Event::AgentPulse { link, pulse } => {
                if let Some(name) = self.agents.heard(link, now) {
                    self.agents.pulse(link, pulse);
                    self.metrics.agent_pulse(&name, pulse);
                    if let Some(schedule) = pulse.schedule {
                        self.compare_checks(&name, schedule.sum, now);
                    }
                }
            }
            Event::AgentReported { link, order, report } => self.reported(link, order, report, now),
            Event::AgentDisconnected { link, why } => self.disconnected(link, &why, now),
            Event::AgentRemoved { name } => self.removed(&name, now),
            Event::AgentPinned { name, labels } => {
                self.agents.pinned(name, labels);
                self.agents_may_have_changed(now);
            }
            Event::AgentCertified { name, ends } => self.agents.certified(name, ends),
            Event::AgentTurnedAway { name, peer, why } => {
                self.agents.turned_away(&name, peer, why, Timestamp::now());
            }
            Event::RunAsked(asked) => self.ask(*asked, now),
            Event::SelectionAsked {
                selector,
                limit,
                reply,
            } => {
                let _ = reply.send(self.agents.select(&selector, limit));
            }
            Event::CallerGone { run } => self.caller_gone(run, now),
            Event::AgentsAsked { reply } => {
                let wall = Timestamp::now();
                let views = self.agents.iter().map(|(name, agent)| AgentView {
                    summary: agent.summary(name, wall),
                    capabilities: agent.introduction.capabilities.clone(),
                    local_credentials: agent.introduction.local_credentials.clone(),
                    sealing_proof: agent.introduction.sealing_proof.clone(),
                });
                let _ = reply.send(views.collect());
            }
            Event::ResultsKept(results) => self.results_kept(results, now),
            Event::ChecksChanged { records, done } => {
                self.checks_changed(records, now);
                let _ = done.send(());
            }
            Event::CredentialsChanged(credentials) => self.credentials_changed(credentials, now),
            Event::ChecksApplied { link, applied } => self.checks_applied(link, applied, now),
            Event::AlertsAsked { all, reply } => {
                let _ = reply.send(self.routine.alerts.list(all, Timestamp::now()));
            }
            Event::SilencesChanged(silences) => self.alert(AlertEvent::Silences(silences)),
            Event::ReceiversChanged(names) => self.receivers_changed(names),
            Event::UsualChanged(usual) => self.alert(AlertEvent::Baselines(usual)),
            Event::CheckViews { reply } => {
                let _ = reply.send(self.check_views());
            }
            Event::Stop { .. } => {}
        }
    }

    fn connected(&mut self, connected: AgentConnected, now: Instant) {
        let AgentConnected {
            name,
            link,
            introduction,
            peer,
            outbound,
        } = connected;
        let superseded = self
            .agents
            .connected(name.clone(), link, introduction, peer.clone(), now);
        if let Some(old) = superseded.as_ref().filter(|old| old.continues) {
            info!(agent = %name, %peer, "the agent goes on over a new connection");
            self.close(old.link, ToAgent::Superseded, "renewed");
        } else if let Some(old) = superseded {
            let who = if old.same_process {
                "the same process"
            } else {
                "another process of the same name"
            };
            warn!(agent = %name, %peer, "a newer connection, of {who}, replaces the older one");
            if !old.same_process {
                let why = "another process with the same identity took its place".to_owned();
                self.agents.fought(&name, old.peer, why, Timestamp::now());
            }
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
        self.check_in(&name, now);
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
        self.check_out(&name, now);
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
        self.strike_out(name, now);
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
                    source: agent.source(),
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
        let cast = Cast {
            participants,
            absent: selection.absent,
            watcher: asked
                .inquiry
                .spec
                .options
                .sync_with
                .as_ref()
                .map(|agent| self.watcher(agent)),
        };
        let effects = self.runs.start(asked.inquiry, cast, now);
        self.carry_out(effects, now);
    }

    fn watcher(&self, name: &AgentName) -> Watcher {
        let there = self.agents.get(name).filter(|agent| agent.link.is_some());
        Watcher {
            agent: name.clone(),
            capabilities: there.map(|agent| agent.introduction.capabilities.clone()),
        }
    }

    fn caller_gone(&mut self, run: Uuid, now: Instant) {
        if let Some(caller) = self.callers.remove(&run) {
            info!(%run, "nobody waits for the run any more; its orders are cancelled");
            caller.trace.ended(Code::Cancelled);
            let effects = self.runs.abandon(run);
            self.carry_out(effects, now);
        }
    }

    fn cut_silent(&mut self, now: Instant) {
        for link in self.agents.silent(now) {
            self.close(link, ToAgent::Silent, "silent");
            self.disconnected(link, "no sign of life", now);
        }
    }

    fn remember_who_was_heard(&self, now: Instant) {
        let heard = self.agents.heard_of(now, Timestamp::now());
        if !heard.is_empty() {
            self.recorder.record(Record::Heard(heard));
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
        for (_, trace) in std::mem::take(&mut self.round_traces) {
            trace.ended(Code::Unavailable);
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
