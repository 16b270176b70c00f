//! Evidence from below TLS: names, connections, and the kernel's account of them.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::fault::Fault;
use crate::millis;

/// One question put to one resolver.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DnsQuery {
    /// The name asked for.
    pub name: String,
    /// `A`, `AAAA`, `SRV`, `TLSA`.
    pub record_type: String,
    /// The resolver asked.
    pub resolver: SocketAddr,
    /// `udp` or `tcp` (after a truncated answer, RFC 7766).
    pub transport: String,
    /// The response code by name (`NOERROR`, `NXDOMAIN`, ...); absent when no answer came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rcode: Option<String>,
    /// The addresses in the answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<IpAddr>,
    /// The CNAME chain, in order, from the name asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cname_chain: Vec<String>,
    /// The smallest TTL of the answer, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_s: Option<u32>,
    /// Time to the answer or to giving up.
    #[serde(rename = "duration_ms", with = "millis")]
    #[schemars(with = "f64")]
    pub duration: Duration,
    /// What went wrong with this question.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<Fault>,
    /// Other records of the answer in presentation form (SRV, TLSA).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub records: Vec<String>,
    /// DNSSEC as far as the resolver tells (RFC 4035): `authenticated` (AD), `not_authenticated`, `bogus` (it fails, and
    /// answers with checking disabled).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dnssec: Option<String>,
    /// The addresses of a different answer that came shortly after the first: two answer one question, and one of them
    /// is not the resolver.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub second_answer: Vec<IpAddr>,
}

impl DnsQuery {
    /// Whether it asks for addresses: only such a question decides whether a service can be reached.
    pub fn for_addresses(&self) -> bool {
        matches!(self.record_type.as_str(), "A" | "AAAA")
    }
}

/// How a name became addresses.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ResolveEvidence {
    /// Where the addresses come from: `dns`, `hosts` (the hosts file), `literal` (an address was given) or
    /// `forced` (`--address`).
    pub source: String,
    /// The addresses that will be tried, in the order of the answers.
    pub addresses: Vec<IpAddr>,
    /// Every question asked, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub queries: Vec<DnsQuery>,
    /// What the resolver said that was asked beside the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other: Option<OtherAnswer>,
    /// SRV records of the mail domain (RFC 6186, RFC 8314 section 5.1).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<SrvRecord>,
    /// TLSA records of the endpoints (RFC 6698).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tlsa: Vec<TlsaRecord>,
}

/// An ICMP error that reached the socket (RFC 792, RFC 4443), read from its error queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IcmpError {
    /// ICMP or ICMPv6 type.
    #[serde(rename = "type")]
    pub kind: u8,
    /// Code within the type.
    pub code: u8,
    /// The code's name, for instance `admin_prohibited`.
    pub name: String,
    /// Who sent it.
    pub from: IpAddr,
}

/// The kernel's account of a TCP connection (tcp(7), `TCP_INFO`), Linux only.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TcpInfo {
    /// State by name (`ESTABLISHED`, `SYN_SENT`, ...).
    pub state: String,
    /// Smoothed round-trip time.
    #[serde(rename = "rtt_ms", with = "millis")]
    #[schemars(with = "f64")]
    pub rtt: Duration,
    /// Retransmissions over the whole life of the connection.
    pub total_retransmits: u32,
    /// Retransmissions of the segment in flight now.
    pub retransmits: u32,
    /// Segments sent and not acknowledged.
    pub unacked: u32,
    /// Segments sent.
    pub segs_out: u32,
    /// Segments received.
    pub segs_in: u32,
    /// Bytes acknowledged by the peer's kernel; counts the SYN as one.
    pub bytes_acked: u64,
    /// Bytes received in order; counts the FIN as one.
    pub bytes_received: u64,
    /// Segments received out of order.
    pub rcv_ooopack: u32,
    /// Maximum segment size towards the peer, in bytes.
    pub snd_mss: u32,
    /// Path MTU, in bytes.
    pub pmtu: u32,
    /// The peer's receive window, in bytes, where the kernel tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snd_wnd: Option<u32>,
    /// What an ICMP message said of the open connection, as an errno by name: TCP gets over it, and whoever waits in vain
    /// may see why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub soft_error: Option<String>,
}

/// A TCP connection, or the attempt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ConnectEvidence {
    /// The address and port tried.
    pub peer: SocketAddr,
    /// The local address and port used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local: Option<SocketAddr>,
    /// The errno by name (errno(3)), for instance `ECONNREFUSED`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errno: Option<String>,
    /// The ICMP error behind the errno.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub icmp: Option<IcmpError>,
    /// The local interface that holds the local address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
    /// SYNs sent again before the connection was open or given up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub syn_retransmits: Option<u32>,
    /// The maximum segment size that was announced, in bytes, where an experiment chose it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mss: Option<u16>,
    /// Whether the peer is in the network of the local interface, and so reached without a router.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_link: Option<bool>,
}

/// What another resolver said than the one that this host uses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OtherAnswer {
    /// The resolver asked.
    pub resolver: SocketAddr,
    /// The addresses it gave.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<IpAddr>,
    /// Whether they are the same as those of this host's resolver, in any order.
    pub agrees: bool,
    /// What went wrong with the question.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<Fault>,
}

/// A service of the mail domain (RFC 2782).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SrvRecord {
    /// `_imaps._tcp` or `_imap._tcp`.
    pub service: String,
    /// Lower is tried first.
    pub priority: u16,
    /// Share among those of the same priority.
    pub weight: u16,
    /// TCP port.
    pub port: u16,
    /// The host; `.` means that the service is not offered.
    pub target: String,
    /// Seconds.
    pub ttl_s: u32,
}

/// A certificate association (RFC 6698 section 2.1).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TlsaRecord {
    /// The port it stands for.
    pub port: u16,
    /// 0 PKIX-TA, 1 PKIX-EE, 2 DANE-TA, 3 DANE-EE.
    pub usage: u8,
    /// 0 the whole certificate, 1 its public key.
    pub selector: u8,
    /// 0 the data itself, 1 SHA-256, 2 SHA-512.
    pub matching: u8,
    /// The association data, hexadecimal.
    pub data: String,
    /// Whether the resolver vouches for the answer (AD); without it the record says nothing.
    pub authenticated: bool,
}
