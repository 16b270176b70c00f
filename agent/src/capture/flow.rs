//! Which connection a packet belongs to, from its headers.

use std::net::{IpAddr, SocketAddr};

/// The two ends of a TCP connection; the same in both directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Flow {
    one: SocketAddr,
    other: SocketAddr,
}

/// Protocol numbers (IANA).
const ICMP: u8 = 1;
const TCP: u8 = 6;
const ICMP6: u8 = 58;
/// Extension headers of IPv6 that may stand before the transport's (RFC 8200 section 4.1).
const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const DESTINATION: u8 = 60;
const EXTENSIONS: usize = 4;
/// Before the quoted packet (RFC 792, RFC 4443).
const ICMP_HEADER: usize = 8;

impl Flow {
    pub(super) fn between(one: SocketAddr, other: SocketAddr) -> Self {
        // Without what an address says beside itself, such as the scope of a link-local one.
        let bare = |end: SocketAddr| SocketAddr::new(end.ip(), end.port());
        let (one, other) = (bare(one), bare(other));
        Self {
            one: one.min(other),
            other: one.max(other),
        }
    }

    /// Of a TCP segment its own, of an ICMP error that of the segment it quotes. `packet` begins with the IP header.
    pub(super) fn of(packet: &[u8]) -> Option<Self> {
        let (carried, inside) = transport(packet)?;
        match carried.protocol {
            TCP => carried.flow(inside),
            ICMP if matches!(inside.first()?, 3 | 4 | 5 | 11 | 12) => quoted(inside),
            ICMP6 if matches!(inside.first()?, 1..=4) => quoted(inside),
            _ => None,
        }
    }
}

/// What an IP header says.
struct Carried {
    source: IpAddr,
    destination: IpAddr,
    protocol: u8,
}

impl Carried {
    fn flow(&self, segment: &[u8]) -> Option<Flow> {
        let port = |at| Some(u16::from_be_bytes([*segment.get(at)?, *segment.get(at + 1)?]));
        let (source, destination) = (port(0)?, port(2)?);
        Some(Flow::between(
            SocketAddr::new(self.source, source),
            SocketAddr::new(self.destination, destination),
        ))
    }
}

fn quoted(message: &[u8]) -> Option<Flow> {
    let (carried, segment) = transport(message.get(ICMP_HEADER..)?)?;
    (carried.protocol == TCP).then(|| carried.flow(segment))?
}

/// Splits a packet behind its IP headers. A later fragment has no ports in it, and is nobody's.
fn transport(packet: &[u8]) -> Option<(Carried, &[u8])> {
    match packet.first()? >> 4 {
        4 => {
            let header = usize::from(packet[0] & 0xf) * 4;
            let fragment = u16::from_be_bytes([*packet.get(6)?, *packet.get(7)?]) & 0x1fff;
            if header < 20 || fragment > 0 {
                return None;
            }
            let address = |at: usize| Some(IpAddr::from(<[u8; 4]>::try_from(packet.get(at..at + 4)?).ok()?));
            let carried = Carried {
                source: address(12)?,
                destination: address(16)?,
                protocol: *packet.get(9)?,
            };
            Some((carried, packet.get(header..)?))
        }
        6 => {
            let address =
                |at: usize| Some(IpAddr::from(<[u8; 16]>::try_from(packet.get(at..at + 16)?).ok()?));
            let (source, destination) = (address(8)?, address(24)?);
            let (protocol, inside) = behind_extensions(*packet.get(6)?, packet.get(40..)?)?;
            let carried = Carried {
                source,
                destination,
                protocol,
            };
            Some((carried, inside))
        }
        _ => None,
    }
}

fn behind_extensions(mut next: u8, mut rest: &[u8]) -> Option<(u8, &[u8])> {
    for _ in 0..EXTENSIONS {
        let length = match next {
            HOP_BY_HOP | ROUTING | DESTINATION => usize::from(*rest.get(1)?) * 8 + 8,
            FRAGMENT if u16::from_be_bytes([*rest.get(2)?, *rest.get(3)?]) >> 3 == 0 => 8,
            FRAGMENT => return None,
            _ => return Some((next, rest)),
        };
        next = *rest.first()?;
        rest = rest.get(length..)?;
    }
    None
}

#[cfg(test)]
pub(super) mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    /// A TCP segment over IPv4 with these bytes in it.
    pub(crate) fn segment4(source: (Ipv4Addr, u16), destination: (Ipv4Addr, u16), bytes: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, TCP, 0, 0];
        packet.extend(source.0.octets());
        packet.extend(destination.0.octets());
        packet.extend(source.1.to_be_bytes());
        packet.extend(destination.1.to_be_bytes());
        packet.extend([0; 16]);
        packet.extend(bytes);
        let length = u16::try_from(packet.len()).unwrap().to_be_bytes();
        packet[2..4].copy_from_slice(&length);
        packet
    }

    fn v6(next: u8, inside: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x60, 0, 0, 0, 0, 0, next, 64];
        packet.extend("fd00:1::2".parse::<Ipv6Addr>().unwrap().octets());
        packet.extend("fd00:9::10".parse::<Ipv6Addr>().unwrap().octets());
        packet.extend(inside);
        packet
    }

    const HERE: (Ipv4Addr, u16) = (Ipv4Addr::new(10, 1, 0, 2), 40_000);
    const THERE: (Ipv4Addr, u16) = (Ipv4Addr::new(10, 9, 0, 10), 993);

    fn flow(one: &str, other: &str) -> Option<Flow> {
        Some(Flow::between(one.parse().unwrap(), other.parse().unwrap()))
    }

    #[test]
    fn both_directions_of_a_connection_are_one_flow() {
        let expected = flow("10.1.0.2:40000", "10.9.0.10:993");
        assert_eq!(Flow::of(&segment4(HERE, THERE, b"hello")), expected);
        assert_eq!(Flow::of(&segment4(THERE, HERE, b"")), expected);
        assert_ne!(Flow::of(&segment4(THERE, (HERE.0, 40_001), b"")), expected);
    }

    #[test]
    fn an_icmp_error_belongs_to_the_connection_that_it_quotes() {
        let mut error = vec![
            0x45, 0, 0, 0, 0, 0, 0, 0, 64, ICMP, 0, 0, 10, 0, 9, 2, 10, 1, 0, 2,
        ];
        error.extend([3, 13, 0, 0, 0, 0, 0, 0]);
        error.extend(&segment4(HERE, THERE, b"")[..28]);
        assert_eq!(Flow::of(&error), flow("10.1.0.2:40000", "10.9.0.10:993"));
        error[20] = 8;
        assert_eq!(Flow::of(&error), None, "an echo request quotes nothing");
    }

    #[test]
    fn extension_headers_are_skipped_and_later_fragments_are_nobodys() {
        let ports = [0x9c, 0x40, 0x03, 0xe1, 0, 0, 0, 0];
        let expected = flow("[fd00:1::2]:40000", "[fd00:9::10]:993");
        assert_eq!(Flow::of(&v6(TCP, &ports)), expected);
        let mut behind = vec![TCP, 0, 0, 0, 0, 0, 0, 0];
        behind.extend(ports);
        assert_eq!(Flow::of(&v6(HOP_BY_HOP, &behind)), expected);
        assert_eq!(Flow::of(&v6(FRAGMENT, &behind)), expected);
        behind[3] = 8;
        assert_eq!(Flow::of(&v6(FRAGMENT, &behind)), None);
    }

    #[test]
    fn no_prefix_of_a_packet_is_more_than_it_is() {
        let packet = segment4(HERE, THERE, b"");
        for length in 0..packet.len() {
            let ports_are_there = length >= 24;
            assert_eq!(Flow::of(&packet[..length]).is_some(), ports_are_there, "{length}");
        }
    }
}
