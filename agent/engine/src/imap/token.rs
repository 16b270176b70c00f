//! A tolerant reader for the lists of IMAP: atoms, strings, NIL and parentheses.
//!
//! It reads what real servers send: extra or missing parentheses, extra spaces, 8-bit characters, brackets in
//! atoms. It does not recurse, and it stops at a depth and at a number of values.

use std::borrow::Cow;
use std::ops::Range;

use thiserror::Error;

use super::frame::Frame;
use super::limits::NESTING_CEILING;

/// Values read from one frame; the longest honest reply, a CAPABILITY, has about a hundred.
pub const VALUES: usize = 4_096;

/// One value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value<'f> {
    /// A bare word, a number or a flag. A body section is one word: `BODY[HEADER.FIELDS (DATE)]<0>`.
    Atom(&'f [u8]),
    /// A quoted string, its escapes resolved.
    Quoted(Cow<'f, [u8]>),
    /// A literal's contents.
    Literal(&'f [u8]),
    /// `NIL`.
    Nil,
    /// A list in parentheses.
    List(Vec<Value<'f>>),
}

impl<'f> Value<'f> {
    /// The bytes of an atom or a string.
    pub fn text(&self) -> Option<&[u8]> {
        match self {
            Self::Atom(bytes) | Self::Literal(bytes) => Some(bytes),
            Self::Quoted(bytes) => Some(bytes),
            Self::Nil | Self::List(_) => None,
        }
    }

    /// The text where a mailbox name is due: a mailbox may be called NIL.
    pub fn name(&self) -> Option<&[u8]> {
        if *self == Self::Nil {
            Some(b"NIL")
        } else {
            self.text()
        }
    }

    /// The values of a list.
    pub fn list(&self) -> Option<&[Value<'f>]> {
        if let Self::List(values) = self {
            Some(values)
        } else {
            None
        }
    }

    /// The number an atom spells; quoted numbers are taken too.
    pub fn number(&self) -> Option<u64> {
        super::scan::number(self.text()?)
    }

    /// Whether it is this word, in any case.
    pub fn is(&self, word: &str) -> bool {
        matches!(self, Self::Atom(bytes) if bytes.eq_ignore_ascii_case(word.as_bytes()))
    }
}

/// What was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Values<'f> {
    /// The values in order.
    pub values: Vec<Value<'f>>,
    /// Whether parentheses or quotes did not match, or values were not separated by one space each.
    pub irregular: bool,
}

/// The reader's own bounds were passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TokenError {
    /// More than [`NESTING_CEILING`] open parentheses.
    #[error("more than {NESTING_CEILING} open parentheses")]
    TooDeep,
    /// More than [`VALUES`] values.
    #[error("more than {VALUES} values in one reply")]
    TooMany,
}

/// Reads the values of a frame from a place in it to its end.
///
/// # Errors
/// [`TokenError`] when the frame has more values, or deeper lists, than this reads.
pub fn values(frame: &Frame, from: usize) -> Result<Values<'_>, TokenError> {
    read(frame.content(), frame.literals(), from)
}

/// Reads the values of a piece of a line, such as a code's arguments; there are no literals in it.
///
/// # Errors
/// As [`values`].
pub fn values_of(bytes: &[u8]) -> Result<Values<'_>, TokenError> {
    read(bytes, &[], 0)
}

fn read<'f>(bytes: &'f [u8], literals: &[Range<usize>], from: usize) -> Result<Values<'f>, TokenError> {
    let literals = &literals[literals.partition_point(|literal| literal.start < from)..];
    let mut reader = Reader {
        bytes,
        literals,
        at: from,
        count: 0,
        irregular: false,
    };
    let mut open: Vec<Vec<Value<'f>>> = Vec::new();
    let mut current = Vec::new();
    while let Some(token) = reader.next_token() {
        match token {
            Token::Open if open.len() >= NESTING_CEILING as usize => return Err(TokenError::TooDeep),
            Token::Open => open.push(std::mem::take(&mut current)),
            Token::Close => match open.pop() {
                Some(outer) => {
                    let inner = std::mem::replace(&mut current, outer);
                    current.push(Value::List(inner));
                }
                None => reader.irregular = true,
            },
            Token::Value(value) => current.push(value),
        }
        reader.count += 1;
        if reader.count > VALUES {
            return Err(TokenError::TooMany);
        }
    }
    while let Some(outer) = open.pop() {
        reader.irregular = true;
        let inner = std::mem::replace(&mut current, outer);
        current.push(Value::List(inner));
    }
    Ok(Values {
        values: current,
        irregular: reader.irregular,
    })
}

enum Token<'f> {
    Open,
    Close,
    Value(Value<'f>),
}

struct Reader<'f, 'l> {
    bytes: &'f [u8],
    literals: &'l [Range<usize>],
    at: usize,
    count: usize,
    irregular: bool,
}

impl<'f> Reader<'f, '_> {
    fn next_token(&mut self) -> Option<Token<'f>> {
        self.skip_spaces();
        if let Some(literal) = self.literal() {
            return Some(Token::Value(literal));
        }
        Some(match *self.bytes.get(self.at)? {
            b'(' => self.single(Token::Open),
            b')' => self.single(Token::Close),
            b'"' => Token::Value(Value::Quoted(self.quoted())),
            _ => Token::Value(self.atom()),
        })
    }

    fn single(&mut self, token: Token<'f>) -> Token<'f> {
        self.at += 1;
        token
    }

    /// The next byte, unless a literal or the end comes first.
    fn peek(&self) -> Option<u8> {
        let literal = self
            .literals
            .first()
            .is_some_and(|literal| literal.start <= self.at);
        self.bytes.get(self.at).copied().filter(|_| !literal)
    }

    fn skip_spaces(&mut self) {
        let start = self.at;
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
        let inside_list = self.bytes.get(start.wrapping_sub(1)) == Some(&b'(');
        self.irregular |= self.at - start > 1 || (self.at > start && (inside_list || self.closes_or_ends()));
    }

    fn closes_or_ends(&self) -> bool {
        matches!(self.bytes.get(self.at), None | Some(b')'))
    }

    /// A literal, if its header begins here, or its contents after a header that a word ran into. Where the
    /// contents stand, the framer has decided.
    fn literal(&mut self) -> Option<Value<'f>> {
        let literal = self.literals.first()?;
        let header = self.bytes.get(self.at..literal.start)?;
        if !is_literal_header(header) && !header.is_empty() {
            return None;
        }
        self.irregular |= header.is_empty();
        self.at = literal.end;
        self.literals = &self.literals[1..];
        self.bytes.get(literal.clone()).map(Value::Literal)
    }

    fn quoted(&mut self) -> Cow<'f, [u8]> {
        self.at += 1;
        let start = self.at;
        let mut unescaped: Option<Vec<u8>> = None;
        while let Some(byte) = self.peek() {
            match byte {
                b'"' => {
                    let end = self.at;
                    self.at += 1;
                    return unescaped.map_or(Cow::Borrowed(&self.bytes[start..end]), Cow::Owned);
                }
                b'\\' if self.at + 1 < self.bytes.len() => {
                    unescaped
                        .get_or_insert_with(|| self.bytes[start..self.at].to_vec())
                        .push(self.bytes[self.at + 1]);
                    self.at += 2;
                }
                _ => {
                    if let Some(text) = &mut unescaped {
                        text.push(byte);
                    }
                    self.at += 1;
                }
            }
        }
        self.irregular = true;
        unescaped.map_or(Cow::Borrowed(&self.bytes[start..self.at]), Cow::Owned)
    }

    fn atom(&mut self) -> Value<'f> {
        let start = self.at;
        while let Some(byte) = self.peek() {
            match byte {
                b' ' | b'\t' | b'\r' | b'\n' | b'(' | b')' => break,
                b'[' if is_section(&self.bytes[start..self.at]) => self.at += self.section(),
                _ => self.at += 1,
            }
        }
        let atom = &self.bytes[start..self.at];
        if atom.eq_ignore_ascii_case(b"NIL") {
            Value::Nil
        } else {
            Value::Atom(atom)
        }
    }

    /// Bytes from the bracket of a body section to the one that closes it; one, when none does.
    fn section(&self) -> usize {
        let rest = &self.bytes[self.at..];
        let line = &rest[..rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len())];
        line.iter()
            .position(|byte| *byte == b']')
            .map_or(1, |end| end + 1)
    }
}

fn is_literal_header(bytes: &[u8]) -> bool {
    let size = bytes.strip_prefix(b"~").unwrap_or(bytes).strip_prefix(b"{");
    let Some(size) = size.and_then(|size| size.trim_ascii_end().strip_suffix(b"}")) else {
        return false;
    };
    size.strip_suffix(b"+")
        .unwrap_or(size)
        .iter()
        .all(u8::is_ascii_digit)
}

/// Whether the word before a bracket is a data item with a section (RFC 9051 section 7.5.2).
fn is_section(word: &[u8]) -> bool {
    [&b"BODY"[..], b"BINARY", b"BINARY.SIZE"]
        .iter()
        .any(|item| word.eq_ignore_ascii_case(item))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::imap::{Framer, Limits};

    fn atom(text: &str) -> Value<'_> {
        Value::Atom(text.as_bytes())
    }

    fn read_all(text: &str) -> Values<'_> {
        values_of(text.as_bytes()).unwrap()
    }

    #[test]
    fn lists_strings_and_nil_are_told_apart() {
        let read = read_all(r#"(("" "/") NIL) "a \"b\\" \Seen 17"#);
        let quoted = |text: &'static str| Value::Quoted(Cow::Borrowed(text.as_bytes()));
        let prefixes = Value::List(vec![Value::List(vec![quoted(""), quoted("/")]), Value::Nil]);
        assert_eq!(
            read.values,
            [prefixes, quoted("a \"b\\"), atom("\\Seen"), atom("17")]
        );
        assert!(!read.irregular);
    }

    #[test]
    fn a_body_section_is_one_word() {
        let read = read_all("BODY[HEADER.FIELDS (MESSAGE-ID \"DATE\")]<0> x");
        assert_eq!(
            read.values,
            [atom("BODY[HEADER.FIELDS (MESSAGE-ID \"DATE\")]<0>"), atom("x")]
        );
        assert_eq!(
            read_all("[Gmail]/All[ x").values,
            [atom("[Gmail]/All["), atom("x")]
        );
    }

    #[test]
    fn literals_stand_where_the_framer_found_them() {
        let mut framer = Framer::new(Limits::default());
        framer.push(b"* LIST () \"/\" {5}\r\na(\r\nb NIL ~{2+}\r\n\0)\r\n");
        let frame = framer.next_frame().unwrap().unwrap();
        let read = values(&frame, 7).unwrap();
        assert_eq!(
            read.values[2..],
            [Value::Literal(b"a(\r\nb"), Value::Nil, Value::Literal(b"\0)")]
        );
    }

    #[test]
    fn a_word_that_runs_into_a_literal_leaves_its_contents_whole() {
        let mut framer = Framer::new(Limits::default());
        framer.push(b"* 1 FETCH (BODY[]{3}\r\n (\n UID 7)\r\n");
        let frame = framer.next_frame().unwrap().unwrap();
        let read = values(&frame, 10).unwrap();
        let list = read.values[0].list().unwrap();
        assert_eq!(list[1..], [Value::Literal(b" (\n"), atom("UID"), atom("7")]);
        assert!(read.irregular);
    }

    #[test]
    fn wrong_parentheses_spaces_and_quotes_are_read_and_flagged() {
        for (text, values) in [
            ("(a", vec![Value::List(vec![atom("a")])]),
            ("a))", vec![atom("a")]),
            ("a  b", vec![atom("a"), atom("b")]),
            ("a b ", vec![atom("a"), atom("b")]),
            ("( a )", vec![Value::List(vec![atom("a")])]),
            ("\"ab", vec![Value::Quoted(Cow::Borrowed(b"ab"))]),
        ] {
            let read = read_all(text);
            assert_eq!((read.values, read.irregular), (values, true), "{text}");
        }
    }

    #[test]
    fn depth_and_number_are_bounded_without_recursion() {
        assert_eq!(values_of("(".repeat(33).as_bytes()), Err(TokenError::TooDeep));
        assert_eq!(
            values_of("a ".repeat(VALUES + 1).as_bytes()),
            Err(TokenError::TooMany)
        );
        assert!(values_of("(".repeat(32).as_bytes()).is_ok());
    }

    #[test]
    fn a_mailbox_may_be_called_nil() {
        assert_eq!(read_all("NIL").values[0].name(), Some(&b"NIL"[..]));
        assert_eq!(read_all("NIL").values[0].text(), None);
    }
}
