//! Evidence of the IMAP dialogue up to the login.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::evidence::TlsEvidence;
use crate::kinds::kinds;

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
    /// What decided the cause: the code's RFC, or whose text it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
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
    /// The backend that the banner names, decoded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend: Option<String>,
    /// What became of a NOOP that was sent into a silence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nudge: Option<Nudge>,
}

kinds! {
    /// What became of a command that was sent where no greeting came: whether anybody is there at all.
    Nudge, fallback Acknowledged {
        /// The other side's kernel took it; its program says nothing.
        Acknowledged = "acknowledged",
        /// Nobody took it: the connection exists on this side only.
        Unacknowledged = "unacknowledged",
        /// Something came back.
        Answered = "answered",
        /// The connection was reset.
        Reset = "reset",
    }
}

/// What the server says it can do.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CapabilityEvidence {
    /// The capabilities, in the server's order.
    pub capabilities: Vec<String>,
    /// The command's answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply: Option<ImapReply>,
    /// Capabilities that the list has and the one before it (the greeting's) had not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub added: Vec<String>,
    /// Capabilities that the list before it had.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub removed: Vec<String>,
    /// Whether the server would take a password here in clear (RFC 8314 section 3); only on a connection without TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cleartext_login: Option<bool>,
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
    /// Capabilities announced behind TLS and not before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub added: Vec<String>,
    /// Capabilities announced before TLS and not behind it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub removed: Vec<String>,
    /// What became of a command sent in clear with STARTTLS, in that experiment: `discarded`, `refused`, `closed`,
    /// `answered_in_clear`, `executed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub injection: Option<String>,
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
    /// SASL mechanism, or `LOGIN` for the command; empty where none could be chosen and nothing was tried.
    pub mechanism: String,
    /// Whether the secret went with the command (SASL-IR, RFC 4959).
    pub initial_response: bool,
    /// The command's answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply: Option<ImapReply>,
    /// Capabilities announced with the answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<String>,
    /// `AUTHENTICATE` or `LOGIN`.
    #[serde(default)]
    pub command: String,
    /// Capabilities announced after the login and not before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub added: Vec<String>,
    /// Capabilities announced before the login and not after.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub removed: Vec<String>,
    /// Whether the server proved that it knows the password too (SCRAM, RFC 5802); absent where it owed no proof,
    /// since it refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_verified: Option<bool>,
    /// The channel binding used (RFC 5929, RFC 9266).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel_binding: Option<String>,
    /// The error that the server gave for a token (RFC 7628 section 3.2.2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oauth_error: Option<OauthError>,
    /// Whether the answer took as long as servers make those wait who failed before.
    #[serde(default, skip_serializing_if = "crate::evidence::is_false")]
    pub penalty_suspected: bool,
    /// What ENABLE switched on (RFC 5161).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub enabled: Vec<String>,
}

/// A server's reason to refuse a token (RFC 7628 section 3.2.2; XOAUTH2 has the same members).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OauthError {
    /// `invalid_token`, `401`, ...
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// The schemes it takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schemes: Option<String>,
    /// The scope it wants.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// Where its authorization server is described.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub openid_configuration: Option<String>,
}
