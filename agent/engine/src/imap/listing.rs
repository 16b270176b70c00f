//! Mailboxes, as LIST names them (RFC 9051 section 7.3.1, RFC 6154).

use parallax_model::text::from_wire;

use super::frame::Frame;
use super::scan::DataLine;
use super::token;

/// The special uses of RFC 6154 and RFC 8457 that a probe counts, as attributes.
const ROLES: [&str; 8] = [
    "\\All",
    "\\Archive",
    "\\Drafts",
    "\\Flagged",
    "\\Important",
    "\\Junk",
    "\\Sent",
    "\\Trash",
];

/// One line of an answer to LIST.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listed {
    /// The attributes in the server's spelling.
    pub attributes: Vec<String>,
    /// What separates the levels of the name; `None` for a flat name.
    pub delimiter: Option<Vec<u8>>,
    /// The name, as it was received. It is the user's own: count it, do not report it.
    pub name: Vec<u8>,
}

impl Listed {
    /// From `* LIST ...`, and from the `* XLIST ...` that came before RFC 6154; `None` when the line is another
    /// one or cannot be read.
    pub fn from_data(frame: &Frame, line: &DataLine<'_>) -> Option<Self> {
        if !line.is("LIST") && !line.is("XLIST") {
            return None;
        }
        let read = token::values(frame, line.arguments).ok()?;
        let [attributes, delimiter, name, ..] = &read.values[..] else {
            return None;
        };
        let attributes = attributes
            .list()?
            .iter()
            .filter_map(token::Value::text)
            .map(from_wire)
            .collect();
        Some(Self {
            attributes,
            delimiter: delimiter.text().map(<[u8]>::to_vec),
            name: name.name()?.to_vec(),
        })
    }

    /// Whether it has this attribute, in any case.
    pub fn has(&self, attribute: &str) -> bool {
        self.attributes
            .iter()
            .any(|known| known.eq_ignore_ascii_case(attribute))
    }

    /// Whether it can be selected at all.
    pub fn selectable(&self) -> bool {
        !self.has("\\Noselect") && !self.has("\\NonExistent")
    }

    /// The special uses it has, in their registered spelling, without the backslash.
    pub fn roles(&self) -> impl Iterator<Item = &'static str> + '_ {
        ROLES
            .into_iter()
            .filter(|role| self.has(role))
            .map(|role| &role[1..])
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::imap::{Framer, Limits, Reply};

    fn read(line: &[u8]) -> Option<Listed> {
        let mut framer = Framer::new(Limits::default());
        framer.push(line);
        let frame = framer.next_frame().unwrap().unwrap();
        let Reply::Data(data) = Reply::of(&frame) else {
            panic!("{}", line.escape_ascii())
        };
        Listed::from_data(&frame, &data)
    }

    #[test]
    fn attributes_delimiter_and_name_are_read() {
        let sent = read(b"* LIST (\\HasNoChildren \\sent) \"/\" \"[Gmail]/Sent Mail\"\r\n").unwrap();
        assert_eq!(
            (sent.name.as_slice(), sent.delimiter.as_deref()),
            (&b"[Gmail]/Sent Mail"[..], Some(&b"/"[..]))
        );
        assert_eq!(sent.roles().collect::<Vec<_>>(), ["Sent"]);
        assert!(sent.selectable());
    }

    #[test]
    fn extended_data_literals_and_unknown_attributes_do_not_disturb() {
        let line = b"* LIST (\\AllMail Marked \\NoSelect) \"\\\\\" {4}\r\na(b\" (\"CHILDINFO\" (\"SUBSCRIBED\"))\r\n";
        let listed = read(line).unwrap();
        assert_eq!(
            (listed.name.as_slice(), listed.delimiter.as_deref()),
            (&b"a(b\""[..], Some(&b"\\"[..]))
        );
        assert_eq!(listed.roles().count(), 0);
        assert!(!listed.selectable());
    }

    #[test]
    fn a_mailbox_called_nil_and_a_flat_name_are_read() {
        let nil = read(b"* LIST () NIL NIL\r\n").unwrap();
        assert_eq!((nil.name.as_slice(), nil.delimiter), (&b"NIL"[..], None));
        assert_eq!(read(b"* LIST \"/\" INBOX\r\n"), None);
        assert_eq!(read(b"* LSUB () NIL INBOX\r\n"), None);
    }
}
