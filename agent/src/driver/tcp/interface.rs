//! Which of this host's interfaces holds an address.

use std::net::IpAddr;

use nix::ifaddrs::{InterfaceAddress, getifaddrs};
use nix::sys::socket::SockaddrStorage;

/// An interface that holds an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Holder {
    pub(crate) name: String,
    /// How much of the link each of its addresses says is its own, the one that was asked for first.
    links: Vec<Link>,
}

/// What an interface says of one of its addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Link {
    address: IpAddr,
    mask: Option<IpAddr>,
    /// The one at the other end, on a link of two.
    other_end: Option<IpAddr>,
}

/// The interface that holds an address now; `None` for one that is held by none (a transparent proxy's, or gone).
pub(crate) fn holder(address: IpAddr) -> Option<Holder> {
    let all: Vec<(String, Link)> = getifaddrs()
        .ok()?
        .filter_map(|held| Some((held.interface_name.clone(), link(&held)?)))
        .collect();
    let (name, _) = all.iter().find(|(_, link)| link.address == address)?;
    let mut links: Vec<Link> = all
        .iter()
        .filter(|(other, _)| other == name)
        .map(|(_, link)| *link)
        .collect();
    links.sort_by_key(|link| link.address != address);
    Some(Holder {
        name: name.clone(),
        links,
    })
}

fn link(held: &InterfaceAddress) -> Option<Link> {
    Some(Link {
        address: ip_of(held.address.as_ref()?)?,
        mask: held.netmask.as_ref().and_then(ip_of),
        other_end: held.destination.as_ref().and_then(ip_of),
    })
}

impl Holder {
    /// Whether an address is reached without a router, on the link of the one that is held; `None` where the interface
    /// does not say how much of the link is its own, as with an address that has a prefix to itself.
    pub(crate) fn on_link(&self, theirs: IpAddr) -> Option<bool> {
        let reached = |link: &Link| {
            link.other_end == Some(theirs)
                || link.mask.and_then(|mask| within(link.address, theirs, mask)) == Some(true)
        };
        if self.links.iter().any(reached) {
            return Some(true);
        }
        let asked = self.links.first()?;
        let mask = asked.mask.filter(|mask| !is_whole(*mask))?;
        within(asked.address, theirs, mask)
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

/// Whether a prefix is one address long.
fn is_whole(mask: IpAddr) -> bool {
    match mask {
        IpAddr::V4(mask) => mask.to_bits() == u32::MAX,
        IpAddr::V6(mask) => mask.to_bits() == u128::MAX,
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

    fn held(links: &[(&str, &str, Option<&str>)]) -> Holder {
        let link = |&(address, mask, other_end): &(&str, &str, Option<&str>)| Link {
            address: address.parse().unwrap(),
            mask: Some(mask.parse().unwrap()),
            other_end: other_end.map(|text| text.parse().unwrap()),
        };
        Holder {
            name: "eth0".into(),
            links: links.iter().map(link).collect(),
        }
    }

    #[test]
    fn a_prefix_of_one_address_says_nothing_of_its_link() {
        let on_link = |holder: &Holder, theirs: &str| holder.on_link(theirs.parse().unwrap());
        let leased = held(&[("2001:db8::5", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", None)]);
        assert_eq!(on_link(&leased, "2001:db8::9"), None);
        assert_eq!(on_link(&leased, "2001:db8::5"), Some(true));
        let both = held(&[
            ("2001:db8::5", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", None),
            ("2001:db8::2aa:bbff:fecc:1", "ffff:ffff:ffff:ffff::", None),
        ]);
        assert_eq!(on_link(&both, "2001:db8::9"), Some(true));
        assert_eq!(on_link(&both, "2001:db8:0:1::9"), None);
    }

    #[test]
    fn of_a_link_of_two_only_the_other_end_is_on_link() {
        let tunnel = held(&[("10.0.0.1", "255.255.255.255", Some("10.0.0.2"))]);
        assert_eq!(tunnel.on_link("10.0.0.2".parse().unwrap()), Some(true));
        assert_eq!(tunnel.on_link("10.0.0.3".parse().unwrap()), None);
        let small = held(&[("192.0.2.17", "255.255.255.240", None)]);
        assert_eq!(small.on_link("192.0.2.30".parse().unwrap()), Some(true));
        assert_eq!(small.on_link("192.0.2.33".parse().unwrap()), Some(false));
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
