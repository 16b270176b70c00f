//! Changes in the probe's own mailbox, and how long another session takes to learn of each.

mod changes;

use std::time::Duration;

use jiff::Timestamp;
use parallax_model::evidence::{Evidence, SyncEvidence};
use parallax_model::fault::{AgentFault, Fault, FaultKind, ImapFault, MailboxFault};
use parallax_model::signal::{Signal, SignalKind};
use parallax_model::stage::Outcome;
use parallax_model::vantage::AgentName;

use super::latency::{Change, Latencies};
use super::second::Second;
use super::sweep::Sweep;
use super::{Exchange, Lost, Turn, created, out_of_time, refusal, seconds};
use crate::imap::{Command, DataLine, Frame, ResponseCode, Status, StatusLine};
use crate::wire::{Heard, Wire};

/// For the other session to connect, log in and open the mailbox.
const MEETING: Duration = Duration::from_secs(10);

/// For a change to be seen: what the watcher waits for IDLE, its three NOOPs, its SELECT, and their answers.
const SEEING: Duration = Duration::from_secs(15);

/// For the watcher to leave the mailbox before it is removed.
const PARTING: Duration = Duration::from_secs(2);

/// For the clean-up, at the end of the probe's own time.
const TIDYING: Duration = Duration::from_secs(5);

/// Makes one change after the other while another session watches, and cleans up.
#[derive(Debug)]
pub(super) struct Sync {
    began: Timestamp,
    step: Step,
    mailbox: String,
    second: Second,
    noticed: bool,
    change: Option<Change>,
    latencies: Latencies,
    sweep: Sweep,
    facts: SyncEvidence,
    /// A refusal that stops the stage, or spoils it.
    failed: Option<Fault>,
    spoiled: Option<Fault>,
}

/// What was asked last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// The other session comes.
    Meeting,
    /// A mailbox for copies is made.
    Creating,
    /// The second message is stored.
    Storing,
    /// Where this session was not told of it: it may be blind to it until it asks.
    Noticing,
    /// It is looked for by its mark: what has no mark is never named.
    Numbering,
    Flagging,
    Checking,
    Copying,
    Moving,
    /// Where MOVE is not to be had: the message is marked and removed.
    MarkingSecond,
    ExpungingSecond,
    MarkingFirst,
    ExpungingFirst,
    /// The other session goes.
    Parting,
    CleaningUp,
}

impl Sync {
    /// `began` is the wall clock at the start of the probe.
    pub(super) fn new(began: Timestamp, watcher: Option<AgentName>) -> Self {
        Self {
            began,
            step: Step::Meeting,
            mailbox: String::new(),
            second: Second::default(),
            noticed: false,
            change: None,
            latencies: Latencies::default(),
            sweep: Sweep::default(),
            facts: SyncEvidence {
                watcher: watcher.map(|name| name.to_string()),
                ..SyncEvidence::default()
            },
            failed: None,
            spoiled: None,
        }
    }
}

impl Exchange for Sync {
    fn begin(&mut self, wire: &mut Wire) -> Turn {
        let Some(mailbox) = wire.own.mailboxes.first() else {
            return Turn::skipped("the probe has no mailbox of its own");
        };
        self.mailbox.clone_from(mailbox);
        self.told(wire).unwrap_or_else(|| rest(MEETING, wire))
    }

    fn hear(&mut self, heard: Heard<'_>, wire: &mut Wire) -> Turn {
        if self.step == Step::CleaningUp {
            return match self.sweep.hear(heard, wire) {
                Some(turn) => turn,
                None => self.over(wire),
            };
        }
        match heard {
            Heard::Data(frame, line) => {
                self.take(frame, &line);
                Turn::Listen
            }
            Heard::Status(line) => {
                self.take_copied(&line);
                Turn::Listen
            }
            Heard::Reply(line) => self.answered(&line, wire),
            Heard::Plus | Heard::Strange => Turn::Listen,
        }
    }

    fn told(&mut self, wire: &mut Wire) -> Option<Turn> {
        match self.step {
            Step::Meeting if wire.partner.watching.is_some() => Some(self.create(wire)),
            Step::Parting if wire.partner.gone.is_some() => Some(self.clean_up(wire)),
            Step::Parting => None,
            _ => {
                if let Some(reason) = wire.partner.gone.clone() {
                    let what = format!("the watching session ended: {reason}");
                    self.without_watcher(Fault::new(FaultKind::Imap(ImapFault::Other), what));
                } else {
                    let change = self.change.as_ref()?;
                    let seen = wire.partner.take_sighting(change.event, change.asked_at)?;
                    self.latencies
                        .record(change, &seen, wire.partner.watching.as_deref());
                    self.change = None;
                }
                Some(self.onward(wire))
            }
        }
    }

    fn rested(&mut self, wire: &mut Wire) -> Turn {
        let what = match self.step {
            Step::Parting => return self.clean_up(wire),
            _ if wire.time_left() <= TIDYING => "the probe's own time was too short to see it".to_owned(),
            Step::Meeting => format!("the watching session was not there in {}", seconds(MEETING)),
            _ => format!("the watching session said nothing in {}", seconds(SEEING)),
        };
        self.without_watcher(Fault::new(FaultKind::Agent(AgentFault::Deadline), what));
        self.onward(wire)
    }

    fn lost(&mut self, lost: Lost, wire: &Wire) -> Outcome {
        let fault = lost.fault(wire);
        self.tell_what_is_left(wire);
        Outcome::Failed(self.failed.take().unwrap_or(fault))
    }

    fn evidence(&mut self, _wire: &Wire) -> Option<Evidence> {
        self.facts.events = self.latencies.take_events();
        self.facts.uncertainty_ms = self.latencies.uncertainty_ms();
        Some(Evidence::Sync(Box::new(std::mem::take(&mut self.facts))))
    }
}

impl Sync {
    fn take(&mut self, frame: &Frame, line: &DataLine<'_>) {
        match self.step {
            Step::Storing => self.noticed |= line.is("EXISTS"),
            Step::Numbering => self.second.find(&self.mailbox, frame, line),
            Step::Checking => {
                let keeps = self.second.keeps_flags(frame, line);
                self.facts.flags_kept = keeps.or(self.facts.flags_kept);
            }
            _ => {}
        }
    }

    /// MOVE tells the new UID in an untagged OK (RFC 6851 section 4.3).
    fn take_copied(&mut self, line: &StatusLine<'_>) {
        let copied = line
            .code
            .as_ref()
            .is_some_and(|code| code.name == ResponseCode::CopyUid);
        if copied && self.step == Step::Copying {
            self.facts.copy = Some("copied".to_owned());
        }
    }

    fn answered(&mut self, line: &StatusLine<'_>, wire: &mut Wire) -> Turn {
        let made = self.step == Step::Creating && created::all_the_same(line, wire);
        if line.status != Status::Ok && !made {
            return self.refused(line, wire);
        }
        self.take_copied(line);
        if self.step == Step::Checking && self.facts.flags_kept == Some(false) {
            let what = format!(
                "UID STORE at {}: OK, but the message has not all of the flags",
                wire.peer
            );
            let lost = Fault::new(FaultKind::Mailbox(MailboxFault::Other), what);
            self.spoiled.get_or_insert(lost);
        }
        match self.step {
            Step::Storing => {
                self.second.stored(line);
                self.announce("exists", wire)
            }
            Step::Flagging => self.announce("flags", wire),
            Step::Moving => {
                self.facts.r#move = Some("moved".to_owned());
                self.announce("expunge", wire)
            }
            Step::ExpungingSecond => {
                let copied = self.facts.copy.as_deref().is_some_and(|copy| copy != "refused");
                if copied && self.facts.r#move.is_none() {
                    self.facts.r#move = Some("copied_and_expunged".to_owned());
                }
                self.announce("expunge", wire)
            }
            Step::ExpungingFirst => self.announce("expunge", wire),
            Step::Copying => {
                self.facts
                    .copy
                    .get_or_insert_with(|| "copied_without_uid".to_owned());
                self.onward(wire)
            }
            Step::Meeting
            | Step::Creating
            | Step::Noticing
            | Step::Numbering
            | Step::Checking
            | Step::MarkingSecond
            | Step::MarkingFirst
            | Step::Parting
            | Step::CleaningUp => self.onward(wire),
        }
    }

    /// Without the second message there is nothing to change; any other refusal is passed over.
    fn refused(&mut self, line: &StatusLine<'_>, wire: &mut Wire) -> Turn {
        self.facts.reply = Some(wire.evidence(line));
        let fault = refusal::of_change(line, wire);
        match self.step {
            Step::Storing => {
                self.failed = Some(fault);
                return self.part(wire);
            }
            Step::Creating => {
                wire.own.mailboxes.truncate(1);
                self.facts.copy = Some("refused".to_owned());
            }
            Step::Copying => self.facts.copy = Some("refused".to_owned()),
            Step::Moving => self.facts.r#move = Some("refused".to_owned()),
            _ => {}
        }
        self.spoiled.get_or_insert(fault);
        match self.step {
            Step::Moving => self.mark_second(wire),
            // What was not marked is not expunged.
            Step::MarkingSecond => self.mark_first(wire),
            Step::MarkingFirst => self.part(wire),
            _ => self.onward(wire),
        }
    }

    /// Tells the watcher what was changed just now, and waits for it to be seen.
    fn announce(&mut self, event: &'static str, wire: &mut Wire) -> Turn {
        if self.facts.watcher_fault.is_some() {
            return self.onward(wire);
        }
        self.change = Some(Change {
            event,
            asked_at: wire.asked_at(),
            done_at: wire.now(),
        });
        let then = self.told(wire).unwrap_or_else(|| rest(SEEING, wire));
        Turn::Tell(Signal::new(SignalKind::Changed, event, ""), Box::new(then))
    }

    /// The step behind the one that is done.
    fn onward(&mut self, wire: &mut Wire) -> Turn {
        self.change = None;
        wire.partner.forget_sightings();
        let tidies = matches!(self.step, Step::Parting | Step::CleaningUp);
        if wire.time_left() <= TIDYING && !tidies {
            let what = format!("synchronisation at {}", wire.peer);
            self.failed.get_or_insert_with(|| out_of_time(&what, wire.now()));
            return self.part(wire);
        }
        match self.step {
            Step::Meeting => self.create(wire),
            Step::Creating => self.store(wire),
            Step::Storing if !self.noticed => {
                self.step = Step::Noticing;
                Turn::Ask(Command::noop(wire.tag()))
            }
            Step::Storing | Step::Noticing => {
                self.step = Step::Numbering;
                Turn::Ask(Command::fetch_owners(wire.tag()))
            }
            Step::Numbering => self.flag(wire),
            Step::Flagging => {
                self.step = Step::Checking;
                Turn::Ask(Command::fetch_flags(wire.tag()))
            }
            Step::Checking => self.copy(wire),
            Step::Copying => self.move_away(wire),
            Step::MarkingSecond => self.expunge(Step::ExpungingSecond, self.second.uid, wire),
            Step::Moving | Step::ExpungingSecond => self.mark_first(wire),
            Step::MarkingFirst => self.expunge(Step::ExpungingFirst, wire.own.first, wire),
            Step::ExpungingFirst => self.part(wire),
            Step::Parting | Step::CleaningUp => self.clean_up(wire),
        }
    }

    /// The watcher leaves first: a mailbox that is removed under a session may end it.
    fn part(&mut self, wire: &mut Wire) -> Turn {
        self.step = Step::Parting;
        let then = if self.facts.watcher_fault.is_some() || wire.partner.gone.is_some() {
            self.clean_up(wire)
        } else {
            Turn::Rest(PARTING)
        };
        Turn::Tell(Signal::over(), Box::new(then))
    }

    fn clean_up(&mut self, wire: &mut Wire) -> Turn {
        self.step = Step::CleaningUp;
        self.sweep = Sweep::over(wire.own.mailboxes.clone());
        match self.sweep.next(wire) {
            Some(turn) => turn,
            None => self.over(wire),
        }
    }

    fn over(&mut self, wire: &Wire) -> Turn {
        self.tell_what_is_left(wire);
        let at = format!("synchronisation at {}", wire.peer);
        if let Some(fault) = self.failed.take() {
            return Turn::failed(fault);
        }
        if let Some(fault) = self.latencies.broken(&at) {
            return Turn::failed(fault);
        }
        if let Some(fault) = &self.facts.watcher_fault {
            let what = format!("{at} could not be judged: {}", fault.message);
            return Turn::degraded(Fault::new(fault.kind, what));
        }
        let stays = self.sweep.why.take().filter(|_| !self.facts.left_over.is_empty());
        let untidy = stays.map(|why| {
            let what = format!("{at}: {} stays there: {why}", self.facts.left_over.join(", "));
            Fault::new(FaultKind::Mailbox(MailboxFault::Other), what)
        });
        match self.latencies.slow(&at).or(self.spoiled.take()).or(untidy) {
            Some(fault) => Turn::degraded(fault),
            None => Turn::ok(),
        }
    }

    fn without_watcher(&mut self, fault: Fault) {
        self.facts.watcher_fault.get_or_insert(fault);
    }

    fn tell_what_is_left(&mut self, wire: &Wire) {
        self.facts.left_over.clone_from(&wire.own.mailboxes);
        self.facts.cleaned_up = Some(wire.own.mailboxes.is_empty());
        self.facts.old_removed = wire.own.old_removed;
    }
}

/// Waits for the other session, but never so long that nothing could be cleaned up any more.
fn rest(time: Duration, wire: &Wire) -> Turn {
    Turn::Rest(time.min(wire.time_left().saturating_sub(TIDYING)))
}
