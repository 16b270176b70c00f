//! The commands of a probe, written by ourselves (RFC 9051 section 6).

mod login;

use std::collections::VecDeque;

use thiserror::Error;

use super::outgoing::Outgoing;
use super::redact::Concealed;
use super::tag::Tag;
use super::writer::Writer;
pub use login::{cancel_authentication, sasl_response};

/// The header bytes that a probe asks for, see [`Command::fetch_headers`].
pub const HEADER_BYTES: u32 = 4_096;

/// How literals may be sent, see [`Capabilities::literals`](super::Capabilities::literals).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Literals {
    /// The server must ask for the contents with a `+` line first.
    Synchronising,
    /// The contents may follow at once (LITERAL+, RFC 7888).
    NonSynchronising,
    /// The same for up to 4096 bytes (LITERAL-, RFC 7888; IMAP4rev2).
    NonSynchronisingSmall,
}

/// What a client cannot send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum CommandError {
    /// A control character in something that was configured. It could end the command and begin another one.
    #[error("the {what} holds a line break or a NUL, which IMAP cannot carry")]
    ControlCharacter {
        /// Where: `user name`, `password`, `mailbox name`.
        what: &'static str,
    },
}

/// The message whose headers are fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// The one with this UID.
    Uid(u32),
    /// The one with the highest UID.
    Last,
}

/// What a LIST asks for beside the names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ListReturn {
    /// The special uses (SPECIAL-USE, RFC 6154).
    pub special_use: bool,
    /// Which mailboxes are subscribed (LIST-EXTENDED, RFC 5258).
    pub subscribed: bool,
}

/// A command and its tag. It has more than one part when the server must answer `+` in between.
#[derive(Debug)]
pub struct Command {
    pub(super) tag: Tag,
    pub(super) name: &'static str,
    pub(super) parts: VecDeque<Outgoing>,
    pub(super) concealed: Vec<Concealed>,
}

impl Command {
    /// The tag that its reply will carry.
    pub fn tag(&self) -> &Tag {
        &self.tag
    }

    /// The command without its arguments.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// What to send next: once to begin, then once for each `+` line. `None` when nothing is left, and a `+` line
    /// then is a fault of the server.
    pub fn next_part(&mut self) -> Option<Outgoing> {
        self.parts.pop_front()
    }

    /// What must not appear in any record from now on, in every form in which this command sends it.
    pub fn concealed(&self) -> &[Concealed] {
        &self.concealed
    }

    /// `CAPABILITY` (RFC 9051 section 6.1.1).
    pub fn capability(tag: Tag) -> Self {
        Self::plain(tag, "CAPABILITY")
    }

    /// `STARTTLS` (RFC 9051 section 6.2.1).
    pub fn starttls(tag: Tag) -> Self {
        Self::plain(tag, "STARTTLS")
    }

    /// `STARTTLS` and, in the same write, a `NOOP` that only somebody on the way would put there.
    pub(crate) fn starttls_and_noop(tag: Tag, smuggled: &Tag) -> Self {
        let mut writer = Writer::new(tag, "STARTTLS", Literals::Synchronising);
        writer.raw(format!("\r\n{smuggled} NOOP").as_bytes());
        writer.finish()
    }

    /// `NAMESPACE` (RFC 9051 section 6.3.10).
    pub fn namespace(tag: Tag) -> Self {
        Self::plain(tag, "NAMESPACE")
    }

    /// `NOOP` (RFC 9051 section 6.1.2).
    pub fn noop(tag: Tag) -> Self {
        Self::plain(tag, "NOOP")
    }

    /// `LOGOUT` (RFC 9051 section 6.1.3).
    pub fn logout(tag: Tag) -> Self {
        Self::plain(tag, "LOGOUT")
    }

    /// `ID` with the fields given, or NIL without any (RFC 2971 section 3.1).
    ///
    /// # Errors
    /// A control character in a field.
    pub fn id(tag: Tag, fields: &[(&str, &str)]) -> Result<Self, CommandError> {
        let mut writer = Writer::new(tag, "ID", Literals::Synchronising);
        if fields.is_empty() {
            return Ok(writer.word("NIL").finish());
        }
        writer.raw(b" (");
        for (index, (name, value)) in fields.iter().enumerate() {
            if index > 0 {
                writer.raw(b" ");
            }
            writer.string(name.as_bytes(), "ID field")?;
            writer.raw(b" ");
            writer.string(value.as_bytes(), "ID field")?;
        }
        writer.raw(b")");
        Ok(writer.finish())
    }

    /// `ENABLE` (RFC 5161 section 3.1).
    pub fn enable(tag: Tag, capabilities: &[&str]) -> Self {
        Writer::new(tag, "ENABLE", Literals::Synchronising)
            .word(&capabilities.join(" "))
            .finish()
    }

    /// `LIST "" ""`: the hierarchy delimiter alone (RFC 9051 section 6.3.9).
    pub fn list_delimiter(tag: Tag) -> Self {
        Writer::new(tag, "LIST", Literals::Synchronising)
            .word("\"\" \"\"")
            .finish()
    }

    /// `LIST "" "*"`: every mailbox (RFC 9051 section 6.3.9).
    pub fn list_all(tag: Tag, returns: ListReturn) -> Self {
        let writer = Writer::new(tag, "LIST", Literals::Synchronising).word("\"\" \"*\"");
        match (returns.special_use, returns.subscribed) {
            (false, false) => writer,
            (true, false) => writer.word("RETURN (SPECIAL-USE)"),
            (false, true) => writer.word("RETURN (SUBSCRIBED)"),
            (true, true) => writer.word("RETURN (SPECIAL-USE SUBSCRIBED)"),
        }
        .finish()
    }

    /// `STATUS` of a mailbox that is not selected (RFC 9051 section 6.3.11), with the items given.
    ///
    /// # Errors
    /// A control character in the name.
    pub fn status(
        tag: Tag,
        mailbox: &[u8],
        items: &[&str],
        literals: Literals,
    ) -> Result<Self, CommandError> {
        let mut writer = Writer::new(tag, "STATUS", literals);
        writer.raw(b" ");
        writer.string(mailbox, "mailbox name")?;
        Ok(writer.word(&format!("({})", items.join(" "))).finish())
    }

    /// `GETQUOTAROOT` (RFC 9208 section 4.1.2).
    ///
    /// # Errors
    /// A control character in the name.
    pub fn quota_root(tag: Tag, mailbox: &[u8], literals: Literals) -> Result<Self, CommandError> {
        let mut writer = Writer::new(tag, "GETQUOTAROOT", literals);
        writer.raw(b" ");
        writer.string(mailbox, "mailbox name")?;
        Ok(writer.finish())
    }

    /// `EXAMINE`: SELECT that changes nothing (RFC 9051 section 6.3.3); with `condstore` it asks for modification
    /// sequences (RFC 7162 section 3.1.8). The name is sent byte by byte as LIST gave it.
    ///
    /// # Errors
    /// A control character in the name.
    pub fn examine(
        tag: Tag,
        mailbox: &[u8],
        condstore: bool,
        literals: Literals,
    ) -> Result<Self, CommandError> {
        let mut writer = Writer::new(tag, "EXAMINE", literals);
        writer.raw(b" ");
        writer.string(mailbox, "mailbox name")?;
        Ok(if condstore {
            writer.word("(CONDSTORE)")
        } else {
            writer
        }
        .finish())
    }

    /// `UID FETCH` of one message's scalars and a few of its headers (RFC 9051 section 6.4.9): PEEK, so that
    /// nothing is marked as read; a partial, so that nothing large comes; no BODYSTRUCTURE, which is where parsers
    /// break.
    pub fn fetch_headers(tag: Tag, which: Which) -> Self {
        let uid = match which {
            Which::Uid(uid) => uid.to_string(),
            Which::Last => "*".to_owned(),
        };
        let items = format!(
            "{uid} (UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[HEADER.FIELDS (MESSAGE-ID DATE)]<0.{HEADER_BYTES}>)"
        );
        Writer::new(tag, "UID FETCH", Literals::Synchronising)
            .word(&items)
            .finish()
    }

    fn plain(tag: Tag, name: &'static str) -> Self {
        Writer::new(tag, name, Literals::Synchronising).finish()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
