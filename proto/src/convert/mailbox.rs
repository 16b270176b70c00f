//! Evidence of the IMAP dialogue behind the login.

use parallax_model::evidence::{
    FetchEvidence, ListEvidence, NamespaceEntry, NamespaceEvidence, QuotaFacts, SelectEvidence, StatusFacts,
};

use super::error::WireError;
use super::read::some_finite;
use super::write::all;
use crate::v1;

impl From<NamespaceEntry> for v1::NamespaceEntry {
    fn from(entry: NamespaceEntry) -> Self {
        Self {
            prefix: entry.prefix,
            delimiter: entry.delimiter,
        }
    }
}

impl From<v1::NamespaceEntry> for NamespaceEntry {
    fn from(wire: v1::NamespaceEntry) -> Self {
        Self {
            prefix: wire.prefix,
            delimiter: wire.delimiter,
        }
    }
}

impl From<NamespaceEvidence> for v1::NamespaceEvidence {
    fn from(facts: NamespaceEvidence) -> Self {
        Self {
            personal: all(facts.personal),
            other_users: all(facts.other_users),
            shared: all(facts.shared),
            reply: facts.reply.map(Into::into),
        }
    }
}

impl From<v1::NamespaceEvidence> for NamespaceEvidence {
    fn from(wire: v1::NamespaceEvidence) -> Self {
        Self {
            personal: all(wire.personal),
            other_users: all(wire.other_users),
            shared: all(wire.shared),
            reply: wire.reply.map(Into::into),
        }
    }
}

impl From<ListEvidence> for v1::ListEvidence {
    fn from(facts: ListEvidence) -> Self {
        Self {
            mailboxes: facts.mailboxes,
            delimiter: facts.delimiter,
            roles: facts.roles.into_iter().collect(),
            unparsed: facts.unparsed,
            reply: facts.reply.map(Into::into),
            missing_roles: facts.missing_roles,
            doubled_roles: facts.doubled_roles,
            undecodable: facts.undecodable,
            outside_prefix: facts.outside_prefix,
        }
    }
}

impl From<v1::ListEvidence> for ListEvidence {
    fn from(wire: v1::ListEvidence) -> Self {
        Self {
            mailboxes: wire.mailboxes,
            delimiter: wire.delimiter,
            roles: wire.roles.into_iter().collect(),
            unparsed: wire.unparsed,
            reply: wire.reply.map(Into::into),
            missing_roles: wire.missing_roles,
            doubled_roles: wire.doubled_roles,
            undecodable: wire.undecodable,
            outside_prefix: wire.outside_prefix,
        }
    }
}

impl From<SelectEvidence> for v1::SelectEvidence {
    fn from(facts: SelectEvidence) -> Self {
        Self {
            command: facts.command,
            exists: facts.exists,
            uid_validity: facts.uid_validity,
            uid_next: facts.uid_next,
            highest_modseq: facts.highest_modseq,
            permanent_flags: facts.permanent_flags,
            read_only: facts.read_only,
            reply: facts.reply.map(Into::into),
            status: facts.status.map(Into::into),
            quota: all(facts.quota),
            uid_not_sticky: facts.uid_not_sticky,
            no_modseq: facts.no_modseq,
            mailbox_id: facts.mailbox_id,
        }
    }
}

impl From<v1::SelectEvidence> for SelectEvidence {
    fn from(wire: v1::SelectEvidence) -> Self {
        Self {
            command: wire.command,
            exists: wire.exists,
            uid_validity: wire.uid_validity,
            uid_next: wire.uid_next,
            highest_modseq: wire.highest_modseq,
            permanent_flags: wire.permanent_flags,
            read_only: wire.read_only,
            reply: wire.reply.map(Into::into),
            status: wire.status.map(Into::into),
            quota: all(wire.quota),
            uid_not_sticky: wire.uid_not_sticky,
            no_modseq: wire.no_modseq,
            mailbox_id: wire.mailbox_id,
        }
    }
}

impl From<FetchEvidence> for v1::FetchEvidence {
    fn from(facts: FetchEvidence) -> Self {
        Self {
            uid: facts.uid,
            size: facts.size,
            literal_bytes: facts.literal_bytes,
            first_byte_ms: facts.first_byte_ms,
            reply: facts.reply.map(Into::into),
            declared_bytes: facts.declared_bytes,
            end_ms: facts.end_ms,
        }
    }
}

impl TryFrom<v1::FetchEvidence> for FetchEvidence {
    type Error = WireError;

    fn try_from(wire: v1::FetchEvidence) -> Result<Self, WireError> {
        Ok(Self {
            uid: wire.uid,
            size: wire.size,
            literal_bytes: wire.literal_bytes,
            first_byte_ms: some_finite("first_byte_ms", wire.first_byte_ms)?,
            reply: wire.reply.map(Into::into),
            declared_bytes: wire.declared_bytes,
            end_ms: some_finite("end_ms", wire.end_ms)?,
        })
    }
}

impl From<StatusFacts> for v1::StatusFacts {
    fn from(facts: StatusFacts) -> Self {
        Self {
            messages: facts.messages,
            uid_next: facts.uid_next,
            uid_validity: facts.uid_validity,
            unseen: facts.unseen,
            highest_modseq: facts.highest_modseq,
            size: facts.size,
        }
    }
}

impl From<v1::StatusFacts> for StatusFacts {
    fn from(wire: v1::StatusFacts) -> Self {
        Self {
            messages: wire.messages,
            uid_next: wire.uid_next,
            uid_validity: wire.uid_validity,
            unseen: wire.unseen,
            highest_modseq: wire.highest_modseq,
            size: wire.size,
        }
    }
}

impl From<QuotaFacts> for v1::QuotaFacts {
    fn from(facts: QuotaFacts) -> Self {
        Self {
            root: facts.root,
            resource: facts.resource,
            usage: facts.usage,
            limit: facts.limit,
        }
    }
}

impl From<v1::QuotaFacts> for QuotaFacts {
    fn from(wire: v1::QuotaFacts) -> Self {
        Self {
            root: wire.root,
            resource: wire.resource,
            usage: wire.usage,
            limit: wire.limit,
        }
    }
}
