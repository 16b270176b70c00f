//! The commands that change messages by their UIDs, and IDLE (RFC 9051 section 6.4.9, RFC 6851, RFC 4315, RFC 2177).

use super::command::{Command, CommandError, Literals};
use super::frame::Frame;
use super::outgoing::Outgoing;
use super::scan::DataLine;
use super::tag::Tag;
use super::token::{self, Value};
use super::writer::Writer;

/// The header that says whose a message is.
pub const OWN_HEADER: &str = "X-Parallax-Probe";

/// What a STORE does to the flags it names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Store {
    /// Adds them, and has the server tell the outcome.
    Add,
    /// Adds them without an answer for each message.
    AddSilently,
}

/// A part of a message that came, with what is in it: only for messages of the probe's own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contents {
    /// UID, where it was asked for.
    pub uid: Option<u64>,
    /// The bytes of the first body section; `None` when the server said NIL or sent none.
    pub bytes: Option<Vec<u8>>,
}

impl Contents {
    /// From `* n FETCH (...)`; `None` when the line is another one or cannot be read.
    pub fn from_data(frame: &Frame, line: &DataLine<'_>) -> Option<Self> {
        if !line.is("FETCH") {
            return None;
        }
        let read = token::values(frame, line.arguments).ok()?;
        let items = match &read.values[..] {
            [Value::List(items), ..] => items,
            items => items,
        };
        let mut contents = Self::default();
        for pair in items.chunks_exact(2) {
            let Some(item) = pair[0].text() else { continue };
            if item.eq_ignore_ascii_case(b"UID") {
                contents.uid = pair[1].number();
            } else if item.to_ascii_uppercase().starts_with(b"BODY[") {
                contents.bytes = pair[1].text().map(<[u8]>::to_vec);
            }
        }
        Some(contents)
    }
}

impl Command {
    /// `UID FETCH` of a message of the probe's own, up to so many bytes; without a UID the one with the highest.
    pub fn fetch_whole(tag: Tag, uid: Option<u64>, bytes: usize) -> Self {
        let which = uid.map_or_else(|| "*".to_owned(), |uid| uid.to_string());
        Self::on_messages(tag, "UID FETCH", &format!("{which} (UID BODY.PEEK[]<0.{bytes}>)"))
    }

    /// `UID FETCH` of the flags of every message in a probe's own mailbox, which has a handful.
    pub fn fetch_flags(tag: Tag) -> Self {
        Self::on_messages(tag, "UID FETCH", "1:* (UID FLAGS)")
    }

    /// `UID FETCH` of the header that says whose each message is.
    pub fn fetch_owners(tag: Tag) -> Self {
        let items = format!("1:* (UID BODY.PEEK[HEADER.FIELDS ({OWN_HEADER})])");
        Self::on_messages(tag, "UID FETCH", &items)
    }

    /// `UID STORE` (RFC 9051 section 6.4.6).
    pub fn store(tag: Tag, uids: &[u64], how: Store, flags: &str) -> Self {
        let item = match how {
            Store::Add => "+FLAGS",
            Store::AddSilently => "+FLAGS.SILENT",
        };
        Self::on_messages(tag, "UID STORE", &format!("{} {item} ({flags})", set(uids)))
    }

    /// `UID COPY` (RFC 9051 section 6.4.7).
    ///
    /// # Errors
    /// A control character in the name.
    pub fn copy(tag: Tag, uid: u64, mailbox: &[u8], literals: Literals) -> Result<Self, CommandError> {
        Self::to_mailbox(tag, "UID COPY", uid, mailbox, literals)
    }

    /// `UID MOVE` (RFC 6851).
    ///
    /// # Errors
    /// A control character in the name.
    pub fn move_to(tag: Tag, uid: u64, mailbox: &[u8], literals: Literals) -> Result<Self, CommandError> {
        Self::to_mailbox(tag, "UID MOVE", uid, mailbox, literals)
    }

    /// `UID EXPUNGE` (RFC 4315 section 2.1): these messages and no other.
    pub fn expunge(tag: Tag, uids: &[u64]) -> Self {
        Self::on_messages(tag, "UID EXPUNGE", &set(uids))
    }

    /// `IDLE` (RFC 2177); [`done`] ends it.
    pub fn idle(tag: Tag) -> Self {
        Writer::new(tag, "IDLE", Literals::Synchronising).finish()
    }

    fn on_messages(tag: Tag, name: &'static str, arguments: &str) -> Self {
        Writer::new(tag, name, Literals::Synchronising)
            .word(arguments)
            .finish()
    }

    fn to_mailbox(
        tag: Tag,
        name: &'static str,
        uid: u64,
        mailbox: &[u8],
        literals: Literals,
    ) -> Result<Self, CommandError> {
        let mut writer = Writer::new(tag, name, literals).word(&uid.to_string());
        writer.raw(b" ");
        writer.string(mailbox, "mailbox name")?;
        Ok(writer.finish())
    }
}

/// What ends an IDLE.
pub fn done() -> Outgoing {
    let mut outgoing = Outgoing::default();
    outgoing.text(b"DONE\r\n");
    outgoing
}

fn set(uids: &[u64]) -> String {
    let uids: Vec<String> = uids.iter().map(u64::to_string).collect();
    uids.join(",")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::imap::tag::Tags;
    use crate::imap::{Framer, Limits, Reply};

    #[test]
    fn messages_are_removed_by_their_own_numbers() {
        let tag = || Tags::new(0).next_tag();
        let sent =
            |mut command: Command| String::from_utf8(command.next_part().unwrap().public().unwrap().to_vec());
        assert_eq!(
            sent(Command::expunge(tag(), &[7, 9])).unwrap(),
            "aaaa0001 UID EXPUNGE 7,9\r\n"
        );
        assert_eq!(
            sent(Command::store(tag(), &[7], Store::AddSilently, "\\Deleted")).unwrap(),
            "aaaa0001 UID STORE 7 +FLAGS.SILENT (\\Deleted)\r\n"
        );
    }

    #[test]
    fn contents_are_read_from_literals_and_from_quoted_strings() {
        let read = |line: &[u8]| {
            let mut framer = Framer::new(Limits::default());
            framer.push(line);
            let frame = framer.next_frame().unwrap().unwrap();
            let Reply::Data(data) = Reply::of(&frame) else {
                panic!("{}", line.escape_ascii())
            };
            Contents::from_data(&frame, &data)
        };
        let contents = |uid, bytes: &[u8]| {
            Some(Contents {
                uid,
                bytes: Some(bytes.to_vec()),
            })
        };
        assert_eq!(
            read(b"* 1 FETCH (UID 7 BODY[]<0> {4}\r\na\r\nb)\r\n"),
            contents(Some(7), b"a\r\nb")
        );
        assert_eq!(
            read(b"* 1 FETCH (BODY[HEADER.FIELDS (X-Parallax-Probe)] \"\" FLAGS (\\Seen) UID 7)\r\n"),
            contents(Some(7), b"")
        );
        assert_eq!(read(b"* 1 FETCH (UID 7 BODY[] NIL)\r\n").unwrap().bytes, None);
        assert_eq!(read(b"* 1 EXISTS\r\n"), None);
    }
}
