//! What happened outside the engine. Closed: this enum and [`Action`](crate::action::Action) are the whole border.

use std::time::Duration;

use parallax_model::evidence::{ConnectEvidence, TcpInfo};
use parallax_model::fault::Fault;
use parallax_model::signal::Signal;

/// What the outer side has to tell a session.
#[derive(Debug, Clone)]
pub enum Event {
    /// The kernel's account of the connection just now; may come before any other event.
    Tcp(TcpInfo),
    /// The TCP connection is open.
    Connected(ConnectEvidence),
    /// It could not be opened.
    ConnectFailed {
        /// Why, as the driver classed it.
        fault: Fault,
        /// What was seen meanwhile.
        evidence: ConnectEvidence,
    },
    /// The handshake ended, well or not.
    Handshake(Box<HandshakeFacts>),
    /// Everything was written.
    Sent,
    /// Bytes came, in clear after TLS; never empty.
    Received(Vec<u8>),
    /// End of stream.
    Closed,
    /// Reading or writing failed (a reset, an error of the connection).
    Failed(Fault),
    /// The time given with the action is over.
    TimedOut,
    /// The other session of a synchronisation told something; may come while bytes are waited for.
    Told {
        /// What.
        signal: Signal,
        /// When it was said, from the start of this probe.
        at: Duration,
        /// How far that may be off: the clocks of two agents are compared over their links.
        uncertainty: Duration,
    },
    /// The secret may be tried.
    LoginGranted,
    /// The secret must not be tried, and why.
    LoginWithheld(String),
    /// The server turned the same secret down before, which is the answer: it is not sent again.
    LoginKnown(Fault),
}

/// What the driver knows of a handshake; the engine makes facts and faults of the chain itself.
#[derive(Debug, Clone, Default)]
pub struct HandshakeFacts {
    /// Why it did not come to an end; none if the connection is up (the chain may be bad all the same).
    pub failure: Option<Fault>,
    /// `TLSv1.3`, `TLSv1.2`.
    pub version: Option<String>,
    /// Cipher suite by its IANA name.
    pub cipher_suite: Option<String>,
    /// Key exchange group by its IANA name.
    pub group: Option<String>,
    /// ALPN protocol chosen.
    pub alpn: Option<String>,
    /// Alert received, by name.
    pub alert: Option<String>,
    /// Bytes received since the handshake began.
    pub bytes_received: u64,
    /// Bytes sent since the handshake began.
    pub bytes_sent: u64,
    /// The first bytes received, at most 64.
    pub first_bytes: Vec<u8>,
    /// The presented chain, leaf first, DER; bounded by the driver to 10 certificates and 64 KiB.
    pub chain: Vec<Vec<u8>>,
    /// Trust stores that vouch for the chain, all names and times aside: `system`, `mozilla`, `ca_file`.
    pub trusted_by: Vec<String>,
    /// Whether the strict check, name and time and anchors, passed in the TLS library itself.
    pub verified: bool,
    /// Whether an OCSP response was stapled.
    pub ocsp_stapled: bool,
    /// The stapled OCSP response, DER; empty if none.
    pub ocsp: Vec<u8>,
    /// `full`, `hello_retry` or `resumed`.
    pub kind: Option<String>,
    /// Whether the TLS library itself was to refuse a bad chain.
    pub strict: bool,
    /// What binds a login to this very connection, best first.
    pub bindings: Vec<ChannelBinding>,
}

/// What binds a login to one TLS connection (RFC 5056).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelBinding {
    /// `tls-exporter` (RFC 9266) or `tls-server-end-point` (RFC 5929 section 4).
    pub kind: &'static str,
    /// The binding data.
    pub data: Vec<u8>,
}
