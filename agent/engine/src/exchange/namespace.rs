//! Where mailboxes live (RFC 2342).

use parallax_model::evidence::{Evidence, NamespaceEntry, NamespaceEvidence};

use super::{Exchange, NOBODY_LOGGED_IN, Turn, refusal};
use crate::imap::namespace::{Namespace as Received, Namespaces};
use crate::imap::{Command, Status};
use crate::wire::{Heard, Wire};

/// Asks for the prefixes and delimiters.
#[derive(Debug, Default)]
pub(super) struct Namespace {
    facts: NamespaceEvidence,
}

impl Exchange for Namespace {
    fn begin(&mut self, wire: &mut Wire) -> Turn {
        if !wire.logged_in {
            return Turn::skipped(NOBODY_LOGGED_IN);
        }
        if !wire.capabilities.has("NAMESPACE") && !wire.capabilities.has("IMAP4rev2") {
            return Turn::skipped("the server does not offer NAMESPACE");
        }
        Turn::Ask(Command::namespace(wire.tag()))
    }

    /// A client can do without it, so a refusal stops nothing.
    fn hear(&mut self, heard: Heard<'_>, wire: &mut Wire) -> Turn {
        match heard {
            Heard::Data(frame, line) => {
                if let Some(read) = Namespaces::from_data(frame, &line) {
                    self.facts.personal = entries(&read.personal, wire);
                    self.facts.other_users = entries(&read.other_users, wire);
                    self.facts.shared = entries(&read.shared, wire);
                    wire.namespaces = Some(read);
                } else if line.is("NAMESPACE") {
                    wire.note("the NAMESPACE line cannot be read");
                }
                Turn::Listen
            }
            Heard::Reply(line) => {
                self.facts.reply = Some(wire.evidence(&line));
                match line.status {
                    Status::Ok => Turn::ok(),
                    _ => Turn::degraded(refusal::of_command(&line, wire)),
                }
            }
            Heard::Status(_) | Heard::Plus | Heard::Strange => Turn::Listen,
        }
    }

    fn evidence(&mut self, _wire: &Wire) -> Option<Evidence> {
        Some(Evidence::Namespace(std::mem::take(&mut self.facts)))
    }
}

fn entries(received: &[Received], wire: &Wire) -> Vec<NamespaceEntry> {
    received
        .iter()
        .map(|one| NamespaceEntry {
            prefix: wire.masked(&one.prefix),
            delimiter: one.delimiter.as_deref().map(|delimiter| wire.masked(delimiter)),
        })
        .collect()
}
