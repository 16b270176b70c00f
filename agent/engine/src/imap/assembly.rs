//! The frame that is being read, byte by byte.

use std::mem;
use std::ops::Range;

use super::frame::{Frame, elide};
use super::limits::{LimitExceeded, LimitKind, Limits, SIZE_DIGITS};
use super::scan;

/// A frame so far, and where in it the reader stands.
#[derive(Debug, Default)]
pub(super) struct Assembly {
    bytes: Vec<u8>,
    line_bytes: usize,
    literals: Vec<Range<usize>>,
    literal_left: usize,
    depth: u32,
    deepest: u32,
    place: Place,
    size: SizeField,
    status_line: Option<bool>,
    bare_lf: bool,
}

/// Where in a line the next byte stands.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Where a token may begin.
    #[default]
    Between,
    /// In an atom, where a quote is an ordinary character: some servers send such mailbox names.
    Atom,
    Quoted,
    Escaped,
}

/// A literal's header as far as it was seen: `{`, digits, `+`, `}`, CR.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum SizeField {
    #[default]
    None,
    Digits(Size),
    Plus(Size),
    Closed(Size),
    ClosedCr(Size),
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Size {
    digits: u8,
    value: u64,
}

impl Assembly {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn without_literals(&self) -> Vec<u8> {
        elide(&self.bytes, &self.literals)
    }

    pub(super) fn in_literal(&self) -> bool {
        self.literal_left > 0
    }

    /// The size declared and the bytes that came, inside a literal.
    pub(super) fn literal_progress(&self) -> Option<(usize, usize)> {
        let literal = self.literals.last().filter(|_| self.in_literal())?;
        Some((literal.len(), literal.len() - self.literal_left))
    }

    /// Takes what belongs to the literal and says how much that was.
    pub(super) fn take_literal(&mut self, input: &[u8]) -> usize {
        let taken = self.literal_left.min(input.len());
        self.bytes.extend_from_slice(&input[..taken]);
        self.literal_left -= taken;
        taken
    }

    /// Takes one byte of a line; `true` when it ends the frame.
    pub(super) fn step(&mut self, byte: u8, limits: &Limits, greeting: bool) -> Result<bool, LimitExceeded> {
        let after_cr = self.bytes.last() == Some(&b'\r');
        self.bytes.push(byte);
        self.line_bytes += 1;
        check_line(self.line_bytes, limits, greeting)?;
        let size = mem::take(&mut self.size);
        if byte == b'\n' {
            self.bare_lf |= !after_cr;
            return self.end_line(size, limits);
        }
        match (self.place, byte) {
            (Place::Escaped, _) => self.place = Place::Quoted,
            (Place::Quoted, b'\\') => self.place = Place::Escaped,
            (Place::Quoted, b'"') => self.place = Place::Between,
            (Place::Quoted, _) => {}
            (Place::Between | Place::Atom, _) => {
                self.size = size.step(byte);
                self.step_outside_quotes(byte, limits)?;
            }
        }
        Ok(false)
    }

    pub(super) fn into_frame(self, offset: u64) -> Frame {
        Frame {
            bytes: self.bytes,
            literals: self.literals,
            offset,
            nesting: self.deepest,
            bare_lf: self.bare_lf,
        }
    }

    fn step_outside_quotes(&mut self, byte: u8, limits: &Limits) -> Result<(), LimitExceeded> {
        self.place = match byte {
            b'"' if self.place == Place::Between => Place::Quoted,
            b' ' | b'\t' | b'(' | b')' => Place::Between,
            _ => Place::Atom,
        };
        match byte {
            b'(' => {
                self.depth += 1;
                self.deepest = self.deepest.max(self.depth);
            }
            b')' => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        if self.depth > limits.nesting() && !self.is_status_line() {
            return Err(exceeded(LimitKind::Nesting, limits.nesting() as usize));
        }
        Ok(())
    }

    /// Ends a line: `false` when a literal follows, `true` when the frame is complete.
    fn end_line(&mut self, size: SizeField, limits: &Limits) -> Result<bool, LimitExceeded> {
        self.place = Place::Between;
        let (SizeField::Closed(size) | SizeField::ClosedCr(size)) = size else {
            return Ok(true);
        };
        if self.is_status_line() {
            return Ok(true);
        }
        if size.digits > SIZE_DIGITS {
            return Err(exceeded(LimitKind::SizeField, SIZE_DIGITS.into()));
        }
        let size = usize::try_from(size.value).unwrap_or(usize::MAX);
        if size > limits.literal {
            return Err(exceeded(LimitKind::Literal, limits.literal));
        }
        if self.literals.len() >= limits.literals_per_frame {
            return Err(exceeded(LimitKind::Literals, limits.literals_per_frame));
        }
        if self.bytes.len().saturating_add(size) > limits.frame {
            return Err(exceeded(LimitKind::Frame, limits.frame));
        }
        self.literals.push(self.bytes.len()..self.bytes.len() + size);
        self.literal_left = size;
        Ok(false)
    }

    /// Whether this is a status line or a continuation. Its text is for people: quotes, parentheses and `{5}`
    /// mean nothing there (RFC 9051 section 9, `resp-text`).
    fn is_status_line(&mut self) -> bool {
        let bytes = &self.bytes;
        *self
            .status_line
            .get_or_insert_with(|| scan::is_status_line(bytes))
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }
}

impl SizeField {
    fn step(self, byte: u8) -> Self {
        match (self, byte) {
            (_, b'{') => Self::Digits(Size::default()),
            (Self::Digits(size), b'0'..=b'9') => Self::Digits(size.with(byte - b'0')),
            (Self::Digits(size), b'+') if size.digits > 0 => Self::Plus(size),
            (Self::Digits(size) | Self::Plus(size), b'}') if size.digits > 0 => Self::Closed(size),
            (Self::Closed(size), b'\r') => Self::ClosedCr(size),
            _ => Self::None,
        }
    }
}

impl Size {
    fn with(self, digit: u8) -> Self {
        Self {
            digits: self.digits.saturating_add(1),
            value: self.value.saturating_mul(10).saturating_add(digit.into()),
        }
    }
}

fn check_line(bytes: usize, limits: &Limits, greeting: bool) -> Result<(), LimitExceeded> {
    let (kind, limit) = if greeting {
        (LimitKind::Greeting, limits.greeting)
    } else {
        (LimitKind::Line, limits.line)
    };
    if bytes > limit {
        Err(exceeded(kind, limit))
    } else {
        Ok(())
    }
}

fn exceeded(kind: LimitKind, limit: usize) -> LimitExceeded {
    LimitExceeded {
        kind,
        limit: limit as u64,
    }
}
