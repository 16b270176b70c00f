//! Names of mailboxes as servers spell them (RFC 3501 section 5.1.3, RFC 9051 section 5.1).

use base64::Engine as _;
use base64::alphabet::IMAP_MUTF7;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

const MODIFIED_BASE64: GeneralPurpose = GeneralPurpose::new(
    &IMAP_MUTF7,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::RequireNone)
        .with_decode_allow_trailing_bits(true),
);

/// Whether a client can show the name: modified UTF-7 for ASCII, UTF-8 for anything else.
pub fn decodes(name: &[u8]) -> bool {
    if !name.is_ascii() {
        return std::str::from_utf8(name).is_ok();
    }
    let mut rest = name;
    while let Some(start) = rest.iter().position(|&byte| byte == b'&') {
        let shifted = &rest[start + 1..];
        let Some(end) = shifted.iter().position(|&byte| byte == b'-') else {
            return false;
        };
        if end > 0 && !is_utf16(&shifted[..end]) {
            return false;
        }
        rest = &shifted[end + 1..];
    }
    !rest.iter().any(u8::is_ascii_control)
}

fn is_utf16(encoded: &[u8]) -> bool {
    let Ok(bytes) = MODIFIED_BASE64.decode(encoded) else {
        return false;
    };
    let units = bytes
        .chunks_exact(2)
        .map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
    bytes.len() % 2 == 0 && char::decode_utf16(units).all(|unit| unit.is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_of_a_name_decode() {
        for name in [
            &b"INBOX"[..],
            b"&U,BTFw-/&ZeVnLIqe-",
            b"Entw&APw-rfe",
            b"R&-D",
            b"",
            "Entwürfe".as_bytes(),
        ] {
            assert!(decodes(name), "{}", name.escape_ascii());
        }
    }

    #[test]
    fn a_name_that_no_client_can_show_is_noticed() {
        for name in [
            &b"&AP"[..],
            b"a&b c",
            b"&!!-",
            b"&2AA-",
            b"Entw\xfcrfe",
            b"bell\x07",
            b"&AA-",
        ] {
            assert!(!decodes(name), "{}", name.escape_ascii());
        }
    }
}
