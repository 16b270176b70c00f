//! What was seen in a stage: facts, never conclusions.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::certificate::CertificateFacts;
use crate::fault::Fault;
use crate::millis;
use crate::stage::StageName;

/// The facts of one stage.
#[derive(Debug, Clone, PartialEq)]
pub enum Evidence {
    /// Of `resolve`.
    Resolve(ResolveEvidence),
    /// Of `connect`.
    Connect(ConnectEvidence),
    /// Of `tls`.
    Tls(Box<TlsEvidence>),
    /// Of `greeting`.
    Greeting(GreetingEvidence),
    /// Of `capability`.
    Capability(CapabilityEvidence),
    /// Of `starttls`: the command's answer, and the handshake behind it.
    Starttls(Box<StarttlsEvidence>),
    /// Of `id`.
    Id(IdEvidence),
    /// Of `authenticate`.
    Authenticate(AuthenticateEvidence),
    /// Of `namespace`.
    Namespace(NamespaceEvidence),
    /// Of `list`.
    List(ListEvidence),
    /// Of `select`.
    Select(SelectEvidence),
    /// Of `fetch`.
    Fetch(FetchEvidence),
    /// Of a stage whose only facts are a command and its answer (`logout`).
    Command(CommandEvidence),
}

impl Evidence {
    /// The facts as the object that stands under `evidence` in the run document.
    pub fn to_map(&self) -> Result<Map<String, Value>, serde_json::Error> {
        let value = match self {
            Self::Resolve(facts) => serde_json::to_value(facts),
            Self::Connect(facts) => serde_json::to_value(facts),
            Self::Tls(facts) => serde_json::to_value(facts),
            Self::Greeting(facts) => serde_json::to_value(facts),
            Self::Capability(facts) => serde_json::to_value(facts),
            Self::Id(facts) => serde_json::to_value(facts),
            Self::Authenticate(facts) => serde_json::to_value(facts),
            Self::Namespace(facts) => serde_json::to_value(facts),
            Self::List(facts) => serde_json::to_value(facts),
            Self::Select(facts) => serde_json::to_value(facts),
            Self::Fetch(facts) => serde_json::to_value(facts),
            Self::Starttls(facts) => serde_json::to_value(facts),
            Self::Command(facts) => serde_json::to_value(facts),
        }?;
        match value {
            Value::Object(map) => Ok(map),
            other => Ok(Map::from_iter([("value".to_owned(), other)])),
        }
    }

    /// Reads the facts back; their shape follows from the stage.
    pub fn from_map(stage: StageName, map: Map<String, Value>) -> Result<Self, serde_json::Error> {
        let value = Value::Object(map);
        Ok(match stage {
            StageName::Resolve => Self::Resolve(serde_json::from_value(value)?),
            StageName::Connect => Self::Connect(serde_json::from_value(value)?),
            StageName::Tls => Self::Tls(Box::new(serde_json::from_value(value)?)),
            StageName::Greeting => Self::Greeting(serde_json::from_value(value)?),
            StageName::Capability => Self::Capability(serde_json::from_value(value)?),
            StageName::Starttls => Self::Starttls(Box::new(serde_json::from_value(value)?)),
            StageName::Id => Self::Id(serde_json::from_value(value)?),
            StageName::Authenticate => Self::Authenticate(serde_json::from_value(value)?),
            StageName::Namespace => Self::Namespace(serde_json::from_value(value)?),
            StageName::List => Self::List(serde_json::from_value(value)?),
            StageName::Select => Self::Select(serde_json::from_value(value)?),
            StageName::Fetch => Self::Fetch(serde_json::from_value(value)?),
            StageName::Append | StageName::Sync | StageName::Idle | StageName::Hold | StageName::Logout => {
                Self::Command(serde_json::from_value(value)?)
            }
        })
    }

    /// The handshake's facts, of `tls` or inside `starttls`.
    pub fn tls(&self) -> Option<&TlsEvidence> {
        match self {
            Self::Tls(facts) => Some(facts),
            Self::Starttls(facts) => facts.tls.as_ref(),
            _ => None,
        }
    }

    /// The answer of the server that decided the stage.
    pub fn reply(&self) -> Option<&ImapReply> {
        match self {
            Self::Resolve(_) | Self::Connect(_) | Self::Tls(_) => None,
            Self::Greeting(facts) => facts.reply.as_ref(),
            Self::Capability(facts) => facts.reply.as_ref(),
            Self::Starttls(facts) => facts.reply.as_ref(),
            Self::Id(facts) => facts.reply.as_ref(),
            Self::Authenticate(facts) => facts.reply.as_ref(),
            Self::Namespace(facts) => facts.reply.as_ref(),
            Self::List(facts) => facts.reply.as_ref(),
            Self::Select(facts) => facts.reply.as_ref(),
            Self::Fetch(facts) => facts.reply.as_ref(),
            Self::Command(facts) => facts.reply.as_ref(),
        }
    }
}

/// One question put to one resolver.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DnsQuery {
    /// The name asked for.
    pub name: String,
    /// `A` or `AAAA`.
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
}

/// A TLS handshake, whole or as far as it came.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TlsEvidence {
    /// The name sent as SNI (RFC 6066 section 3).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
    /// `TLSv1.3`, `TLSv1.2`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Cipher suite by its IANA name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cipher_suite: Option<String>,
    /// Key exchange group by its IANA name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The ALPN protocol chosen (RFC 7301).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alpn: Option<String>,
    /// The alert the peer sent (RFC 8446 section 6), by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alert: Option<String>,
    /// Bytes received since the handshake began.
    pub bytes_received: u64,
    /// Bytes sent since the handshake began.
    pub bytes_sent: u64,
    /// The first bytes received, at most 64, in hexadecimal; kept when the handshake failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_bytes: Option<String>,
    /// Whether the chain leads to a trust anchor of this agent and names the host, now.
    pub verified: bool,
    /// Which trust stores vouch for the chain: `system`, `mozilla`, `ca_file`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trusted_by: Vec<String>,
    /// The presented chain, leaf first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub chain: Vec<CertificateFacts>,
    /// Everything that is wrong with the chain, all at once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub certificate_faults: Vec<Fault>,
    /// Whether an OCSP response was stapled (RFC 6066 section 8).
    pub ocsp_stapled: bool,
}

/// A command's tagged answer, or the greeting's status line.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ImapReply {
    /// `OK`, `NO`, `BAD`, `PREAUTH` or `BYE`.
    pub status: String,
    /// The response code's name (RFC 9051 section 7.1, RFC 5530), without its arguments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The text for humans, as the server wrote it; escape before showing.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
    /// What the code means, in plain words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_step: Option<String>,
}

/// The server's first line.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GreetingEvidence {
    /// The status line, where it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply: Option<ImapReply>,
    /// The protocol that answers here when it is not IMAP, by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// The first bytes received, at most 64, in hexadecimal; kept when it is no IMAP greeting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_bytes: Option<String>,
    /// Bytes received before the stage ended.
    pub bytes_received: u64,
}

/// What the server says it can do.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CapabilityEvidence {
    /// The capabilities, in the server's order.
    pub capabilities: Vec<String>,
    /// The command's answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply: Option<ImapReply>,
}

/// STARTTLS, and the handshake that follows it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StarttlsEvidence {
    /// The command's answer in clear.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply: Option<ImapReply>,
    /// The handshake, where it was begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsEvidence>,
    /// The capabilities announced behind TLS, in the server's order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<String>,
}

/// A command and its answer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CommandEvidence {
    /// The command, without arguments.
    pub command: String,
    /// Its answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply: Option<ImapReply>,
    /// An untagged BYE seen meanwhile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bye: Option<ImapReply>,
}

/// The answer to ID (RFC 2971).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct IdEvidence {
    /// The server's fields, by lower-case name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub server: BTreeMap<String, String>,
    /// The command's answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply: Option<ImapReply>,
}

/// A login. It names the mechanism, never the user or the secret.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AuthenticateEvidence {
    /// SASL mechanism, or `LOGIN` for the command.
    pub mechanism: String,
    /// Whether the secret went with the command (SASL-IR, RFC 4959).
    pub initial_response: bool,
    /// The command's answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply: Option<ImapReply>,
    /// Capabilities announced with the answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<String>,
}

/// One namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NamespaceEntry {
    /// Prefix of the mailbox names in it.
    pub prefix: String,
    /// Hierarchy delimiter; absent for a flat namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delimiter: Option<String>,
}

/// The answer to NAMESPACE (RFC 2342).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NamespaceEvidence {
    /// The user's own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub personal: Vec<NamespaceEntry>,
    /// Other users'.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub other_users: Vec<NamespaceEntry>,
    /// Shared.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shared: Vec<NamespaceEntry>,
    /// The command's answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply: Option<ImapReply>,
}

/// The answer to LIST. Counts and roles, never the names of a user's mailboxes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ListEvidence {
    /// Mailboxes listed.
    pub mailboxes: u32,
    /// Hierarchy delimiter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delimiter: Option<String>,
    /// Special-use roles found (RFC 6154), with how many mailboxes have each.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub roles: BTreeMap<String, u32>,
    /// Lines that could not be read.
    pub unparsed: u32,
    /// The command's answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply: Option<ImapReply>,
}

/// The answer to EXAMINE.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SelectEvidence {
    /// `EXAMINE` or `SELECT`.
    pub command: String,
    /// Messages in the mailbox.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exists: Option<u64>,
    /// UIDVALIDITY.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid_validity: Option<u64>,
    /// UIDNEXT.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid_next: Option<u64>,
    /// HIGHESTMODSEQ (RFC 7162).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub highest_modseq: Option<u64>,
    /// PERMANENTFLAGS.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub permanent_flags: Vec<String>,
    /// READ-ONLY or READ-WRITE, as said by the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_only: Option<bool>,
    /// The command's answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply: Option<ImapReply>,
}

/// The answer to UID FETCH of a few headers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FetchEvidence {
    /// UID asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<u64>,
    /// RFC822.SIZE of the message, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Bytes of headers received.
    pub literal_bytes: u64,
    /// From the command to the first byte of its answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_byte_ms: Option<f64>,
    /// The command's answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply: Option<ImapReply>,
}
