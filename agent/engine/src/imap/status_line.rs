//! Status lines: status, response code and text, read from the raw bytes.
//!
//! No parser does this for us: a general one loses the codes of RFC 5530, and naming the code is what an operator
//! needs most.

use parallax_model::evidence::ImapReply;
use parallax_model::text::from_wire;

use super::code::ResponseCode;
use super::meaning::Meaning;
use super::redact::Redactor;
use super::scan::skip_spaces;
use super::vendor_text::VendorText;

/// Bytes between the brackets of a response code. What is longer is text.
pub const CODE: usize = 512;

/// The same for codes that carry a list (CAPABILITY, PERMANENTFLAGS, sets of UIDs): Cyrus announces close to a
/// kilobyte of capabilities.
pub const LIST_CODE: usize = 8 * 1024;

/// Bytes of a text that go into evidence.
pub const TEXT: usize = 512;

/// The word at the head of a status line (RFC 9051 section 7.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// Success, or information.
    Ok,
    /// A refusal, or a warning.
    No,
    /// The command was not understood.
    Bad,
    /// The server ends the session.
    Bye,
    /// A greeting: already logged in.
    PreAuth,
}

impl Status {
    /// The word as the protocol spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::No => "NO",
            Self::Bad => "BAD",
            Self::Bye => "BYE",
            Self::PreAuth => "PREAUTH",
        }
    }

    pub(super) fn read(word: &[u8]) -> Option<Self> {
        [Self::Ok, Self::No, Self::Bad, Self::Bye, Self::PreAuth]
            .into_iter()
            .find(|status| word.eq_ignore_ascii_case(status.as_str().as_bytes()))
    }
}

/// A response code, `[NAME arguments]` (RFC 9051 section 7.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Code<'f> {
    /// Which code.
    pub name: ResponseCode,
    /// What stands between the name and the bracket, as it was received.
    pub arguments: &'f [u8],
}

/// Status, code and text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusLine<'f> {
    /// The status.
    pub status: Status,
    /// The response code, if there is one.
    pub code: Option<Code<'f>>,
    /// The text for people, as it was received. Untrusted: escape it where it is shown.
    pub text: &'f [u8],
}

impl<'f> StatusLine<'f> {
    /// The line as evidence, with what its code means, and without what this session conceals.
    pub fn evidence(&self, redactor: &Redactor) -> ImapReply {
        let text = redactor.redact(self.text);
        let kept = &text[..text.len().min(TEXT)];
        let mut shown = from_wire(kept);
        if kept.len() < text.len() {
            shown.push_str(&format!("…(+{})", text.len() - kept.len()));
        }
        let code = self.code.as_ref().map(|code| &code.name);
        // ALERT says only that the text is for people.
        let decides = code.filter(|&code| *code != ResponseCode::Alert);
        let meaning = decides.and_then(ResponseCode::meaning);
        let by_text = || {
            let text =
                VendorText::of(self.text).filter(|_| self.status != Status::Ok || decides.is_none())?;
            Some((
                text.cause.clone(),
                text.next_step.clone(),
                format!("{}: {}", text.vendor, text.source),
            ))
        };
        let by_code = |meaning: Meaning| {
            let source = code.map(ResponseCode::registered_in).unwrap_or_default();
            (
                meaning.cause.to_owned(),
                meaning.next_step.to_owned(),
                source.to_owned(),
            )
        };
        let alert = || code.and_then(ResponseCode::meaning).map(by_code);
        let explained = meaning.map(by_code).or_else(by_text).or_else(alert);
        let (cause, next_step, source) = match explained {
            Some((cause, next_step, source)) => (Some(cause), Some(next_step), Some(source)),
            None => (None, None, None),
        };
        ImapReply {
            source,
            status: self.status.as_str().to_owned(),
            code: code.map(|code| match code {
                ResponseCode::Unknown(name) => from_wire(&redactor.redact(name.as_bytes())),
                known => known.as_str().to_owned(),
            }),
            text: shown,
            cause,
            next_step,
        }
    }

    /// From what follows the status on its line.
    pub(super) fn read(status: Status, rest: &'f [u8]) -> Self {
        let (code, text) = split_code(skip_spaces(rest));
        Self { status, code, text }
    }
}

/// Reads a response code from the beginning of a text; the text behind it is the second half.
///
/// A text that begins with a bracket but has no code in it comes back whole.
pub fn split_code(text: &[u8]) -> (Option<Code<'_>>, &[u8]) {
    let Some(inside) = text.strip_prefix(b"[") else {
        return (None, text);
    };
    let name = &inside[..inside
        .iter()
        .position(|byte| matches!(byte, b' ' | b']'))
        .unwrap_or(inside.len())];
    if !name.first().is_some_and(u8::is_ascii_alphabetic) || !name.iter().all(u8::is_ascii_graphic) {
        return (None, text);
    }
    let known = ResponseCode::named(name);
    let bound = if known.carries_a_list() { LIST_CODE } else { CODE };
    let within = &inside[..inside.len().min(bound)];
    let Some(end) = closing_bracket(within).or_else(|| within.iter().position(|byte| *byte == b']')) else {
        return (None, text);
    };
    let arguments = inside[name.len()..end].trim_ascii();
    let rest = &inside[end + 1..];
    (
        Some(Code {
            name: known,
            arguments,
        }),
        rest.strip_prefix(b" ").unwrap_or(rest),
    )
}

/// The bracket that closes a code, outside parentheses and quotes: flags may hold brackets themselves.
fn closing_bracket(inside: &[u8]) -> Option<usize> {
    let mut depth = 0_usize;
    let mut quoted = false;
    let mut escaped = false;
    for (at, byte) in inside.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            b']' if depth == 0 => return Some(at),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::imap::redact::Concealed;
    use crate::imap::{Frame, Framer, Limits, Reply};

    fn frame(line: &[u8]) -> Frame {
        let mut framer = Framer::new(Limits::default());
        framer.push(line);
        framer.push(b"\r\n");
        framer.next_frame().unwrap().unwrap()
    }

    fn status(line: &[u8]) -> (Status, Option<ResponseCode>, Vec<u8>, Vec<u8>) {
        match Reply::of(&frame(line)) {
            Reply::Status(line) | Reply::Tagged { line, .. } => {
                let arguments = line
                    .code
                    .as_ref()
                    .map(|code| code.arguments.to_vec())
                    .unwrap_or_default();
                (
                    line.status,
                    line.code.map(|code| code.name),
                    arguments,
                    line.text.to_vec(),
                )
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_code_of_rfc_5530_is_named() {
        let (status, code, arguments, text) = status(b"a1 NO [AUTHENTICATIONFAILED] Invalid credentials");
        assert_eq!(
            (status, code),
            (Status::No, Some(ResponseCode::AuthenticationFailed))
        );
        assert_eq!(
            (&arguments[..], &text[..]),
            (&b""[..], &b"Invalid credentials"[..])
        );
    }

    #[test]
    fn only_a_bracket_at_the_beginning_is_a_code() {
        let exchange = b"* OK The Microsoft Exchange IMAP4 service is ready. [TQBXAEgA]";
        assert_eq!(status(exchange).1, None);
        assert_eq!(status(b"* OK foo [ALERT] bar").1, None);
        assert_eq!(status(b"* OK [192.0.2.1] ready").1, None);
        assert_eq!(status(b"* OK [ready").3, b"[ready");
    }

    #[test]
    fn flags_with_brackets_do_not_end_the_code() {
        let (_, code, arguments, text) =
            status(b"* OK [PERMANENTFLAGS (\\Seen OIB-Seen-[Gmail]/All \\*)] Limited");
        assert_eq!(code, Some(ResponseCode::PermanentFlags));
        assert_eq!(arguments, b"(\\Seen OIB-Seen-[Gmail]/All \\*)");
        assert_eq!(text, b"Limited");
    }

    #[test]
    fn an_unbalanced_code_still_has_its_name() {
        assert_eq!(
            status(b"* NO [UNAVAILABLE (x] later").1,
            Some(ResponseCode::Unavailable)
        );
    }

    #[test]
    fn a_code_without_a_space_or_a_text_behind_it_is_read() {
        assert_eq!(status(b"* OK [ALERT]\xe9t").3, b"\xe9t");
        assert_eq!(status(b"* OK [alert]").1, Some(ResponseCode::Alert));
        assert_eq!(status(b"* BYE").0, Status::Bye);
        assert_eq!(status(b"*  OK  hi").3, b"hi");
    }

    #[test]
    fn a_code_that_never_ends_is_text_but_a_long_capability_list_is_not() {
        let padding = "X".repeat(600);
        assert_eq!(status(format!("* OK [ALERT {padding}] hi").as_bytes()).1, None);
        assert_eq!(
            status(format!("* OK [CAPABILITY {padding}] hi").as_bytes()).1,
            Some(ResponseCode::Capability)
        );
    }

    #[test]
    fn a_code_nobody_knows_keeps_its_name() {
        assert_eq!(
            status(b"* NO [x-New 1 2] hm").1,
            Some(ResponseCode::Unknown("X-NEW".into()))
        );
    }

    #[test]
    fn evidence_names_the_code_its_meaning_and_no_secret() {
        let mut redactor = Redactor::default();
        redactor.conceal(Concealed::secret(b"hunter2", "<password>"));
        let line = frame(format!("a1 NO [EXPIRED] hunter2 is old {}", "x".repeat(600)).as_bytes());
        let Reply::Tagged { line, .. } = Reply::of(&line) else {
            panic!()
        };
        let evidence = line.evidence(&redactor);
        assert_eq!(
            (evidence.status.as_str(), evidence.code.as_deref()),
            ("NO", Some("EXPIRED"))
        );
        assert!(evidence.text.starts_with("<password> is old xxx") && evidence.text.ends_with("x…(+106)"));
        assert!(evidence.cause.unwrap().contains("expired") && evidence.next_step.is_some());
    }

    #[test]
    fn a_secret_is_no_name_of_a_code_and_a_known_code_is_no_secret() {
        let mut redactor = Redactor::default();
        redactor.conceal(Concealed::secret(b"hunter2", "<password>"));
        redactor.conceal(Concealed::secret(b"expired", "<password>"));
        let code = |line: &[u8]| {
            let frame = frame(line);
            let Reply::Tagged { line, .. } = Reply::of(&frame) else {
                panic!()
            };
            line.evidence(&redactor).code.unwrap()
        };
        assert_eq!(code(b"a1 NO [X-hunter2-X] no"), "X-<password>-X");
        assert_eq!(code(b"a1 NO [EXPIRED] no"), "EXPIRED");
    }
}
