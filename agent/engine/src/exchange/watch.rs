//! A mailbox watched while another session changes it: by IDLE, else by NOOP, else by opening it anew.

use std::time::Duration;

use parallax_model::evidence::{Evidence, IdleEvidence};
use parallax_model::fault::Fault;
use parallax_model::millis;
use parallax_model::signal::{Signal, SignalKind};
use parallax_model::stage::Outcome;

use super::idle::{broken, no_end, no_leave, offered};
use super::{Exchange, Lost, NOBODY_LOGGED_IN, Turn, ask, out_of_time, refusal};
use crate::imap::parse::{Data, mailbox_data};
use crate::imap::sync::done;
use crate::imap::{Command, DataLine, Frame, Status, StatusLine};
use crate::wire::{Heard, Wire};

/// For IDLE to tell of a change that was announced.
pub(super) const PATIENCE: Duration = Duration::from_secs(3);

/// Between two NOOPs.
const BETWEEN: Duration = Duration::from_secs(1);

/// NOOPs before the mailbox is opened anew.
const NOOPS: u8 = 3;

/// Changes passed on; the writer makes four.
const TOLD: u32 = 64;

/// Watches until the writer says that it is over.
#[derive(Debug)]
pub(super) struct Watch {
    mailbox: String,
    step: Step,
    /// Whether it idles; otherwise it asks.
    idles: bool,
    ready: bool,
    exists: u64,
    /// The change that the writer announced and nothing told of yet.
    awaited: Option<String>,
    /// Changes that were seen before they were announced.
    early: Vec<&'static str>,
    tries: u8,
    found: Found,
    facts: IdleEvidence,
    alive_at: Duration,
    refused: Option<Fault>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// IDLE was sent.
    Asking,
    Idling,
    /// DONE was sent.
    Ending,
    /// NOOP was sent.
    Polling,
    Resting,
    /// EXAMINE was sent, to see what a new session would see.
    Opening,
    /// And the flags were asked for.
    Looking,
}

/// What the mailbox holds when it is opened anew.
#[derive(Debug, Default, Clone, Copy)]
struct Found {
    exists: Option<u64>,
    flagged: bool,
}

impl Watch {
    pub(super) fn new(mailbox: String) -> Self {
        Self {
            mailbox,
            step: Step::Asking,
            idles: false,
            ready: false,
            exists: 0,
            awaited: None,
            early: Vec::new(),
            tries: 0,
            found: Found::default(),
            facts: IdleEvidence::default(),
            alive_at: Duration::ZERO,
            refused: None,
        }
    }
}

impl Exchange for Watch {
    fn begin(&mut self, wire: &mut Wire) -> Turn {
        if !wire.logged_in {
            return Turn::skipped(NOBODY_LOGGED_IN);
        }
        let Some(exists) = wire.exists else {
            return Turn::skipped("no mailbox is open to be watched");
        };
        self.exists = exists;
        self.idles = offered(wire);
        self.facts.offered = self.idles;
        self.resume(wire)
    }

    fn hear(&mut self, heard: Heard<'_>, wire: &mut Wire) -> Turn {
        match heard {
            Heard::Data(frame, line) => self.take(frame, &line, wire),
            Heard::Status(line) => {
                self.alive(&line, wire);
                Turn::Listen
            }
            Heard::Plus if self.step == Step::Asking => {
                self.step = Step::Idling;
                self.facts
                    .go_ahead_ms
                    .get_or_insert(millis::of(wire.since_asked()));
                self.alive_at = wire.now();
                self.ready("idle", wire)
            }
            Heard::Reply(line) => self.answered(&line, wire),
            Heard::Plus | Heard::Strange => Turn::Listen,
        }
    }

    fn told(&mut self, wire: &mut Wire) -> Option<Turn> {
        let waited = self.awaited.is_some();
        self.look_for_news(wire);
        match self.step {
            Step::Idling if wire.partner.over => Some(self.end_idle()),
            Step::Resting if wire.partner.over => Some(self.finish()),
            Step::Idling if !waited && self.awaited.is_some() => Some(Turn::Rest(PATIENCE)),
            _ => None,
        }
    }

    fn rested(&mut self, wire: &mut Wire) -> Turn {
        match self.step {
            Step::Idling if self.awaited.is_some() => self.end_idle(),
            Step::Idling => {
                let what = format!("watch at {}, until the writer ends", wire.peer);
                Turn::failed(out_of_time(&what, wire.now().saturating_sub(self.alive_at)))
            }
            _ => self.poll(wire),
        }
    }

    /// The mailbox is removed in the end, and some servers end the sessions in it.
    fn lost(&mut self, lost: Lost, wire: &Wire) -> Outcome {
        match (&lost, self.step) {
            (Lost::Bye(_) | Lost::Closed, _) if wire.partner.over => Outcome::Ok,
            (Lost::Late(waited), Step::Asking) => Outcome::Failed(no_leave(*waited, wire)),
            (Lost::Late(waited), Step::Ending) => Outcome::Failed(no_end(*waited, wire)),
            _ => Outcome::Failed(lost.fault(wire)),
        }
    }

    fn evidence(&mut self, _wire: &Wire) -> Option<Evidence> {
        Some(Evidence::Idle(std::mem::take(&mut self.facts)))
    }
}

impl Watch {
    /// Takes a line of data as news, or as what the mailbox opened anew holds.
    fn take(&mut self, frame: &Frame, line: &DataLine<'_>, wire: &mut Wire) -> Turn {
        let read = mailbox_data(frame, line);
        let data = read.as_ref().and_then(|read| read.data());
        match (self.step, data) {
            (Step::Opening, Some(Data::Exists(number))) => self.found.exists = Some(*number),
            (Step::Looking, Some(Data::Fetch(fetched))) => {
                self.found.flagged |= flagged(fetched.flags.as_deref());
            }
            (Step::Opening | Step::Looking, _) => {}
            (_, Some(Data::Exists(number))) => {
                let grew = *number > self.exists;
                self.exists = *number;
                if grew {
                    return self.seen("exists", wire);
                }
            }
            (_, Some(Data::Expunge(_))) => {
                self.exists = self.exists.saturating_sub(1);
                return self.seen("expunge", wire);
            }
            (_, Some(Data::Fetch(fetched))) if flagged(fetched.flags.as_deref()) => {
                return self.seen("flags", wire);
            }
            (_, None) if line.is("VANISHED") => {
                self.exists = self.exists.saturating_sub(1);
                return self.seen("expunge", wire);
            }
            _ => {}
        }
        Turn::Listen
    }

    fn seen(&mut self, event: &'static str, wire: &mut Wire) -> Turn {
        self.facts.events = self.facts.events.saturating_add(1);
        if self.facts.events > TOLD {
            return Turn::Listen;
        }
        let how = match self.step {
            Step::Asking | Step::Idling => "idle",
            _ => "noop",
        };
        let awaited = self.awaited.take_if(|awaited| awaited == event).is_some();
        if !awaited {
            self.early.push(event);
        }
        let next = match self.step {
            Step::Idling if awaited => self.idle_on(wire),
            _ => Turn::Listen,
        };
        Turn::Tell(Signal::new(SignalKind::Seen, event, how), Box::new(next))
    }

    /// Reads what the writer announced, unless something announced is still looked for.
    fn look_for_news(&mut self, wire: &mut Wire) {
        while self.awaited.is_none()
            && let Some(change) = wire.partner.take_change()
        {
            let early = self.early.iter().any(|event| *event == change);
            self.early.clear();
            self.tries = 0;
            self.awaited = Some(change).filter(|_| !early);
        }
    }

    /// A code tells of a change; what a server says only to be heard has none.
    fn alive(&mut self, line: &StatusLine<'_>, wire: &Wire) {
        if self.step == Step::Idling && line.status == Status::Ok && line.code.is_none() {
            let quiet = wire.now().saturating_sub(self.alive_at);
            self.facts.keepalive_ms = Some(millis::of(quiet));
            self.alive_at = wire.now();
        }
    }

    fn answered(&mut self, line: &StatusLine<'_>, wire: &mut Wire) -> Turn {
        let ok = line.status == Status::Ok;
        match self.step {
            Step::Asking | Step::Idling | Step::Ending => {
                self.facts.reply = Some(wire.evidence(line));
                if self.step == Step::Ending && ok {
                    self.facts.done_ms = Some(millis::of(wire.since_written()));
                } else {
                    self.cannot_idle(line, wire);
                }
                if wire.partner.over {
                    return self.finish();
                }
                match self.awaited {
                    Some(_) => self.poll(wire),
                    None => self.resume(wire),
                }
            }
            Step::Polling => self.polled(wire),
            Step::Opening if ok => self.opened(wire),
            Step::Opening | Step::Looking => self.found(wire),
            Step::Resting => Turn::Listen,
        }
    }

    fn cannot_idle(&mut self, line: &StatusLine<'_>, wire: &Wire) {
        let said = refusal::quote(&wire.evidence(line));
        self.idles = false;
        self.ready = false;
        self.refused = Some(broken(format!("IDLE at {} is offered, then: {said}", wire.peer)));
    }

    /// Says once how it watches.
    fn ready(&mut self, how: &'static str, wire: &mut Wire) -> Turn {
        let next = match how {
            "idle" => self.idle_on(wire),
            _ => Turn::Rest(BETWEEN),
        };
        if std::mem::replace(&mut self.ready, true) {
            return next;
        }
        Turn::Tell(Signal::new(SignalKind::Watching, how, ""), Box::new(next))
    }

    /// Idles on, for as long as what is known by now allows.
    fn idle_on(&mut self, wire: &mut Wire) -> Turn {
        self.look_for_news(wire);
        if wire.partner.over {
            return self.end_idle();
        }
        match self.awaited {
            Some(_) => Turn::Rest(PATIENCE),
            None => Turn::Rest(Duration::MAX),
        }
    }

    fn end_idle(&mut self) -> Turn {
        self.step = Step::Ending;
        Turn::Say(done())
    }

    /// Watches on in its own way.
    fn resume(&mut self, wire: &mut Wire) -> Turn {
        if wire.partner.over {
            return self.finish();
        }
        if self.idles {
            self.step = Step::Asking;
            return Turn::Ask(Command::idle(wire.tag()));
        }
        self.step = Step::Resting;
        self.ready("noop", wire)
    }

    fn poll(&mut self, wire: &mut Wire) -> Turn {
        self.step = Step::Polling;
        Turn::Ask(Command::noop(wire.tag()))
    }

    fn polled(&mut self, wire: &mut Wire) -> Turn {
        if wire.partner.over {
            return self.finish();
        }
        if self.awaited.is_none() {
            self.look_for_news(wire);
            return self.resume(wire);
        }
        self.tries += 1;
        if self.tries < NOOPS {
            self.step = Step::Resting;
            return Turn::Rest(BETWEEN);
        }
        self.step = Step::Opening;
        self.found = Found::default();
        let literals = wire.capabilities.literals();
        ask(Command::examine(
            wire.tag(),
            self.mailbox.as_bytes(),
            false,
            literals,
        ))
    }

    fn opened(&mut self, wire: &mut Wire) -> Turn {
        let some = self.found.exists.is_some_and(|exists| exists > 0);
        if some && self.awaited.as_deref() == Some("flags") {
            self.step = Step::Looking;
            return Turn::Ask(Command::fetch_flags(wire.tag()));
        }
        self.found(wire)
    }

    /// What opening the mailbox anew came to.
    fn found(&mut self, wire: &mut Wire) -> Turn {
        let exists = self.found.exists.unwrap_or(self.exists);
        let event = self.awaited.take().unwrap_or_default();
        let there = match event.as_str() {
            "exists" => exists > self.exists,
            "expunge" => exists < self.exists,
            _ => self.found.flagged,
        };
        self.exists = exists;
        self.look_for_news(wire);
        let how = if there { "select" } else { "never" };
        let next = self.resume(wire);
        Turn::Tell(Signal::new(SignalKind::Seen, event, how), Box::new(next))
    }

    fn finish(&mut self) -> Turn {
        let end = match self.refused.take() {
            Some(fault) => Turn::degraded(fault),
            None => Turn::ok(),
        };
        Turn::Tell(Signal::new(SignalKind::Gone, "", "over"), Box::new(end))
    }
}

fn flagged(flags: Option<&[String]>) -> bool {
    flags
        .unwrap_or_default()
        .iter()
        .any(|flag| flag.eq_ignore_ascii_case("\\Flagged"))
}
