//! Mailbox data: `imap-proto` behind a guard, and the tolerant reader where that fails.
//!
//! `imap-proto` 0.17 overflows the stack on nested BODYSTRUCTUREs, panics on three kinds of input and rejects a
//! tenth of what real servers send. So it sees only frames that passed the limits and hold none of that, once
//! each; and a line that nothing can read is an observation, never a fault by itself.

use std::panic;

use imap_proto::{AttributeValue, MailboxDatum, Response};

use super::fetch::{Fetched, texts};
use super::frame::Frame;
use super::limits::NESTING_CEILING;
use super::scan::DataLine;
use super::token;

/// Bytes kept of a line that nothing could read.
pub const RAW: usize = 512;

/// What `imap-proto` must not see, in any case: the first recurses without a bound, the others panic.
const POISON: [&[u8]; 3] = [b"BODYSTRUCTURE", b"METADATA", b"INTERNALDATE NIL"];

/// Mailbox data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Data {
    /// Messages in the mailbox.
    Exists(u64),
    /// Messages that this session is the first to see.
    Recent(u64),
    /// The message of that number is gone.
    Expunge(u64),
    /// The flags that the mailbox knows, in the server's spelling.
    Flags(Vec<String>),
    /// Facts about one message.
    Fetch(Fetched),
}

/// How a line was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading {
    /// By `imap-proto`, all of it.
    Parsed(Data),
    /// By the tolerant reader, because `imap-proto` could not read it, or not all of it. Other clients may
    /// stumble over it too.
    Tolerated(Data),
    /// Not at all: the first [`RAW`] bytes, as received.
    Unparsed(Vec<u8>),
}

impl Reading {
    /// The data, however it was read.
    pub fn data(&self) -> Option<&Data> {
        match self {
            Self::Parsed(data) | Self::Tolerated(data) => Some(data),
            Self::Unparsed(_) => None,
        }
    }
}

/// Reads EXISTS, RECENT, EXPUNGE, FLAGS and FETCH; `None` for a line with another keyword.
pub fn mailbox_data(frame: &Frame, line: &DataLine<'_>) -> Option<Reading> {
    if !["EXISTS", "RECENT", "EXPUNGE", "FLAGS", "FETCH"]
        .into_iter()
        .any(|keyword| line.is(keyword))
    {
        return None;
    }
    Some(match strictly(frame) {
        Some(data) => Reading::Parsed(data),
        None => match tolerantly(frame, line) {
            Some(data) => Reading::Tolerated(data),
            None => Reading::Unparsed(frame.bytes()[..frame.bytes().len().min(RAW)].to_vec()),
        },
    })
}

/// The one call of `imap-proto`. A complete frame that it calls incomplete, or reads only in part, is not read.
fn strictly(frame: &Frame) -> Option<Data> {
    if !fit_for_imap_proto(frame) {
        return None;
    }
    let parsed = panic::catch_unwind(|| match Response::parse(frame.bytes()) {
        Ok(([], response)) => convert(response),
        Ok(_) | Err(_) => None,
    });
    parsed.unwrap_or(None)
}

pub(super) fn fit_for_imap_proto(frame: &Frame) -> bool {
    let bytes = frame.bytes();
    let holds = |poison: &[u8]| {
        bytes
            .windows(poison.len())
            .any(|window| window.eq_ignore_ascii_case(poison))
    };
    // Every word may become a value of 560 bytes there.
    let words = bytes.iter().filter(|byte| **byte == b' ').count();
    let high_after_bracket = || bytes.windows(2).any(|pair| pair[0] == b']' && pair[1] >= 0x80);
    frame.nesting() <= NESTING_CEILING
        && words <= token::VALUES
        && !POISON.into_iter().any(holds)
        && !high_after_bracket()
}

fn convert(response: Response<'_>) -> Option<Data> {
    match response {
        Response::MailboxData(MailboxDatum::Exists(number)) => Some(Data::Exists(number.into())),
        Response::MailboxData(MailboxDatum::Recent(number)) => Some(Data::Recent(number.into())),
        Response::Expunge(number) => Some(Data::Expunge(number.into())),
        Response::MailboxData(MailboxDatum::Flags(flags)) => Some(Data::Flags(
            flags.into_iter().map(std::borrow::Cow::into_owned).collect(),
        )),
        // An item it does not know, and a size beyond 32 bits, it drops without a word.
        Response::Fetch(_, attributes) if attributes.contains(&AttributeValue::Unknown) => None,
        Response::Fetch(number, attributes) => {
            Some(Data::Fetch(Fetched::from_attributes(number.into(), attributes)))
        }
        _ => None,
    }
}

fn tolerantly(frame: &Frame, line: &DataLine<'_>) -> Option<Data> {
    if line.is("FLAGS") {
        let read = token::values(frame, line.arguments).ok()?;
        return Some(Data::Flags(texts(read.values.first()?.list()?)));
    }
    let number = line.number?;
    if line.is("FETCH") {
        let read = token::values(frame, line.arguments).ok()?;
        return Fetched::from_values(number, &read.values).map(Data::Fetch);
    }
    let make = [
        ("EXISTS", Data::Exists as fn(u64) -> Data),
        ("RECENT", Data::Recent),
        ("EXPUNGE", Data::Expunge),
    ];
    make.into_iter()
        .find(|(keyword, _)| line.is(keyword))
        .map(|(_, make)| make(number))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::imap::fetch::Section;
    use crate::imap::{Framer, Limits, Reply};

    fn read(line: &[u8]) -> Reading {
        let mut framer = Framer::new(Limits::default());
        framer.push(line);
        let frame = framer.next_frame().unwrap().unwrap();
        let Reply::Data(data) = Reply::of(&frame) else {
            panic!("{}", line.escape_ascii())
        };
        mailbox_data(&frame, &data).unwrap()
    }

    fn fetched(reading: &Reading) -> &Fetched {
        match reading.data() {
            Some(Data::Fetch(fetched)) => fetched,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_scalars_of_a_message_are_read_and_its_contents_are_not_kept() {
        let reading = read(
            b"* 4 FETCH (UID 17 FLAGS (\\Seen $Probe) INTERNALDATE \"17-Jul-1996 02:44:25 -0700\" RFC822.SIZE 44827 \
              BODY[HEADER.FIELDS (MESSAGE-ID DATE)]<0> {11}\r\nDate: x\r\n\r\n)\r\n",
        );
        assert!(matches!(reading, Reading::Parsed(_)), "{reading:?}");
        let fetched = fetched(&reading);
        assert_eq!(
            (fetched.number, fetched.uid, fetched.size),
            (4, Some(17), Some(44_827))
        );
        assert_eq!(
            fetched.internal_date.as_deref(),
            Some("17-Jul-1996 02:44:25 -0700")
        );
        assert_eq!(
            fetched.flags.as_deref(),
            Some(&["\\Seen".to_owned(), "$Probe".to_owned()][..])
        );
        assert_eq!(
            fetched.sections,
            [Section {
                origin: Some(0),
                bytes: Some(11)
            }]
        );
    }

    #[test]
    fn what_imap_proto_rejects_is_tolerated() {
        for line in [
            &b"* 1 FETCH (UID 3 RFC822.SIZE 5000000000)\r\n"[..],
            b"* 1 FETCH (UID 3 BINARY[1] ~{2}\r\n\0\0 RFC822.SIZE 5000000000)\r\n",
            b"* 1 FETCH ((UID 3 RFC822.SIZE 5000000000))\r\n",
            b"* 1 FETCH (UID 3 (RFC822.SIZE 5000000000) BODY[1] )\r\n",
            b"* 1 FETCH (UID 3  RFC822.SIZE 5000000000 )\n",
        ] {
            let reading = read(line);
            assert!(
                matches!(reading, Reading::Tolerated(_)),
                "{}",
                line.escape_ascii()
            );
            assert_eq!(
                (fetched(&reading).uid, fetched(&reading).size),
                (Some(3), Some(5_000_000_000))
            );
        }
        assert_eq!(
            read(b"* 5000000000 EXISTS\r\n"),
            Reading::Tolerated(Data::Exists(5_000_000_000))
        );
        assert_eq!(read(b"*  2 RECENT\r\n"), Reading::Tolerated(Data::Recent(2)));
    }

    #[test]
    fn what_nothing_reads_is_kept_as_evidence() {
        assert_eq!(
            read(b"* 1 FETCH (UID)\r\n"),
            Reading::Unparsed(b"* 1 FETCH (UID)\r\n".to_vec())
        );
        assert!(matches!(read(b"* FETCH (UID 3)\r\n"), Reading::Unparsed(_)));
    }

    #[test]
    fn other_keywords_are_left_to_others() {
        let mut framer = Framer::new(Limits::default());
        framer.push(b"* SEARCH 1 2\r\n");
        let frame = framer.next_frame().unwrap().unwrap();
        let Reply::Data(data) = Reply::of(&frame) else {
            panic!()
        };
        assert_eq!(mailbox_data(&frame, &data), None);
    }
}
