//! What the filter of each fault does with packets.

use super::Hook;
use crate::impair::Kind;

/// A table of nftables.
#[derive(Clone, Copy, Debug)]
pub struct Recipe {
    /// The sets that its rules need.
    pub sets: &'static str,
    /// What it does with the packets that pass the place, if anything.
    pub rules: &'static str,
    /// What it does with others.
    pub elsewhere: Option<(Hook, &'static str)>,
}

/// What the filter of `kind` does with packets, or nothing if `kind` is no matter of packets.
#[rustfmt::skip]
pub const fn recipe(kind: Kind) -> Option<Recipe> {
    Some(match kind {
        Kind::FirewallDrop => usual("tcp dport { 143, 993 } drop"),
        Kind::FirewallReset => usual("tcp dport { 143, 993 } reject with tcp reset"),
        Kind::FirewallReject => usual("tcp dport { 143, 993 } reject with icmpx type admin-prohibited"),
        Kind::FirewallUnreachable => usual("tcp dport { 143, 993 } reject with icmpx type host-unreachable"),
        Kind::FirewallNoRoute => usual("tcp dport { 143, 993 } reject with icmpx type no-route"),
        Kind::FirewallPort => usual("tcp dport { 143, 993 } reject with icmpx type port-unreachable"),
        Kind::Drop993 => usual("tcp dport 993 drop"),
        Kind::Drop143 => usual("tcp dport 143 drop"),
        Kind::DropOnArrival => elsewhere(Hook::Arrival, "tcp dport { 143, 993 } drop"),
        Kind::DropAll => usual("ip daddr 10.9.0.0/24 drop\nip6 daddr fd00:9::/64 drop"),
        Kind::ReturnDrop => usual("ip saddr 10.9.0.0/24 drop\nip6 saddr fd00:9::/64 drop"),
        Kind::SynAckDrop => usual("tcp sport { 143, 993 } tcp flags & (syn|ack) == (syn|ack) drop"),
        Kind::HalfFlowsDrop => usual(HALF_FLOWS),
        Kind::PacketLoss => usual(LOSS),
        Kind::HelloReset => usual("tcp dport { 143, 993 } @ih,0,8 0x16 reject with tcp reset"),
        Kind::HelloDrop => usual("tcp dport { 143, 993 } @ih,0,8 0x16 drop"),
        Kind::ConnectionLimit => Recipe { sets: SOURCES, rules: LIMIT_RESET, elsewhere: None },
        Kind::ConnectionLimitSilent => Recipe { sets: SOURCES, rules: LIMIT_DROP, elsewhere: None },
        Kind::RateLimit => Recipe { sets: RATES, rules: RATE_DROP, elsewhere: None },
        Kind::IcmpSilent => elsewhere(Hook::Output, ICMP_ERRORS),
        Kind::TooBigLost => elsewhere(Hook::Output, TOO_BIG),
        Kind::MssClamped => usual("tcp flags syn tcp option maxseg size set 1340"),
        Kind::BackendDead => Recipe { sets: "", rules: SECOND_SILENT, elsewhere: Some((Hook::Destination, BALANCE)) },
        Kind::Balanced => elsewhere(Hook::Destination, BALANCE),
        Kind::StaysSilent => elsewhere(Hook::Destination, "tcp dport { 143, 993 } redirect to :2001"),
        Kind::Closes => elsewhere(Hook::Destination, "tcp dport { 143, 993 } redirect to :2002"),
        Kind::Intercepted => elsewhere(Hook::Destination, "tcp dport 993 redirect to :2007"),
        Kind::Resets => elsewhere(Hook::Destination, "tcp dport { 143, 993 } redirect to :2008"),
        Kind::SaysBye => elsewhere(Hook::Destination, "tcp dport { 143, 993 } redirect to :2003"),
        Kind::SpeaksHttp => elsewhere(Hook::Destination, "tcp dport { 143, 993 } redirect to :2004"),
        Kind::SpeaksSmtp => elsewhere(Hook::Destination, "tcp dport { 143, 993 } redirect to :2005"),
        Kind::SpeaksPlain => elsewhere(Hook::Destination, "tcp dport { 143, 993 } redirect to :2006"),
        Kind::IdleCut => Recipe { sets: FLOWS, rules: IDLE_CUT, elsewhere: None },
        // Neighbours still find the host in IPv6 as they do in IPv4, where ARP passes no such filter.
        Kind::HostSilent => usual(
            "iifname lo accept\n\
             icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept\n\
             drop",
        ),
        _ => return None,
    })
}

const fn usual(rules: &'static str) -> Recipe {
    Recipe {
        sets: "",
        rules,
        elsewhere: None,
    }
}

const fn elsewhere(hook: Hook, rules: &'static str) -> Recipe {
    Recipe {
        sets: "",
        rules: "",
        elsewhere: Some((hook, rules)),
    }
}

const HALF_FLOWS: &str = "\
    tcp dport { 143, 993 } jhash ip saddr . tcp sport mod 2 == 0 drop
    tcp dport { 143, 993 } jhash ip6 saddr . tcp sport mod 2 == 0 drop";

const LOSS: &str = "\
    tcp dport { 143, 993 } numgen random mod 100 < 30 drop
    tcp sport { 143, 993 } numgen random mod 100 < 30 drop";

const ICMP_ERRORS: &str = "\
    icmp type { time-exceeded, destination-unreachable } drop
    icmpv6 type { time-exceeded, destination-unreachable } drop";

const TOO_BIG: &str = "\
    icmp type destination-unreachable icmp code frag-needed drop
    icmpv6 type packet-too-big drop";

/// The mail host's second address is a second host, as far as a client can see.
const BALANCE: &str = "\
    ip daddr 10.9.0.10 tcp dport { 143, 993 } dnat ip to jhash ip saddr . tcp sport mod 2 map { 0 : 10.9.0.10, 1 : 10.9.0.11 }
    ip6 daddr fd00:9::10 tcp dport { 143, 993 } dnat ip6 to jhash ip6 saddr . tcp sport mod 2 map { 0 : fd00:9::10, 1 : fd00:9::11 }";

const SECOND_SILENT: &str = "ip daddr 10.9.0.11 drop\nip6 daddr fd00:9::11 drop";

const SOURCES: &str = "\
    set sources4 { type ipv4_addr; flags dynamic; size 4096; }
    set sources6 { type ipv6_addr; flags dynamic; size 4096; }";

const LIMIT_RESET: &str = "\
    tcp dport { 143, 993 } tcp flags & (syn|ack) == syn add @sources4 { ip saddr ct count over 1 } reject with tcp reset
    tcp dport { 143, 993 } tcp flags & (syn|ack) == syn add @sources6 { ip6 saddr ct count over 1 } reject with tcp reset";

const LIMIT_DROP: &str = "\
    tcp dport { 143, 993 } tcp flags & (syn|ack) == syn add @sources4 { ip saddr ct count over 1 } drop
    tcp dport { 143, 993 } tcp flags & (syn|ack) == syn add @sources6 { ip6 saddr ct count over 1 } drop";

const RATES: &str = "\
    set rates4 { type ipv4_addr; flags dynamic,timeout; timeout 10s; size 4096; }
    set rates6 { type ipv6_addr; flags dynamic,timeout; timeout 10s; size 4096; }";

const RATE_DROP: &str = "\
    tcp dport { 143, 993 } tcp flags & (syn|ack) == syn update @rates4 { ip saddr limit rate over 1/second burst 1 packets } drop
    tcp dport { 143, 993 } tcp flags & (syn|ack) == syn update @rates6 { ip6 saddr limit rate over 1/second burst 1 packets } drop";

/// Only a SYN makes a flow known; every packet of it keeps it so for another two seconds.
const IDLE_CUT: &str = "\
    meta nfproto ipv4 tcp dport { 143, 993 } tcp flags & (syn|ack) != syn ip saddr . tcp sport . ip daddr . tcp dport != @flows4 drop
    meta nfproto ipv4 tcp sport { 143, 993 } ip daddr . tcp dport . ip saddr . tcp sport != @flows4 drop
    meta nfproto ipv4 tcp dport { 143, 993 } update @flows4 { ip saddr . tcp sport . ip daddr . tcp dport }
    meta nfproto ipv4 tcp sport { 143, 993 } update @flows4 { ip daddr . tcp dport . ip saddr . tcp sport }
    meta nfproto ipv6 tcp dport { 143, 993 } tcp flags & (syn|ack) != syn ip6 saddr . tcp sport . ip6 daddr . tcp dport != @flows6 drop
    meta nfproto ipv6 tcp sport { 143, 993 } ip6 daddr . tcp dport . ip6 saddr . tcp sport != @flows6 drop
    meta nfproto ipv6 tcp dport { 143, 993 } update @flows6 { ip6 saddr . tcp sport . ip6 daddr . tcp dport }
    meta nfproto ipv6 tcp sport { 143, 993 } update @flows6 { ip6 daddr . tcp dport . ip6 saddr . tcp sport }";

const FLOWS: &str = "\
    set flows4 { type ipv4_addr . inet_service . ipv4_addr . inet_service; flags dynamic,timeout; timeout 2s; size 4096; }
    set flows6 { type ipv6_addr . inet_service . ipv6_addr . inet_service; flags dynamic,timeout; timeout 2s; size 4096; }";
