//! Evidence of TLS handshakes.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::certificate::CertificateFacts;
use crate::fault::Fault;

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
    /// Whether the TLS library itself was to refuse a bad chain; only such a connection may carry a secret.
    #[serde(default, skip_serializing_if = "crate::evidence::is_false")]
    pub strict: bool,
    /// `full`, `hello_retry` (one round trip more, RFC 8446 section 4.1.4) or `resumed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handshake_kind: Option<String>,
    /// The stapled OCSP response (RFC 6960).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ocsp: Option<OcspFacts>,
    /// The TLSA records against the chain; only where they were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tlsa: Option<TlsaFacts>,
    /// What a hand-made ClientHello learned, in that experiment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw_hello: Option<RawHelloFacts>,
}

/// A stapled OCSP response (RFC 6960 section 4.2).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OcspFacts {
    /// `good`, `revoked`, `unknown`, `error:<name>` or `unreadable`.
    pub status: String,
    /// When the status was known to be right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub this_update: Option<Timestamp>,
    /// When newer information will be there at the latest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub next_update: Option<Timestamp>,
}

/// TLSA records against a presented chain (RFC 6698, RFC 7671).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TlsaFacts {
    /// Records for the port.
    pub records: u32,
    /// Whether one of them matches; absent when there is none that may be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matched: Option<bool>,
    /// Why they say nothing, or which one matches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// What a server answers to a ClientHello made by hand, which offers what a modern library does not.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RawHelloFacts {
    /// Versions offered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub offered: Vec<String>,
    /// The version chosen: `SSLv3`, `TLSv1.0`, `TLSv1.1`, `TLSv1.2`, `TLSv1.3`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The cipher suite chosen, by its IANA name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cipher_suite: Option<String>,
    /// The alert that came instead, by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alert: Option<String>,
}
