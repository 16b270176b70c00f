//! Which of this host's interfaces holds an address.

use std::net::IpAddr;

use nix::ifaddrs::getifaddrs;
use nix::sys::socket::SockaddrStorage;

/// The interface that holds an address now; `None` for one that is held by none (a transparent proxy's, or gone).
pub(crate) fn holder(address: IpAddr) -> Option<String> {
    let interfaces = getifaddrs().ok()?;
    let holds = |held: &SockaddrStorage| ip_of(held) == Some(address);
    interfaces
        .filter(|interface| interface.address.as_ref().is_some_and(holds))
        .map(|interface| interface.interface_name)
        .next()
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
        .filter(|other| other.interface_name == interface)
        .filter_map(|other| ip_of(other.address.as_ref()?))
        .filter(|other| *other != address && other.is_ipv4() == address.is_ipv4() && !of_the_link(other))
        .collect()
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
    fn loopback_holds_the_loopback_address_and_nobody_a_strangers() {
        assert_eq!(holder("127.0.0.1".parse().unwrap()).as_deref(), Some("lo"));
        assert_eq!(holder("192.0.2.77".parse().unwrap()), None);
    }
}
