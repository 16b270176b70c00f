//! One attempt from its connection to its logout: which stage comes next, and what ends it.
//!
//! The session sequences and keeps time; what is said in a stage stands in that stage's own exchange.

mod config;
mod course;
mod dialogue;
mod ending;
mod loss;
mod overdue;
mod wait;

use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use parallax_model::evidence::{ConnectEvidence, Evidence};
use parallax_model::experiment::ExperimentKind;
use parallax_model::fault::{FaultKind, TlsFault};
use parallax_model::observation::{Attempt, AttemptOutcome};
use parallax_model::stage::{Outcome, StageName};
use parallax_model::target::Endpoint;

use crate::action::{Action, Connection, NameShown};
use crate::event::{Event, HandshakeFacts};
use crate::exchange::{Exchange, Lost, out_of_time};
use crate::handshake::{judge, wall};
use crate::imap::writer::forms_of;
use crate::partner::Told;
use crate::timeline::Timeline;
use crate::transcript::Transcript;
use crate::wire::Wire;

pub use config::{SessionConfig, SyncPart};
use dialogue::words_of;
use wait::{Awaited, Wait};

/// One attempt. Ask [`next`](Self::next) what to do, do it, and tell [`handle`](Self::handle) what came of it, until
/// it says [`Action::Finish`].
///
/// Every action except `Tell`, `Report`, `Close` and `Finish` is answered by one event; `Event::Tcp` and `Event::Told`
/// may come at any time beside it. Whatever comes instead, or does not come, the session ends: past its deadline `next` waits for
/// nothing any more.
pub struct Session {
    config: SessionConfig,
    wire: Wire,
    timeline: Timeline,
    ahead: VecDeque<StageName>,
    exchange: Option<Box<dyn Exchange>>,
    ready: VecDeque<Action>,
    state: State,
    connected: bool,
    connection: Connection,
    now: Duration,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// The next stage is to begin.
    Between,
    /// An action was given out, and its answer is due.
    Waiting(Wait),
    /// Everything is done.
    Over,
}

impl Session {
    /// A session that has done nothing yet.
    pub fn new(config: SessionConfig) -> Self {
        let peer = SocketAddr::new(config.address, config.endpoint.port);
        let mut wire = Wire::new(peer, config.seed);
        wire.deadline = config.deadline;
        if matches!(config.sync, Some(SyncPart::Watcher { .. })) {
            wire.partner.owes_an_end();
        }
        for known in config.login.iter().chain(&config.masked) {
            // A server may know it, and say it before it is told, or to whom it was never told.
            wire.conceal(&forms_of(known));
        }
        Self {
            wire,
            timeline: Timeline::default(),
            ahead: config.plan.stages().iter().copied().collect(),
            exchange: None,
            ready: VecDeque::new(),
            state: State::Between,
            connected: false,
            connection: match config.login {
                Some(_) if config.hello.name.is_the_hosts() => Connection::Strict,
                Some(_) | None => Connection::Evidence,
            },
            now: config.started,
            config,
        }
    }

    /// What to do next.
    pub fn next(&mut self, now: Duration) -> Action {
        self.tick(now);
        loop {
            if let Some(action) = self.ready.pop_front() {
                return action;
            }
            match self.state {
                State::Between => self.advance(),
                State::Waiting(wait) if self.now >= wait.until => self.late(wait),
                State::Waiting(wait) => {
                    return wait.action(&self.config, self.connection);
                }
                State::Over => return Action::Finish(self.attempt()),
            }
        }
    }

    /// What happened. An event that answers nothing changes nothing.
    pub fn handle(&mut self, event: Event, now: Duration) {
        self.tick(now);
        let event = match event {
            Event::Tcp(tcp) => {
                self.wire.acknowledged = Some(tcp.bytes_acked);
                return self.timeline.connection(tcp);
            }
            Event::Told {
                signal,
                at,
                uncertainty,
            } => {
                return self.told(&Told {
                    signal: &signal,
                    at,
                    uncertainty,
                });
            }
            event => event,
        };
        let State::Waiting(wait) = self.state else {
            return;
        };
        match (event, wait.what) {
            (Event::Connected(evidence), Awaited::Connection) => self.connected(evidence),
            (Event::ConnectFailed { fault, evidence }, Awaited::Connection) => {
                self.not_connected(fault, evidence, wait);
            }
            (Event::Handshake(facts), Awaited::Handshake) => self.secured(*facts, wait),
            (Event::Sent, Awaited::Sent) => {
                self.wire.written();
                self.listen(wait);
            }
            (Event::Received(bytes), Awaited::Bytes | Awaited::Rest | Awaited::Sent) => {
                self.received(&bytes, wait);
            }
            (Event::LoginGranted, Awaited::Login) => self.granted(),
            (Event::LoginWithheld(reason), Awaited::Login) => self.end_stage(Outcome::Skipped(reason)),
            (Event::LoginKnown(fault), Awaited::Login) => self.end_stage(Outcome::Failed(fault)),
            (Event::Closed, _) => self.lost(Lost::Closed, wait),
            (Event::Failed(fault), _) => self.lost(Lost::Broken(fault), wait),
            (Event::TimedOut, _) => self.late(wait),
            (
                Event::Tcp(_)
                | Event::Told { .. }
                | Event::Connected(_)
                | Event::ConnectFailed { .. }
                | Event::Handshake(_)
                | Event::Sent
                | Event::Received(_)
                | Event::LoginGranted
                | Event::LoginWithheld(_)
                | Event::LoginKnown(_),
                _,
            ) => {}
        }
    }

    /// The port, and how it is spoken to.
    pub const fn endpoint(&self) -> Endpoint {
        self.config.endpoint
    }

    /// What is varied, in a follow-up.
    pub const fn experiment(&self) -> Option<ExperimentKind> {
        self.config.experiment
    }

    fn received(&mut self, bytes: &[u8], wait: Wait) {
        let raw = match &mut self.exchange {
            Some(exchange) => exchange.raw(bytes, &mut self.wire),
            None => None,
        };
        if let Some(turn) = raw {
            self.state = State::Waiting(wait.for_another(Awaited::Bytes));
            return self.follow(turn);
        }
        self.wire.received(bytes);
        // The server need not wait for the end of what is sent to it.
        if wait.what != Awaited::Sent {
            self.listen(wait);
        }
    }

    /// The dialogue so far, secrets masked.
    pub fn transcript(&self) -> &Transcript {
        self.wire.transcript()
    }

    fn tick(&mut self, now: Duration) {
        self.now = self.now.max(now);
        self.wire.tick(self.now);
    }

    fn connected(&mut self, evidence: ConnectEvidence) {
        self.connected = true;
        self.end_stage_with(Outcome::Ok, Some(Evidence::Connect(evidence)));
    }

    fn secured(&mut self, mut facts: HandshakeFacts, wait: Wait) {
        if let Some(failure) = &mut facts.failure
            && failure.kind == FaultKind::Tls(TlsFault::TimedOut)
            && let Lost::OutOfTime(waited) = wait.in_vain(self.now, &self.config.budgets)
        {
            *failure = out_of_time(&format!("handshake with {}", self.wire.peer), waited);
        }
        let port = self.config.endpoint.port;
        let tlsa: Option<Vec<_>> = self.config.tlsa.as_ref().map(|records| {
            let of_this_port = records.iter().filter(|record| record.port == port);
            of_this_port.cloned().collect()
        });
        let at = wall(self.config.wall, self.now);
        let judgement = judge(facts, &self.config.reference, at, tlsa.as_deref());
        let judgement = match &self.config.hello.name {
            NameShown::Host => judgement,
            NameShown::Nothing => judgement.of_another(None),
            NameShown::Other(name) => judgement.of_another(Some(name)),
        };
        let turn = match &mut self.exchange {
            Some(exchange) => exchange.secured(judgement, &mut self.wire),
            None => return,
        };
        self.follow(turn);
    }

    fn granted(&mut self) {
        self.timeline.begin_again(self.now);
        let turn = match &mut self.exchange {
            Some(exchange) => exchange.granted(&mut self.wire),
            None => return,
        };
        self.follow(turn);
    }

    /// What the other session says is remembered at once, and interrupts nothing but a rest.
    fn told(&mut self, told: &Told<'_>) {
        let signal = told.signal;
        self.wire
            .note(&format!("the other session: {}", words_of(signal)));
        self.wire.partner.hear(told);
        let State::Waiting(wait) = self.state else {
            return;
        };
        if wait.what == Awaited::Rest
            && let Some(exchange) = &mut self.exchange
            && let Some(turn) = exchange.told(&mut self.wire)
        {
            self.follow(turn);
        }
    }

    /// Says the last word to the other session, where one is owed.
    fn say_farewell(&mut self, reason: &str) {
        if let Some(signal) = self.wire.partner.farewell(reason) {
            self.ready.push_back(Action::Tell(signal));
        }
    }

    fn wait(&mut self, what: Awaited, budget: Duration) -> Wait {
        let wait = Wait::new(what, self.now, budget, self.config.deadline);
        self.state = State::Waiting(wait);
        wait
    }

    fn attempt(&self) -> Attempt {
        let mut attempt = Attempt {
            address: self.config.address,
            endpoint: self.config.endpoint,
            purpose: self.config.purpose,
            experiment: self.config.experiment,
            stages: self.timeline.ended().to_vec(),
            transcript: Vec::new(),
            by: None,
        };
        if attempt.outcome() != AttemptOutcome::Ok {
            attempt.transcript = self.wire.transcript().lines();
        }
        attempt
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("peer", &self.wire.peer)
            .field("running", &self.timeline.running())
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}
