//! ICMP errors, as the kernel hands them on.

use std::net::IpAddr;

use parallax_model::evidence::IcmpError;

/// An ICMP error by its type, code and sender.
pub(crate) fn error(kind: u8, code: u8, from: IpAddr) -> IcmpError {
    IcmpError {
        kind,
        code,
        name: name(from.is_ipv6(), kind, code).to_owned(),
        from,
    }
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

    #[test]
    fn a_code_means_one_thing_in_each_family() {
        let named = |kind, code, from: &str| error(kind, code, from.parse().unwrap()).name;
        assert_eq!(named(3, 13, "192.0.2.1"), "admin_prohibited");
        assert_eq!(named(11, 0, "192.0.2.1"), "ttl_exceeded");
        assert_eq!(named(1, 4, "2001:db8::1"), "port_unreachable");
        assert_eq!(named(3, 0, "2001:db8::1"), "hop_limit_exceeded");
        assert_eq!(named(77, 0, "2001:db8::1"), "other");
    }
}
