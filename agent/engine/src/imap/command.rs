//! The commands of a probe, written by ourselves (RFC 9051 section 6).

use std::collections::VecDeque;

use parallax_model::credential::Credential;
use thiserror::Error;

use super::outgoing::Outgoing;
use super::redact::Concealed;
use super::tag::Tag;
use super::writer::{CREDENTIALS, Writer, encoded};
use crate::handshake::Verified;

/// The header bytes that a probe asks for, see [`Command::fetch_headers`].
pub const HEADER_BYTES: u32 = 4_096;

/// How literals may be sent, see [`Capabilities::literals`](super::Capabilities::literals).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Literals {
    /// The server must ask for the contents with a `+` line first.
    Synchronising,
    /// The contents may follow at once (LITERAL+, RFC 7888).
    NonSynchronising,
    /// The same for up to 4096 bytes (LITERAL-, RFC 7888; IMAP4rev2).
    NonSynchronisingSmall,
}

/// What a client cannot send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum CommandError {
    /// A control character in something that was configured. It could end the command and begin another one.
    #[error("the {what} holds a line break or a NUL, which IMAP cannot carry")]
    ControlCharacter {
        /// Where: `user name`, `password`, `mailbox name`.
        what: &'static str,
    },
}

/// The message whose headers are fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// The one with this UID.
    Uid(u32),
    /// The one with the highest UID.
    Last,
}

/// What a LIST asks for beside the names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ListReturn {
    /// The special uses (SPECIAL-USE, RFC 6154).
    pub special_use: bool,
    /// Which mailboxes are subscribed (LIST-EXTENDED, RFC 5258).
    pub subscribed: bool,
}

/// A command and its tag. It has more than one part when the server must answer `+` in between.
#[derive(Debug)]
pub struct Command {
    pub(super) tag: Tag,
    pub(super) name: &'static str,
    pub(super) parts: VecDeque<Outgoing>,
    pub(super) concealed: Vec<Concealed>,
}

impl Command {
    /// The tag that its reply will carry.
    pub fn tag(&self) -> &Tag {
        &self.tag
    }

    /// The command without its arguments.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// What to send next: once to begin, then once for each `+` line. `None` when nothing is left, and a `+` line
    /// then is a fault of the server.
    pub fn next_part(&mut self) -> Option<Outgoing> {
        self.parts.pop_front()
    }

    /// What must not appear in any record from now on, in every form in which this command sends it.
    pub fn concealed(&self) -> &[Concealed] {
        &self.concealed
    }

    /// `CAPABILITY` (RFC 9051 section 6.1.1).
    pub fn capability(tag: Tag) -> Self {
        Self::plain(tag, "CAPABILITY")
    }

    /// `STARTTLS` (RFC 9051 section 6.2.1).
    pub fn starttls(tag: Tag) -> Self {
        Self::plain(tag, "STARTTLS")
    }

    /// `STARTTLS` and, in the same write, a `NOOP` that only somebody on the way would put there.
    pub(crate) fn starttls_and_noop(tag: Tag, smuggled: &Tag) -> Self {
        let mut writer = Writer::new(tag, "STARTTLS", Literals::Synchronising);
        writer.raw(format!("\r\n{smuggled} NOOP").as_bytes());
        writer.finish()
    }

    /// `NAMESPACE` (RFC 9051 section 6.3.10).
    pub fn namespace(tag: Tag) -> Self {
        Self::plain(tag, "NAMESPACE")
    }

    /// `NOOP` (RFC 9051 section 6.1.2).
    pub fn noop(tag: Tag) -> Self {
        Self::plain(tag, "NOOP")
    }

    /// `LOGOUT` (RFC 9051 section 6.1.3).
    pub fn logout(tag: Tag) -> Self {
        Self::plain(tag, "LOGOUT")
    }

    /// `ID` with the fields given, or NIL without any (RFC 2971 section 3.1).
    ///
    /// # Errors
    /// A control character in a field.
    pub fn id(tag: Tag, fields: &[(&str, &str)]) -> Result<Self, CommandError> {
        let mut writer = Writer::new(tag, "ID", Literals::Synchronising);
        if fields.is_empty() {
            return Ok(writer.word("NIL").finish());
        }
        writer.raw(b" (");
        for (index, (name, value)) in fields.iter().enumerate() {
            if index > 0 {
                writer.raw(b" ");
            }
            writer.string(name.as_bytes(), "ID field")?;
            writer.raw(b" ");
            writer.string(value.as_bytes(), "ID field")?;
        }
        writer.raw(b")");
        Ok(writer.finish())
    }

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

    /// `ENABLE` (RFC 5161 section 3.1).
    pub fn enable(tag: Tag, capabilities: &[&str]) -> Self {
        Writer::new(tag, "ENABLE", Literals::Synchronising)
            .word(&capabilities.join(" "))
            .finish()
    }

    /// `LIST "" ""`: the hierarchy delimiter alone (RFC 9051 section 6.3.9).
    pub fn list_delimiter(tag: Tag) -> Self {
        Writer::new(tag, "LIST", Literals::Synchronising)
            .word("\"\" \"\"")
            .finish()
    }

    /// `LIST "" "*"`: every mailbox (RFC 9051 section 6.3.9).
    pub fn list_all(tag: Tag, returns: ListReturn) -> Self {
        let writer = Writer::new(tag, "LIST", Literals::Synchronising).word("\"\" \"*\"");
        match (returns.special_use, returns.subscribed) {
            (false, false) => writer,
            (true, false) => writer.word("RETURN (SPECIAL-USE)"),
            (false, true) => writer.word("RETURN (SUBSCRIBED)"),
            (true, true) => writer.word("RETURN (SPECIAL-USE SUBSCRIBED)"),
        }
        .finish()
    }

    /// `STATUS` of a mailbox that is not selected (RFC 9051 section 6.3.11), with the items given.
    ///
    /// # Errors
    /// A control character in the name.
    pub fn status(
        tag: Tag,
        mailbox: &[u8],
        items: &[&str],
        literals: Literals,
    ) -> Result<Self, CommandError> {
        let mut writer = Writer::new(tag, "STATUS", literals);
        writer.raw(b" ");
        writer.string(mailbox, "mailbox name")?;
        Ok(writer.word(&format!("({})", items.join(" "))).finish())
    }

    /// `GETQUOTAROOT` (RFC 9208 section 4.1.2).
    ///
    /// # Errors
    /// A control character in the name.
    pub fn quota_root(tag: Tag, mailbox: &[u8], literals: Literals) -> Result<Self, CommandError> {
        let mut writer = Writer::new(tag, "GETQUOTAROOT", literals);
        writer.raw(b" ");
        writer.string(mailbox, "mailbox name")?;
        Ok(writer.finish())
    }

    /// `EXAMINE`: SELECT that changes nothing (RFC 9051 section 6.3.3); with `condstore` it asks for modification
    /// sequences (RFC 7162 section 3.1.8). The name is sent byte by byte as LIST gave it.
    ///
    /// # Errors
    /// A control character in the name.
    pub fn examine(
        tag: Tag,
        mailbox: &[u8],
        condstore: bool,
        literals: Literals,
    ) -> Result<Self, CommandError> {
        let mut writer = Writer::new(tag, "EXAMINE", literals);
        writer.raw(b" ");
        writer.string(mailbox, "mailbox name")?;
        Ok(if condstore {
            writer.word("(CONDSTORE)")
        } else {
            writer
        }
        .finish())
    }

    /// `UID FETCH` of one message's scalars and a few of its headers (RFC 9051 section 6.4.9): PEEK, so that
    /// nothing is marked as read; a partial, so that nothing large comes; no BODYSTRUCTURE, which is where parsers
    /// break.
    pub fn fetch_headers(tag: Tag, which: Which) -> Self {
        let uid = match which {
            Which::Uid(uid) => uid.to_string(),
            Which::Last => "*".to_owned(),
        };
        let items = format!(
            "{uid} (UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[HEADER.FIELDS (MESSAGE-ID DATE)]<0.{HEADER_BYTES}>)"
        );
        Writer::new(tag, "UID FETCH", Literals::Synchronising)
            .word(&items)
            .finish()
    }

    fn plain(tag: Tag, name: &'static str) -> Self {
        Writer::new(tag, name, Literals::Synchronising).finish()
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::imap::outgoing::Anything;
    use crate::imap::redact::Redactor;
    use crate::imap::tag::Tags;
    use parallax_model::credential::Secret;

    fn tag() -> Tag {
        Tags::new(0).next_tag()
    }

    fn credential(user: &str, password: &str) -> Credential {
        Credential {
            user: user.into(),
            secret: Secret::new(password.into()),
        }
    }

    fn parts(mut command: Command) -> Vec<(String, String)> {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        std::iter::from_fn(|| command.next_part())
            .map(|part| (text(part.wire(&Anything)), text(part.shown())))
            .collect()
    }

    fn wire(command: Command) -> Vec<String> {
        parts(command).into_iter().map(|(wire, _)| wire).collect()
    }

    #[test]
    fn every_command_is_one_line_that_ends_in_crlf() {
        assert_eq!(wire(Command::capability(tag())), ["aaaa0001 CAPABILITY\r\n"]);
        assert_eq!(
            wire(Command::list_delimiter(tag())),
            ["aaaa0001 LIST \"\" \"\"\r\n"]
        );
        let returns = ListReturn {
            special_use: true,
            subscribed: true,
        };
        assert_eq!(
            wire(Command::list_all(tag(), returns)),
            ["aaaa0001 LIST \"\" \"*\" RETURN (SPECIAL-USE SUBSCRIBED)\r\n"]
        );
        assert_eq!(
            wire(Command::examine(tag(), b"INBOX", true, Literals::Synchronising).unwrap()),
            ["aaaa0001 EXAMINE \"INBOX\" (CONDSTORE)\r\n"]
        );
        assert_eq!(
            wire(Command::fetch_headers(tag(), Which::Uid(7))),
            ["aaaa0001 UID FETCH 7 (UID FLAGS INTERNALDATE RFC822.SIZE \
              BODY.PEEK[HEADER.FIELDS (MESSAGE-ID DATE)]<0.4096>)\r\n"]
        );
        assert_eq!(wire(Command::id(tag(), &[]).unwrap()), ["aaaa0001 ID NIL\r\n"]);
        assert_eq!(
            wire(Command::id(tag(), &[("name", "parallax"), ("version", "0.1")]).unwrap()),
            ["aaaa0001 ID (\"name\" \"parallax\" \"version\" \"0.1\")\r\n"]
        );
    }

    #[test]
    fn a_login_is_quoted_and_never_shown() {
        let command = Command::login(
            &Verified::for_a_test(),
            tag(),
            &credential("pro\"be", "hunter2"),
            Literals::Synchronising,
        )
        .unwrap();
        assert_eq!(
            parts(command),
            [(
                "aaaa0001 LOGIN \"pro\\\"be\" \"hunter2\"\r\n".into(),
                "aaaa0001 LOGIN <user> <password>\r\n".into()
            )]
        );
    }

    #[test]
    fn a_password_beyond_ascii_goes_as_a_literal_that_waits_when_it_must() {
        let credential = credential("probe", "p\u{e4}ss");
        let waiting = Command::login(
            &Verified::for_a_test(),
            tag(),
            &credential,
            Literals::Synchronising,
        )
        .unwrap();
        assert_eq!(
            parts(waiting),
            [
                (
                    "aaaa0001 LOGIN \"probe\" {5}\r\n".into(),
                    "aaaa0001 LOGIN <user> {...}\r\n".into()
                ),
                ("p\u{e4}ss\r\n".into(), "<password>\r\n".into()),
            ]
        );
        let at_once = Command::login(
            &Verified::for_a_test(),
            tag(),
            &credential,
            Literals::NonSynchronisingSmall,
        )
        .unwrap();
        assert_eq!(wire(at_once), ["aaaa0001 LOGIN \"probe\" {5+}\r\np\u{e4}ss\r\n"]);
    }

    #[test]
    fn a_message_goes_with_the_command_or_after_the_plus() {
        let credential = credential("tim", "tanstaaftanstaaf");
        let (proof, plain) = (Verified::for_a_test(), b"\0tim\0tanstaaftanstaaf");
        let with = Command::authenticate(&proof, tag(), "PLAIN", &credential, Some(plain)).unwrap();
        assert_eq!(
            parts(with),
            [(
                "aaaa0001 AUTHENTICATE PLAIN AHRpbQB0YW5zdGFhZnRhbnN0YWFm\r\n".into(),
                "aaaa0001 AUTHENTICATE PLAIN <credentials>\r\n".into()
            )]
        );
        let after = Command::authenticate(&proof, tag(), "PLAIN", &credential, None).unwrap();
        assert_eq!(wire(after), ["aaaa0001 AUTHENTICATE PLAIN\r\n"]);
        let (answer, _) = sasl_response(&proof, plain);
        assert_eq!(answer.wire(&Anything), b"AHRpbQB0YW5zdGFhZnRhbnN0YWFm\r\n");
        assert_eq!(answer.shown(), b"<credentials>\r\n");
        let empty = Command::authenticate(&proof, tag(), "EXTERNAL", &credential, Some(b"")).unwrap();
        assert_eq!(wire(empty), ["aaaa0001 AUTHENTICATE EXTERNAL =\r\n"]);
    }

    #[test]
    fn whatever_a_server_repeats_of_a_login_is_masked() {
        let credential = credential("probe", "hun\"ter2");
        for mut command in [
            Command::login(
                &Verified::for_a_test(),
                tag(),
                &credential,
                Literals::Synchronising,
            )
            .unwrap(),
            Command::authenticate(
                &Verified::for_a_test(),
                tag(),
                "PLAIN",
                &credential,
                Some(b"\0probe\0hun\"ter2"),
            )
            .unwrap(),
        ] {
            let mut redactor = Redactor::default();
            for concealed in command.concealed() {
                redactor.conceal(concealed.clone());
            }
            let sent = command.next_part().unwrap();
            let echo = [b"BAD hun\"ter2 ", sent.wire(&Anything)].concat();
            let echo = String::from_utf8(redactor.redact(&echo).into_owned()).unwrap();
            assert!(
                !echo.contains("ter2") && !echo.contains("probe") && !echo.contains("AHBy"),
                "{echo}"
            );
        }
    }

    #[test]
    fn a_line_break_in_a_name_or_a_password_is_refused() {
        for bad in ["a\r\nb NOOP", "a\n", "a\0b"] {
            let by_password = credential("probe", bad);
            let error = CommandError::ControlCharacter { what: "password" };
            assert_eq!(
                Command::login(
                    &Verified::for_a_test(),
                    tag(),
                    &by_password,
                    Literals::NonSynchronising
                )
                .unwrap_err(),
                error
            );
            assert_eq!(
                Command::authenticate(&Verified::for_a_test(), tag(), "PLAIN", &by_password, None)
                    .unwrap_err(),
                error
            );
            assert!(
                Command::login(
                    &Verified::for_a_test(),
                    tag(),
                    &credential(bad, "x"),
                    Literals::Synchronising
                )
                .is_err()
            );
            assert!(Command::examine(tag(), bad.as_bytes(), false, Literals::NonSynchronising).is_err());
            assert!(Command::id(tag(), &[("name", bad)]).is_err());
        }
    }

    #[test]
    fn a_command_prints_without_its_secrets() {
        let command = Command::login(
            &Verified::for_a_test(),
            tag(),
            &credential("probe", "hunter2"),
            Literals::Synchronising,
        )
        .unwrap();
        assert!(!format!("{command:?}").contains("hunter2"));
    }
}
