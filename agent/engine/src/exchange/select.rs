//! INBOX, opened to read (RFC 9051 section 6.3.3), with what STATUS and GETQUOTAROOT say of it.

use parallax_model::evidence::{Evidence, ImapReply, QuotaFacts, SelectEvidence, StatusFacts};
use parallax_model::fault::{Fault, FaultKind, MailboxFault};

use super::{Exchange, NOBODY_LOGGED_IN, Turn, ask, refusal};
use crate::imap::parse::{Reading, mailbox_data};
use crate::imap::quota::Quota;
use crate::imap::select::Selected;
use crate::imap::status::MailboxStatus;
use crate::imap::{Command, DataLine, Frame, ResponseCode, Status, StatusLine};
use crate::wire::{Heard, Wire};

const INBOX: &[u8] = b"INBOX";

/// Quota lines kept.
const QUOTAS: usize = 16;

/// Asks for the mailbox's state, opens it with EXAMINE, which changes nothing in it, and asks how full it is. Only
/// EXAMINE decides: clients do without the other two.
#[derive(Debug, Default)]
pub(super) struct Select {
    step: Step,
    selected: Selected,
    status: Option<StatusFacts>,
    quota: Vec<QuotaFacts>,
    reply: Option<ImapReply>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// STATUS, which no client may ask of the mailbox that it has open.
    #[default]
    Looking,
    Opening,
    Measuring,
}

impl Exchange for Select {
    fn begin(&mut self, wire: &mut Wire) -> Turn {
        if !wire.logged_in {
            return Turn::skipped(NOBODY_LOGGED_IN);
        }
        let literals = wire.capabilities.literals();
        ask(Command::status(wire.tag(), INBOX, &status_items(wire), literals))
    }

    fn hear(&mut self, heard: Heard<'_>, wire: &mut Wire) -> Turn {
        match heard {
            Heard::Data(frame, line) => {
                self.take(frame, &line, wire);
                Turn::Listen
            }
            Heard::Status(line) => {
                self.take_code(&line);
                Turn::Listen
            }
            Heard::Reply(line) => match self.step {
                Step::Looking => self.open(wire),
                Step::Opening => self.opened(&line, wire),
                Step::Measuring => self.judged(wire),
            },
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
            status: self.status.take(),
            quota: std::mem::take(&mut self.quota),
            uid_not_sticky: selected.uid_not_sticky,
            no_modseq: selected.no_mod_seq,
            mailbox_id: selected.mailbox_id.map(|id| wire.masked(id.as_bytes())),
        }))
    }
}

impl Select {
    fn open(&mut self, wire: &mut Wire) -> Turn {
        self.step = Step::Opening;
        let condstore = wire.capabilities.has("CONDSTORE") || wire.capabilities.has("QRESYNC");
        let literals = wire.capabilities.literals();
        ask(Command::examine(wire.tag(), INBOX, condstore, literals))
    }

    fn opened(&mut self, line: &StatusLine<'_>, wire: &mut Wire) -> Turn {
        self.take_code(line);
        self.reply = Some(wire.evidence(line));
        let read_only = line
            .code
            .as_ref()
            .is_some_and(|code| code.name == ResponseCode::ReadOnly);
        if read_only
            && line.status == Status::Ok
            && let Some(reply) = &mut self.reply
        {
            // What EXAMINE asks for; behind SELECT it would mean something.
            (reply.cause, reply.next_step, reply.source) = (None, None, None);
        }
        if line.status != Status::Ok {
            return Turn::failed(refusal::of_mailbox(line, wire));
        }
        wire.exists = self.selected.exists;
        if !wire.capabilities.has("QUOTA") {
            return self.judged(wire);
        }
        self.step = Step::Measuring;
        let literals = wire.capabilities.literals();
        ask(Command::quota_root(wire.tag(), INBOX, literals))
    }

    fn judged(&self, wire: &mut Wire) -> Turn {
        let fault = |kind, what: String| Turn::degraded(Fault::new(FaultKind::Mailbox(kind), what));
        if let Some(full) = self
            .quota
            .iter()
            .find(|quota| quota.usage >= quota.limit && quota.limit > 0)
        {
            return fault(
                MailboxFault::OverQuota,
                format!(
                    "the quota of {} is used up: {} of {}",
                    full.resource, full.usage, full.limit
                ),
            );
        }
        // Not a fault: a mailbox that was never opened may get its UIDVALIDITY only now.
        let before = self.status.as_ref().and_then(|status| status.uid_validity);
        if before.is_some() && self.selected.uid_validity.is_some() && before != self.selected.uid_validity {
            wire.note("STATUS and EXAMINE disagree on UIDVALIDITY");
        }
        Turn::ok()
    }

    fn take(&mut self, frame: &Frame, line: &DataLine<'_>, wire: &mut Wire) {
        if let Some(status) = MailboxStatus::from_data(frame, line) {
            self.status = Some(status_facts(&status));
            return;
        }
        if let Some(quota) = Quota::from_data(frame, line) {
            let root = wire.masked(&quota.root);
            let room = QUOTAS.saturating_sub(self.quota.len());
            let facts = quota
                .resources
                .into_iter()
                .take(room)
                .map(|(resource, usage, limit)| QuotaFacts {
                    root: root.clone(),
                    resource: wire.masked(resource.as_bytes()),
                    usage,
                    limit,
                });
            self.quota.extend(facts);
            return;
        }
        match mailbox_data(frame, line) {
            Some(Reading::Unparsed(_)) => wire.note("a line of mailbox data cannot be read"),
            Some(reading) => reading
                .data()
                .into_iter()
                .for_each(|data| self.selected.take_data(data)),
            None => {}
        }
    }

    fn take_code(&mut self, line: &StatusLine<'_>) {
        if let Some(code) = &line.code {
            self.selected.take_code(code);
        }
    }
}

/// Only what the server announces: an item that it does not know spoils the whole answer.
fn status_items(wire: &Wire) -> Vec<&'static str> {
    let offers = &wire.capabilities;
    let mut items = vec!["MESSAGES", "UIDNEXT", "UIDVALIDITY", "UNSEEN"];
    if offers.has("CONDSTORE") || offers.has("QRESYNC") {
        items.push("HIGHESTMODSEQ");
    }
    if offers.has("STATUS=SIZE") || offers.has("IMAP4rev2") {
        items.push("SIZE");
    }
    items
}

fn status_facts(status: &MailboxStatus) -> StatusFacts {
    let item = |name: &str| status.items.get(name).copied();
    StatusFacts {
        messages: item("MESSAGES"),
        uid_next: item("UIDNEXT"),
        uid_validity: item("UIDVALIDITY"),
        unseen: item("UNSEEN"),
        highest_modseq: item("HIGHESTMODSEQ"),
        size: item("SIZE"),
    }
}
