//! What a probe makes on a server, and by what it knows it again: names of mailboxes, messages with a header.

use jiff::Timestamp;

use crate::imap::namespace::Namespaces;
use crate::imap::sync::OWN_HEADER;

/// What the names of all mailboxes of probes begin with, behind the namespace's prefix.
const STEM: &str = "parallax-probe-";

/// What was left behind is removed after so many seconds: no probe lasts a day.
const OLD: i64 = 24 * 60 * 60;

/// What this session has made.
#[derive(Debug, Default)]
pub(crate) struct Own {
    /// Its mailboxes that are, or may be, on the server.
    pub(crate) mailboxes: Vec<String>,
    /// The UID of the message that was stored first.
    pub(crate) first: Option<u64>,
    /// Whether the mailbox keeps keywords of clients.
    pub(crate) keywords: bool,
    /// Mailboxes of earlier probes that it removed.
    pub(crate) old_removed: u32,
    /// Whether LIST showed a mailbox of these very names before anything was made.
    pub(crate) shown_before: bool,
}

/// The name of a probe's mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ProbeName {
    prefix: String,
    /// Without prefix: `parallax-probe-6840a1f0-9e3779b9`.
    stem: String,
}

impl ProbeName {
    /// A new one; `None` where the namespace's prefix cannot be written down.
    pub(crate) fn new(namespaces: Option<&Namespaces>, now: Timestamp, random: u32) -> Option<Self> {
        let personal = namespaces.and_then(|namespaces| namespaces.personal.first());
        let prefix = personal.map_or(&b""[..], |namespace| &namespace.prefix);
        let writable = !prefix
            .iter()
            .any(|byte| matches!(byte, b'*' | b'%') || byte.is_ascii_control());
        let prefix = std::str::from_utf8(prefix).ok().filter(|_| writable)?;
        Some(Self {
            prefix: prefix.to_owned(),
            stem: format!("{STEM}{:x}-{random:08x}", now.as_second()),
        })
    }

    /// What LIST is asked for.
    pub(crate) fn pattern(&self) -> String {
        format!("{}{STEM}%", self.prefix)
    }

    /// The mailbox that is watched.
    pub(crate) fn mailbox(&self) -> String {
        format!("{}{}", self.prefix, self.stem)
    }

    /// The mailbox that messages are copied and moved to.
    pub(crate) fn copies(mailbox: &str) -> String {
        format!("{mailbox}-b")
    }

    /// Whether a mailbox is one that a probe left behind a day ago or longer.
    pub(crate) fn is_old(&self, mailbox: &str, now: Timestamp) -> bool {
        let made = mailbox.strip_prefix(&self.prefix).and_then(made);
        made.is_some_and(|made| now.as_second().saturating_sub(made) > OLD)
    }
}

/// What a mailbox's own messages carry, from its full name; `None` for what is no mailbox of a probe.
pub(crate) fn mark(mailbox: &str) -> Option<&str> {
    let stem = &mailbox[mailbox.rfind(STEM)?..];
    made(stem)?;
    Some(stem.strip_suffix("-b").unwrap_or(stem))
}

/// Which message of the probe of this mark it is, by what was fetched of it: a message without that mark is somebody
/// else's, whatever number it has.
pub(crate) fn number(message: &[u8], mark: &str) -> Option<u8> {
    let lines = message.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end);
    lines.take_while(|line| !line.is_empty()).find_map(|line| {
        let (name, value) = line.split_at_checked(OWN_HEADER.len())?;
        let value = value.strip_prefix(b":")?.trim_ascii();
        match value.strip_prefix(mark.as_bytes())? {
            [b'.', digit] if digit.is_ascii_digit() && name.eq_ignore_ascii_case(OWN_HEADER.as_bytes()) => {
                Some(digit - b'0')
            }
            _ => None,
        }
    })
}

/// The message of that number: small, with a body line beyond ASCII, as RFC 5322 and RFC 6532 have it.
pub(crate) fn message(mailbox: &str, number: u8, now: Timestamp) -> Vec<u8> {
    let mark = mark(mailbox).unwrap_or(mailbox);
    let date = now.strftime("%a, %d %b %Y %H:%M:%S +0000");
    format!(
        "Date: {date}\r\n\
         From: Parallax probe <probe@parallax.invalid>\r\n\
         To: Parallax probe <probe@parallax.invalid>\r\n\
         Subject: Parallax probe, message {number}\r\n\
         Message-ID: <{mark}.{number}@parallax.invalid>\r\n\
         {OWN_HEADER}: {mark}.{number}\r\n\
         MIME-Version: 1.0\r\n\
         Content-Type: text/plain; charset=utf-8\r\n\
         Content-Transfer-Encoding: 8bit\r\n\
         \r\n\
         A monitoring probe stored this message and removes it again.\r\n\
         Gr\u{fc}\u{df}e \u{2013} \u{3b1}\u{3b2}\u{3b3} \u{2713}\r\n"
    )
    .into_bytes()
}

/// Where a message that came back differs from the one that was stored; `None` when it does not.
pub(crate) fn difference(sent: &[u8], came: &[u8]) -> Option<String> {
    if sent == came {
        return None;
    }
    if let Some(front) = came.strip_suffix(sent) {
        let line = String::from_utf8_lossy(field(front)).into_owned();
        return Some(format!("{} bytes stand before it, from {line} on", front.len()));
    }
    let same = sent.iter().zip(came).take_while(|(a, b)| a == b).count();
    if same == came.len() {
        return Some(format!("it ends after {same} of {} bytes", sent.len()));
    }
    if same == sent.len() {
        return Some(format!("{} bytes stand behind it", came.len() - same));
    }
    let start = sent[..same]
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |at| at + 1);
    let line = 1 + sent[..same].iter().filter(|byte| **byte == b'\n').count();
    let body = sent.windows(4).position(|window| window == b"\r\n\r\n");
    let place = match body {
        Some(body) if start > body => "of the body".to_owned(),
        _ => String::from_utf8_lossy(field(&sent[start..])).into_owned(),
    };
    Some(format!("line {line} ({place}) differs from byte {same} on"))
}

/// The name of the header field that begins here.
fn field(bytes: &[u8]) -> &[u8] {
    let end = bytes
        .iter()
        .position(|byte| !byte.is_ascii_graphic() || *byte == b':');
    &bytes[..end.unwrap_or(bytes.len()).min(64)]
}

/// When a probe's mailbox was made, in seconds since 1970, from its name without prefix.
fn made(stem: &str) -> Option<i64> {
    let mut parts = stem.strip_prefix(STEM)?.split('-');
    let (made, random) = (parts.next()?, parts.next()?);
    let hex = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let end = parts.next();
    let whole = matches!(end, None | Some("b")) && parts.next().is_none();
    if !whole || random.len() != 8 || !hex(random) || !hex(made) {
        return None;
    }
    i64::from_str_radix(made, 16).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-06-01T00:00:00Z".parse().unwrap()
    }

    fn name() -> ProbeName {
        let personal = crate::imap::namespace::Namespace {
            prefix: b"INBOX.".to_vec(),
            delimiter: Some(b".".to_vec()),
        };
        let namespaces = Namespaces {
            personal: vec![personal],
            ..Namespaces::default()
        };
        ProbeName::new(Some(&namespaces), now(), 0xABC).unwrap()
    }

    #[test]
    fn a_mailbox_lives_under_the_prefix_and_tells_its_age() {
        let name = name();
        assert_eq!(name.mailbox(), "INBOX.parallax-probe-6a1ccb80-00000abc");
        let later = now() + jiff::SignedDuration::from_hours(25);
        assert!(name.is_old(&name.mailbox(), later));
        assert!(name.is_old(&ProbeName::copies(&name.mailbox()), later));
        assert!(!name.is_old(&name.mailbox(), now()));
    }

    #[test]
    fn a_name_that_only_looks_like_ours_is_not_ours() {
        let later = now() + jiff::SignedDuration::from_hours(999);
        for other in [
            "parallax-probe-6a1ccb80-00000abc",
            "INBOX.parallax-probe-",
            "INBOX.parallax-probe-results",
            "INBOX.parallax-probe-6a1ccb80-00000abc-c",
            "INBOX.parallax-probe-6a1ccb80-abc",
            "INBOX.parallax-probe-zz-00000abc",
            "INBOX.parallax-probe-6a1ccb80-00000abc-b-b",
        ] {
            assert!(!name().is_old(other, later), "{other}");
        }
    }

    #[test]
    fn only_a_message_with_the_mailboxes_own_mark_is_ours() {
        let name = name();
        let mark = mark(&name.mailbox()).unwrap().to_owned();
        let ours = message(&name.mailbox(), 1, now());
        assert_eq!(number(&ours, &mark), Some(1));
        let header = format!("x-parallax-probe: {mark}.2\r\n\r\n");
        assert_eq!(number(header.as_bytes(), &mark), Some(2));
        for other in [
            "\r\n".to_owned(),
            format!("X-Parallax-Probe: {mark}\r\n"),
            format!("X-Parallax-Probe: {mark}.22\r\n"),
            "X-Parallax-Probe: parallax-probe-6a1ccb80-00000abd.1\r\n".to_owned(),
            format!("Subject: X-Parallax-Probe: {mark}.1\r\n"),
            format!("Subject: a report that quotes us\r\n\r\nX-Parallax-Probe: {mark}.1\r\n"),
        ] {
            assert_eq!(number(other.as_bytes(), &mark), None, "{other}");
        }
    }

    #[test]
    fn a_change_is_named_by_its_line() {
        let sent = message(&name().mailbox(), 1, now());
        assert_eq!(difference(&sent, &sent), None);
        let rewritten = String::from_utf8(sent.clone()).unwrap();
        let changed = rewritten.replace("Parallax probe, message", "[SPAM] Parallax probe, message");
        assert_eq!(
            difference(&sent, changed.as_bytes()).unwrap(),
            "line 4 (Subject) differs from byte 140 on"
        );
        let front = [b"X-Scanned: yes\r\n".as_slice(), &sent].concat();
        assert_eq!(
            difference(&sent, &front).unwrap(),
            "16 bytes stand before it, from X-Scanned on"
        );
        let plain = rewritten.replace('\u{fc}', "u");
        assert!(
            difference(&sent, plain.as_bytes())
                .unwrap()
                .contains("(of the body)")
        );
        assert!(
            difference(&sent, &sent[..100])
                .unwrap()
                .contains("ends after 100")
        );
    }
}
