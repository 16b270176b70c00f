//! The newest message's headers (RFC 9051 section 6.4.5), read with PEEK so that nothing is marked as read.

use parallax_model::evidence::{Evidence, FetchEvidence, ImapReply};
use parallax_model::fault::{Fault, FaultKind, MailboxFault};
use parallax_model::millis;

use super::{Exchange, NOBODY_LOGGED_IN, Turn, refusal};
use crate::imap::command::{HEADER_BYTES, Which};
use crate::imap::fetch::Fetched;
use crate::imap::parse::{Data, Reading, mailbox_data};
use crate::imap::scan::DataLine;
use crate::imap::{Command, Frame, Status, StatusLine};
use crate::wire::{Heard, Wire};

/// Asks for the message with the highest UID, which exists whenever any does; UIDNEXT - 1 may be gone.
#[derive(Debug, Default)]
pub(super) struct Fetch {
    fetched: Option<Fetched>,
    expunged: bool,
    end_ms: Option<f64>,
    reply: Option<ImapReply>,
}

impl Exchange for Fetch {
    fn begin(&mut self, wire: &mut Wire) -> Turn {
        if !wire.logged_in {
            return Turn::skipped(NOBODY_LOGGED_IN);
        }
        match wire.exists {
            Some(0) => Turn::skipped("the mailbox is empty"),
            None => Turn::skipped("the server did not say how many messages there are"),
            Some(_) => Turn::Ask(Command::fetch_headers(wire.tag(), Which::Last)),
        }
    }

    fn hear(&mut self, heard: Heard<'_>, wire: &mut Wire) -> Turn {
        match heard {
            Heard::Data(frame, line) => {
                self.take(frame, &line, wire);
                Turn::Listen
            }
            Heard::Reply(line) => self.answered(&line, wire),
            Heard::Status(_) | Heard::Plus | Heard::Strange => Turn::Listen,
        }
    }

    fn evidence(&mut self, wire: &Wire) -> Option<Evidence> {
        let cut = self.cut(wire);
        Some(Evidence::Fetch(FetchEvidence {
            uid: self.fetched.as_ref().and_then(|fetched| fetched.uid),
            size: self.fetched.as_ref().and_then(|fetched| fetched.size),
            literal_bytes: self.bytes() + cut.map_or(0, |(_, came)| came),
            first_byte_ms: wire.to_first_byte().map(millis::of),
            reply: self.reply.take(),
            declared_bytes: cut.map(|(declared, _)| declared).or_else(|| self.declared()),
            end_ms: self.end_ms,
        }))
    }
}

impl Fetch {
    /// Changes of other messages' flags may come in between; the answer is the one with headers in it.
    fn take(&mut self, frame: &Frame, line: &DataLine<'_>, wire: &mut Wire) {
        match mailbox_data(frame, line) {
            Some(Reading::Unparsed(_)) => wire.note("a line of mailbox data cannot be read"),
            Some(Reading::Parsed(data) | Reading::Tolerated(data)) => match data {
                Data::Fetch(fetched) if !fetched.sections.is_empty() || self.fetched.is_none() => {
                    self.fetched = Some(fetched);
                }
                Data::Expunge(_) => self.expunged = true,
                _ => {}
            },
            None => {}
        }
    }

    fn answered(&mut self, line: &StatusLine<'_>, wire: &mut Wire) -> Turn {
        self.reply = Some(wire.evidence(line));
        self.end_ms = Some(millis::of(wire.since_asked()));
        if line.status != Status::Ok {
            return Turn::failed(refusal::of_mailbox(line, wire));
        }
        let mismatch = |what: &str| {
            Turn::failed(Fault::new(
                FaultKind::Mailbox(MailboxFault::FetchMismatch),
                format!("UID FETCH at {}: {what}", wire.peer),
            ))
        };
        match &self.fetched {
            None if self.expunged => Turn::ok(),
            None => mismatch("OK, but no message came though the mailbox has some"),
            Some(fetched) if fetched.sections.iter().all(|section| section.bytes.is_none()) => {
                mismatch("OK, but without the headers asked for")
            }
            Some(fetched) if fetched.size.is_some_and(|size| size < self.bytes()) => {
                mismatch("the headers are longer than the message is said to be")
            }
            Some(_) => {
                if self.bytes() > HEADER_BYTES.into() {
                    wire.note("the server sends more than the part asked for");
                }
                Turn::ok()
            }
        }
    }

    /// The length of a literal that never came whole, and what came of it.
    fn cut(&self, wire: &Wire) -> Option<(u64, u64)> {
        let (declared, came) = wire.framer().unfinished()?.literal?;
        Some((declared as u64, came as u64))
    }

    /// A literal that came whole is as long as it was declared.
    fn declared(&self) -> Option<u64> {
        let sections = self.fetched.iter().flat_map(|fetched| &fetched.sections);
        let came = sections.filter_map(|section| section.bytes).next().is_some();
        came.then(|| self.bytes())
    }

    fn bytes(&self) -> u64 {
        let sections = self.fetched.iter().flat_map(|fetched| &fetched.sections);
        sections
            .filter_map(|section| section.bytes)
            .map(|bytes| bytes as u64)
            .sum()
    }
}
