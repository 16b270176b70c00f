//! Removes mailboxes of probes: the messages that carry the mailbox's own mark, by their UIDs, and the mailbox if
//! nothing else is in it. Never a plain EXPUNGE, never a CLOSE: both would remove what somebody else marked.

use std::collections::VecDeque;

use super::refusal;
use super::{Turn, ask};
use crate::imap::parse::{Data, mailbox_data};
use crate::imap::status::MailboxStatus;
use crate::imap::sync::{Contents, Store};
use crate::imap::{Command, DataLine, Frame, ResponseCode, Status, StatusLine};
use crate::own::{mark, number};
use crate::wire::{Heard, Wire};

/// A mailbox with more messages than this is not a probe's any more; a probe stores four.
const MESSAGES: u64 = 16;

/// Removes one mailbox after the other. A refusal ends that mailbox's turn and nothing else.
#[derive(Debug, Default)]
pub(super) struct Sweep {
    ahead: VecDeque<String>,
    at: String,
    step: Step,
    exists: u64,
    uids: Vec<u64>,
    messages: Option<u64>,
    /// How many mailboxes are gone.
    pub(super) removed: u32,
    /// Why the first one that stays could not be removed.
    pub(super) why: Option<String>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Step {
    #[default]
    Opening,
    Looking,
    Marking,
    Expunging,
    Leaving,
    Counting,
    Deleting,
}

impl Sweep {
    pub(super) fn over(mailboxes: Vec<String>) -> Self {
        Self {
            ahead: mailboxes.into(),
            ..Self::default()
        }
    }

    /// The first turn, or the next mailbox's; `None` when everything is done.
    pub(super) fn next(&mut self, wire: &mut Wire) -> Option<Turn> {
        self.at = self.ahead.pop_front()?;
        self.step = Step::Opening;
        self.exists = 0;
        self.uids.clear();
        self.messages = None;
        let literals = wire.capabilities.literals();
        Some(ask(Command::select(wire.tag(), self.at.as_bytes(), literals)))
    }

    /// What the server said; `None` when everything is done.
    pub(super) fn hear(&mut self, heard: Heard<'_>, wire: &mut Wire) -> Option<Turn> {
        match heard {
            Heard::Data(frame, line) => {
                self.take(frame, &line);
                Some(Turn::Listen)
            }
            Heard::Reply(line) => self.answered(&line, wire),
            Heard::Status(_) | Heard::Plus | Heard::Strange => Some(Turn::Listen),
        }
    }

    fn take(&mut self, frame: &Frame, line: &DataLine<'_>) {
        match self.step {
            Step::Opening => {
                if let Some(Data::Exists(number)) =
                    mailbox_data(frame, line).as_ref().and_then(|read| read.data())
                {
                    self.exists = *number;
                }
            }
            Step::Looking => self.tell_apart(&Contents::from_data(frame, line).unwrap_or_default()),
            Step::Counting => {
                if let Some(status) = MailboxStatus::from_data(frame, line)
                    && status.name == self.at.as_bytes()
                {
                    self.messages = status.items.get("MESSAGES").copied();
                }
            }
            Step::Marking | Step::Expunging | Step::Leaving | Step::Deleting => {}
        }
    }

    /// The last word on a message counts: one that is shown with the mark and then without is somebody else's.
    fn tell_apart(&mut self, shown: &Contents) {
        let (Some(uid), Some(header)) = (shown.uid, &shown.bytes) else {
            return;
        };
        self.uids.retain(|known| *known != uid);
        let ours = mark(&self.at).is_some_and(|mark| number(header, mark).is_some());
        if ours && self.uids.len() < MESSAGES as usize {
            self.uids.push(uid);
        }
    }

    fn answered(&mut self, line: &StatusLine<'_>, wire: &mut Wire) -> Option<Turn> {
        let literals = wire.capabilities.literals();
        let mailbox = self.at.clone();
        if line.status != Status::Ok {
            return self.refused(line, wire);
        }
        let (step, command) = match self.step {
            Step::Opening if self.exists > MESSAGES => return self.keep("it holds other messages", wire),
            Step::Opening if self.exists > 0 => (Step::Looking, Ok(Command::fetch_owners(wire.tag()))),
            Step::Looking if !self.uids.is_empty() => (
                Step::Marking,
                Ok(Command::store(
                    wire.tag(),
                    &self.uids,
                    Store::AddSilently,
                    "\\Deleted",
                )),
            ),
            Step::Marking => (Step::Expunging, Ok(Command::expunge(wire.tag(), &self.uids))),
            Step::Opening | Step::Looking | Step::Expunging => (Step::Leaving, leave(wire)),
            Step::Leaving => (
                Step::Counting,
                Command::status(wire.tag(), mailbox.as_bytes(), &["MESSAGES"], literals),
            ),
            Step::Counting if self.messages == Some(0) => (
                Step::Deleting,
                Command::delete(wire.tag(), mailbox.as_bytes(), literals),
            ),
            Step::Counting => return self.keep("it is not empty", wire),
            Step::Deleting => {
                self.removed += 1;
                wire.own.mailboxes.retain(|own| *own != mailbox);
                return self.next(wire);
            }
        };
        self.step = step;
        Some(ask(command))
    }

    /// A mailbox that is not there needs no removal.
    fn refused(&mut self, line: &StatusLine<'_>, wire: &mut Wire) -> Option<Turn> {
        let missing = line
            .code
            .as_ref()
            .is_some_and(|code| code.name == ResponseCode::NonExistent);
        if missing {
            let mailbox = &self.at;
            wire.own.mailboxes.retain(|own| own != mailbox);
            return self.next(wire);
        }
        let why = format!("{}: {}", wire.asking(), refusal::quote(&wire.evidence(line)));
        self.keep(&why, wire)
    }

    fn keep(&mut self, why: &str, wire: &mut Wire) -> Option<Turn> {
        wire.note("a mailbox of a probe stays");
        self.why.get_or_insert_with(|| why.to_owned());
        self.next(wire)
    }
}

/// Out of the mailbox without removing anything from it.
fn leave(wire: &mut Wire) -> Result<Command, crate::imap::CommandError> {
    if wire.capabilities.has("UNSELECT") || wire.capabilities.has("IMAP4rev2") {
        return Ok(Command::unselect(wire.tag()));
    }
    let literals = wire.capabilities.literals();
    Command::examine(wire.tag(), b"INBOX", false, literals)
}
