//! Two sessions at one mail server, one that writes and one that watches, with their words to each other, in virtual
//! time.

use std::collections::VecDeque;
use std::time::Duration;

use parallax_engine::action::{Action, Dial, Hello};
use parallax_engine::budgets::Budgets;
use parallax_engine::event::Event;
use parallax_engine::plan::Plan;
use parallax_engine::session::{Session, SessionConfig, SyncPart};
use parallax_model::credential::{Credential, Secret};
use parallax_model::experiment::ExperimentKind;
use parallax_model::observation::{Attempt, Purpose};
use parallax_model::signal::{Signal, SignalKind};
use parallax_model::spec::{Depth, FamilyChoice, ProbeOptions, ProbeSpec};
use parallax_model::stage::{Stage, StageName};
use parallax_model::target::{Host, Target};

use super::mail_server::{MailServer, Reply};
use super::watchman::{May, Watchman};
use super::world::{ADDRESS, Eavesdropper, HOST, WALL, connection, handshake};

/// One way between a session and the server, or between the two sessions.
const WAY: Duration = Duration::from_millis(1);

/// What becomes of the watcher.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Watcher {
    Comes,
    /// Nobody starts it.
    StaysAway,
    /// It may not log in.
    MayNotLogIn,
}

/// What goes wrong on the way, one for each answer of the server.
#[derive(Debug, Clone)]
pub(crate) enum Twist {
    Nothing,
    /// The server says this before its answer; `$` is the tag of the last command.
    Before(&'static str),
    Behind(&'static str),
    Instead(&'static str),
    /// The answer never comes.
    Never,
    Close,
    /// A word comes that the other session never said.
    Word(Signal),
    /// Somebody else stores a message in every mailbox.
    Stranger,
}

pub(crate) struct Duet {
    pub(crate) server: MailServer,
    pub(crate) watcher: Watcher,
    pub(crate) deadline: Duration,
    /// How far the clocks may be apart.
    pub(crate) uncertainty: Duration,
    pub(crate) twists: VecDeque<Twist>,
    watchmen: [Watchman; 2],
    now: Duration,
    sides: [Option<Side>; 2],
}

/// What came of it.
pub(crate) struct Ended {
    pub(crate) server: MailServer,
    pub(crate) writer: Attempt,
    pub(crate) watcher: Option<Attempt>,
    pub(crate) transcripts: String,
    pub(crate) took: Duration,
}

struct Side {
    session: Session,
    tag: String,
    /// Whether it was told that a mailbox is empty, and may remove it.
    counts: bool,
    waits: Option<Duration>,
    inbox: Vec<(Duration, Event)>,
    attempt: Option<Attempt>,
}

impl Duet {
    pub(crate) fn new(server: MailServer) -> Self {
        let wall = WALL.parse::<jiff::Timestamp>().unwrap().as_second();
        Self {
            server,
            watcher: Watcher::Comes,
            deadline: Duration::from_secs(120),
            uncertainty: Duration::ZERO,
            twists: VecDeque::new(),
            watchmen: [May::Write, May::Watch].map(|may| Watchman::new(may, wall)),
            now: Duration::ZERO,
            sides: [None, None],
        }
    }

    pub(crate) fn play(mut self) -> Ended {
        let writer = self.session(SyncPart::Writer { watcher: None });
        self.sides[0] = Some(writer);
        for _ in 0..100_000 {
            let busy = self.act(0) | self.act(1);
            if !busy && !self.let_time_pass() {
                return self.ended();
            }
        }
        panic!("it never ends");
    }

    fn ended(self) -> Ended {
        let [writer, watcher] = self.sides;
        let writer = writer.unwrap();
        let mut transcripts = format!("{}", writer.session.transcript());
        if let Some(watcher) = &watcher {
            transcripts.push_str(&format!("\nwatcher\n{}", watcher.session.transcript()));
        }
        Ended {
            server: self.server,
            writer: writer.attempt.unwrap(),
            watcher: watcher.and_then(|watcher| watcher.attempt),
            transcripts,
            took: self.now,
        }
    }

    fn session(&self, part: SyncPart) -> Side {
        let target = Target::parse(HOST, None).unwrap();
        let endpoint = target.endpoints[0];
        let spec = ProbeSpec {
            target,
            depth: Depth::Sync,
            family: FamilyChoice::Any,
            addresses: Vec::new(),
            timeout: self.deadline,
            login: None,
            anchors: Vec::new(),
            options: ProbeOptions::default(),
        };
        let watches = matches!(part, SyncPart::Watcher { .. });
        let plan = if watches {
            Plan::follow_up(ExperimentKind::Watch, &spec, endpoint)
        } else {
            Plan::requested(&spec, endpoint)
        };
        let session = Session::new(SessionConfig {
            address: ADDRESS,
            endpoint,
            purpose: Purpose::Requested,
            experiment: watches.then_some(ExperimentKind::Watch),
            plan,
            reference: Host::Name(HOST.to_owned()),
            login: Some(Credential {
                user: "probe".to_owned(),
                secret: Secret::new("hunter2".to_owned()),
            }),
            masked: None,
            mechanism: None,
            started: self.now,
            deadline: self.deadline,
            wall: WALL.parse().unwrap(),
            seed: u64::from(watches),
            nonce: [7; 18],
            tlsa: None,
            sync: Some(part),
            hold: None,
            hello: Hello::default(),
            dial: Dial::default(),
            budgets: Budgets::default(),
        });
        Side {
            session,
            tag: String::new(),
            counts: false,
            waits: None,
            inbox: Vec::new(),
            attempt: None,
        }
    }

    /// Does what a session wants until it waits; whether it wanted anything.
    fn act(&mut self, at: usize) -> bool {
        let mut busy = false;
        loop {
            let now = self.now;
            let Some(side) = &mut self.sides[at] else {
                return busy;
            };
            if side.attempt.is_some() || side.waits.is_some() {
                return busy;
            }
            busy = true;
            let event = match side.session.next(now) {
                Action::Connect { .. } => {
                    let hello = Event::Received(self.server.greeting());
                    side.inbox.push((now + WAY, hello));
                    Event::Connected(connection(993))
                }
                Action::Handshake { .. } => Event::Handshake(Box::new(handshake("verified").unwrap())),
                Action::AskLogin { .. } if at == 1 && self.watcher == Watcher::MayNotLogIn => {
                    Event::LoginWithheld("the password was refused before".to_owned())
                }
                Action::AskLogin { .. } => Event::LoginGranted,
                Action::Send { bytes, until } => {
                    assert!(until <= self.deadline);
                    let wire = bytes.wire(&Eavesdropper);
                    self.watchmen[at].sent(wire);
                    if let Some((tag, command)) = String::from_utf8_lossy(wire).split_once(' ') {
                        tag.clone_into(&mut side.tag);
                        side.counts = command.starts_with("STATUS");
                    }
                    let replies = self.server.receive(at, wire);
                    side.session.handle(Event::Sent, now);
                    self.deliver(replies);
                    continue;
                }
                Action::Receive { until } => {
                    assert!(until <= self.deadline);
                    side.waits = Some(until);
                    return busy;
                }
                Action::Tell(signal) => {
                    self.tell(at, signal);
                    continue;
                }
                Action::Report(_) | Action::Close => continue,
                Action::Finish(attempt) => {
                    side.attempt = Some(attempt);
                    continue;
                }
            };
            side.session.handle(event, now);
        }
    }

    fn deliver(&mut self, replies: Vec<(usize, Duration, Reply)>) {
        for (to, after, reply) in replies {
            let twist = self.twists.pop_front().unwrap_or(Twist::Nothing);
            let at = self.now + WAY + after;
            let mut events = vec![match reply {
                Reply::Bytes(bytes) => Event::Received(bytes),
                Reply::Close => Event::Closed,
            }];
            let say = |text: &str, tag: &str| {
                let text = text.replace("$ ", &format!("{tag} "));
                Event::Received(text.into_bytes())
            };
            let Some(side) = &mut self.sides[to] else {
                continue;
            };
            match twist {
                Twist::Nothing => {}
                Twist::Before(text) => events.insert(0, say(text, &side.tag)),
                Twist::Behind(text) => events.push(say(text, &side.tag)),
                Twist::Instead(text) => events = vec![say(text, &side.tag)],
                Twist::Never => events.clear(),
                Twist::Close => events = vec![Event::Closed],
                Twist::Word(signal) => events.push(Event::Told {
                    signal,
                    at,
                    uncertainty: self.uncertainty,
                }),
                // Between its answer to STATUS and DELETE nothing can be done for whoever comes.
                Twist::Stranger if side.counts => {}
                Twist::Stranger => self.server.stranger(),
            }
            side.inbox.extend(events.into_iter().map(|event| (at, event)));
        }
    }

    fn tell(&mut self, from: usize, signal: Signal) {
        if signal.kind == SignalKind::Mailbox && self.watcher != Watcher::StaysAway {
            let mailbox = signal.subject.clone();
            self.sides[1] = Some(self.session(SyncPart::Watcher { mailbox }));
        }
        let told = Event::Told {
            signal,
            at: self.now,
            uncertainty: self.uncertainty,
        };
        if let Some(side) = &mut self.sides[1 - from] {
            side.inbox.push((self.now + WAY, told));
        }
    }

    /// Goes to the next thing that happens to a session that waits; whether there is one.
    fn let_time_pass(&mut self) -> bool {
        let mut next: Option<(Duration, usize)> = None;
        for (at, side) in self.sides.iter().enumerate() {
            let Some(side) = side else { continue };
            let (Some(until), None) = (side.waits, &side.attempt) else {
                continue;
            };
            let first = side.inbox.iter().map(|(when, _)| *when).min();
            let when = first.map_or(until, |first| first.min(until)).max(self.now);
            if next.is_none_or(|(earliest, _)| when < earliest) {
                next = Some((when, at));
            }
        }
        let Some((when, at)) = next else { return false };
        self.now = when;
        let side = self.sides[at].as_mut().unwrap();
        side.waits = None;
        let due = side.inbox.iter().enumerate().filter(|(_, (due, _))| *due <= when);
        let first = due
            .min_by_key(|(order, (due, _))| (*due, *order))
            .map(|(order, _)| order);
        let event = first.map_or(Event::TimedOut, |order| side.inbox.remove(order).1);
        if let Event::Received(bytes) = &event {
            self.watchmen[at].received(bytes);
        }
        side.session.handle(event, when);
        true
    }
}

impl Ended {
    pub(crate) fn stage(&self, name: StageName) -> &Stage {
        stage(&self.writer, name)
    }

    /// A fact of a stage's evidence by its path.
    pub(crate) fn fact(&self, name: StageName, key: &str) -> serde_json::Value {
        let evidence = self.stage(name).evidence.as_ref();
        let map = evidence
            .map(|evidence| evidence.to_map().unwrap())
            .unwrap_or_default();
        map.get(key).cloned().unwrap_or_default()
    }

    /// `sync failed mailbox.sync_broken`
    pub(crate) fn head(&self, name: StageName) -> String {
        head(self.stage(name))
    }

    /// The mailboxes of probes that are on the server.
    pub(crate) fn left(&self) -> Vec<&str> {
        let names = self.server.mailboxes.keys().map(String::as_str);
        names.filter(|name| *name != "INBOX").collect()
    }
}

pub(crate) fn stage(attempt: &Attempt, name: StageName) -> &Stage {
    attempt.stages.iter().find(|stage| stage.name == name).unwrap()
}

pub(crate) fn head(stage: &Stage) -> String {
    match stage.outcome.fault() {
        Some(fault) => format!(
            "{} {}.{}",
            stage.outcome.as_str(),
            fault.layer(),
            fault.kind.as_str()
        ),
        None => stage.outcome.as_str().to_owned(),
    }
}
