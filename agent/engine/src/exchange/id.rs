//! Who the server is, and who asks (RFC 2971).

use std::collections::BTreeMap;

use parallax_model::evidence::{Evidence, IdEvidence, ImapReply};

use super::{Exchange, Turn, refusal};
use crate::imap::{Command, CommandError, Status, Tag, server_id};
use crate::wire::{Heard, Wire};

/// Says who asks, so that whoever reads the server's log knows.
#[derive(Debug, Default)]
pub(super) struct Id {
    server: BTreeMap<String, String>,
    reply: Option<ImapReply>,
}

/// The command that says who asks.
pub(super) fn command(tag: Tag) -> Result<Command, CommandError> {
    Command::id(
        tag,
        &[("name", "parallax"), ("version", env!("CARGO_PKG_VERSION"))],
    )
}

impl Exchange for Id {
    fn begin(&mut self, wire: &mut Wire) -> Turn {
        if !wire.capabilities.has("ID") {
            return Turn::skipped("the server does not offer ID");
        }
        match command(wire.tag()) {
            Ok(command) => Turn::Ask(command),
            Err(error) => Turn::skipped(error.to_string()),
        }
    }

    /// A client can do without it, so a refusal stops nothing.
    fn hear(&mut self, heard: Heard<'_>, wire: &mut Wire) -> Turn {
        match heard {
            Heard::Data(frame, line) => {
                if let Some(fields) = server_id::from_data(frame, &line) {
                    let masked = |(name, value): (String, String)| {
                        (wire.masked(name.as_bytes()), wire.masked(value.as_bytes()))
                    };
                    self.server = fields.into_iter().map(masked).collect();
                }
                Turn::Listen
            }
            Heard::Reply(line) => {
                self.reply = Some(wire.evidence(&line));
                match line.status {
                    Status::Ok => Turn::ok(),
                    _ => Turn::degraded(refusal::of_command(&line, wire)),
                }
            }
            Heard::Status(_) | Heard::Plus | Heard::Strange => Turn::Listen,
        }
    }

    fn evidence(&mut self, _wire: &Wire) -> Option<Evidence> {
        Some(Evidence::Id(IdEvidence {
            server: std::mem::take(&mut self.server),
            reply: self.reply.take(),
        }))
    }
}
