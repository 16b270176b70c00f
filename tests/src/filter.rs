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
        format!("add table inet {table}\ntable inet {table} {{\nchain faults {{\n{chain}\n}}\n}}\n"),
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
        // Neighbours still find the host in IPv6 as they do in IPv4, where ARP passes no such filter.
        Kind::HostSilent => Some(
            "iifname lo accept\n\
             icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept\n\
             drop",
        ),
        Kind::HostDown
        | Kind::DovecotStopped
        | Kind::WrongService
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

fn table(kind: Kind) -> String {
    format!("fault_{}", kind.name())
}

fn nft(namespace: &Namespace, script: String) -> Result<()> {
    namespace.feed("nft", &["-f", "-"], script)
}
