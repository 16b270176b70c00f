//! The session kept open and quiet: how long it lives, and how it ends.

use std::time::Duration;

use parallax_model::evidence::{Evidence, HoldEvidence, ImapReply};
use parallax_model::fault::{Fault, FaultKind, ImapFault};
use parallax_model::millis;
use parallax_model::stage::Outcome;

use super::{Exchange, Lost, Turn, out_of_time, refusal, seconds};
use crate::imap::{Command, Status};
use crate::wire::{Heard, Wire};

/// Says nothing for a time, then asks whether anybody is there still.
#[derive(Debug)]
pub(super) struct Hold {
    asked: Duration,
    began: Duration,
    held: Option<Duration>,
    end: &'static str,
    answered: Option<Duration>,
    bye: Option<ImapReply>,
}

impl Hold {
    pub(super) const fn new(asked: Duration) -> Self {
        Self {
            asked,
            began: Duration::ZERO,
            held: None,
            end: "",
            answered: None,
            bye: None,
        }
    }
}

impl Exchange for Hold {
    fn begin(&mut self, wire: &mut Wire) -> Turn {
        self.began = wire.now();
        Turn::Rest(self.asked)
    }

    fn hear(&mut self, heard: Heard<'_>, wire: &mut Wire) -> Turn {
        let Heard::Reply(line) = heard else {
            return Turn::Listen;
        };
        self.end = "alive";
        self.answered = Some(wire.since_asked());
        match line.status {
            Status::Ok => Turn::ok(),
            _ => Turn::degraded(refusal::of_command(&line, wire)),
        }
    }

    fn rested(&mut self, wire: &mut Wire) -> Turn {
        let held = self.elapsed(wire);
        self.held = Some(held);
        if held < self.asked {
            self.end = "alive";
            return Turn::failed(out_of_time(&format!("hold with {}", wire.peer), held));
        }
        Turn::Ask(Command::noop(wire.tag()))
    }

    fn lost(&mut self, lost: Lost, wire: &Wire) -> Outcome {
        let held = *self.held.get_or_insert(wire.now().saturating_sub(self.began));
        let broken = lost.fault(wire);
        self.end = match (&lost, broken.kind) {
            (Lost::Bye(_), _) => "bye",
            (Lost::Closed, _) | (_, FaultKind::Imap(ImapFault::ConnectionClosed)) => "closed",
            (_, FaultKind::Imap(ImapFault::ConnectionReset)) => "reset",
            (_, FaultKind::Imap(ImapFault::Timeout)) => "silent",
            (Lost::Broken(_) | Lost::Late(_) | Lost::OutOfTime(_) | Lost::TooMuch(_) | Lost::Drip(_), _) => {
                self.end = "unreadable";
                return Outcome::Failed(broken);
            }
        };
        let message = format!(
            "held with {} for {} of {}: {}",
            wire.peer,
            seconds(held),
            seconds(self.asked),
            words(&lost, self.end, wire.logged_in)
        );
        let mut fault = Fault::new(FaultKind::Imap(ImapFault::IdleTimeout), message);
        fault.raw = broken.raw;
        if let Lost::Bye(reply) = lost {
            self.bye = Some(reply);
            if !wire.logged_in {
                return Outcome::Degraded(fault);
            }
        }
        Outcome::Failed(fault)
    }

    fn evidence(&mut self, wire: &Wire) -> Option<Evidence> {
        Some(Evidence::Hold(HoldEvidence {
            asked_ms: millis::of(self.asked),
            held_ms: millis::of(self.held.unwrap_or_else(|| self.elapsed(wire))),
            logged_in: wire.logged_in,
            end: self.end.to_owned(),
            bye: self.bye.take(),
            answer_ms: self.answered.map(millis::of),
        }))
    }
}

impl Hold {
    fn elapsed(&self, wire: &Wire) -> Duration {
        wire.now().saturating_sub(self.began)
    }
}

/// RFC 9051 section 5.4 grants a client that has logged in half an hour of silence; no hold is longer than that.
fn words(lost: &Lost, end: &str, logged_in: bool) -> String {
    match (lost, end) {
        (Lost::Bye(reply), _) if logged_in => format!(
            "the server ended it with {}; RFC 9051 section 5.4 grants 30 minutes after a login",
            refusal::quote(reply)
        ),
        (Lost::Bye(reply), _) => format!(
            "the server ended it with {}, as is usual before a login",
            refusal::quote(reply)
        ),
        (_, "closed") => "it was closed without a BYE, as balancers and proxies do".to_owned(),
        (_, "reset") => "it was reset, as firewalls and balancers do that have forgotten it".to_owned(),
        _ => "nothing answered NOOP any more: something on the way has forgotten it".to_owned(),
    }
}
