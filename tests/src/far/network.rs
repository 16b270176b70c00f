//! The network of the second lab: six hops, two firewalls side by side, and networks of other sizes.
//!
//! ```text
//! edge-par .10 .11 \
//! edge-lyo .20     -- gw-fr -- isp-fr (dns-fr) --\                  /-- fw-a --\        mail  198.51.100.20
//! edge-osl (IPv6)  -- gw-no --\                   ix === border ---             -- lan  mail2 198.51.100.21
//! edge-rom (IPv4)  -- gw-it -- isp-eu (dns-eu) --/                  \-- fw-b --/        pool  198.51.100.25
//!                                                                                       edge-in 198.51.100.28
//! ```
//!
//! What goes to the site takes either firewall, flow by flow; what comes back takes fw-b. `===` is a [`Line`]: what
//! passes it takes time. The pool is a balancer that sends each flow to mail or to mail2. Agents reach the collector
//! over a network of their own, 10.250.0.0/24.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};

use super::line::Line;
use crate::namespace::Namespace;
use crate::wire;

/// Vantage points, with the resolver that each asks.
pub(super) const VANTAGES: [(&str, &str); 5] = [
    ("edge-par", "172.24.1.2"),
    ("edge-lyo", "172.24.1.2"),
    ("edge-osl", "2001:db8:b2::2"),
    ("edge-rom", "172.24.2.2"),
    ("edge-in", "172.24.2.2"),
];
/// The address of the collector for the agents.
pub(super) const CONTROL: &str = "10.250.0.1";

const ROUTERS: [&str; 9] = [
    "gw-fr", "gw-no", "gw-it", "isp-fr", "isp-eu", "ix", "border", "fw-a", "fw-b",
];
const SWITCHES: [&str; 2] = ["lan", "control"];
const HOSTS: [&str; 5] = ["mail", "mail2", "pool", "dns-fr", "dns-eu"];

/// A cable: two ends of namespace, interface, and addresses with their length, of which either may be missing.
type Cable = [(&'static str, &'static str, &'static str, &'static str); 2];

#[rustfmt::skip]
const CABLES: &[Cable] = &[
    [("gw-fr", "par", "", ""), ("edge-par", "eth0", "172.20.1.10/26", "2001:db8:1::10/64")],
    [("gw-fr", "lyo", "", ""), ("edge-lyo", "eth0", "172.20.1.20/26", "2001:db8:1::20/64")],
    [("gw-no", "lan", "", "2001:db8:2::1/64"), ("edge-osl", "eth0", "", "2001:db8:2::10/64")],
    [("gw-it", "lan", "172.20.3.1/26", ""), ("edge-rom", "eth0", "172.20.3.10/26", "")],
    [("gw-fr", "uplink", "172.21.1.1/30", "2001:db8:f1::1/64"), ("isp-fr", "fr", "172.21.1.2/30", "2001:db8:f1::2/64")],
    [("gw-no", "uplink", "172.21.2.1/30", "2001:db8:f2::1/64"), ("isp-eu", "no", "172.21.2.2/30", "2001:db8:f2::2/64")],
    [("gw-it", "uplink", "172.21.3.1/30", "2001:db8:f3::1/64"), ("isp-eu", "it", "172.21.3.2/30", "2001:db8:f3::2/64")],
    [("isp-fr", "ix", "172.22.1.1/30", "2001:db8:e1::1/64"), ("ix", "fr", "172.22.1.2/30", "2001:db8:e1::2/64")],
    [("isp-eu", "ix", "172.22.2.1/30", "2001:db8:e2::1/64"), ("ix", "eu", "172.22.2.2/30", "2001:db8:e2::2/64")],
    [("isp-fr", "dns", "172.24.1.1/30", "2001:db8:b1::1/64"), ("dns-fr", "eth0", "172.24.1.2/30", "2001:db8:b1::2/64")],
    [("isp-eu", "dns", "172.24.2.1/30", "2001:db8:b2::1/64"), ("dns-eu", "eth0", "172.24.2.2/30", "2001:db8:b2::2/64")],
    [("border", "fw-a", "203.0.113.1/30", "2001:db8:c1::1/64"), ("fw-a", "uplink", "203.0.113.2/30", "2001:db8:c1::2/64")],
    [("border", "fw-b", "203.0.113.5/30", "2001:db8:c2::1/64"), ("fw-b", "uplink", "203.0.113.6/30", "2001:db8:c2::2/64")],
    [("lan", "fw-a", "", ""), ("fw-a", "lan", "198.51.100.17/28", "2001:db8:9::17/64")],
    [("lan", "fw-b", "", ""), ("fw-b", "lan", "198.51.100.18/28", "2001:db8:9::18/64")],
    [("lan", "mail", "", ""), ("mail", "eth0", "198.51.100.20/28", "2001:db8:9::20/64")],
    [("lan", "mail2", "", ""), ("mail2", "eth0", "198.51.100.21/28", "2001:db8:9::21/64")],
    [("lan", "pool", "", ""), ("pool", "eth0", "198.51.100.25/28", "2001:db8:9::25/64")],
    [("lan", "in", "", ""), ("edge-in", "eth0", "198.51.100.28/28", "2001:db8:9::28/64")],
    [("control", "par", "", ""), ("edge-par", "mgmt", "10.250.0.11/24", "")],
    [("control", "lyo", "", ""), ("edge-lyo", "mgmt", "10.250.0.12/24", "")],
    [("control", "osl", "", ""), ("edge-osl", "mgmt", "10.250.0.13/24", "")],
    [("control", "rom", "", ""), ("edge-rom", "mgmt", "10.250.0.14/24", "")],
    [("control", "in", "", ""), ("edge-in", "mgmt", "10.250.0.15/24", "")],
];

/// The ends of the line between the exchange and the site's border.
#[rustfmt::skip]
const LINE: Cable = [
    ("ix", "border", "172.23.0.1/30", "2001:db8:d0::1/64"), ("border", "ix", "172.23.0.2/30", "2001:db8:d0::2/64"),
];

/// Bridges: where they are, what they are called, the ports, and the addresses of their own.
#[rustfmt::skip]
const BRIDGES: &[(&str, &str, &[&str], &str, &str)] = &[
    ("gw-fr", "lan", &["par", "lyo"], "172.20.1.1/26", "2001:db8:1::1/64"),
    ("lan", "bridge", &["fw-a", "fw-b", "mail", "mail2", "pool", "in"], "", ""),
    ("control", "bridge", &["par", "lyo", "osl", "rom", "in"], "10.250.0.1/24", ""),
];

#[rustfmt::skip]
const ROUTES: &[(&str, &str)] = &[
    ("edge-par", "addr replace 172.20.1.11/26 dev eth0\naddr replace 2001:db8:1::11/64 dev eth0 nodad preferred_lft 0\n\
                  route replace default via 172.20.1.1\nroute replace default via 2001:db8:1::1\n"),
    ("edge-lyo", "route replace default via 172.20.1.1\nroute replace default via 2001:db8:1::1\n"),
    ("edge-osl", "route replace default via 2001:db8:2::1\n"),
    ("edge-rom", "route replace default via 172.20.3.1\n"),
    ("edge-in", "route replace default via 198.51.100.18\nroute replace default via 2001:db8:9::18\n"),
    ("gw-fr", "route replace default via 172.21.1.2\nroute replace default via 2001:db8:f1::2\n"),
    ("gw-no", "route replace default via 172.21.2.2\nroute replace default via 2001:db8:f2::2\n"),
    ("gw-it", "route replace default via 172.21.3.2\nroute replace default via 2001:db8:f3::2\n"),
    ("isp-fr", "route replace 172.20.1.0/26 via 172.21.1.1\nroute replace 2001:db8:1::/64 via 2001:db8:f1::1\n\
                route replace default via 172.22.1.2\nroute replace default via 2001:db8:e1::2\n"),
    ("isp-eu", "route replace 2001:db8:2::/64 via 2001:db8:f2::1\nroute replace 172.20.3.0/26 via 172.21.3.1\n\
                route replace default via 172.22.2.2\nroute replace default via 2001:db8:e2::2\n"),
    ("ix", "route replace 172.20.1.0/26 via 172.22.1.1\nroute replace 2001:db8:1::/64 via 2001:db8:e1::1\n\
            route replace 172.21.1.0/30 via 172.22.1.1\nroute replace 2001:db8:f1::/64 via 2001:db8:e1::1\n\
            route replace 172.24.1.0/30 via 172.22.1.1\nroute replace 2001:db8:b1::/64 via 2001:db8:e1::1\n\
            route replace 172.20.3.0/26 via 172.22.2.1\nroute replace 2001:db8:2::/64 via 2001:db8:e2::1\n\
            route replace 172.21.2.0/30 via 172.22.2.1\nroute replace 2001:db8:f2::/64 via 2001:db8:e2::1\n\
            route replace 172.21.3.0/30 via 172.22.2.1\nroute replace 2001:db8:f3::/64 via 2001:db8:e2::1\n\
            route replace 172.24.2.0/30 via 172.22.2.1\nroute replace 2001:db8:b2::/64 via 2001:db8:e2::1\n\
            route replace 198.51.100.0/24 via 172.23.0.2\nroute replace 2001:db8:9::/48 via 2001:db8:d0::2\n"),
    ("border", "route replace default via 172.23.0.1\nroute replace default via 2001:db8:d0::1\n\
                route replace 198.51.100.0/24 nexthop via 203.0.113.2 nexthop via 203.0.113.6\n\
                route replace 2001:db8:9::/48 nexthop via 2001:db8:c1::2 nexthop via 2001:db8:c2::2\n"),
    ("fw-a", "route replace default via 203.0.113.1\nroute replace default via 2001:db8:c1::1\n"),
    ("fw-b", "route replace default via 203.0.113.5\nroute replace default via 2001:db8:c2::1\n"),
    ("mail", "route replace default via 198.51.100.18\nroute replace default via 2001:db8:9::18\n"),
    ("mail2", "route replace default via 198.51.100.18\nroute replace default via 2001:db8:9::18\n"),
    ("pool", "route replace default via 198.51.100.18\nroute replace default via 2001:db8:9::18\n"),
    ("dns-fr", "route replace default via 172.24.1.1\nroute replace default via 2001:db8:b1::1\n"),
    ("dns-eu", "route replace default via 172.24.2.1\nroute replace default via 2001:db8:b2::1\n"),
];

/// The balancer takes mail or mail2 by the flow, and speaks to them in its own name.
const BALANCER: &str = "\
table inet balancer {
    chain there {
        type nat hook prerouting priority dstnat
        ip daddr 198.51.100.25 tcp dport { 143, 993, 1143, 10993 } dnat ip to jhash ip saddr . tcp sport mod 2 map { 0 : 198.51.100.20, 1 : 198.51.100.21 }
        ip6 daddr 2001:db8:9::25 tcp dport { 143, 993, 1143, 10993 } dnat ip6 to jhash ip6 saddr . tcp sport mod 2 map { 0 : 2001:db8:9::20, 1 : 2001:db8:9::21 }
    }
    chain back {
        type nat hook postrouting priority srcnat
        tcp dport { 143, 993, 1143, 10993 } masquerade
    }
}
";

/// The namespaces and what is between them; gone when dropped.
pub(super) struct Network {
    places: BTreeMap<&'static str, Namespace>,
    line: Line,
}

impl Network {
    /// Builds all of it; files that are needed for it are kept in `directory`.
    pub(super) fn new(directory: &Path) -> Result<Self> {
        let mut places = BTreeMap::new();
        let resolvers = VANTAGES.into_iter();
        let others = ROUTERS.into_iter().chain(SWITCHES).chain(HOSTS);
        for (name, resolver) in resolvers.chain(others.map(|name| (name, CONTROL))) {
            let resolv_conf = directory.join(format!("{name}.resolv.conf"));
            std::fs::write(&resolv_conf, format!("nameserver {resolver}\n"))?;
            places.insert(name, Namespace::new(name, &resolv_conf)?);
        }
        places
            .values()
            .try_for_each(|place| place.set_switches(EVERYWHERE))?;
        for router in ROUTERS.iter().chain(&["pool"]) {
            places[router].set_switches(ON_ROUTERS)?;
        }
        places["border"].set_switches(ON_BORDER)?;
        let line = connect(&places, &directory.join("mail.resolv.conf"))
            .context("build the second lab's network")?;
        places["pool"].feed("nft", &["-f", "-"], BALANCER.to_owned())?;
        Ok(Self { places, line })
    }

    /// The place of that name.
    pub(super) fn place(&self, name: &str) -> Result<&Namespace> {
        self.places
            .get(name)
            .with_context(|| format!("no place is called {name}"))
    }

    /// The line between the exchange and the site's border.
    pub(super) fn line(&self) -> &Line {
        &self.line
    }
}

fn connect(places: &BTreeMap<&'static str, Namespace>, resolv_conf: &Path) -> Result<Line> {
    let mut settings: BTreeMap<&str, String> = BTreeMap::new();
    for (number, [near, far]) in (0..).zip(CABLES) {
        // Ends with different numbers come up at once.
        let (near_index, far_index) = (10 + 2 * number, 11 + 2 * number);
        let there = places[far.0].keeper();
        wire::set(
            &places[near.0],
            format!(
                "link add name {} index {near_index} type veth peer name {} index {far_index} netns {there}\n",
                near.1, far.1
            ),
        )?;
        for (place, interface, v4, v6) in [near, far] {
            *settings.entry(place).or_default() += &up(interface, v4, v6);
        }
    }
    let line = Line::between(
        (&places[LINE[0].0], LINE[0].1),
        (&places[LINE[1].0], LINE[1].1),
        resolv_conf,
    )?;
    for (place, interface, v4, v6) in LINE {
        *settings.entry(place).or_default() += &up(interface, v4, v6);
    }
    for (place, bridge, ports, v4, v6) in BRIDGES {
        let script = settings.entry(place).or_default();
        *script += &format!("link add name {bridge} type bridge\n");
        for port in *ports {
            *script += &format!("link set dev {port} master {bridge}\n");
        }
        *script += &up(bridge, v4, v6);
    }
    for (place, routes) in ROUTES {
        *settings.entry(place).or_default() += routes;
    }
    for (place, script) in settings {
        wire::set(&places[place], format!("link set lo up\n{script}"))?;
    }
    Ok(line)
}

fn up(interface: &str, v4: &str, v6: &str) -> String {
    let mut script = format!("link set dev {interface} up\n");
    if !v4.is_empty() {
        script += &format!("addr replace {v4} dev {interface}\n");
    }
    if !v6.is_empty() {
        script += &format!("addr replace {v6} dev {interface} nodad\n");
    }
    script
}

const EVERYWHERE: &[(&str, &str)] = &[
    ("ipv4/icmp_ratelimit", "0"),
    ("ipv6/icmp/ratelimit", "0"),
    ("ipv6/conf/all/accept_dad", "0"),
    ("ipv6/conf/default/accept_dad", "0"),
    ("ipv6/conf/default/accept_ra", "0"),
];

const ON_ROUTERS: &[(&str, &str)] = &[
    ("ipv4/ip_forward", "1"),
    ("ipv6/conf/all/forwarding", "1"),
    ("ipv4/conf/all/rp_filter", "0"),
    ("ipv4/conf/default/rp_filter", "0"),
];

/// Equal paths by addresses and ports; flows that are counted, and none that is known from its middle only.
const ON_BORDER: &[(&str, &str)] = &[
    ("ipv4/fib_multipath_hash_policy", "1"),
    ("ipv6/fib_multipath_hash_policy", "1"),
    ("netfilter/nf_conntrack_acct", "1"),
    ("netfilter/nf_conntrack_tcp_loose", "0"),
];
