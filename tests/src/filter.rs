//! Packet filters that misbehave on purpose: one nftables table per fault.

use anyhow::Result;

use crate::impair::Kind;
use crate::namespace::Namespace;

/// Which packets a filter sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// Those that a router passes on.
    Forward,
    /// Those that are for the host itself.
    Input,
}

/// Installs the filter of `kind`; `rules` is what [`rules`] gave for it.
pub fn install(namespace: &Namespace, kind: Kind, hook: Hook, rules: &str) -> Result<()> {
    let hook = match hook {
        Hook::Forward => "forward",
        Hook::Input => "input",
    };
    let table = table(kind);
    let chain = format!("type filter hook {hook} priority filter; policy accept;\n{rules}");
    nft(
        namespace,
        format!(
            "add table inet {table}\ntable inet {table} {{\n{}\nchain faults {{\n{chain}\n}}\n}}\n",
            sets(kind)
        ),
    )
}

/// Removes the filter of `kind`.
pub fn remove(namespace: &Namespace, kind: Kind) -> Result<()> {
    nft(namespace, format!("delete table inet {}\n", table(kind)))
}

/// What the filter of `kind` does with packets, or nothing if `kind` is no matter of packets.
pub fn rules(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::FirewallDrop => Some("tcp dport { 143, 993 } drop"),
        Kind::FirewallReset => Some("tcp dport { 143, 993 } reject with tcp reset"),
        Kind::FirewallReject => Some("tcp dport { 143, 993 } reject with icmpx type admin-prohibited"),
        Kind::Drop993 => Some("tcp dport 993 drop"),
        Kind::Drop143 => Some("tcp dport 143 drop"),
        Kind::IdleCut => Some(IDLE_CUT),
        // Neighbours still find the host in IPv6 as they do in IPv4, where ARP passes no such filter.
        Kind::HostSilent => Some(
            "iifname lo accept\n\
             icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept\n\
             drop",
        ),
        Kind::HostDown
        | Kind::DovecotStopped
        | Kind::WrongService
        | Kind::TlsTooOld
        | Kind::StarttlsInjectable
        | Kind::QuotaFull
        | Kind::CertificateExpired
        | Kind::CertificateWrongName
        | Kind::CertificateUntrusted
        | Kind::CertificateSelfSigned
        | Kind::AuthBackendDown
        | Kind::NxDomain
        | Kind::NoAddress
        | Kind::ServFail
        | Kind::Refused
        | Kind::DnsSilent
        | Kind::AaaaSilent
        | Kind::WrongAddress
        | Kind::AgentDown
        | Kind::AgentFrozen => None,
    }
}

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

/// The sets that the rules of `kind` need.
const fn sets(kind: Kind) -> &'static str {
    match kind {
        Kind::IdleCut => {
            "set flows4 { type ipv4_addr . inet_service . ipv4_addr . inet_service; flags dynamic,timeout; timeout 2s; size 4096; }
             set flows6 { type ipv6_addr . inet_service . ipv6_addr . inet_service; flags dynamic,timeout; timeout 2s; size 4096; }"
        }
        _ => "",
    }
}

fn table(kind: Kind) -> String {
    format!("fault_{}", kind.name())
}

fn nft(namespace: &Namespace, script: String) -> Result<()> {
    namespace.feed("nft", &["-f", "-"], script)
}
