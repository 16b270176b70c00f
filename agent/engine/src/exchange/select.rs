//! INBOX, opened to read (RFC 9051 section 6.3.3).

use parallax_model::evidence::{Evidence, ImapReply, SelectEvidence};

use super::{Exchange, NOBODY_LOGGED_IN, Turn, refusal};
use crate::imap::parse::{Reading, mailbox_data};
use crate::imap::select::Selected;
use crate::imap::{Command, Status, StatusLine};
use crate::wire::{Heard, Wire};

/// Opens INBOX with EXAMINE, which changes nothing in it.
#[derive(Debug, Default)]
pub(super) struct Select {
    selected: Selected,
    reply: Option<ImapReply>,
}

impl Exchange for Select {
    fn begin(&mut self, wire: &mut Wire) -> Turn {
        if !wire.logged_in {
            return Turn::skipped(NOBODY_LOGGED_IN);
        }
        let condstore = wire.capabilities.has("CONDSTORE") || wire.capabilities.has("QRESYNC");
        let literals = wire.capabilities.literals();
        match Command::examine(wire.tag(), b"INBOX", condstore, literals) {
            Ok(command) => Turn::Ask(command),
            Err(error) => Turn::skipped(error.to_string()),
        }
    }

    fn hear(&mut self, heard: Heard<'_>, wire: &mut Wire) -> Turn {
        match heard {
            Heard::Data(frame, line) => {
                match mailbox_data(frame, &line) {
                    Some(Reading::Unparsed(_)) => wire.note("a line of mailbox data cannot be read"),
                    Some(reading) => reading
                        .data()
                        .into_iter()
                        .for_each(|data| self.selected.take_data(data)),
                    None => {}
                }
                Turn::Listen
            }
            Heard::Status(line) => {
                self.take_code(&line);
                Turn::Listen
            }
            Heard::Reply(line) => {
                self.take_code(&line);
                self.reply = Some(wire.evidence(&line));
                if line.status != Status::Ok {
                    return Turn::failed(refusal::of_mailbox(&line, wire));
                }
                wire.exists = self.selected.exists;
                Turn::ok()
            }
            Heard::Plus | Heard::Strange => Turn::Listen,
        }
    }

    fn evidence(&mut self, wire: &Wire) -> Option<Evidence> {
        let selected = std::mem::take(&mut self.selected);
        Some(Evidence::Select(SelectEvidence {
            command: "EXAMINE".to_owned(),
            exists: selected.exists,
            uid_validity: selected.uid_validity,
            uid_next: selected.uid_next,
            highest_modseq: selected.highest_mod_seq,
            permanent_flags: wire.masked_all(&selected.permanent_flags.unwrap_or_default()),
            read_only: selected.read_only,
            reply: self.reply.take(),
            ..SelectEvidence::default()
        }))
    }
}

impl Select {
    fn take_code(&mut self, line: &StatusLine<'_>) {
        if let Some(code) = &line.code {
            self.selected.take_code(code);
        }
    }
}
