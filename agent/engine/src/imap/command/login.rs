//! The commands that carry a credential. Each wants the proof that the connection is verified TLS.

use parallax_model::credential::Credential;

use super::{Command, CommandError, Literals};
use crate::handshake::Verified;
use crate::imap::outgoing::Outgoing;
use crate::imap::redact::Concealed;
use crate::imap::tag::Tag;
use crate::imap::writer::{CREDENTIALS, Writer, encoded};

impl Command {
    /// `LOGIN` (RFC 9051 section 6.2.3). Only for a connection that is proven to be verified TLS.
    ///
    /// # Errors
    /// A control character in user name or password.
    pub fn login(
        _proof: &Verified,
        tag: Tag,
        credential: &Credential,
        literals: Literals,
    ) -> Result<Self, CommandError> {
        let mut writer = Writer::new(tag, "LOGIN", literals);
        writer.raw(b" ");
        writer.secret(credential.user.as_bytes(), "user name", Concealed::name, "<user>")?;
        writer.raw(b" ");
        writer.secret(
            credential.secret.expose().as_bytes(),
            "password",
            Concealed::secret,
            "<password>",
        )?;
        writer.conceal_plain_response(credential.user.as_bytes(), credential.secret.expose().as_bytes());
        Ok(writer.finish())
    }

    /// `AUTHENTICATE` (RFC 9051 section 6.2.2), with the first message in the command where the server takes it
    /// there (SASL-IR, RFC 4959). Only for a connection that is proven to be verified TLS.
    ///
    /// # Errors
    /// A control character in user name or password.
    pub fn authenticate(
        proof: &Verified,
        tag: Tag,
        mechanism: &'static str,
        credential: &Credential,
        first: Option<&[u8]>,
    ) -> Result<Self, CommandError> {
        let mut writer = Writer::new(tag, "AUTHENTICATE", Literals::Synchronising);
        writer.raw(b" ");
        writer.raw(mechanism.as_bytes());
        writer.conceal_credential(credential.user.as_bytes(), credential.secret.expose().as_bytes())?;
        if let Some(first) = first {
            writer.raw(b" ");
            // RFC 4959 section 3: an empty message is not left out.
            if first.is_empty() {
                writer.raw(b"=");
            } else {
                writer.message(proof, first);
            }
        }
        Ok(writer.finish())
    }
}

/// A message of a SASL exchange, in base64, and what no record may hold of it. Only for a connection that is proven
/// to be verified TLS.
pub fn sasl_response(_proof: &Verified, message: &[u8]) -> (Outgoing, Concealed) {
    let encoded = encoded(message);
    let mut outgoing = Outgoing::default();
    outgoing.secret(&encoded, if message.is_empty() { "" } else { CREDENTIALS });
    outgoing.text(b"\r\n");
    (outgoing, Concealed::secret(&encoded, CREDENTIALS))
}

/// Ends an AUTHENTICATE whose challenge cannot be answered (RFC 9051 section 6.2.2); the tagged BAD follows.
pub fn cancel_authentication() -> Outgoing {
    let mut outgoing = Outgoing::default();
    outgoing.text(b"*\r\n");
    outgoing
}
