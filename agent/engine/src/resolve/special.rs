//! Addresses that are no public service's.

use std::net::IpAddr;

/// What an address is reserved for, if anything; an answer with such a one is from inside, or made up by a filter.
pub(super) fn kind(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => {
            let [a, b, ..] = address.octets();
            let kinds = [
                (address.is_unspecified(), "no address at all"),
                (address.is_loopback(), "loopback"),
                (address.is_private(), "private, RFC 1918"),
                (address.is_link_local(), "link-local"),
                (a == 100 && b & 0xc0 == 64, "shared, RFC 6598"),
                (address.is_documentation(), "for documentation, RFC 5737"),
            ];
            kinds.into_iter().find_map(|(is, kind)| is.then_some(kind))
        }
        IpAddr::V6(address) => {
            let [first, second, ..] = address.segments();
            let kinds = [
                (address.is_unspecified(), "no address at all"),
                (address.is_loopback(), "loopback"),
                (first & 0xfe00 == 0xfc00, "private, RFC 4193"),
                (first & 0xffc0 == 0xfe80, "link-local"),
                (first == 0x2001 && second == 0xdb8, "for documentation, RFC 3849"),
            ];
            kinds.into_iter().find_map(|(is, kind)| is.then_some(kind))
        }
    }
}
