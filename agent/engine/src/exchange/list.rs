//! Which mailboxes there are (RFC 9051 section 6.3.9): how many, and which of them have a role.

use parallax_model::evidence::{Evidence, ListEvidence};

use super::{Exchange, NOBODY_LOGGED_IN, Turn, refusal};
use crate::imap::command::ListReturn;
use crate::imap::listing::Listed;
use crate::imap::mailbox_name;
use crate::imap::{Command, Status, StatusLine};
use crate::wire::{Heard, Wire};

/// The roles without which clients make mailboxes of their own, one more each.
const LOOKED_FOR: [&str; 4] = ["Drafts", "Junk", "Sent", "Trash"];

/// Asks for the delimiter, then for every mailbox.
#[derive(Debug, Default)]
pub(super) struct List {
    facts: ListEvidence,
    all: bool,
}

impl Exchange for List {
    fn begin(&mut self, wire: &mut Wire) -> Turn {
        if !wire.logged_in {
            return Turn::skipped(NOBODY_LOGGED_IN);
        }
        Turn::Ask(Command::list_delimiter(wire.tag()))
    }

    fn hear(&mut self, heard: Heard<'_>, wire: &mut Wire) -> Turn {
        match heard {
            Heard::Data(frame, line) => {
                match Listed::from_data(frame, &line) {
                    Some(listed) => self.take(&listed, wire),
                    None if line.is("LIST") || line.is("XLIST") => self.facts.unparsed += 1,
                    None => {}
                }
                Turn::Listen
            }
            Heard::Reply(line) => self.answered(&line, wire),
            Heard::Status(_) | Heard::Plus | Heard::Strange => Turn::Listen,
        }
    }

    fn evidence(&mut self, _wire: &Wire) -> Option<Evidence> {
        Some(Evidence::List(std::mem::take(&mut self.facts)))
    }
}

impl List {
    fn take(&mut self, listed: &Listed, wire: &Wire) {
        if let Some(delimiter) = &listed.delimiter {
            self.facts.delimiter = Some(wire.masked(delimiter));
        }
        if self.all {
            self.facts.mailboxes += 1;
            for role in listed.roles() {
                *self.facts.roles.entry(role.to_owned()).or_default() += 1;
            }
            self.facts.undecodable += u32::from(!mailbox_name::decodes(&listed.name));
            self.facts.outside_prefix += u32::from(is_outside(&listed.name, wire));
        }
    }

    /// A server that tells roles should have each that clients look for, once.
    fn count_roles(&mut self, wire: &Wire) {
        let tells = wire.capabilities.has("SPECIAL-USE") || wire.capabilities.has("IMAP4rev2");
        if tells || !self.facts.roles.is_empty() {
            let missing = LOOKED_FOR
                .into_iter()
                .filter(|&role| !self.facts.roles.contains_key(role));
            self.facts.missing_roles = missing.map(str::to_owned).collect();
        }
        let doubled = self.facts.roles.iter().filter(|&(_, &count)| count > 1);
        self.facts.doubled_roles = doubled.map(|(role, _)| role.clone()).collect();
    }

    fn answered(&mut self, line: &StatusLine<'_>, wire: &mut Wire) -> Turn {
        self.facts.reply = Some(wire.evidence(line));
        if line.status != Status::Ok {
            return Turn::failed(refusal::of_mailbox(line, wire));
        }
        if self.all {
            self.count_roles(wire);
            return Turn::ok();
        }
        self.all = true;
        Turn::Ask(Command::list_all(wire.tag(), returns(wire)))
    }
}

/// Whether a mailbox is none of INBOX, the user's own namespace, and the others'.
fn is_outside(name: &[u8], wire: &Wire) -> bool {
    let Some(namespaces) = &wire.namespaces else {
        return false;
    };
    let all = [&namespaces.personal, &namespaces.other_users, &namespaces.shared];
    let mut prefixes = all.into_iter().flatten().map(|one| &one.prefix[..]);
    let inbox = name.len() >= 5 && name[..5].eq_ignore_ascii_case(b"INBOX");
    // A prefix names its own mailbox without the delimiter at its end.
    !inbox && !prefixes.any(|prefix| name.starts_with(prefix) || prefix.starts_with(name))
}

/// A server that offers both takes them as return options (RFC 5258, RFC 6154 section 5.1).
fn returns(wire: &Wire) -> ListReturn {
    let extended = wire.capabilities.has("LIST-EXTENDED");
    ListReturn {
        special_use: extended && wire.capabilities.has("SPECIAL-USE"),
        subscribed: extended,
    }
}
