//! What a server says it can do (RFC 9051 section 7.2.2).

use parallax_model::text::from_wire;

use super::command::Literals;
use super::frame::Frame;
use super::scan::DataLine;
use super::status_line::Code;

/// Capabilities kept; servers announce some sixty.
const CAPABILITIES: usize = 1_000;

/// The capabilities of one moment. Those from before STARTTLS or a login are void after it (RFC 9051
/// section 6.2.1), so a new set replaces an old one and is never merged into it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Capabilities {
    names: Vec<String>,
    irregular: bool,
}

impl Capabilities {
    /// From `* CAPABILITY ...`; `None` when the line is another one.
    pub fn from_data(frame: &Frame, line: &DataLine<'_>) -> Option<Self> {
        Self::from_line(frame, line, "CAPABILITY")
    }

    /// What `* ENABLED ...` says was switched on (RFC 5161 section 3.2); `None` when the line is another one.
    pub fn enabled(frame: &Frame, line: &DataLine<'_>) -> Option<Self> {
        Self::from_line(frame, line, "ENABLED")
    }

    /// From `[CAPABILITY ...]`; `None` when the code is another one.
    pub fn from_code(code: &Code<'_>) -> Option<Self> {
        (code.name == super::ResponseCode::Capability).then(|| Self::read(code.arguments))
    }

    /// The names in the server's order and spelling.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Whether the server announces this, in any case.
    pub fn has(&self, name: &str) -> bool {
        self.names.iter().any(|known| known.eq_ignore_ascii_case(name))
    }

    /// Whether a client may send a password as it is: PLAIN, LOGIN, or the LOGIN command.
    pub fn takes_passwords(&self) -> bool {
        !self.has("LOGINDISABLED") || self.offers_mechanism("PLAIN") || self.offers_mechanism("LOGIN")
    }

    /// The names that this set has and `before` has not.
    pub fn beyond(&self, before: &Self) -> Vec<String> {
        let new = |name: &&String| !before.has(name);
        self.names.iter().filter(new).cloned().collect()
    }

    /// Whether it is an IMAP server that this probe speaks with: IMAP4rev1 or IMAP4rev2.
    pub fn speaks_imap4(&self) -> bool {
        self.has("IMAP4rev1") || self.has("IMAP4rev2")
    }

    /// The SASL mechanisms announced, in upper case.
    pub fn mechanisms(&self) -> impl Iterator<Item = String> + '_ {
        self.names.iter().filter_map(|name| {
            let (kind, mechanism) = name.split_once('=')?;
            kind.eq_ignore_ascii_case("AUTH")
                .then(|| mechanism.to_ascii_uppercase())
        })
    }

    /// Whether this SASL mechanism is announced, in any case.
    pub fn offers_mechanism(&self, mechanism: &str) -> bool {
        self.mechanisms()
            .any(|offered| offered.eq_ignore_ascii_case(mechanism))
    }

    /// How literals may be sent to this server.
    pub fn literals(&self) -> Literals {
        if self.has("LITERAL+") {
            Literals::NonSynchronising
        } else if self.has("LITERAL-") || self.has("IMAP4rev2") {
            Literals::NonSynchronisingSmall
        } else {
            Literals::Synchronising
        }
    }

    /// Whether the names were not separated by one space each. Some clients cannot read that.
    pub fn irregular(&self) -> bool {
        self.irregular
    }

    fn from_line(frame: &Frame, line: &DataLine<'_>, keyword: &str) -> Option<Self> {
        let (before, list) = frame.content().split_at_checked(line.arguments)?;
        line.is(keyword).then(|| {
            let read = Self::read(list);
            Self {
                irregular: read.irregular || before.ends_with(b"  "),
                ..read
            }
        })
    }

    fn read(list: &[u8]) -> Self {
        let words = || list.split(|byte| matches!(byte, b' ' | b'\t'));
        Self {
            names: words()
                .filter(|word| !word.is_empty())
                .take(CAPABILITIES)
                .map(from_wire)
                .collect(),
            irregular: !list.is_empty() && words().any(<[u8]>::is_empty),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::imap::status_line::split_code;
    use crate::imap::{Framer, Limits, Reply};

    fn from_code(text: &str) -> Capabilities {
        let code = split_code(text.as_bytes()).0.expect("a code");
        Capabilities::from_code(&code).expect("capabilities")
    }

    #[test]
    fn a_server_of_rev2_only_is_an_imap_server() {
        let capabilities = from_code("[CAPABILITY IMAP4rev2 AUTH=PLAIN auth=Login] hi");
        assert!(capabilities.speaks_imap4() && capabilities.offers_mechanism("plain"));
        assert_eq!(capabilities.mechanisms().collect::<Vec<_>>(), ["PLAIN", "LOGIN"]);
        assert_eq!(capabilities.literals(), Literals::NonSynchronisingSmall);
    }

    fn from_data(line: &str) -> Capabilities {
        let mut framer = Framer::new(Limits::default());
        framer.push(line.as_bytes());
        let frame = framer.next_frame().ok().flatten().expect("a frame");
        let Reply::Data(data) = Reply::of(&frame) else {
            panic!("{line}")
        };
        Capabilities::from_data(&frame, &data)
            .or_else(|| Capabilities::enabled(&frame, &data))
            .expect(line)
    }

    #[test]
    fn a_line_of_data_is_read_like_a_code() {
        assert_eq!(
            from_data("* CAPABILITY IMAP4rev1 IDLE\r\n").names(),
            ["IMAP4rev1", "IDLE"]
        );
        assert!(from_data("* capability  IMAP4rev1\r\n").irregular());
        assert_eq!(from_data("* CAPABILITY\r\n"), Capabilities::default());
        assert_eq!(from_data("* ENABLED CONDSTORE\r\n").names(), ["CONDSTORE"]);
    }

    #[test]
    fn double_spaces_are_read_and_flagged() {
        let capabilities = Capabilities::read(b"IMAP4rev1  IDLE ");
        assert_eq!(capabilities.names(), ["IMAP4rev1", "IDLE"]);
        assert!(capabilities.irregular());
        assert!(!Capabilities::read(b"IMAP4rev1 IDLE").irregular());
    }

    #[test]
    fn a_longer_name_is_not_the_capability() {
        assert!(!Capabilities::read(b"IMAP4rev1X XSTARTTLS").has("STARTTLS"));
        assert!(!Capabilities::read(b"IMAP4rev1X").speaks_imap4());
    }
}
