//! ICMP errors, as the kernel hands them on.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use parallax_model::evidence::IcmpError;

/// Origins of an entry in a socket's error queue (ip(7)).
const ICMP: u8 = 2;
const ICMP6: u8 = 3;

/// Reads `sock_extended_err` of ip(7): errno 4 bytes, origin, type, code, padding, info 4, data 4; then the sender's
/// socket address. `None` when it is no ICMP error.
pub(crate) fn from_queue(bytes: &[u8]) -> Option<IcmpError> {
    let (&origin, &kind, &code) = (bytes.get(4)?, bytes.get(5)?, bytes.get(6)?);
    let sender = bytes.get(16..)?;
    let from = match origin {
        // sin_family 2, sin_port 2, sin_addr 4.
        ICMP => IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(sender.get(4..8)?).ok()?)),
        // sin6_family 2, sin6_port 2, sin6_flowinfo 4, sin6_addr 16.
        ICMP6 => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(sender.get(8..24)?).ok()?)),
        _ => return None,
    };
    Some(IcmpError {
        kind,
        code,
        name: name(from.is_ipv6(), kind, code).to_owned(),
        from,
    })
}

/// The name of a code (RFC 792, RFC 1812 section 5.2.7.1; RFC 4443 section 3 for ICMPv6).
const fn name(ipv6: bool, kind: u8, code: u8) -> &'static str {
    if ipv6 { v6(kind, code) } else { v4(kind, code) }
}

const fn v4(kind: u8, code: u8) -> &'static str {
    match (kind, code) {
        (3, 0) => "net_unreachable",
        (3, 1) => "host_unreachable",
        (3, 2) => "protocol_unreachable",
        (3, 3) => "port_unreachable",
        (3, 4) => "fragmentation_needed",
        (3, 5) => "source_route_failed",
        (3, 6) => "net_unknown",
        (3, 7) => "host_unknown",
        (3, 9) => "net_prohibited",
        (3, 10) => "host_prohibited",
        (3, 11) => "net_unreachable_for_tos",
        (3, 12) => "host_unreachable_for_tos",
        (3, 13) => "admin_prohibited",
        (3, 14) => "host_precedence_violation",
        (3, 15) => "precedence_cutoff",
        (11, 0) => "ttl_exceeded",
        (11, 1) => "reassembly_time_exceeded",
        (12, _) => "parameter_problem",
        _ => "other",
    }
}

const fn v6(kind: u8, code: u8) -> &'static str {
    match (kind, code) {
        (1, 0) => "no_route",
        (1, 1) => "admin_prohibited",
        (1, 2) => "beyond_scope",
        (1, 3) => "address_unreachable",
        (1, 4) => "port_unreachable",
        (1, 5) => "source_policy_failed",
        (1, 6) => "route_rejected",
        (2, _) => "packet_too_big",
        (3, 0) => "hop_limit_exceeded",
        (3, 1) => "reassembly_time_exceeded",
        (4, _) => "parameter_problem",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Errno EHOSTUNREACH, an origin, a type, a code; then a sender.
    fn entry(origin: u8, kind: u8, code: u8, sender: &[u8]) -> Vec<u8> {
        let mut bytes = vec![113, 0, 0, 0, origin, kind, code, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        bytes.extend_from_slice(sender);
        bytes
    }

    #[test]
    fn an_entry_names_the_error_and_its_sender() {
        let v4 = from_queue(&entry(ICMP, 3, 13, &[2, 0, 0, 0, 192, 0, 2, 1])).unwrap();
        assert_eq!(
            (v4.name.as_str(), v4.from.to_string()),
            ("admin_prohibited", "192.0.2.1".into())
        );
        let mut sender = vec![10, 0, 0, 0, 0, 0, 0, 0];
        sender.extend_from_slice(&"2001:db8::1".parse::<Ipv6Addr>().unwrap().octets());
        let v6 = from_queue(&entry(ICMP6, 1, 4, &sender)).unwrap();
        assert_eq!(
            (v6.name.as_str(), v6.from.to_string()),
            ("port_unreachable", "2001:db8::1".into())
        );
    }

    #[test]
    fn what_is_short_or_of_this_host_alone_is_no_icmp_error() {
        assert_eq!(from_queue(&entry(1, 0, 0, &[0; 24])), None);
        assert_eq!(from_queue(&entry(ICMP, 3, 1, &[2, 0, 0])), None);
        assert_eq!(from_queue(&[]), None);
    }
}
