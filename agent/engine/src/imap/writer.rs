//! How commands are put together: atoms, quoted strings, literals, and secrets that are never shown.

use std::collections::VecDeque;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use parallax_model::credential::Credential;
use zeroize::Zeroizing;

use super::command::{Command, CommandError, Literals};
use super::outgoing::Outgoing;
use super::redact::Concealed;
use super::tag::Tag;
use crate::handshake::Verified;

/// What is shown instead of a message that holds a secret, or is made of one.
pub(super) const CREDENTIALS: &str = "<credentials>";

/// Bytes that a literal may have to be sent without waiting under LITERAL- (RFC 7888 section 5).
const SMALL_LITERAL: usize = 4_096;

/// Writes one command: parts, and in each part text and secrets.
pub(super) struct Writer {
    tag: Tag,
    name: &'static str,
    literals: Literals,
    part: Outgoing,
    parts: VecDeque<Outgoing>,
    concealed: Vec<Concealed>,
}

impl Writer {
    pub(super) fn new(tag: Tag, name: &'static str, literals: Literals) -> Self {
        let mut part = Outgoing::default();
        part.text(format!("{tag} {name}").as_bytes());
        Self {
            tag,
            name,
            literals,
            part,
            parts: VecDeque::new(),
            concealed: Vec::new(),
        }
    }

    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.part.text(bytes);
    }

    pub(super) fn word(mut self, word: &str) -> Self {
        self.raw(b" ");
        self.raw(word.as_bytes());
        self
    }

    /// What follows is sent only after the server's `+`.
    pub(super) fn wait(&mut self) {
        self.parts.push_back(std::mem::take(&mut self.part));
    }

    pub(super) fn string(&mut self, bytes: &[u8], what: &'static str) -> Result<(), CommandError> {
        check(bytes, what)?;
        if needs_literal(bytes) {
            self.literal(bytes);
        } else {
            let quoted = quoted(bytes);
            self.raw(&quoted);
        }
        Ok(())
    }

    /// Contents that go as a literal, whatever is in them.
    pub(super) fn literal(&mut self, bytes: &[u8]) {
        self.literal_header(bytes.len());
        self.raw(bytes);
    }

    /// A string that is never shown, in either of its forms.
    pub(super) fn secret(
        &mut self,
        bytes: &[u8],
        what: &'static str,
        conceal: fn(&[u8], &'static str) -> Concealed,
        label: &'static str,
    ) -> Result<(), CommandError> {
        check(bytes, what)?;
        self.concealed.push(conceal(bytes, label));
        if needs_literal(bytes) {
            self.secret_literal(bytes, label);
        } else {
            let quoted = quoted(bytes);
            self.concealed.push(conceal(&quoted[1..quoted.len() - 1], label));
            self.part.secret(&quoted, label);
        }
        Ok(())
    }

    /// The size would tell the length of the secret, so the header is not shown either.
    fn secret_literal(&mut self, bytes: &[u8], label: &str) {
        let (header, waits) = self.header(bytes.len());
        self.part.secret(header.as_bytes(), "{...}");
        self.part.text(b"\r\n");
        if waits {
            self.wait();
        }
        self.part.secret(bytes, label);
    }

    /// Conceals user and password in every form in which a login may send them, and a server repeat them.
    pub(super) fn conceal_credential(&mut self, user: &[u8], password: &[u8]) -> Result<(), CommandError> {
        check(user, "user name")?;
        check(password, "password")?;
        self.conceal_plain_response(user, password);
        self.concealed.extend([
            Concealed::secret(&encoded(password), "<password>"),
            Concealed::secret(password, "<password>"),
            Concealed::name(user, "<user>"),
            Concealed::name(&encoded(user), "<user>"),
        ]);
        Ok(())
    }

    /// A message of a SASL exchange in base64, never shown.
    pub(super) fn message(&mut self, _proof: &Verified, message: &[u8]) {
        let encoded = encoded(message);
        self.part.secret(&encoded, CREDENTIALS);
        self.concealed.push(Concealed::secret(&encoded, CREDENTIALS));
    }

    /// Conceals the form in which a proxy hands a login on to its backend, and may repeat it.
    pub(super) fn conceal_plain_response(&mut self, user: &[u8], password: &[u8]) {
        let response = plain_response(user, password);
        self.concealed.push(Concealed::secret(&response, "<credentials>"));
    }

    fn literal_header(&mut self, size: usize) {
        let (header, waits) = self.header(size);
        self.raw(header.as_bytes());
        self.raw(b"\r\n");
        if waits {
            self.wait();
        }
    }

    fn header(&self, size: usize) -> (String, bool) {
        let at_once = match self.literals {
            Literals::Synchronising => false,
            Literals::NonSynchronising => true,
            Literals::NonSynchronisingSmall => size <= SMALL_LITERAL,
        };
        if at_once {
            (format!("{{{size}+}}"), false)
        } else {
            (format!("{{{size}}}"), true)
        }
    }

    pub(super) fn finish(mut self) -> Command {
        self.raw(b"\r\n");
        self.wait();
        Command {
            tag: self.tag,
            name: self.name,
            parts: self.parts,
            concealed: self.concealed,
        }
    }
}

pub(super) fn check(bytes: &[u8], what: &'static str) -> Result<(), CommandError> {
    if bytes.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
        return Err(CommandError::ControlCharacter { what });
    }
    Ok(())
}

/// A secret in every form in which a login may send it, and a server repeat it.
pub(crate) fn forms_of(credential: &Credential) -> Vec<Concealed> {
    let (user, password) = (credential.user.as_bytes(), credential.secret.expose().as_bytes());
    let quoted = quoted(password);
    vec![
        Concealed::secret(&plain_response(user, password), CREDENTIALS),
        Concealed::secret(&encoded(password), "<password>"),
        Concealed::secret(&quoted[1..quoted.len() - 1], "<password>"),
        Concealed::secret(password, "<password>"),
    ]
}

/// A quoted string holds printable ASCII only (RFC 9051 section 9 allows more after ENABLE alone).
fn needs_literal(bytes: &[u8]) -> bool {
    !bytes.iter().all(|byte| matches!(byte, b' '..=b'~'))
}

fn quoted(bytes: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut quoted = Zeroizing::new(Vec::with_capacity(2 * bytes.len() + 2));
    quoted.push(b'"');
    for byte in bytes {
        if matches!(byte, b'"' | b'\\') {
            quoted.push(b'\\');
        }
        quoted.push(*byte);
    }
    quoted.push(b'"');
    quoted
}

/// `NUL user NUL password` in base64 (RFC 4616 section 2).
fn plain_response(user: &[u8], password: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut message = Zeroizing::new(Vec::with_capacity(user.len() + password.len() + 2));
    message.push(0);
    message.extend_from_slice(user);
    message.push(0);
    message.extend_from_slice(password);
    encoded(&message)
}

pub(super) fn encoded(message: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut encoded = Zeroizing::new(vec![0; message.len().div_ceil(3) * 4]);
    let length = STANDARD
        .encode_slice(message, &mut encoded)
        .expect("four bytes for each three, rounded up");
    encoded.truncate(length);
    encoded
}
