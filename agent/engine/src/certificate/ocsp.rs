//! A stapled OCSP response (RFC 6960 section 4.2), read and not verified: it came over the handshake whose peer it
//! is about.

use jiff::Timestamp;
use parallax_model::evidence::OcspFacts;
use x509_parser::asn1_rs::{Any, FromDer, GeneralizedTime};

/// The longest response that is read, in bytes.
const LONGEST: usize = 64 * 1024;
/// `[0] EXPLICIT` and `[1] EXPLICIT`, constructed, and the choices of CertStatus.
const CONTEXT_0: u32 = 0;
const CONTEXT_1: u32 = 1;

/// What a response says of its first certificate.
pub fn facts(der: &[u8]) -> OcspFacts {
    let unreadable = || OcspFacts {
        status: "unreadable".to_owned(),
        ..OcspFacts::default()
    };
    der.get(..der.len().min(LONGEST))
        .and_then(read)
        .unwrap_or_else(unreadable)
}

fn read(der: &[u8]) -> Option<OcspFacts> {
    let (status, rest) = element(inside(der)?)?;
    let status = status.data.first().copied()?;
    if status != 0 {
        return Some(OcspFacts {
            status: format!("error:{}", error_name(status)),
            ..OcspFacts::default()
        });
    }
    // responseBytes [0] EXPLICIT SEQUENCE { type, OCTET STRING }, whose bytes are a BasicOCSPResponse.
    let (_, octets) = element(inside(element(rest)?.0.data)?)?;
    let basic = inside(element(octets)?.0.data)?;
    let mut data = element(basic)?.0.data;
    let responses = loop {
        let (one, behind) = element(data)?;
        // The list is the first SEQUENCE behind version, responder and time.
        let is_context = one.header.class() == x509_parser::asn1_rs::Class::ContextSpecific;
        if !is_context && one.header.tag() == x509_parser::asn1_rs::Tag::Sequence {
            break one.data;
        }
        data = behind;
    };
    single(element(responses)?.0.data)
}

/// SingleResponse: certID, certStatus, thisUpdate, `[0]` nextUpdate.
fn single(response: &[u8]) -> Option<OcspFacts> {
    let (_, rest) = element(response)?;
    let (status, rest) = element(rest)?;
    let (this_update, rest) = GeneralizedTime::from_der(rest)
        .ok()
        .map(|(rest, time)| (time, rest))?;
    let next = element(rest)
        .filter(|(next, _)| next.header.tag().0 == CONTEXT_0)
        .and_then(|(next, _)| GeneralizedTime::from_der(next.data).ok())
        .map(|(_, time)| time);
    let status = match status.header.tag().0 {
        CONTEXT_0 => "good",
        CONTEXT_1 => "revoked",
        _ => "unknown",
    };
    Some(OcspFacts {
        status: status.to_owned(),
        this_update: timestamp(&this_update),
        next_update: next.as_ref().and_then(timestamp),
    })
}

fn element(der: &[u8]) -> Option<(Any<'_>, &[u8])> {
    Any::from_der(der).ok().map(|(rest, element)| (element, rest))
}

fn inside(der: &[u8]) -> Option<&[u8]> {
    element(der).map(|(element, _)| element.data)
}

fn timestamp(time: &GeneralizedTime) -> Option<Timestamp> {
    let seconds = time.utc_datetime().ok()?.unix_timestamp();
    Timestamp::from_second(seconds).ok()
}

/// OCSPResponseStatus, RFC 6960 section 4.2.1.
const fn error_name(status: u8) -> &'static str {
    match status {
        1 => "malformed_request",
        2 => "internal_error",
        3 => "try_later",
        5 => "sig_required",
        6 => "unauthorized",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
        let value = parts.concat();
        let mut bytes = vec![tag, value.len() as u8];
        if value.len() > 127 {
            bytes = vec![tag, 0x81, value.len() as u8];
        }
        bytes.extend(value);
        bytes
    }

    fn response(status: &[u8]) -> Vec<u8> {
        let single = tlv(
            0x30,
            &[
                &tlv(0x30, &[&[0x05, 0]]),
                status,
                &tlv(0x18, &[b"20260101000000Z"]),
                &tlv(0xa0, &[&tlv(0x18, &[b"20260108000000Z"])]),
            ],
        );
        let data = tlv(
            0x30,
            &[
                &tlv(0xa2, &[&tlv(0x04, &[&[1; 20]])]),
                &tlv(0x18, &[b"20260101000000Z"]),
                &tlv(0x30, &[&single]),
            ],
        );
        let basic = tlv(0x30, &[&data]);
        let bytes = tlv(0x30, &[&[0x06, 1, 0x2a], &tlv(0x04, &[&basic])]);
        tlv(0x30, &[&[0x0a, 1, 0], &tlv(0xa0, &[&bytes])])
    }

    #[test]
    fn status_and_times_are_read() {
        let good = facts(&response(&[0x80, 0]));
        assert_eq!(good.status, "good");
        assert_eq!(
            good.this_update.map(|at| at.to_string()).as_deref(),
            Some("2026-01-01T00:00:00Z")
        );
        assert_eq!(
            good.next_update.map(|at| at.to_string()).as_deref(),
            Some("2026-01-08T00:00:00Z")
        );
        let revoked = facts(&response(&tlv(0xa1, &[&tlv(0x18, &[b"20251231000000Z"])])));
        assert_eq!(revoked.status, "revoked");
        assert_eq!(facts(&response(&[0x82, 0])).status, "unknown");
    }

    #[test]
    fn errors_are_named_and_rubbish_is_called_so() {
        assert_eq!(facts(&[0x30, 3, 0x0a, 1, 3]).status, "error:try_later");
        for rubbish in [
            &b""[..],
            b"\x30",
            b"\x30\x80",
            &[0x30; 400],
            &response(&[0x80, 0])[..40],
        ] {
            assert_eq!(facts(rubbish).status, "unreadable", "{}", rubbish.escape_ascii());
        }
    }
}
