//! What an address means: some carry others, and whoever sends to them reaches those.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The address that is really reached from here: an IPv4 address in IPv6 clothes (RFC 4291 section 2.5.5.2) is an IPv4
/// address, and to Linux the unspecified address is this host.
pub(super) fn meant(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) if v4.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(v6) if v6.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        other => other,
    }
}

/// Every address that may be reached by this one: itself, and what gateways and tunnels take out of it.
pub(super) fn all_meant(address: IpAddr) -> Vec<IpAddr> {
    let outer = meant(address);
    let mut all = vec![address, outer];
    if let IpAddr::V6(v6) = outer {
        all.extend(carried(v6).into_iter().map(|inner| meant(inner.into())));
    }
    all
}

/// The IPv4 addresses within an IPv6 address, by its form.
fn carried(address: Ipv6Addr) -> Vec<Ipv4Addr> {
    let bits = address.to_bits();
    // The 32 bits that end so many bits before the end of the address.
    let at = |behind: u32| Ipv4Addr::from_bits(low(bits >> behind, 32));
    match address.segments() {
        _ if address.is_loopback() => Vec::new(),
        // IPv4-compatible (RFC 4291 section 2.5.5.1), IPv4-translated (RFC 2765 section 2.1), NAT64 (RFC 6052).
        [0, 0, 0, 0, 0, 0, ..] | [0, 0, 0, 0, 0xffff, 0, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => vec![at(0)],
        // NAT64 of a site's own (RFC 8215), with a prefix of 96, 64, 56 or 48 bits (RFC 6052 section 2.2): bits 64 to
        // 71 are none of the address.
        [0x64, 0xff9b, 1, ..] => [
            at(0),
            at(24),
            Ipv4Addr::from_bits(low(bits >> 64, 8) << 24 | low(bits >> 32, 24)),
            Ipv4Addr::from_bits(low(bits >> 64, 16) << 16 | low(bits >> 40, 16)),
        ]
        .into_iter()
        // What reads zeros first was read with another prefix than the site's.
        .filter(|inner| inner.octets()[0] != 0)
        .collect(),
        // 6to4 (RFC 3056 section 2).
        [0x2002, ..] => vec![at(80)],
        // Teredo (RFC 4380 section 4): the server, and the client with its bits turned over.
        [0x2001, 0, ..] => vec![at(64), Ipv4Addr::from_bits(!low(bits, 32))],
        // ISATAP (RFC 5214 section 6.1).
        [_, _, _, _, 0 | 0x200, 0x5efe, ..] => vec![at(0)],
        _ => Vec::new(),
    }
}

/// The last so many bits, of 32 at most.
fn low(bits: u128, many: u32) -> u32 {
    let mask = (1_u128 << many) - 1;
    u32::try_from(bits & mask).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_in_any_clothes_is_seen_through() {
        let metadata: IpAddr = "169.254.169.254".parse().unwrap();
        for clothes in [
            "169.254.169.254",
            "::ffff:169.254.169.254",
            "::169.254.169.254",
            "::ffff:0:169.254.169.254",
            "64:ff9b::169.254.169.254",
            "64:ff9b:1::169.254.169.254",
            "64:ff9b:1:0:a9:fea9:fe00:0",
            "64:ff9b:1:a9:fe:a9fe::",
            "64:ff9b:1:a9fe:a9:fe00::",
            "2002:a9fe:a9fe::1",
            "2001:0:a9fe:a9fe::1",
            "2001:0:c000:201::5601:5601",
            "2001:db8::5efe:169.254.169.254",
        ] {
            let all = all_meant(clothes.parse().unwrap());
            assert!(all.contains(&metadata), "{clothes}: {all:?}");
        }
    }

    #[test]
    fn an_ordinary_address_means_itself() {
        for plain in ["192.0.2.1", "2001:db8::1", "fd00::1", "::1", "2a00::a9fe:a9fe"] {
            let address: IpAddr = plain.parse().unwrap();
            assert!(all_meant(address).iter().all(|one| *one == address), "{plain}");
        }
    }

    #[test]
    fn the_unspecified_address_is_this_host() {
        for (address, host) in [
            ("0.0.0.0", "127.0.0.1"),
            ("::", "::1"),
            ("64:ff9b::", "127.0.0.1"),
        ] {
            let all = all_meant(address.parse().unwrap());
            assert!(all.contains(&host.parse().unwrap()), "{address}: {all:?}");
        }
    }
}
