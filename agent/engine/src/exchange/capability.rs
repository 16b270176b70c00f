//! What the server can do (RFC 9051 section 6.1.1).

use parallax_model::evidence::{CapabilityEvidence, Evidence, ImapReply};
use parallax_model::fault::{Fault, FaultKind, ImapFault};

use super::{Exchange, Turn, refusal};
use crate::imap::{Capabilities, Command, Status, StatusLine};
use crate::wire::{Channel, Heard, Wire};

/// Asks, whatever the greeting said already: middleboxes have been seen to change one and not the other.
#[derive(Debug, Default)]
pub(super) struct Capability {
    list: Announced,
    greeted_with: Capabilities,
    reply: Option<ImapReply>,
}

impl Exchange for Capability {
    fn begin(&mut self, wire: &mut Wire) -> Turn {
        self.greeted_with = wire.capabilities.clone();
        Turn::Ask(Command::capability(wire.tag()))
    }

    fn hear(&mut self, heard: Heard<'_>, wire: &mut Wire) -> Turn {
        self.list.take(&heard);
        let Heard::Reply(line) = heard else {
            return Turn::Listen;
        };
        self.reply = Some(wire.evidence(&line));
        match self.list.concluded(&line, wire) {
            Ok(()) => Turn::ok(),
            Err(fault) => Turn::failed(fault),
        }
    }

    fn evidence(&mut self, wire: &Wire) -> Option<Evidence> {
        let (added, removed) = self.list.changed_from(&self.greeted_with, wire);
        let in_clear = matches!(wire.channel, Channel::Clear) && self.list.came();
        Some(Evidence::Capability(CapabilityEvidence {
            capabilities: self.list.names(wire),
            reply: self.reply.take(),
            added,
            removed,
            cleartext_login: in_clear.then(|| self.list.takes_passwords()),
        }))
    }
}

/// A list of capabilities, wherever it comes.
#[derive(Debug, Default)]
pub(super) struct Announced(Option<Capabilities>);

impl Announced {
    /// Takes a list, from data or from the code of a status line.
    pub(super) fn take(&mut self, heard: &Heard<'_>) {
        let list = match heard {
            Heard::Data(frame, line) => Capabilities::from_data(frame, line),
            Heard::Status(line) | Heard::Reply(line) => line.code.as_ref().and_then(Capabilities::from_code),
            Heard::Plus | Heard::Strange => None,
        };
        if list.is_some() {
            self.0 = list;
        }
    }

    /// Whether a list came.
    pub(super) fn came(&self) -> bool {
        self.0.is_some()
    }

    /// The names, in the server's order.
    pub(super) fn names(&self, wire: &Wire) -> Vec<String> {
        self.0
            .as_ref()
            .map(|list| wire.masked_all(list.names()))
            .unwrap_or_default()
    }

    /// What it has and `before` had not, and the other way round; nothing where either was not announced.
    pub(super) fn changed_from(&self, before: &Capabilities, wire: &Wire) -> (Vec<String>, Vec<String>) {
        match &self.0 {
            Some(now) if !before.names().is_empty() => (
                wire.masked_all(&now.beyond(before)),
                wire.masked_all(&before.beyond(now)),
            ),
            _ => (Vec::new(), Vec::new()),
        }
    }

    /// Whether a client may send a password as it is.
    fn takes_passwords(&self) -> bool {
        self.0.as_ref().is_some_and(Capabilities::takes_passwords)
    }

    /// Makes the list the one that counts from now on.
    pub(super) fn adopt(&self, wire: &mut Wire) {
        let Some(list) = &self.0 else { return };
        if list.irregular() {
            wire.note("the capabilities are not separated by one space each, which some clients cannot read");
        }
        wire.capabilities = list.clone();
    }

    /// The answer to CAPABILITY is complete.
    pub(super) fn concluded(&self, line: &StatusLine<'_>, wire: &mut Wire) -> Result<(), Fault> {
        if line.status != Status::Ok {
            return Err(refusal::of_command(line, wire));
        }
        self.adopt(wire);
        if !self.came() {
            return Err(Fault::new(
                FaultKind::Imap(ImapFault::ProtocolError),
                format!("{} answers CAPABILITY with OK and no list", wire.peer),
            ));
        }
        if !wire.capabilities.speaks_imap4() {
            return Err(Fault::new(
                FaultKind::Imap(ImapFault::CapabilityMissing),
                format!("{} offers neither IMAP4rev1 nor IMAP4rev2", wire.peer),
            ));
        }
        Ok(())
    }
}
