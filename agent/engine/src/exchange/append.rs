//! A message stored in a mailbox of the probe's own, and fetched back (RFC 9051 section 6.3.12).

use jiff::Timestamp;
use parallax_model::evidence::{AppendEvidence, Evidence};
use parallax_model::fault::{Fault, FaultKind, MailboxFault};
use parallax_model::millis;
use parallax_model::signal::{Signal, SignalKind};
use parallax_model::stage::Outcome;

use super::sweep::Sweep;
use super::{Exchange, Lost, NOBODY_LOGGED_IN, Turn, ask, created, refusal};
use crate::handshake::wall;
use crate::imap::append::AppendUid;
use crate::imap::listing::Listed;
use crate::imap::parse::mailbox_data;
use crate::imap::select::Selected;
use crate::imap::sync::Contents;
use crate::imap::{Command, DataLine, Frame, Status, StatusLine};
use crate::own::{ProbeName, difference, mark, message, number};
use crate::wire::{Heard, Wire};

/// Mailboxes of earlier probes that one probe removes.
const LEFTOVERS: usize = 4;

/// Bytes asked for of a message that has some 600: what a server adds must show.
const FETCHED: usize = 8_192;

/// Removes what earlier probes left, makes a mailbox, stores a message in it and compares what comes back.
#[derive(Debug)]
pub(super) struct Append {
    began: Timestamp,
    random: u32,
    step: Step,
    name: Option<ProbeName>,
    old: Vec<String>,
    sweep: Sweep,
    selected: Selected,
    message: Vec<u8>,
    noticed: bool,
    /// The number that was asked for; without one, the highest.
    asked: Option<u64>,
    came: Contents,
    facts: AppendEvidence,
    failed: Option<Outcome>,
    /// What CREATE was answered, where the mailbox may have been made all the same.
    doubted: Option<Fault>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Listing,
    Tidying,
    Creating,
    Opening,
    Storing,
    /// Where the session was not told of the message that it stored itself: it may be blind to it until it asks
    /// (RFC 3501 section 6.3.11).
    Noticing,
    Reading,
    CleaningUp,
}

impl Append {
    /// `began` is the wall clock at the start of the probe.
    pub(super) fn new(began: Timestamp, random: u32) -> Self {
        Self {
            began,
            random,
            step: Step::Listing,
            name: None,
            old: Vec::new(),
            sweep: Sweep::default(),
            selected: Selected::default(),
            message: Vec::new(),
            noticed: false,
            asked: None,
            came: Contents::default(),
            facts: AppendEvidence::default(),
            failed: None,
            doubted: None,
        }
    }
}

impl Exchange for Append {
    fn begin(&mut self, wire: &mut Wire) -> Turn {
        if !wire.logged_in {
            return Turn::skipped(NOBODY_LOGGED_IN);
        }
        if !wire.capabilities.has("UIDPLUS") && !wire.capabilities.has("IMAP4rev2") {
            return Turn::skipped(
                "the server does not offer UIDPLUS: what the probe stores could not be removed by its own number",
            );
        }
        let name = ProbeName::new(wire.namespaces.as_ref(), self.now(wire), self.random);
        let Some(name) = name else {
            return Turn::skipped("no name can be made under the prefix of the personal namespace");
        };
        let literals = wire.capabilities.literals();
        let command = Command::list_like(wire.tag(), name.pattern().as_bytes(), literals);
        self.name = Some(name);
        ask(command)
    }

    fn hear(&mut self, heard: Heard<'_>, wire: &mut Wire) -> Turn {
        if matches!(self.step, Step::Tidying | Step::CleaningUp) {
            return match self.sweep.hear(heard, wire) {
                Some(turn) => turn,
                None => self.swept(wire),
            };
        }
        match heard {
            Heard::Data(frame, line) => {
                self.take(frame, &line, wire);
                Turn::Listen
            }
            Heard::Status(line) => {
                self.take_code(&line);
                Turn::Listen
            }
            Heard::Reply(line) => self.answered(&line, wire),
            Heard::Plus | Heard::Strange => Turn::Listen,
        }
    }

    fn lost(&mut self, lost: Lost, wire: &Wire) -> Outcome {
        let outcome = self.failed.take();
        let lost = Outcome::Failed(lost.fault(wire));
        self.facts.left_over.clone_from(&wire.own.mailboxes);
        outcome.unwrap_or(lost)
    }

    fn evidence(&mut self, _wire: &Wire) -> Option<Evidence> {
        Some(Evidence::Append(std::mem::take(&mut self.facts)))
    }
}

impl Append {
    fn now(&self, wire: &Wire) -> Timestamp {
        wall(self.began, wire.now())
    }

    fn take(&mut self, frame: &Frame, line: &DataLine<'_>, wire: &mut Wire) {
        match self.step {
            Step::Listing => self.take_listed(frame, line, wire),
            Step::Opening => {
                if let Some(data) = mailbox_data(frame, line).as_ref().and_then(|read| read.data()) {
                    self.selected.take_data(data);
                }
            }
            Step::Reading => {
                if let Some(came) = Contents::from_data(frame, line)
                    && came.bytes.is_some()
                    && (self.asked.is_none() || came.uid == self.asked)
                {
                    self.came = came;
                }
            }
            Step::Storing => self.noticed |= line.is("EXISTS"),
            Step::Tidying | Step::Creating | Step::Noticing | Step::CleaningUp => {}
        }
    }

    fn take_listed(&mut self, frame: &Frame, line: &DataLine<'_>, wire: &mut Wire) {
        let Some(listed) = Listed::from_data(frame, line) else {
            return;
        };
        let now = self.now(wire);
        let Some((name, mailbox)) = self.name.as_ref().zip(std::str::from_utf8(&listed.name).ok()) else {
            return;
        };
        let own = name.mailbox();
        wire.own.shown_before |= mailbox == own || mailbox == ProbeName::copies(&own);
        if listed.selectable() && self.old.len() < LEFTOVERS && name.is_old(mailbox, now) {
            self.old.push(mailbox.to_owned());
        }
    }

    fn take_code(&mut self, line: &StatusLine<'_>) {
        if let (Step::Opening, Some(code)) = (self.step, &line.code) {
            self.selected.take_code(code);
        }
    }

    fn answered(&mut self, line: &StatusLine<'_>, wire: &mut Wire) -> Turn {
        self.take_code(line);
        let ok = line.status == Status::Ok;
        if !matches!(self.step, Step::Listing | Step::Noticing) {
            self.facts.reply = Some(wire.evidence(line));
        }
        match self.step {
            // Tidying up is a courtesy: what it meets stops nothing.
            Step::Listing => {
                self.step = Step::Tidying;
                self.sweep = Sweep::over(std::mem::take(&mut self.old));
                match self.sweep.next(wire) {
                    Some(turn) => turn,
                    None => self.swept(wire),
                }
            }
            Step::Creating if created::all_the_same(line, wire) => {
                self.doubted = Some(refusal::of_change(line, wire));
                self.open(wire)
            }
            Step::Creating if !ok => {
                wire.own.mailboxes.clear();
                self.give_up(refusal::of_change(line, wire), wire)
            }
            Step::Opening | Step::Storing | Step::Reading if !ok => {
                self.give_up(refusal::of_change(line, wire), wire)
            }
            Step::Creating => self.open(wire),
            Step::Opening => self.store(wire),
            Step::Storing => self.stored(line, wire),
            Step::Noticing => self.read(wire),
            Step::Reading => self.compare(wire),
            Step::Tidying | Step::CleaningUp => Turn::Listen,
        }
    }

    fn swept(&mut self, wire: &mut Wire) -> Turn {
        if let Some(outcome) = self.failed.take() {
            self.facts.left_over.clone_from(&wire.own.mailboxes);
            return Turn::End(outcome);
        }
        wire.own.old_removed = self.sweep.removed;
        let Some(name) = &self.name else {
            return Turn::skipped("no mailbox of its own");
        };
        self.facts.mailbox = name.mailbox();
        self.step = Step::Creating;
        // From here on it may be there, whatever comes of the answer.
        wire.own.mailboxes.push(name.mailbox());
        let literals = wire.capabilities.literals();
        ask(Command::create(
            wire.tag(),
            self.facts.mailbox.as_bytes(),
            literals,
        ))
    }

    fn open(&mut self, wire: &mut Wire) -> Turn {
        self.step = Step::Opening;
        let literals = wire.capabilities.literals();
        ask(Command::select(
            wire.tag(),
            self.facts.mailbox.as_bytes(),
            literals,
        ))
    }

    fn store(&mut self, wire: &mut Wire) -> Turn {
        let doubted = self.doubted.take();
        if let Some(fault) = doubted.filter(|_| self.selected.exists != Some(0)) {
            wire.own.mailboxes.clear();
            return self.give_up(fault, wire);
        }
        if self.selected.read_only == Some(true) {
            let what = format!("SELECT at {}: the probe's own mailbox is read-only", wire.peer);
            return self.give_up(Fault::new(FaultKind::Mailbox(MailboxFault::ReadOnly), what), wire);
        }
        let kept = self.selected.permanent_flags.as_deref().unwrap_or_default();
        wire.own.keywords = kept.iter().any(|flag| flag == "\\*");
        self.step = Step::Storing;
        self.message = message(&self.facts.mailbox, 1, self.now(wire));
        self.facts.bytes = self.message.len() as u64;
        let literals = wire.capabilities.literals();
        ask(Command::append(
            wire.tag(),
            self.facts.mailbox.as_bytes(),
            &self.message,
            literals,
        ))
    }

    fn stored(&mut self, line: &StatusLine<'_>, wire: &mut Wire) -> Turn {
        self.facts.go_ahead_ms = wire.to_go_ahead().map(millis::of);
        self.facts.stored_ms = Some(millis::of(wire.since_written()));
        let stored = line.code.as_ref().and_then(AppendUid::from_code);
        self.facts.uid_validity = stored.map(|stored| stored.uid_validity);
        self.facts.uid = stored.map(|stored| stored.uid);
        let of_this_mailbox = |stored: &AppendUid| {
            self.selected
                .uid_validity
                .is_none_or(|valid| valid == stored.uid_validity)
        };
        self.asked = stored.filter(of_this_mailbox).map(|stored| stored.uid);
        let mailbox = Signal::new(SignalKind::Mailbox, &self.facts.mailbox, "");
        let then = if self.noticed {
            self.read(wire)
        } else {
            self.step = Step::Noticing;
            Turn::Ask(Command::noop(wire.tag()))
        };
        Turn::Tell(mailbox, Box::new(then))
    }

    fn read(&mut self, wire: &mut Wire) -> Turn {
        self.step = Step::Reading;
        Turn::Ask(Command::fetch_whole(wire.tag(), self.asked, FETCHED))
    }

    /// Only what carries the probe's own mark is ever named again.
    fn compare(&mut self, wire: &mut Wire) -> Turn {
        let at = format!("message stored at {}", wire.peer);
        let mismatch = |what: String| Fault::new(FaultKind::Mailbox(MailboxFault::AppendMismatch), what);
        let came = std::mem::take(&mut self.came);
        let Some(bytes) = came.bytes else {
            self.facts.intact = Some(false);
            return self.give_up(mismatch(format!("{at}: it did not come back")), wire);
        };
        self.facts.difference = difference(&self.message, &bytes);
        self.facts.intact = Some(self.facts.difference.is_none());
        let is_first = |mark: &str| number(&bytes, mark) == Some(1);
        if !mark(&self.facts.mailbox).is_some_and(is_first) {
            let what = format!("{at}: what came back in its place is not the probe's own");
            return self.give_up(mismatch(what), wire);
        }
        wire.own.first = came.uid;
        let changed = self.facts.difference.as_ref().map(|difference| {
            let difference = wire.masked(difference.as_bytes());
            format!("it came back changed: {difference}")
        });
        match changed.or_else(|| self.misnumbered(wire)) {
            None => Turn::ok(),
            Some(what) => Turn::degraded(mismatch(format!("{at}: {what}"))),
        }
    }

    /// What is wrong with the numbers that APPEND was answered with.
    fn misnumbered(&self, wire: &mut Wire) -> Option<String> {
        let Some(said) = self.facts.uid_validity else {
            wire.note("UIDPLUS is offered, but APPEND is answered without APPENDUID");
            return None;
        };
        let valid = self.selected.uid_validity.filter(|valid| *valid != said)?;
        Some(format!(
            "APPENDUID names UIDVALIDITY {said} where SELECT names {valid}; clients lose track of what they store"
        ))
    }

    /// Fails, once everything that was made is gone again.
    fn give_up(&mut self, fault: Fault, wire: &mut Wire) -> Turn {
        let outcome = Outcome::Failed(fault);
        self.step = Step::CleaningUp;
        self.sweep = Sweep::over(wire.own.mailboxes.clone());
        match self.sweep.next(wire) {
            Some(turn) => {
                self.failed = Some(outcome);
                turn
            }
            None => Turn::End(outcome),
        }
    }
}
