//! The state of a mailbox that is not selected (RFC 9051 section 7.3.4).

use std::collections::BTreeMap;

use parallax_model::text::from_wire;

use super::frame::Frame;
use super::scan::DataLine;
use super::token;

/// The answer to STATUS.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MailboxStatus {
    /// The mailbox's name, as it was received.
    pub name: Vec<u8>,
    /// The numbers by the name of their item in upper case, `MESSAGES` for instance. Items that are no numbers
    /// are left out.
    pub items: BTreeMap<String, u64>,
}

impl MailboxStatus {
    /// From `* STATUS ...`; `None` when the line is another one or cannot be read.
    pub fn from_data(frame: &Frame, line: &DataLine<'_>) -> Option<Self> {
        if !line.is("STATUS") {
            return None;
        }
        let read = token::values(frame, line.arguments).ok()?;
        let [name, items, ..] = &read.values[..] else {
            return None;
        };
        let pairs = items.list()?.chunks_exact(2);
        Some(Self {
            name: name.name()?.to_vec(),
            items: pairs
                .filter_map(|pair| Some((from_wire(pair[0].text()?).to_ascii_uppercase(), pair[1].number()?)))
                .collect(),
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::imap::{Framer, Limits, Reply};

    #[test]
    fn items_of_later_extensions_are_read_beside_the_old_ones() {
        let mut framer = Framer::new(Limits::default());
        framer.push(b"* STATUS INBOX (messages 3 SIZE 5000000000 MAILBOXID (F1) APPENDLIMIT NIL) \r\n");
        let frame = framer.next_frame().unwrap().unwrap();
        let Reply::Data(data) = Reply::of(&frame) else {
            panic!()
        };
        let status = MailboxStatus::from_data(&frame, &data).unwrap();
        let items: Vec<_> = status
            .items
            .iter()
            .map(|(name, value)| (name.as_str(), *value))
            .collect();
        assert_eq!(
            (status.name.as_slice(), items),
            (&b"INBOX"[..], vec![("MESSAGES", 3), ("SIZE", 5_000_000_000)])
        );
    }
}
