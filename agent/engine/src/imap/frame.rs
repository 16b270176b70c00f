//! One complete reply of a server.

use std::ops::Range;

/// A line with the literals in it, complete and inside the limits.
///
/// Only [`Framer`](super::Framer) makes frames, so a parser that takes one can rely on the bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    pub(super) bytes: Vec<u8>,
    pub(super) literals: Vec<Range<usize>>,
    pub(super) offset: u64,
    pub(super) nesting: u32,
    pub(super) bare_lf: bool,
}

impl Frame {
    /// Everything, as it was received.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Everything but the line end that closes the frame.
    pub fn content(&self) -> &[u8] {
        let line = self.literals.last().map_or(0, |literal| literal.end);
        let end = match &self.bytes[line..] {
            [.., b'\r', b'\n'] => 2,
            [.., b'\n'] => 1,
            _ => 0,
        };
        &self.bytes[..self.bytes.len() - end]
    }

    /// Where the contents of the literals stand in [`bytes`](Self::bytes), in order.
    pub fn literals(&self) -> &[Range<usize>] {
        &self.literals
    }

    /// Bytes of the session before this frame.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The most parentheses that were open at one time, outside quotes and literals.
    pub fn nesting(&self) -> u32 {
        self.nesting
    }

    /// Whether a line of it ended in LF alone, which RFC 9051 section 2.2 does not allow.
    pub fn bare_lf(&self) -> bool {
        self.bare_lf
    }

    /// The frame with every literal replaced by its size, for records: what a literal holds may be somebody's
    /// mail.
    pub fn without_literals(&self) -> Vec<u8> {
        elide(&self.bytes, &self.literals)
    }
}

/// Replaces literals by their sizes, a last one that is not complete by what came of it.
pub(super) fn elide(bytes: &[u8], literals: &[Range<usize>]) -> Vec<u8> {
    let mut kept = Vec::with_capacity(bytes.len().min(1024));
    let mut from = 0;
    for literal in literals {
        let end = literal.end.min(bytes.len());
        let size = match end - literal.start {
            came if came < literal.len() => format!("<{came} of {} bytes>", literal.len()),
            came => format!("<{came} bytes>"),
        };
        kept.extend_from_slice(&bytes[from..literal.start]);
        kept.extend_from_slice(size.as_bytes());
        from = end;
    }
    kept.extend_from_slice(&bytes[from..]);
    kept
}
