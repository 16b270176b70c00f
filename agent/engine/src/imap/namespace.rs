//! Where mailboxes live (RFC 2342).

use super::frame::Frame;
use super::scan::DataLine;
use super::token::{self, Value};

/// One namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Namespace {
    /// What the names in it begin with, as it was received.
    pub prefix: Vec<u8>,
    /// What separates the levels of a name; `None` when there are no levels.
    pub delimiter: Option<Vec<u8>>,
}

/// The answer to NAMESPACE.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Namespaces {
    /// The user's own mailboxes.
    pub personal: Vec<Namespace>,
    /// Other users' mailboxes.
    pub other_users: Vec<Namespace>,
    /// Mailboxes that belong to nobody.
    pub shared: Vec<Namespace>,
}

impl Namespaces {
    /// From `* NAMESPACE ...`; `None` when the line is another one or cannot be read.
    pub fn from_data(frame: &Frame, line: &DataLine<'_>) -> Option<Self> {
        if !line.is("NAMESPACE") {
            return None;
        }
        let read = token::values(frame, line.arguments).ok()?;
        let [personal, other_users, shared] = read.values.get(..3)? else {
            return None;
        };
        Some(Self {
            personal: namespaces(personal)?,
            other_users: namespaces(other_users)?,
            shared: namespaces(shared)?,
        })
    }
}

/// A list of namespaces, or NIL for none. What stands behind prefix and delimiter are extensions.
fn namespaces(value: &Value<'_>) -> Option<Vec<Namespace>> {
    if *value == Value::Nil {
        return Some(Vec::new());
    }
    value.list()?.iter().map(namespace).collect()
}

fn namespace(value: &Value<'_>) -> Option<Namespace> {
    let [prefix, delimiter, ..] = value.list()? else {
        return None;
    };
    Some(Namespace {
        prefix: prefix.text()?.to_vec(),
        delimiter: delimiter.text().map(<[u8]>::to_vec),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::imap::{Framer, Limits, Reply};

    fn read(line: &str) -> Option<Namespaces> {
        let mut framer = Framer::new(Limits::default());
        framer.push(line.as_bytes());
        let frame = framer.next_frame().unwrap().unwrap();
        let Reply::Data(data) = Reply::of(&frame) else {
            panic!("{line}")
        };
        Namespaces::from_data(&frame, &data)
    }

    #[test]
    fn prefixes_and_delimiters_are_read() {
        let read = read(
            "* NAMESPACE ((\"INBOX.\" \".\")) NIL ((\"#news.\" \"\\\\\" \"X-P\" (\"A\")) (\"\" NIL))\r\n",
        )
        .unwrap();
        assert_eq!(
            read.personal,
            [Namespace {
                prefix: b"INBOX.".to_vec(),
                delimiter: Some(b".".to_vec())
            }]
        );
        assert_eq!(read.other_users, []);
        assert_eq!(read.shared[0].delimiter, Some(b"\\".to_vec()));
        assert_eq!(read.shared[1], Namespace::default());
    }

    #[test]
    fn what_is_no_namespace_is_not_guessed() {
        assert_eq!(read("* NAMESPACE NIL NIL\r\n"), None);
        assert_eq!(read("* NAMESPACE (\"INBOX.\" \".\") NIL NIL\r\n"), None);
    }
}
