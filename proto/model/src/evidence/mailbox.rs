//! Evidence of what is read behind the login.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::evidence::ImapReply;

/// One namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NamespaceEntry {
    /// Prefix of the mailbox names in it.
    pub prefix: String,
    /// Hierarchy delimiter; absent for a flat namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delimiter: Option<String>,
}

/// The answer to NAMESPACE (RFC 2342).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NamespaceEvidence {
    /// The user's own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub personal: Vec<NamespaceEntry>,
    /// Other users'.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub other_users: Vec<NamespaceEntry>,
    /// Shared.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shared: Vec<NamespaceEntry>,
    /// The command's answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply: Option<ImapReply>,
}

/// The answer to LIST. Counts and roles, never the names of a user's mailboxes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ListEvidence {
    /// Mailboxes listed.
    pub mailboxes: u32,
    /// Hierarchy delimiter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delimiter: Option<String>,
    /// Special-use roles found (RFC 6154), with how many mailboxes have each.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub roles: BTreeMap<String, u32>,
    /// Lines that could not be read.
    pub unparsed: u32,
    /// The command's answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply: Option<ImapReply>,
    /// Roles that mail clients look for and no mailbox has (`sent`, `drafts`, `trash`, ...).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing_roles: Vec<String>,
    /// Roles that more than one mailbox has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub doubled_roles: Vec<String>,
    /// Names that are neither modified UTF-7 nor UTF-8.
    #[serde(default, skip_serializing_if = "crate::evidence::is_zero")]
    pub undecodable: u32,
    /// Mailboxes beside INBOX that stand outside the personal namespace's prefix.
    #[serde(default, skip_serializing_if = "crate::evidence::is_zero")]
    pub outside_prefix: u32,
}

/// The answer to EXAMINE.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SelectEvidence {
    /// `EXAMINE` or `SELECT`.
    pub command: String,
    /// Messages in the mailbox.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exists: Option<u64>,
    /// UIDVALIDITY.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid_validity: Option<u64>,
    /// UIDNEXT.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid_next: Option<u64>,
    /// HIGHESTMODSEQ (RFC 7162).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub highest_modseq: Option<u64>,
    /// PERMANENTFLAGS.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub permanent_flags: Vec<String>,
    /// READ-ONLY or READ-WRITE, as said by the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_only: Option<bool>,
    /// The command's answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply: Option<ImapReply>,
    /// The answer to STATUS, asked before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<StatusFacts>,
    /// The answer to GETQUOTAROOT (RFC 9208).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quota: Vec<QuotaFacts>,
    /// UIDNOTSTICKY (RFC 4315): UIDs do not last.
    #[serde(default, skip_serializing_if = "crate::evidence::is_false")]
    pub uid_not_sticky: bool,
    /// NOMODSEQ (RFC 7162): no modification sequences here.
    #[serde(default, skip_serializing_if = "crate::evidence::is_false")]
    pub no_modseq: bool,
    /// MAILBOXID (RFC 8474).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mailbox_id: Option<String>,
}

/// The answer to UID FETCH of a few headers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FetchEvidence {
    /// UID asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<u64>,
    /// RFC822.SIZE of the message, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Bytes of headers received.
    pub literal_bytes: u64,
    /// From the command to the first byte of its answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_byte_ms: Option<f64>,
    /// The command's answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply: Option<ImapReply>,
    /// The length that the server declared for the headers; more than came where the connection ended before them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub declared_bytes: Option<u64>,
    /// From the command to the end of its answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_ms: Option<f64>,
}

/// The answer to STATUS (RFC 9051 section 6.3.11).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StatusFacts {
    /// MESSAGES.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub messages: Option<u64>,
    /// UIDNEXT.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid_next: Option<u64>,
    /// UIDVALIDITY.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid_validity: Option<u64>,
    /// UNSEEN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unseen: Option<u64>,
    /// HIGHESTMODSEQ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub highest_modseq: Option<u64>,
    /// SIZE, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
}

/// One resource of a quota root (RFC 9208 section 4.1).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct QuotaFacts {
    /// The quota root.
    pub root: String,
    /// `STORAGE` (in units of 1024 bytes), `MESSAGE`, ...
    pub resource: String,
    /// How much is used.
    pub usage: u64,
    /// How much may be used.
    pub limit: u64,
}
