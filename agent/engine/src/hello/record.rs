//! The record layer (RFC 5246 section 6.2), as far as it is in clear.

const HEADER: usize = 5;
/// A record's fragment at most, as RFC 5246 section 6.2.3 bounds one that is encrypted.
const FRAGMENT: usize = (1 << 14) + 2048;

const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;

/// What a whole record carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Record {
    /// Handshake messages, or parts of them.
    Handshake(Vec<u8>),
    /// An alert (RFC 5246 section 7.2).
    Alert {
        /// Whether the connection goes on after it.
        warning: bool,
        /// Its number.
        description: u8,
    },
    /// What does not belong before the keys are made.
    Unexpected(u8),
    /// No record of TLS.
    Foreign,
}

/// Bytes that become records.
#[derive(Debug, Clone, Default)]
pub(super) struct Records {
    unread: Vec<u8>,
}

impl Records {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.unread.extend_from_slice(bytes);
    }

    /// The next whole record. One that is none stays, and is found again.
    pub(super) fn next(&mut self) -> Option<Record> {
        let [kind, major, _, high, low, rest @ ..] = self.unread.as_slice() else {
            return None;
        };
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        if !(20..=24).contains(kind) || *major != 3 || length > FRAGMENT {
            return Some(Record::Foreign);
        }
        let fragment = rest.get(..length)?;
        let record = match (*kind, fragment) {
            (HANDSHAKE, _) => Record::Handshake(fragment.to_vec()),
            (ALERT, [level, description]) => Record::Alert {
                warning: *level == 1,
                description: *description,
            },
            (kind, _) => Record::Unexpected(kind),
        };
        self.unread.drain(..HEADER + length);
        Some(record)
    }
}
