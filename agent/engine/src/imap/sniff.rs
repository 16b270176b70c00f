//! Which other protocol answers, from a connection's first bytes.

/// What a port must speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// IMAP in clear, as before STARTTLS or inside TLS.
    Imap,
    /// TLS from the first byte.
    Tls,
}

/// A protocol that was recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Service {
    /// IMAP in clear (RFC 9051 section 7.1).
    Imap,
    /// SMTP, submission or LMTP (RFC 5321 section 4.2).
    Smtp,
    /// FTP (RFC 959 section 4.2).
    Ftp,
    /// A greeting `220` that fits SMTP as well as FTP.
    SmtpOrFtp,
    /// POP3 (RFC 1939 section 4).
    Pop3,
    /// ManageSieve (RFC 5804 section 1.7).
    ManageSieve,
    /// NNTP (RFC 3977 section 5.1).
    Nntp,
    /// HTTP (RFC 9112 section 4).
    Http,
    /// SSH (RFC 4253 section 4.2).
    Ssh,
    /// TLS records (RFC 8446 section 5.1).
    Tls,
    /// A TLS alert (RFC 8446 section 6), with its description.
    TlsAlert(u8),
}

impl Service {
    /// What a server's first bytes tell; `None` when they are too few, or fit nothing known.
    pub fn of(first: &[u8]) -> Option<Self> {
        tls(first).or_else(|| text(first))
    }

    /// The name in evidence.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Imap => "imap",
            Self::Smtp => "smtp",
            Self::Ftp => "ftp",
            Self::SmtpOrFtp => "smtp_or_ftp",
            Self::Pop3 => "pop3",
            Self::ManageSieve => "managesieve",
            Self::Nntp => "nntp",
            Self::Http => "http",
            Self::Ssh => "ssh",
            Self::Tls => "tls",
            Self::TlsAlert(_) => "tls_alert",
        }
    }

    /// The name in a sentence for an operator.
    pub const fn description(self) -> &'static str {
        match self {
            Self::Imap => "IMAP in clear",
            Self::Smtp => "an SMTP server",
            Self::Ftp => "an FTP server",
            Self::SmtpOrFtp => "an SMTP or FTP server",
            Self::Pop3 => "a POP3 server",
            Self::ManageSieve => "a ManageSieve server",
            Self::Nntp => "an NNTP server",
            Self::Http => "an HTTP server",
            Self::Ssh => "an SSH server",
            Self::Tls => "TLS",
            Self::TlsAlert(_) => "a TLS alert",
        }
    }
}

/// The protocol that answers where another was expected; `None` when it is the expected one, or not known.
pub fn wrong_service(first: &[u8], expected: Expected) -> Option<Service> {
    let service = Service::of(first)?;
    let fits = match expected {
        Expected::Imap => service == Service::Imap,
        Expected::Tls => matches!(service, Service::Tls | Service::TlsAlert(_)),
    };
    (!fits).then_some(service)
}

/// Content types 20 to 23 and a version of SSL 3.0 or TLS 1.x (RFC 8446 section 5.1).
fn tls(first: &[u8]) -> Option<Service> {
    match first {
        [0x15, 0x03, 0..=4, 0, 2, _level, description, ..] => Some(Service::TlsAlert(*description)),
        [0x14..=0x17, 0x03, 0..=4, ..] => Some(Service::Tls),
        _ => None,
    }
}

fn text(first: &[u8]) -> Option<Service> {
    let begins = |with: &str| {
        first
            .get(..with.len())
            .is_some_and(|head| head.eq_ignore_ascii_case(with.as_bytes()))
    };
    let any = |starts: &[&str]| starts.iter().any(|start| begins(start));
    if any(&["* OK", "* BYE", "* PREAUTH", "* NO", "* BAD"]) {
        Some(Service::Imap)
    } else if any(&["220 ", "220-"]) {
        Some(smtp_or_ftp(first))
    } else if any(&["421 ", "554 "]) {
        Some(Service::Smtp)
    } else if any(&["+OK", "-ERR"]) {
        Some(Service::Pop3)
    } else if any(&["\"IMPLEMENTATION\""]) {
        Some(Service::ManageSieve)
    } else if any(&["200 ", "201 "]) {
        Some(Service::Nntp)
    } else if any(&["HTTP/", "<!DOCTYPE", "<html"]) {
        Some(Service::Http)
    } else if any(&["SSH-"]) {
        Some(Service::Ssh)
    } else {
        None
    }
}

fn smtp_or_ftp(first: &[u8]) -> Service {
    let line = first.to_ascii_uppercase();
    let says = |word: &[u8]| line.windows(word.len()).any(|window| window == word);
    if says(b"SMTP") || says(b"LMTP") || says(b"POSTFIX") || says(b"EXIM") {
        Service::Smtp
    } else if says(b"FTP") {
        Service::Ftp
    } else {
        Service::SmtpOrFtp
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_services_are_named() {
        for (first, service) in [
            (&b"220 mx.example.org ESMTP Postfix\r\n"[..], Service::Smtp),
            (b"220 (vsFTPd 3.0.3)\r\n", Service::Ftp),
            (b"220 ready\r\n", Service::SmtpOrFtp),
            (b"+OK POP3 ready <1.2@host>\r\n", Service::Pop3),
            (b"-ERR permission denied\r\n", Service::Pop3),
            (
                b"\"IMPLEMENTATION\" \"Dovecot Pigeonhole\"\r\n",
                Service::ManageSieve,
            ),
            (b"200 news.example.org ready\r\n", Service::Nntp),
            (b"HTTP/1.1 400 Bad Request\r\n", Service::Http),
            (b"SSH-2.0-OpenSSH_9.2\r\n", Service::Ssh),
            (b"\x15\x03\x01\x00\x02\x02\x46", Service::TlsAlert(70)),
            (b"\x16\x03\x03\x00\x7a\x02", Service::Tls),
        ] {
            assert_eq!(
                wrong_service(first, Expected::Imap),
                Some(service),
                "{}",
                first.escape_ascii()
            );
        }
    }

    #[test]
    fn a_swap_of_the_two_ports_is_seen_from_both_sides() {
        assert_eq!(
            wrong_service(b"* OK [CAPABILITY IMAP4rev1", Expected::Tls),
            Some(Service::Imap)
        );
        assert_eq!(
            wrong_service(b"* BYE too many connections", Expected::Tls),
            Some(Service::Imap)
        );
        assert_eq!(wrong_service(b"\x16\x03\x01", Expected::Imap), Some(Service::Tls));
    }

    #[test]
    fn the_expected_and_the_unknown_are_not_wrong() {
        assert_eq!(wrong_service(b"* OK ready", Expected::Imap), None);
        assert_eq!(
            wrong_service(b"\x15\x03\x03\x00\x02\x02\x28", Expected::Tls),
            None
        );
        for unknown in [
            &b""[..],
            b"2",
            b"* ",
            b"\x00\x00",
            b"PROXY BAD Error in IMAP command",
        ] {
            assert_eq!(Service::of(unknown), None, "{}", unknown.escape_ascii());
        }
    }
}
