//! The bounds on what a server may send.
//!
//! They stand before every parser. The parser behind them needs up to 140 times a frame's size in memory and
//! overflows the stack on some 400 open parentheses, which nothing can catch; so the numbers here are what one
//! probe can cost its agent.

use std::time::Duration;

use thiserror::Error;

/// Bytes of a frame outside its literals, line ends included.
///
/// RFC 7162 section 4 asks servers to cope with command lines of 8 KiB; the longest honest replies (CAPABILITY,
/// LIST, FETCH of scalars) stay below 4 KiB. 64 KiB costs the parser at most 9 MiB for a moment.
pub const LINE: usize = 64 * 1024;

/// Bytes of the first line. A greeting with a full CAPABILITY code has about 1 KiB; another protocol that
/// answers here is recognised long before this.
pub const GREETING: usize = 8 * 1024;

/// Bytes of one literal. A probe fetches headers with `<0.4096>`; 64 times that leaves room for servers that
/// ignore the partial.
pub const LITERAL: usize = 256 * 1024;

/// Digits of a literal's size: `number64` of RFC 9051 has more, but no literal above [`LITERAL`] is read.
pub const SIZE_DIGITS: u8 = 10;

/// Bytes of a whole frame: one full literal and one full line.
pub const FRAME: usize = LITERAL + LINE;

/// Literals in one frame. One body section and a few mailbox names are honest.
pub const LITERALS_PER_FRAME: usize = 8;

/// Frames between a command and its tagged reply; a probe asks for one message, and servers may add flag and
/// EXISTS updates.
pub const FRAMES_PER_COMMAND: u32 = 5_000;

/// Frames in reply to LIST: more mailboxes than this tell a probe nothing new.
pub const FRAMES_PER_LIST: u32 = 2_000;

/// Bytes of one session, TLS or not, framing included.
pub const SESSION: u64 = 8 * 1024 * 1024;

/// Bytes of one session as they come off the network: records of TLS, tickets and new keys included, which no frame
/// ever sees. Honest TLS adds a few percent to what is said.
pub const NETWORK: u64 = 2 * SESSION;

/// Bytes of one handshake, whatever they are. The longest message that the TLS library reads has 64 KiB, and a
/// handshake has one long message.
pub const HANDSHAKE: u64 = 256 * 1024;

/// The fewest bytes that a reply must bring in [`DRIP_TIME`].
pub const DRIP_BYTES: u64 = 1024;

/// See [`DRIP_BYTES`]: 50 bytes in a second is less than any line to an IMAP server carries.
pub const DRIP_TIME: Duration = Duration::from_secs(20);

/// Open parentheses at one time. FETCH and NAMESPACE need four, a LIST with extended data five.
pub const NESTING: u32 = 16;

/// The nesting that no configuration can exceed: a tenth of what overflows a 2 MiB stack.
pub const NESTING_CEILING: u32 = 32;

/// The bounds of one session; [`Default`] is the table above.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// See [`LINE`].
    pub line: usize,
    /// See [`GREETING`].
    pub greeting: usize,
    /// See [`LITERAL`].
    pub literal: usize,
    /// See [`FRAME`].
    pub frame: usize,
    /// See [`LITERALS_PER_FRAME`].
    pub literals_per_frame: usize,
    /// See [`FRAMES_PER_COMMAND`].
    pub frames_per_command: u32,
    /// See [`SESSION`].
    pub session: u64,
    /// See [`NESTING`]; values above [`NESTING_CEILING`] count as that.
    pub nesting: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            line: LINE,
            greeting: GREETING,
            literal: LITERAL,
            frame: FRAME,
            literals_per_frame: LITERALS_PER_FRAME,
            frames_per_command: FRAMES_PER_COMMAND,
            session: SESSION,
            nesting: NESTING,
        }
    }
}

impl Limits {
    /// The nesting that is enforced.
    pub(crate) fn nesting(&self) -> u32 {
        self.nesting.min(NESTING_CEILING)
    }
}

/// Which bound was passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LimitKind {
    /// A line, see [`LINE`].
    Line,
    /// The first line, see [`GREETING`].
    Greeting,
    /// A literal, by its declared size, see [`LITERAL`].
    Literal,
    /// The digits of a literal's size, see [`SIZE_DIGITS`].
    SizeField,
    /// A frame with its literals, see [`FRAME`].
    Frame,
    /// Literals in a frame, see [`LITERALS_PER_FRAME`].
    Literals,
    /// Frames in reply to one command, see [`FRAMES_PER_COMMAND`].
    Frames,
    /// The session, see [`SESSION`].
    Session,
    /// Open parentheses, see [`NESTING`].
    Nesting,
}

impl LimitKind {
    /// The name in evidence.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Line => "line",
            Self::Greeting => "greeting",
            Self::Literal => "literal",
            Self::SizeField => "size_field",
            Self::Frame => "frame",
            Self::Literals => "literals",
            Self::Frames => "frames",
            Self::Session => "session",
            Self::Nesting => "nesting",
        }
    }

    const fn unit(self) -> &'static str {
        match self {
            Self::Line => "bytes in a line",
            Self::Greeting => "bytes in the first line",
            Self::Literal => "bytes in a literal",
            Self::SizeField => "digits in a literal's size",
            Self::Frame => "bytes in one reply",
            Self::Literals => "literals in one reply",
            Self::Frames => "replies to one command",
            Self::Session => "bytes in one session",
            Self::Nesting => "open parentheses",
        }
    }
}

/// A server sent more than a probe reads. The session must be closed: what follows cannot be framed any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("more than {limit} {}", .kind.unit())]
pub struct LimitExceeded {
    /// Which bound.
    pub kind: LimitKind,
    /// The bound itself, in its own unit.
    pub limit: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_configuration_lifts_the_nesting_above_its_ceiling() {
        assert_eq!(
            Limits {
                nesting: 4_000,
                ..Limits::default()
            }
            .nesting(),
            NESTING_CEILING
        );
    }

    #[test]
    fn a_limit_says_what_there_was_too_much_of() {
        let exceeded = LimitExceeded {
            kind: LimitKind::Nesting,
            limit: 16,
        };
        assert_eq!(exceeded.to_string(), "more than 16 open parentheses");
    }
}
