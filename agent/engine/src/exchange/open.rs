//! The mailbox that is to be watched, opened to read (RFC 9051 section 6.3.3).

use parallax_model::evidence::{Evidence, ImapReply, SelectEvidence};

use super::{Exchange, NOBODY_LOGGED_IN, Turn, ask, refusal};
use crate::imap::parse::mailbox_data;
use crate::imap::select::Selected;
use crate::imap::{Command, Status};
use crate::own::mark;
use crate::wire::{Heard, Wire};

/// Opens a mailbox that a probe made, and no other: its name came from another agent.
#[derive(Debug)]
pub(super) struct Open {
    mailbox: String,
    selected: Selected,
    reply: Option<ImapReply>,
}

impl Open {
    pub(super) fn new(mailbox: String) -> Self {
        Self {
            mailbox,
            selected: Selected::default(),
            reply: None,
        }
    }
}

impl Exchange for Open {
    fn begin(&mut self, wire: &mut Wire) -> Turn {
        if !wire.logged_in {
            return Turn::skipped(NOBODY_LOGGED_IN);
        }
        if mark(&self.mailbox).is_none() {
            return Turn::skipped("the mailbox to watch is not one that a probe made");
        }
        let literals = wire.capabilities.literals();
        ask(Command::examine(
            wire.tag(),
            self.mailbox.as_bytes(),
            false,
            literals,
        ))
    }

    fn hear(&mut self, heard: Heard<'_>, wire: &mut Wire) -> Turn {
        let line = match heard {
            Heard::Data(frame, line) => {
                if let Some(data) = mailbox_data(frame, &line).as_ref().and_then(|read| read.data()) {
                    self.selected.take_data(data);
                }
                return Turn::Listen;
            }
            Heard::Status(line) => {
                if let Some(code) = &line.code {
                    self.selected.take_code(code);
                }
                return Turn::Listen;
            }
            Heard::Reply(line) => line,
            Heard::Plus | Heard::Strange => return Turn::Listen,
        };
        if let Some(code) = &line.code {
            self.selected.take_code(code);
        }
        self.reply = Some(wire.evidence(&line));
        if line.status != Status::Ok {
            return Turn::failed(refusal::of_mailbox(&line, wire));
        }
        wire.exists = self.selected.exists;
        Turn::ok()
    }

    fn evidence(&mut self, _wire: &Wire) -> Option<Evidence> {
        Some(Evidence::Select(SelectEvidence {
            command: "EXAMINE".to_owned(),
            exists: self.selected.exists,
            uid_validity: self.selected.uid_validity,
            uid_next: self.selected.uid_next,
            highest_modseq: self.selected.highest_mod_seq,
            read_only: self.selected.read_only,
            reply: self.reply.take(),
            ..SelectEvidence::default()
        }))
    }
}
