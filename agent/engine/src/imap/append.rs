//! The commands that make a mailbox, store a message in it and remove both again (RFC 9051 sections 6.3 and 6.4).

use super::code::ResponseCode;
use super::command::{Command, CommandError, Literals};
use super::scan;
use super::status_line::Code;
use super::tag::Tag;
use super::writer::Writer;

/// UIDVALIDITY and UID of a message that was stored (RFC 4315 section 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AppendUid {
    /// The generation of the mailbox's UIDs.
    pub uid_validity: u64,
    /// The message's UID.
    pub uid: u64,
}

impl AppendUid {
    /// From `[APPENDUID validity uid]`; `None` when the code is another one or names no single message.
    pub fn from_code(code: &Code<'_>) -> Option<Self> {
        if code.name != ResponseCode::AppendUid {
            return None;
        }
        let mut numbers = code
            .arguments
            .split(|byte| *byte == b' ')
            .filter(|word| !word.is_empty());
        Some(Self {
            uid_validity: scan::number(numbers.next()?)?,
            uid: scan::number(numbers.next()?)?,
        })
    }
}

impl Command {
    /// `LIST "" pattern` (RFC 9051 section 6.3.9).
    ///
    /// # Errors
    /// A control character in the pattern.
    pub fn list_like(tag: Tag, pattern: &[u8], literals: Literals) -> Result<Self, CommandError> {
        let mut writer = Writer::new(tag, "LIST", literals).word("\"\"");
        writer.raw(b" ");
        writer.string(pattern, "mailbox name")?;
        Ok(writer.finish())
    }

    /// `CREATE` (RFC 9051 section 6.3.4).
    ///
    /// # Errors
    /// A control character in the name.
    pub fn create(tag: Tag, mailbox: &[u8], literals: Literals) -> Result<Self, CommandError> {
        Self::on_mailbox(tag, "CREATE", mailbox, literals)
    }

    /// `SELECT` (RFC 9051 section 6.3.2), only ever of a probe's own mailbox.
    ///
    /// # Errors
    /// A control character in the name.
    pub fn select(tag: Tag, mailbox: &[u8], literals: Literals) -> Result<Self, CommandError> {
        Self::on_mailbox(tag, "SELECT", mailbox, literals)
    }

    /// `DELETE` (RFC 9051 section 6.3.5).
    ///
    /// # Errors
    /// A control character in the name.
    pub fn delete(tag: Tag, mailbox: &[u8], literals: Literals) -> Result<Self, CommandError> {
        Self::on_mailbox(tag, "DELETE", mailbox, literals)
    }

    /// `APPEND` of a message as read (RFC 9051 section 6.3.12).
    ///
    /// # Errors
    /// A control character in the name.
    pub fn append(
        tag: Tag,
        mailbox: &[u8],
        message: &[u8],
        literals: Literals,
    ) -> Result<Self, CommandError> {
        let mut writer = Writer::new(tag, "APPEND", literals);
        writer.raw(b" ");
        writer.string(mailbox, "mailbox name")?;
        let mut writer = writer.word("(\\Seen)");
        writer.raw(b" ");
        writer.literal(message);
        Ok(writer.finish())
    }

    /// `UNSELECT`: leaves the mailbox and removes nothing from it (RFC 3691).
    pub fn unselect(tag: Tag) -> Self {
        Writer::new(tag, "UNSELECT", Literals::Synchronising).finish()
    }

    fn on_mailbox(
        tag: Tag,
        name: &'static str,
        mailbox: &[u8],
        literals: Literals,
    ) -> Result<Self, CommandError> {
        let mut writer = Writer::new(tag, name, literals);
        writer.raw(b" ");
        writer.string(mailbox, "mailbox name")?;
        Ok(writer.finish())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::imap::tag::Tags;

    fn sent(mut command: Command) -> Vec<String> {
        std::iter::from_fn(|| command.next_part())
            .map(|part| String::from_utf8(part.public().unwrap().to_vec()).unwrap())
            .collect()
    }

    fn append(literals: Literals) -> Vec<String> {
        let tag = Tags::new(0).next_tag();
        sent(Command::append(tag, b"INBOX.p", b"a: b\r\n\r\nc\r\n", literals).unwrap())
    }

    #[test]
    fn a_message_goes_at_once_where_the_server_lets_it_and_waits_elsewhere() {
        assert_eq!(
            append(Literals::Synchronising),
            [
                "aaaa0001 APPEND \"INBOX.p\" (\\Seen) {11}\r\n",
                "a: b\r\n\r\nc\r\n\r\n"
            ]
        );
        assert_eq!(
            append(Literals::NonSynchronisingSmall),
            ["aaaa0001 APPEND \"INBOX.p\" (\\Seen) {11+}\r\na: b\r\n\r\nc\r\n\r\n"]
        );
    }

    #[test]
    fn append_uid_is_read_and_a_set_is_not_guessed() {
        let read = |arguments: &'static [u8]| {
            AppendUid::from_code(&Code {
                name: ResponseCode::AppendUid,
                arguments,
            })
        };
        assert_eq!(
            read(b"38505 3955"),
            Some(AppendUid {
                uid_validity: 38_505,
                uid: 3_955
            })
        );
        assert_eq!(read(b"38505 3955:3957"), None);
        assert_eq!(read(b"38505"), None);
    }
}
