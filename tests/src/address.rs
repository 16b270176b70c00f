//! The lab's address plan: who is where, in both families.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// One interface's IPv4 and IPv6 address. Networks are /24 and /64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair {
    /// In 10.0.0.0/8.
    pub v4: Ipv4Addr,
    /// In fd00::/8.
    pub v6: Ipv6Addr,
}

impl Pair {
    /// Both addresses, IPv4 first.
    pub fn both(self) -> [IpAddr; 2] {
        [self.v4.into(), self.v6.into()]
    }

    const fn edge(network: u8, host: u8) -> Self {
        Self {
            v4: Ipv4Addr::new(10, network, 0, host),
            v6: Ipv6Addr::new(0xfd00, as_written(network), 0, 0, 0, 0, 0, as_written(host)),
        }
    }

    const fn backbone(network: u8, host: u8) -> Self {
        Self {
            v4: Ipv4Addr::new(10, 0, network, host),
            v6: Ipv6Addr::new(0xfd00, 0, as_written(network), 0, 0, 0, 0, as_written(host)),
        }
    }
}

/// The same digits in both families: 10.9.0.10 is also fd00:9::10.
const fn as_written(number: u8) -> u16 {
    let number = number as u16;
    number / 10 * 16 + number % 10
}

/// The vantage point's own host. `number` counts from 1.
pub const fn vantage(number: u8) -> Pair {
    Pair::edge(number, 2)
}

/// The vantage point's second address, from which nothing is sent that does not ask for it.
pub const fn vantage_second(number: u8) -> Pair {
    Pair::edge(number, 3)
}

/// The first hop of a vantage point: the inner side of its router.
pub const fn vantage_router(number: u8) -> Pair {
    Pair::edge(number, 1)
}

/// The side of a vantage point's router that looks to the core.
pub const fn vantage_uplink(number: u8) -> Pair {
    Pair::backbone(number, 2)
}

/// The core's side of the link to a vantage point's router: the second hop.
pub const fn core_to_vantage(number: u8) -> Pair {
    Pair::backbone(number, 1)
}

/// The core's side of the link to the site firewall.
pub const CORE_TO_SITE: Pair = Pair::backbone(9, 1);
/// The site firewall's outer side: the third hop.
pub const SITE_FIREWALL: Pair = Pair::backbone(9, 2);
/// The site firewall's inner side.
pub const SITE_LAN: Pair = Pair::edge(9, 1);
/// The mail host.
pub const MAIL: Pair = Pair::edge(9, 10);
/// The mail host's second address, where the same services listen.
pub const MAIL_SECOND: Pair = Pair::edge(9, 11);
/// The core's side of the link to the name server.
pub const CORE_TO_DNS: Pair = Pair::backbone(53, 1);
/// The name server.
pub const DNS: Pair = Pair::backbone(53, 2);
/// The core's side of the link to the control host.
pub const CORE_TO_CONTROL: Pair = Pair::backbone(71, 1);
/// The host of the collector and of `ctl`.
pub const CONTROL: Pair = Pair::backbone(71, 2);
