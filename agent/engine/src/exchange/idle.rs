//! IDLE in INBOX, opened to read (RFC 2177): whether it begins and ends as it should.

use std::time::Duration;

use parallax_model::evidence::{Evidence, IdleEvidence};
use parallax_model::fault::{Fault, FaultKind, MailboxFault};
use parallax_model::millis;
use parallax_model::stage::Outcome;

use super::{Exchange, Lost, NOBODY_LOGGED_IN, Turn, ask, refusal, seconds};
use crate::imap::sync::done;
use crate::imap::{Command, Status, StatusLine};
use crate::wire::{Heard, Wire};

/// Long enough that DONE does not overtake the server's leave.
const QUIET: Duration = Duration::from_millis(500);

/// Idles for a moment and ends it.
#[derive(Debug, Default)]
pub(super) struct Idle {
    step: Step,
    facts: IdleEvidence,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Step {
    #[default]
    Opening,
    Asking,
    Idling,
    Ending,
}

impl Exchange for Idle {
    fn begin(&mut self, wire: &mut Wire) -> Turn {
        if !wire.logged_in {
            return Turn::skipped(NOBODY_LOGGED_IN);
        }
        if !offered(wire) {
            return Turn::skipped("the server does not offer IDLE");
        }
        self.facts.offered = true;
        let literals = wire.capabilities.literals();
        ask(Command::examine(wire.tag(), b"INBOX", false, literals))
    }

    fn hear(&mut self, heard: Heard<'_>, wire: &mut Wire) -> Turn {
        match (heard, self.step) {
            (Heard::Reply(line), Step::Opening) if line.status != Status::Ok => {
                self.facts.reply = Some(wire.evidence(&line));
                Turn::failed(refusal::of_mailbox(&line, wire))
            }
            (Heard::Reply(_), Step::Opening) => {
                self.step = Step::Asking;
                Turn::Ask(Command::idle(wire.tag()))
            }
            (Heard::Plus, Step::Asking) => {
                self.step = Step::Idling;
                self.facts.go_ahead_ms = Some(millis::of(wire.since_asked()));
                Turn::Rest(QUIET)
            }
            (Heard::Data(..), Step::Idling | Step::Ending) => {
                self.facts.events = self.facts.events.saturating_add(1);
                Turn::Listen
            }
            (Heard::Reply(line), _) => self.ended(&line, wire),
            (Heard::Data(..) | Heard::Status(_) | Heard::Plus | Heard::Strange, _) => Turn::Listen,
        }
    }

    fn rested(&mut self, _wire: &mut Wire) -> Turn {
        self.step = Step::Ending;
        Turn::Say(done())
    }

    fn lost(&mut self, lost: Lost, wire: &Wire) -> Outcome {
        Outcome::Failed(match (self.step, &lost) {
            (Step::Asking, Lost::Late(waited)) => no_leave(*waited, wire),
            (Step::Ending, Lost::Late(waited)) => no_end(*waited, wire),
            _ => lost.fault(wire),
        })
    }

    fn evidence(&mut self, _wire: &Wire) -> Option<Evidence> {
        Some(Evidence::Idle(std::mem::take(&mut self.facts)))
    }
}

impl Idle {
    fn ended(&mut self, line: &StatusLine<'_>, wire: &Wire) -> Turn {
        let reply = wire.evidence(line);
        let said = refusal::quote(&reply);
        self.facts.reply = Some(reply);
        match (self.step, line.status) {
            (Step::Ending, Status::Ok) => {
                self.facts.done_ms = Some(millis::of(wire.since_written()));
                Turn::ok()
            }
            (Step::Ending, _) => Turn::degraded(broken(format!("DONE at {}: {said}", wire.peer))),
            (Step::Idling, _) => Turn::degraded(broken(format!(
                "IDLE at {}: the server ended it by itself: {said}",
                wire.peer
            ))),
            (Step::Opening | Step::Asking, _) => Turn::degraded(broken(format!(
                "IDLE at {} is offered and refused: {said}",
                wire.peer
            ))),
        }
    }
}

/// Whether the server offers IDLE; IMAP4rev2 has it.
pub(super) fn offered(wire: &Wire) -> bool {
    wire.capabilities.has("IDLE") || wire.capabilities.has("IMAP4rev2")
}

pub(super) fn no_leave(waited: Duration, wire: &Wire) -> Fault {
    broken(format!(
        "IDLE at {}: no leave came in {}",
        wire.peer,
        seconds(waited)
    ))
}

pub(super) fn no_end(waited: Duration, wire: &Wire) -> Fault {
    broken(format!(
        "DONE at {}: nothing came in {}; the connection has died unnoticed",
        wire.peer,
        seconds(waited)
    ))
}

pub(super) fn broken(what: String) -> Fault {
    Fault::new(FaultKind::Mailbox(MailboxFault::IdleBroken), what)
}
