//! TLS alerts.

/// An alert's record in clear: type 21, version 3.x, length 2 (RFC 8446 section 5.1, RFC 5246 section 7.2).
const RECORD_HEADER: usize = 5;
const ALERT: u8 = 21;

/// The name of an alert (RFC 8446 section 6, and the registry behind it).
pub fn name(description: u8) -> String {
    let known = NAMES.iter().find(|(number, _)| *number == description);
    known.map_or_else(|| format!("alert_{description}"), |(_, name)| (*name).to_owned())
}

/// The description of the last alert in clear among whole records.
pub fn last_in(mut bytes: &[u8]) -> Option<u8> {
    let mut last = None;
    while let [kind, 3, _, high, low, rest @ ..] = bytes {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        if *kind == ALERT
            && length == 2
            && let [_, description, ..] = rest
        {
            last = Some(*description);
        }
        let Some(next) = bytes.get(RECORD_HEADER + length..) else {
            break;
        };
        bytes = next;
    }
    last
}

const NAMES: [(u8, &str); 27] = [
    (0, "close_notify"),
    (10, "unexpected_message"),
    (20, "bad_record_mac"),
    (22, "record_overflow"),
    (40, "handshake_failure"),
    (42, "bad_certificate"),
    (43, "unsupported_certificate"),
    (44, "certificate_revoked"),
    (45, "certificate_expired"),
    (46, "certificate_unknown"),
    (47, "illegal_parameter"),
    (48, "unknown_ca"),
    (49, "access_denied"),
    (50, "decode_error"),
    (51, "decrypt_error"),
    (70, "protocol_version"),
    (71, "insufficient_security"),
    (80, "internal_error"),
    (86, "inappropriate_fallback"),
    (90, "user_canceled"),
    (109, "missing_extension"),
    (110, "unsupported_extension"),
    (112, "unrecognized_name"),
    (113, "bad_certificate_status_response"),
    (115, "unknown_psk_identity"),
    (116, "certificate_required"),
    (120, "no_application_protocol"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_alert_among_records_is_read() {
        let warning_then_fatal = [21, 3, 3, 0, 2, 1, 112, 21, 3, 3, 0, 2, 2, 40];
        assert_eq!(
            last_in(&warning_then_fatal).map(name).as_deref(),
            Some("handshake_failure")
        );
        assert_eq!(last_in(b"* OK ready\r\n"), None);
        assert_eq!(last_in(&[21, 3, 3]), None);
        assert_eq!(name(200), "alert_200");
    }
}
