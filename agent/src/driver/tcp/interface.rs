//! Which of this host's interfaces holds an address.

use std::net::IpAddr;

use nix::ifaddrs::getifaddrs;
use nix::sys::socket::SockaddrStorage;

/// An interface that holds an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Holder {
    pub(crate) name: String,
    address: IpAddr,
    mask: Option<IpAddr>,
}

/// The interface that holds an address now; `None` for one that is held by none (a transparent proxy's, or gone).
pub(crate) fn holder(address: IpAddr) -> Option<Holder> {
    let holds = |held: &SockaddrStorage| ip_of(held) == Some(address);
    let interface = getifaddrs()
        .ok()?
        .find(|interface| interface.address.as_ref().is_some_and(holds))?;
    Some(Holder {
        name: interface.interface_name,
        address,
        mask: interface.netmask.as_ref().and_then(ip_of),
    })
}

impl Holder {
    /// Whether an address is reached without a router, on the link of the one that is held; `None` where the interface
    /// does not say how much of the link is its own.
    pub(crate) fn on_link(&self, theirs: IpAddr) -> Option<bool> {
        within(self.address, theirs, self.mask?)
    }
}

/// The other addresses that the interface holds which holds this one: of its family, and of more than the link.
pub(crate) fn beside(address: IpAddr) -> Vec<IpAddr> {
    let Some(interface) = holder(address) else {
        return Vec::new();
    };
    let Ok(interfaces) = getifaddrs() else {
        return Vec::new();
    };
    interfaces
        .filter(|other| other.interface_name == interface.name)
        .filter_map(|other| ip_of(other.address.as_ref()?))
        .filter(|other| *other != address && other.is_ipv4() == address.is_ipv4() && !of_the_link(other))
        .collect()
}

fn within(ours: IpAddr, theirs: IpAddr, mask: IpAddr) -> Option<bool> {
    match (ours, theirs, mask) {
        (IpAddr::V4(ours), IpAddr::V4(theirs), IpAddr::V4(mask)) => {
            Some((ours.to_bits() ^ theirs.to_bits()) & mask.to_bits() == 0)
        }
        (IpAddr::V6(ours), IpAddr::V6(theirs), IpAddr::V6(mask)) => {
            Some((ours.to_bits() ^ theirs.to_bits()) & mask.to_bits() == 0)
        }
        _ => None,
    }
}

fn of_the_link(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}

fn ip_of(address: &SockaddrStorage) -> Option<IpAddr> {
    let v4 = address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
    v4.or_else(|| address.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_reaches_as_far_as_its_prefix() {
        let within = |ours: &str, theirs: &str, mask: &str| {
            let [ours, theirs, mask] = [ours, theirs, mask].map(|text| text.parse().unwrap());
            within(ours, theirs, mask)
        };
        assert_eq!(within("10.9.0.2", "10.9.0.30", "255.255.255.224"), Some(true));
        assert_eq!(within("10.9.0.2", "10.9.0.33", "255.255.255.224"), Some(false));
        assert_eq!(within("10.9.0.2", "10.9.0.2", "255.255.255.255"), Some(true));
        assert_eq!(
            within("fd00:9::2", "fd00:9::10", "ffff:ffff:ffff:ffff::"),
            Some(true)
        );
        assert_eq!(
            within("fd00:9::2", "fd00:8::10", "ffff:ffff:ffff:ffff::"),
            Some(false)
        );
        assert_eq!(within("10.9.0.2", "fd00:8::10", "255.255.255.0"), None);
    }

    #[test]
    fn the_loopback_network_is_on_link_and_nothing_else_is_by_it() {
        let ours: IpAddr = "127.0.0.1".parse().unwrap();
        let on_link = |ours: IpAddr, theirs| holder(ours)?.on_link(theirs);
        assert_eq!(on_link(ours, "127.9.9.9".parse().unwrap()), Some(true));
        assert_eq!(on_link(ours, "192.0.2.1".parse().unwrap()), Some(false));
        assert_eq!(on_link("192.0.2.77".parse().unwrap(), ours), None);
    }

    #[test]
    fn loopback_holds_the_loopback_address_and_nobody_a_strangers() {
        assert_eq!(holder("127.0.0.1".parse().unwrap()).unwrap().name, "lo");
        assert_eq!(holder("192.0.2.77".parse().unwrap()), None);
    }
}
