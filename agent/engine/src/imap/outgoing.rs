//! What goes to the server, and what of it may be recorded.

use std::fmt;

use zeroize::{Zeroize, Zeroizing};

/// Bytes for the wire beside the form in which they may be shown. The wire form is zeroed when dropped.
#[derive(Default)]
pub struct Outgoing {
    wire: Zeroizing<Vec<u8>>,
    shown: Vec<u8>,
    holds_secret: bool,
}

/// A connection that may carry a secret: the driver has one type of stream that does, and it comes only of a handshake
/// that was asked for as [`Connection::Strict`](crate::action::Connection::Strict).
pub trait CarriesSecrets {}

impl Outgoing {
    /// The bytes to send, for a connection that may carry a secret.
    pub fn wire(&self, _over: &impl CarriesSecrets) -> &[u8] {
        &self.wire
    }

    /// The bytes to send over any connection; none when there is a secret in them.
    ///
    /// ```compile_fail
    /// # use parallax_engine::imap::Outgoing;
    /// struct EvidenceStream;
    /// // No stream that was not made for secrets opens one.
    /// let outgoing = Outgoing::default();
    /// let bytes = outgoing.wire(&EvidenceStream);
    /// ```
    pub fn public(&self) -> Option<&[u8]> {
        (!self.holds_secret).then_some(&self.wire[..])
    }

    /// The same with every secret replaced by its name: for transcripts, logs and errors.
    pub fn shown(&self) -> &[u8] {
        &self.shown
    }

    /// Bytes that are no text, shown by a name of their own.
    pub(crate) fn named(bytes: &[u8], name: &str) -> Self {
        let mut outgoing = Self::default();
        outgoing.labelled(bytes, name);
        outgoing
    }

    pub(super) fn text(&mut self, bytes: &[u8]) {
        self.append(bytes);
        self.shown.extend_from_slice(bytes);
    }

    pub(super) fn secret(&mut self, bytes: &[u8], label: &str) {
        self.holds_secret = true;
        self.labelled(bytes, label);
    }

    fn labelled(&mut self, bytes: &[u8], label: &str) {
        self.append(bytes);
        self.shown.extend_from_slice(label.as_bytes());
    }

    /// Grows without leaving an old copy behind, as a reallocation would.
    fn append(&mut self, bytes: &[u8]) {
        let needed = self.wire.len() + bytes.len();
        if needed > self.wire.capacity() {
            let mut larger = Vec::with_capacity(needed.next_power_of_two().max(128));
            larger.extend_from_slice(&self.wire);
            self.wire.zeroize();
            self.wire = Zeroizing::new(larger);
        }
        self.wire.extend_from_slice(bytes);
    }
}

impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Outgoing(\"{}\")", self.shown.escape_ascii())
    }
}

/// For tests of what goes over the wire.
#[cfg(test)]
pub(super) struct Anything;

#[cfg(test)]
impl CarriesSecrets for Anything {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_goes_to_the_wire_and_nowhere_else() {
        let mut outgoing = Outgoing::default();
        outgoing.text(b"a1 LOGIN probe ");
        outgoing.secret(&[b'x'; 4_000], "<password>");
        outgoing.text(b"\r\n");
        assert_eq!(outgoing.wire(&Anything).len(), 15 + 4_000 + 2);
        assert_eq!(outgoing.public(), None);
        assert_eq!(outgoing.shown(), b"a1 LOGIN probe <password>\r\n");
        assert_eq!(
            format!("{outgoing:?}"),
            "Outgoing(\"a1 LOGIN probe <password>\\r\\n\")"
        );
    }
}
