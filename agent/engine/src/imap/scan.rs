//! Tells a server's lines apart, before any parser sees them.

use super::frame::Frame;
use super::status_line::{Status, StatusLine};

/// A line of data: `* [number] KEYWORD arguments`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DataLine<'f> {
    /// The number before the keyword, as in `* 12 EXISTS`.
    pub number: Option<u64>,
    /// The keyword, as it was received.
    pub keyword: &'f [u8],
    /// Where in the frame the arguments begin.
    pub arguments: usize,
}

impl DataLine<'_> {
    /// Whether the keyword is this one, in any case.
    pub fn is(&self, keyword: &str) -> bool {
        self.keyword.eq_ignore_ascii_case(keyword.as_bytes())
    }

    /// Whether a server may send this before a login. Anything else at that point was put there by somebody on
    /// the way, or the server is broken.
    pub fn allowed_before_login(&self) -> bool {
        ["CAPABILITY", "ID", "LANGUAGE", "COMPARATOR"]
            .into_iter()
            .any(|keyword| self.is(keyword))
    }
}

/// What a frame is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply<'f> {
    /// `* OK ...` and the like; the greeting is one.
    Status(StatusLine<'f>),
    /// `* ...`, data.
    Data(DataLine<'f>),
    /// `+ ...`: the server waits for the rest of a command (RFC 9051 section 7.6).
    Continuation(&'f [u8]),
    /// `tag OK ...`: a command is done. Whose command, the tag tells.
    Tagged {
        /// The tag, as it was received.
        tag: &'f [u8],
        /// Status, code and text.
        line: StatusLine<'f>,
    },
    /// Nothing that IMAP has.
    Other,
}

impl<'f> Reply<'f> {
    /// Classifies a frame. This cannot fail: what is not IMAP is [`Reply::Other`].
    pub fn of(frame: &'f Frame) -> Self {
        let content = frame.content();
        match head(content) {
            Head::Status { status, rest } => Self::Status(StatusLine::read(status, rest)),
            Head::Tagged { tag, status, rest } => Self::Tagged {
                tag,
                line: StatusLine::read(status, rest),
            },
            Head::Continuation { rest } if is_pop3(rest) => Self::Other,
            Head::Continuation { rest } => Self::Continuation(rest.strip_prefix(b" ").unwrap_or(rest)),
            Head::Data { rest } => data_line(content, rest).map_or(Self::Other, Self::Data),
            Head::Other => Self::Other,
        }
    }
}

/// Whether a line, of which this is the beginning, is a status line or a continuation: it ends in text for
/// people, in which quotes, parentheses and braces mean nothing.
pub(super) fn is_status_line(beginning: &[u8]) -> bool {
    match head(beginning) {
        Head::Status { .. } | Head::Tagged { .. } | Head::Continuation { .. } => true,
        Head::Data { .. } | Head::Other => false,
    }
}

enum Head<'a> {
    Status {
        status: Status,
        rest: &'a [u8],
    },
    Tagged {
        tag: &'a [u8],
        status: Status,
        rest: &'a [u8],
    },
    Continuation {
        rest: &'a [u8],
    },
    Data {
        rest: &'a [u8],
    },
    Other,
}

fn head(line: &[u8]) -> Head<'_> {
    if let Some(rest) = line.strip_prefix(b"+") {
        return Head::Continuation { rest };
    }
    let (first, rest) = word(line);
    if first.is_empty() || !rest.starts_with(b" ") {
        return Head::Other;
    }
    let rest = skip_spaces(rest);
    let (second, behind) = word(rest);
    match (first == b"*", Status::read(second)) {
        (true, Some(status)) => Head::Status { status, rest: behind },
        (true, None) => Head::Data { rest },
        (false, Some(status)) if is_tag(first) => Head::Tagged {
            tag: first,
            status,
            rest: behind,
        },
        (false, _) => Head::Other,
    }
}

fn word(bytes: &[u8]) -> (&[u8], &[u8]) {
    let end = bytes
        .iter()
        .position(|byte| matches!(byte, b' ' | b'\r' | b'\n'))
        .unwrap_or(bytes.len());
    bytes.split_at(end)
}

/// More than one space after the star is wrong, and some servers do it.
pub(super) fn skip_spaces(bytes: &[u8]) -> &[u8] {
    &bytes[bytes.iter().position(|byte| *byte != b' ').unwrap_or(bytes.len())..]
}

/// `tag` of RFC 9051 section 9.
fn is_tag(word: &[u8]) -> bool {
    word.iter()
        .all(|byte| byte.is_ascii_graphic() && !b"(){%*\"\\+".contains(byte))
}

/// POP3 greets with `+OK` (RFC 1939 section 4); a server that only forgot the space after `+` does not.
fn is_pop3(rest: &[u8]) -> bool {
    word(rest).0 == b"OK"
}

fn data_line<'f>(content: &'f [u8], rest: &'f [u8]) -> Option<DataLine<'f>> {
    let (first, behind) = word(rest);
    let number = number(first);
    let (keyword, behind) = if number.is_some() {
        word(skip_spaces(behind))
    } else {
        (first, behind)
    };
    let arguments = content.len() - skip_spaces(behind).len();
    (!keyword.is_empty()).then_some(DataLine {
        number,
        keyword,
        arguments,
    })
}

/// Digits as a number; RFC 9051 has 32 and 63 bits here, and servers exceed the former.
pub(super) fn number(digits: &[u8]) -> Option<u64> {
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::imap::{Framer, Limits};

    fn frame(line: &[u8]) -> Frame {
        let mut framer = Framer::new(Limits::default());
        framer.push(line);
        framer.push(b"\r\n");
        framer.next_frame().unwrap().unwrap()
    }

    #[test]
    fn data_continuations_and_other_protocols_are_told_apart() {
        assert!(matches!(
            Reply::of(&frame(b"+ idling")),
            Reply::Continuation(b"idling")
        ));
        assert!(matches!(Reply::of(&frame(b"+")), Reply::Continuation(b"")));
        assert!(matches!(
            Reply::of(&frame(b"+eyJzIjo")),
            Reply::Continuation(b"eyJzIjo")
        ));
        for other in [
            &b"+OK POP3 ready"[..],
            b"220 mx ESMTP",
            b"HTTP/1.1 400 Bad Request",
            b"SSH-2.0-x",
            b"*",
            b"",
        ] {
            assert_eq!(Reply::of(&frame(other)), Reply::Other, "{}", other.escape_ascii());
        }
        let exists = frame(b"* 5000000000 exists");
        let Reply::Data(line) = Reply::of(&exists) else {
            panic!()
        };
        assert_eq!((line.number, line.is("EXISTS")), (Some(5_000_000_000), true));
        let list = frame(b"* LIST () \"/\" INBOX");
        let Reply::Data(line) = Reply::of(&list) else {
            panic!()
        };
        assert_eq!(&list.bytes()[line.arguments..], b"() \"/\" INBOX\r\n");
        assert!(!line.allowed_before_login());
    }

    #[test]
    fn a_tag_is_given_as_it_came() {
        let line = frame(b"PROXY BAD Error in IMAP command");
        assert!(matches!(Reply::of(&line), Reply::Tagged { tag: b"PROXY", .. }));
    }
}
