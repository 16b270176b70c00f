//! One exchange with the server a file: what is asked, what the answer says, and how the stage ends.
//!
//! An exchange knows neither its neighbours nor the time; the session runs one after the other, and whatever breaks
//! the connection comes to all of them in the same form, as [`Lost`].

mod append;
mod capability;
mod choice;
mod created;
mod fetch;
#[cfg(test)]
mod glossary;
mod greeting;
mod hold;
mod id;
mod idle;
mod injection;
mod latency;
mod list;
mod login;
mod logout;
mod lost;
mod namespace;
mod open;
mod raw_hello;
mod refusal;
mod second;
mod select;
mod starttls;
mod sweep;
mod sync;
mod tls;
mod watch;

use std::time::Duration;

use jiff::Timestamp;
use parallax_model::evidence::Evidence;
use parallax_model::experiment::ExperimentKind;
use parallax_model::fault::{AgentFault, Fault, FaultKind};
use parallax_model::signal::Signal;
use parallax_model::stage::{Outcome, StageName};
use parallax_model::target::Host;

use crate::handshake::Judgement;
use crate::imap::{Command, CommandError, Outgoing};
use crate::session::SyncPart;
use crate::wire::{Heard, Wire};

pub(crate) use login::LoginRequest;
pub(crate) use lost::{Lost, out_of_time, seconds};

/// What an exchange wants next.
#[derive(Debug)]
pub(crate) enum Turn {
    /// The next reply.
    Listen,
    /// To send a command, and its reply.
    Ask(Command),
    /// To send something that is no command.
    Say(Outgoing),
    /// A TLS handshake.
    Handshake,
    /// To send a ClientHello made by hand, and what [`Exchange::raw`] takes, in the time of a handshake.
    Hello(Outgoing),
    /// To send something that nobody waits for, and to listen a little longer.
    Nudge(Outgoing),
    /// To wait and listen for so long; when the time is over, [`Exchange::rested`] is asked, and nothing is lost.
    Rest(Duration),
    /// To tell the other session of a synchronisation something, and then this.
    Tell(Signal, Box<Turn>),
    /// Leave to try a secret.
    AskLogin,
    /// Nothing more.
    End(Outcome),
}

impl Turn {
    pub(crate) fn failed(fault: Fault) -> Self {
        Self::End(Outcome::Failed(fault))
    }

    pub(crate) fn degraded(fault: Fault) -> Self {
        Self::End(Outcome::Degraded(fault))
    }

    pub(crate) fn skipped(reason: impl Into<String>) -> Self {
        Self::End(Outcome::Skipped(reason.into()))
    }

    pub(crate) const fn ok() -> Self {
        Self::End(Outcome::Ok)
    }
}

/// One stage's talk with the server.
pub(crate) trait Exchange: Send + Sync {
    /// What to do first.
    fn begin(&mut self, wire: &mut Wire) -> Turn;

    /// What the server said.
    fn hear(&mut self, heard: Heard<'_>, wire: &mut Wire) -> Turn;

    /// Bytes that are no lines of IMAP, where the exchange waits for such; otherwise they are framed.
    fn raw(&mut self, _bytes: &[u8], _wire: &mut Wire) -> Option<Turn> {
        None
    }

    /// What the handshake came to that was asked for.
    fn secured(&mut self, _judgement: Judgement, _wire: &mut Wire) -> Turn {
        Turn::failed(out_of_place("a handshake that was not asked for"))
    }

    /// The secret may be tried.
    fn granted(&mut self, _wire: &mut Wire) -> Turn {
        Turn::failed(out_of_place("a leave that was not asked for"))
    }

    /// The other session of a synchronisation said something during a [`Turn::Rest`]; what, the wire's
    /// [`Partner`] knows. A turn to take instead of the rest, if that changes anything.
    fn told(&mut self, _wire: &mut Wire) -> Option<Turn> {
        None
    }

    /// The time of a [`Turn::Rest`] is over.
    fn rested(&mut self, _wire: &mut Wire) -> Turn {
        Turn::failed(out_of_place("the end of a rest that was not asked for"))
    }

    /// What to do when an answer did not come in its time, before that is the end; mostly nothing.
    fn silent(&mut self, _lost: &Lost, _wire: &mut Wire) -> Option<Turn> {
        None
    }

    /// Whether what came without a line end tells enough already.
    fn unfinished(&mut self, _wire: &Wire) -> Option<Outcome> {
        None
    }

    /// Whether a BYE is what is waited for.
    fn awaits_bye(&self) -> bool {
        false
    }

    /// How the stage ends when the connection does.
    fn lost(&mut self, lost: Lost, wire: &Wire) -> Outcome {
        Outcome::Failed(lost.fault(wire))
    }

    /// What was seen.
    fn evidence(&mut self, wire: &Wire) -> Option<Evidence>;
}

/// What a session does beyond reading.
#[derive(Debug)]
pub(crate) struct Part {
    /// Its part in a synchronisation.
    pub(crate) sync: Option<SyncPart>,
    /// How long it is to be quiet.
    pub(crate) hold: Option<Duration>,
    /// The wall clock at the start of the probe.
    pub(crate) began: Timestamp,
    /// What is varied, in a follow-up.
    pub(crate) experiment: Option<ExperimentKind>,
    /// The host that is asked for.
    pub(crate) reference: Host,
    /// Random.
    pub(crate) seed: u64,
}

impl Part {
    /// Tells the mailboxes of this probe from those of others. The tags are made of the seed too, so other bits of it
    /// count here.
    const fn mailbox_mark(&self) -> u32 {
        (self.seed.rotate_left(17) >> 32) as u32
    }
}

/// The exchange of a stage.
pub(crate) fn of(stage: StageName, login: LoginRequest, part: Part) -> Box<dyn Exchange> {
    if let Some(examination) = examination(stage, &part) {
        return examination;
    }
    match stage {
        StageName::Tls => Box::new(tls::Tls::default()),
        StageName::Greeting => Box::new(greeting::Greeting::default()),
        StageName::Capability => Box::new(capability::Capability::default()),
        StageName::Starttls => Box::new(starttls::Starttls::default()),
        StageName::Id => Box::new(id::Id::default()),
        StageName::Authenticate => Box::new(login::Login::new(login)),
        StageName::Namespace => Box::new(namespace::Namespace::default()),
        StageName::List => Box::new(list::List::default()),
        StageName::Fetch => Box::new(fetch::Fetch::default()),
        StageName::Logout => Box::new(logout::Logout::default()),
        StageName::Select => match part.sync {
            Some(SyncPart::Watcher { mailbox }) => Box::new(open::Open::new(mailbox)),
            Some(SyncPart::Writer { .. }) | None => Box::new(select::Select::default()),
        },
        StageName::Append => match part.sync {
            Some(SyncPart::Writer { .. }) => Box::new(append::Append::new(part.began, part.mailbox_mark())),
            Some(SyncPart::Watcher { .. }) | None => Box::new(LeftOut(READS_ONLY)),
        },
        StageName::Sync => match part.sync {
            Some(SyncPart::Writer { watcher }) => Box::new(sync::Sync::new(part.began, watcher)),
            Some(SyncPart::Watcher { .. }) | None => Box::new(LeftOut(READS_ONLY)),
        },
        StageName::Idle => match part.sync {
            Some(SyncPart::Watcher { mailbox }) => Box::new(watch::Watch::new(mailbox)),
            Some(SyncPart::Writer { .. }) | None => Box::new(idle::Idle::default()),
        },
        StageName::Hold => match part.hold {
            Some(time) => Box::new(hold::Hold::new(time)),
            None => Box::new(LeftOut("nobody asked to keep the session open")),
        },
        StageName::Resolve | StageName::Connect => Box::new(LeftOut("this stage is no talk with the server")),
    }
}

/// The exchange of a stage that an experiment does its own way.
fn examination(stage: StageName, part: &Part) -> Option<Box<dyn Exchange>> {
    match (part.experiment?, stage) {
        (ExperimentKind::RawHello, StageName::Tls) => {
            Some(Box::new(raw_hello::RawHello::direct(&part.reference, part.seed)))
        }
        (ExperimentKind::RawHello, StageName::Starttls) => Some(Box::new(
            raw_hello::RawHello::behind_starttls(&part.reference, part.seed),
        )),
        (ExperimentKind::StarttlsInjection, StageName::Starttls) => {
            Some(Box::new(injection::Injection::default()))
        }
        _ => None,
    }
}

/// A stage that is not done here, and why.
struct LeftOut(&'static str);

impl Exchange for LeftOut {
    fn begin(&mut self, _wire: &mut Wire) -> Turn {
        Turn::skipped(self.0)
    }

    fn hear(&mut self, _heard: Heard<'_>, _wire: &mut Wire) -> Turn {
        Turn::skipped(self.0)
    }

    fn evidence(&mut self, _wire: &Wire) -> Option<Evidence> {
        None
    }
}

/// The reason for which everything behind a login is left out.
pub(crate) const NOBODY_LOGGED_IN: &str = "nobody is logged in";

/// The reason for which a session that was not told to write does not.
const READS_ONLY: &str = "this session reads and does not write";

/// Asks, unless something that was configured or received cannot be written as a command.
fn ask(command: Result<Command, CommandError>) -> Turn {
    match command {
        Ok(command) => Turn::Ask(command),
        Err(error) => Turn::skipped(error.to_string()),
    }
}

fn out_of_place(what: &str) -> Fault {
    Fault::new(FaultKind::Agent(AgentFault::Internal), what)
}
