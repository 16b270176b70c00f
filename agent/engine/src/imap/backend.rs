//! Which backend a banner names: behind one name stand many servers, and one of them may be the sick one.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The longest name that is taken for one.
const LONGEST: usize = 253;

/// The backend that the text of a greeting names: a base64 word of UTF-16 in brackets at its end (Exchange), else
/// the first word that is a host name.
pub fn named(text: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(text).ok()?;
    exchange(text).or_else(|| {
        text.split(|symbol: char| symbol.is_whitespace() || "()[]<>,;\"".contains(symbol))
            .map(|word| word.trim_end_matches('.'))
            .find(|word| is_host_name(word))
            .map(str::to_owned)
    })
}

fn exchange(text: &str) -> Option<String> {
    let (_, last) = text.trim_end().strip_suffix(']')?.rsplit_once('[')?;
    let bytes = STANDARD.decode(last).ok()?;
    let units: Vec<u16> = bytes
        .chunks_exact(2)
        .map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
        .collect();
    let name = String::from_utf16(&units).ok()?;
    let plain =
        !name.is_empty() && name.len() <= LONGEST && name.chars().all(|symbol| symbol.is_ascii_graphic());
    plain.then_some(name)
}

/// At least three labels, the last of letters only: versions and dates are none.
fn is_host_name(word: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let top = word.rsplit('.').next().unwrap_or_default();
    word.len() <= LONGEST
        && word.split('.').count() >= 3
        && word.split('.').all(label)
        && top.len() >= 2
        && top.bytes().all(|byte| byte.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backends_are_found_where_banners_have_them() {
        let exchange = b"The Microsoft Exchange IMAP4 service is ready. [TQBXAEgAUABSADIAMQAuAHAAcgBvAGQALgBvAHUAdABsAG8AbwBrAC4AYwBvAG0A]";
        assert_eq!(named(exchange).as_deref(), Some("MWHPR21.prod.outlook.com"));
        let cyrus = b"store3.example.org Cyrus IMAP 3.6.1-Debian-3.6.1-4 server ready";
        assert_eq!(named(cyrus).as_deref(), Some("store3.example.org"));
        let proxy = b"(imap-7.mx.example.net) ready.";
        assert_eq!(named(proxy).as_deref(), Some("imap-7.mx.example.net"));
    }

    #[test]
    fn versions_and_sentences_are_no_backend() {
        for text in [
            &b"Dovecot (Debian) ready."[..],
            b"Courier-IMAP ready. Copyright 1998-2022 Double Precision, Inc.  See COPYING for distribution.",
            b"server 3.6.1-4.12 ready",
            b"ready [AAAA]",
            b"\xff\xfe",
        ] {
            assert_eq!(named(text), None, "{}", text.escape_ascii());
        }
    }
}
