//! One attempt from its connection to its logout: which stage comes next, and what ends it.
//!
//! The session sequences and keeps time; what is said in a stage stands in that stage's own exchange.

use std::collections::VecDeque;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use jiff::Timestamp;
use parallax_model::credential::{Credential, Mechanism};
use parallax_model::evidence::{ConnectEvidence, Evidence};
use parallax_model::experiment::ExperimentKind;
use parallax_model::fault::{Fault, FaultKind, ImapFault, TcpFault, TlsFault};
use parallax_model::observation::{Attempt, AttemptOutcome, Purpose};
use parallax_model::stage::{Outcome, StageName};
use parallax_model::target::{Endpoint, Host};

use crate::action::Action;
use crate::budgets::Budgets;
use crate::event::{Event, HandshakeFacts};
use crate::exchange::{self, Exchange, LoginRequest, Lost, Turn, out_of_time, seconds};
use crate::handshake::{judge, wall};
use crate::imap::{Frame, Outgoing};
use crate::plan::Plan;
use crate::timeline::Timeline;
use crate::transcript::Transcript;
use crate::wire::{Heard, Wire};

/// What one attempt is to do. All times count from the start of the probe.
#[derive(Debug)]
pub struct SessionConfig {
    /// The address to connect to.
    pub address: IpAddr,
    /// Port and security.
    pub endpoint: Endpoint,
    /// Why the attempt is made.
    pub purpose: Purpose,
    /// What is varied, in a follow-up.
    pub experiment: Option<ExperimentKind>,
    /// The stages.
    pub plan: Plan,
    /// The host that certificates must name; SNI, when it is a name.
    pub reference: Host,
    /// The secret, where a login was asked for.
    pub login: Option<Credential>,
    /// The mechanism asked for; without one, the best that the server offers.
    pub mechanism: Option<Mechanism>,
    /// When the session begins; times before it count as it.
    pub started: Duration,
    /// When everything must be over.
    pub deadline: Duration,
    /// The wall clock at the start of the probe, to judge certificates by.
    pub wall: Timestamp,
    /// Random; tells the tags of this connection from those of others.
    pub seed: u64,
    /// How long each wait may be.
    pub budgets: Budgets,
}

/// One attempt. Ask [`next`](Self::next) what to do, do it, and tell [`handle`](Self::handle) what came of it, until
/// it says [`Action::Finish`].
///
/// Every action except `Report`, `Close` and `Finish` is answered by one event; `Event::Tcp` may come at any time
/// beside it. Whatever comes instead, or does not come, the session ends: past its deadline `next` waits for
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

/// An answer that is due.
#[derive(Debug, Clone, Copy)]
struct Wait {
    what: Awaited,
    since: Duration,
    /// The time that the wait may take by itself.
    budget: Duration,
    /// The end of that time, or the session's own.
    until: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Awaited {
    Connection,
    Handshake,
    Sent,
    Bytes,
    Login,
}

impl Session {
    /// A session that has done nothing yet.
    pub fn new(config: SessionConfig) -> Self {
        let peer = SocketAddr::new(config.address, config.endpoint.port);
        Self {
            wire: Wire::new(peer, config.seed),
            timeline: Timeline::default(),
            ahead: config.plan.stages().iter().copied().collect(),
            exchange: None,
            ready: VecDeque::new(),
            state: State::Between,
            connected: false,
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
                State::Waiting(wait) => return self.waiting_for(wait),
                State::Over => return Action::Finish(self.attempt()),
            }
        }
    }

    /// What happened. An event that answers nothing changes nothing.
    pub fn handle(&mut self, event: Event, now: Duration) {
        self.tick(now);
        let event = match event {
            Event::Tcp(tcp) => return self.timeline.connection(tcp),
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
            (Event::Sent, Awaited::Sent) => self.listen(wait),
            (Event::Received(bytes), Awaited::Bytes) => {
                self.wire.received(&bytes);
                self.listen(wait);
            }
            // The server need not wait for the end of what is sent to it.
            (Event::Received(bytes), Awaited::Sent) => self.wire.received(&bytes),
            (Event::LoginGranted, Awaited::Login) => self.granted(),
            (Event::LoginWithheld(reason), Awaited::Login) => self.end_stage(Outcome::Skipped(reason)),
            (Event::Closed, _) => self.lost(Lost::Closed, wait),
            (Event::Failed(fault), _) => self.lost(Lost::Broken(fault), wait),
            (Event::TimedOut, _) => self.late(wait),
            (
                Event::Tcp(_)
                | Event::Connected(_)
                | Event::ConnectFailed { .. }
                | Event::Handshake(_)
                | Event::Sent
                | Event::Received(_)
                | Event::LoginGranted
                | Event::LoginWithheld(_),
                _,
            ) => {}
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

    /// Begins the next stage, or says why it does not begin.
    fn advance(&mut self) {
        let Some(name) = self.ahead.pop_front() else {
            if self.connected {
                self.ready.push_back(Action::Close);
            }
            self.state = State::Over;
            return;
        };
        self.timeline.begin(name, self.now);
        let failed = self.timeline.failed();
        if name == StageName::Logout {
            return self.part(failed);
        }
        if failed {
            return self.end_stage(Outcome::NotReached);
        }
        if self.now >= self.config.deadline {
            let what = format!("{name} with {}", self.wire.peer);
            return self.end_stage(Outcome::Failed(out_of_time(&what, Duration::ZERO)));
        }
        if let Some(reply) = self.wire.bye.clone() {
            return self.end_stage(Outcome::Failed(Lost::Bye(reply).fault(&self.wire)));
        }
        if name == StageName::Connect {
            let wait = self.wait(Awaited::Connection, self.config.budgets.connect);
            return self.ready.push_back(Action::Connect { until: wait.until });
        }
        self.begin(name);
    }

    /// Leaves as a server likes it, wherever it still listens.
    fn part(&mut self, failed: bool) {
        let over = self.now >= self.config.deadline;
        match self.wire.bye.clone() {
            Some(reply) if !failed => {
                self.end_stage(Outcome::Failed(Lost::Bye(reply).fault(&self.wire)));
            }
            _ if over || !self.wire.usable() => self.end_stage(Outcome::NotReached),
            _ => self.begin(StageName::Logout),
        }
    }

    fn begin(&mut self, name: StageName) {
        let mut exchange = exchange::of(name, self.login_request(name));
        let turn = exchange.begin(&mut self.wire);
        self.exchange = Some(exchange);
        self.follow(turn);
    }

    fn login_request(&mut self, name: StageName) -> LoginRequest {
        if name != StageName::Authenticate {
            return LoginRequest::default();
        }
        LoginRequest {
            credential: self.config.login.take(),
            mechanism: self.config.mechanism,
            for_the_mailbox: self.config.plan.has(StageName::Select),
        }
    }

    fn connected(&mut self, evidence: ConnectEvidence) {
        self.connected = true;
        self.end_stage_with(Outcome::Ok, Some(Evidence::Connect(evidence)));
    }

    fn not_connected(&mut self, fault: Fault, evidence: ConnectEvidence, wait: Wait) {
        let fault = match fault.kind {
            FaultKind::Tcp(TcpFault::TimedOut) if self.is_own_haste(wait) => {
                out_of_time(&format!("connect to {}", self.wire.peer), self.waited(wait))
            }
            _ => fault,
        };
        self.end_stage_with(Outcome::Failed(fault), Some(Evidence::Connect(evidence)));
    }

    fn secured(&mut self, mut facts: HandshakeFacts, wait: Wait) {
        if let Some(failure) = &mut facts.failure
            && failure.kind == FaultKind::Tls(TlsFault::TimedOut)
            && self.is_own_haste(wait)
        {
            *failure = out_of_time(&format!("handshake with {}", self.wire.peer), self.waited(wait));
        }
        let judgement = judge(facts, &self.config.reference, wall(self.config.wall, self.now));
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

    /// Reads what has come, and waits on for the rest of the time that the wait had.
    fn listen(&mut self, wait: Wait) {
        self.state = State::Waiting(Wait {
            what: Awaited::Bytes,
            ..wait
        });
        self.follow(Turn::Listen);
    }

    /// Does what the exchange wants, as far as that needs nobody else.
    fn follow(&mut self, mut turn: Turn) {
        loop {
            turn = match turn {
                Turn::Listen => match self.wire.next_frame() {
                    Ok(Some(frame)) => self.hear(&frame),
                    Ok(None) => return self.await_bytes(),
                    Err(limit) => return self.break_off(Lost::TooMuch(limit)),
                },
                Turn::Ask(command) => {
                    let budget = self.config.budgets.of_command(command.name());
                    let part = self.wire.ask(command);
                    self.wait(Awaited::Sent, budget);
                    return self.send(part);
                }
                Turn::Say(part) => return self.send(part),
                Turn::Handshake => {
                    let wait = self.wait(Awaited::Handshake, self.config.budgets.tls);
                    return self.ready.push_back(Action::Handshake {
                        server_name: self.config.reference.to_string(),
                        until: wait.until,
                    });
                }
                Turn::AskLogin => {
                    let wait = self.wait(Awaited::Login, Duration::MAX);
                    return self.ready.push_back(Action::AskLogin { until: wait.until });
                }
                Turn::End(outcome) => return self.end_stage(outcome),
            };
        }
    }

    fn hear(&mut self, frame: &Frame) -> Turn {
        let heard = self.wire.tell_apart(frame);
        if matches!(heard, Heard::Plus)
            && let Some(part) = self.wire.more()
        {
            return Turn::Say(part);
        }
        match &mut self.exchange {
            Some(exchange) => exchange.hear(heard, &mut self.wire),
            None => Turn::Listen,
        }
    }

    /// Sends within the time of the wait that runs.
    fn send(&mut self, part: Outgoing) {
        self.wire.sent(&part);
        let wait = match self.state {
            State::Waiting(wait) => Wait {
                what: Awaited::Sent,
                ..wait
            },
            State::Between | State::Over => self.wait(Awaited::Sent, self.config.budgets.command),
        };
        self.state = State::Waiting(wait);
        self.ready.push_back(Action::Send {
            bytes: part,
            until: wait.until,
        });
    }

    fn await_bytes(&mut self) {
        let awaits_bye = self
            .exchange
            .as_ref()
            .is_some_and(|exchange| exchange.awaits_bye());
        if let Some(reply) = self.wire.bye.clone().filter(|_| !awaits_bye) {
            return self.break_off(Lost::Bye(reply));
        }
        let early = self
            .exchange
            .as_mut()
            .and_then(|exchange| exchange.unfinished(&self.wire));
        if let Some(outcome) = early {
            self.wire.end();
            return self.end_stage(outcome);
        }
        if self.wire.drips() {
            return self.break_off(Lost::Drip);
        }
        let wait = match self.state {
            State::Waiting(wait) => wait,
            State::Between | State::Over => self.wait(Awaited::Bytes, self.config.budgets.greeting),
        };
        if self.now >= wait.until {
            return self.late(wait);
        }
        self.ready.push_back(Action::Receive { until: wait.until });
    }

    fn late(&mut self, wait: Wait) {
        let waited = self.waited(wait);
        let lost = if self.is_own_haste(wait) {
            Lost::OutOfTime(waited)
        } else {
            Lost::Late(waited)
        };
        self.lost(lost, wait);
    }

    /// The connection is of no further use.
    fn lost(&mut self, lost: Lost, wait: Wait) {
        match wait.what {
            Awaited::Connection => self.never_connected(&lost),
            Awaited::Login if matches!(lost, Lost::Late(_) | Lost::OutOfTime(_)) => {
                self.end_stage(Outcome::Skipped("no leave to log in came in time".to_owned()));
            }
            Awaited::Login | Awaited::Handshake | Awaited::Sent | Awaited::Bytes => self.break_off(lost),
        }
    }

    fn never_connected(&mut self, lost: &Lost) {
        let what = format!("connect to {}", self.wire.peer);
        let fault = match lost {
            Lost::Broken(fault) => fault.clone(),
            Lost::OutOfTime(waited) => out_of_time(&what, *waited),
            Lost::Late(waited) => Fault::new(
                FaultKind::Tcp(TcpFault::TimedOut),
                format!("{what}: no answer in {}", seconds(*waited)),
            ),
            Lost::Closed | Lost::TooMuch(_) | Lost::Drip | Lost::Bye(_) => {
                Fault::new(FaultKind::Tcp(TcpFault::ConnectionClosed), what)
            }
        };
        let evidence = ConnectEvidence {
            peer: self.wire.peer,
            local: None,
            errno: None,
            icmp: None,
        };
        self.end_stage_with(Outcome::Failed(fault), Some(Evidence::Connect(evidence)));
    }

    fn break_off(&mut self, lost: Lost) {
        let outcome = match &mut self.exchange {
            Some(exchange) => exchange.lost(lost, &self.wire),
            None => Outcome::Failed(lost.fault(&self.wire)),
        };
        self.wire.note("the dialogue breaks off");
        self.wire.end();
        self.end_stage(outcome);
    }

    fn end_stage(&mut self, outcome: Outcome) {
        let evidence = match &mut self.exchange {
            Some(exchange) => exchange.evidence(&self.wire),
            None => None,
        };
        self.end_stage_with(outcome, evidence);
    }

    fn end_stage_with(&mut self, outcome: Outcome, evidence: Option<Evidence>) {
        self.exchange = None;
        self.state = State::Between;
        let outcome = self.seen_again(outcome);
        if let Some(stage) = self.timeline.end(outcome, evidence, self.now) {
            self.ready.push_back(Action::Report(stage));
        }
    }

    /// What the session knows of a stage beyond its exchange.
    fn seen_again(&mut self, outcome: Outcome) -> Outcome {
        let name = self.timeline.running();
        let peer = self.wire.peer;
        match outcome {
            // Servers close on whoever failed; that is no second fault.
            Outcome::Failed(_) if name == Some(StageName::Logout) && self.timeline.failed() => {
                Outcome::NotReached
            }
            Outcome::Ok => match (self.wire.smuggled.take(), self.slow(name)) {
                (Some(keyword), _) => Outcome::Degraded(Fault::new(
                    FaultKind::Imap(ImapFault::ProtocolError),
                    format!(
                        "{peer} sends mailbox data before a login ({keyword}): somebody on the way may have put it there"
                    ),
                )),
                (None, Some(took)) => Outcome::Degraded(Fault::new(
                    FaultKind::Imap(ImapFault::Slow),
                    format!("{peer} took {}", seconds(took)),
                )),
                (None, None) => Outcome::Ok,
            },
            outcome => outcome,
        }
    }

    fn slow(&self, name: Option<StageName>) -> Option<Duration> {
        let took = self.timeline.elapsed(self.now);
        let judged = matches!(name, Some(StageName::Greeting | StageName::Authenticate));
        (judged && took >= self.config.budgets.patience).then_some(took)
    }

    /// Whether the probe's own time cut a wait so short that nothing can be said of the server.
    fn is_own_haste(&self, wait: Wait) -> bool {
        let cut = wait.until < wait.since.saturating_add(wait.budget);
        cut && self.waited(wait) < wait.budget.min(self.config.budgets.patience)
    }

    fn waited(&self, wait: Wait) -> Duration {
        self.now.saturating_sub(wait.since)
    }

    fn wait(&mut self, what: Awaited, budget: Duration) -> Wait {
        let wait = Wait {
            what,
            since: self.now,
            budget,
            until: self.now.saturating_add(budget).min(self.config.deadline),
        };
        self.state = State::Waiting(wait);
        wait
    }

    /// The action whose answer is still due, for a caller that asks before it has one. Nothing is sent twice.
    fn waiting_for(&self, wait: Wait) -> Action {
        let until = wait.until;
        match wait.what {
            Awaited::Connection => Action::Connect { until },
            Awaited::Handshake => Action::Handshake {
                server_name: self.config.reference.to_string(),
                until,
            },
            Awaited::Sent => Action::Send {
                bytes: Outgoing::default(),
                until,
            },
            Awaited::Bytes => Action::Receive { until },
            Awaited::Login => Action::AskLogin { until },
        }
    }

    fn attempt(&self) -> Attempt {
        let mut attempt = Attempt {
            address: self.config.address,
            endpoint: self.config.endpoint,
            purpose: self.config.purpose,
            experiment: self.config.experiment,
            stages: self.timeline.ended().to_vec(),
            transcript: Vec::new(),
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
