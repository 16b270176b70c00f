//! One packet as it was heard.

use std::time::Duration;

/// A packet from its IP header on.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Packet {
    /// When, since the Unix epoch; the kernel's time.
    pub(super) at: Duration,
    /// Whether this host sent it.
    pub(super) outgoing: bool,
    /// As much as was taken of it.
    pub(super) bytes: Vec<u8>,
    /// How long it was.
    pub(super) length: usize,
}

impl std::fmt::Debug for Packet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let direction = if self.outgoing { "out" } else { "in" };
        write!(f, "{direction} {} at {:?}", self.length, self.at)
    }
}
