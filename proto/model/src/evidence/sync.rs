//! Evidence of what is written, watched and held open.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::evidence::ImapReply;
use crate::fault::Fault;

/// The answer to APPEND, and what came back of the message (RFC 9051 section 6.3.12).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AppendEvidence {
    /// The probe's own mailbox.
    pub mailbox: String,
    /// Size of the message, in bytes.
    pub bytes: u64,
    /// From the command to the server's leave to send the message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub go_ahead_ms: Option<f64>,
    /// From the last byte of the message to the tagged answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stored_ms: Option<f64>,
    /// UIDVALIDITY of APPENDUID (RFC 4315).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid_validity: Option<u64>,
    /// UID of APPENDUID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<u64>,
    /// Whether the message came back as it was sent, byte for byte.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intact: Option<bool>,
    /// Where it differs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub difference: Option<String>,
    /// The probe's mailboxes that may still be there, where the stage failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_over: Vec<String>,
    /// The command's answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply: Option<ImapReply>,
}

/// One change in a mailbox, and how another session learned of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SyncEvent {
    /// `exists`, `flags` or `expunge`.
    pub event: String,
    /// `idle`, `noop`, `select` (only after the mailbox was opened anew) or `never`.
    pub seen: String,
    /// From the answer that the writer got to the word that the watcher got; 0 when the watcher heard first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<f64>,
}

/// What a second session saw of a first one's changes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SyncEvidence {
    /// The agent whose session watched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watcher: Option<String>,
    /// Every change, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<SyncEvent>,
    /// How far the clocks of the two may be apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uncertainty_ms: Option<f64>,
    /// Whether flags and keyword came back as they were set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flags_kept: Option<bool>,
    /// How copying went: `copied` (COPYUID), `copied_without_uid`, `refused`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copy: Option<String>,
    /// How moving went: `moved` (RFC 6851), `copied_and_expunged` (no MOVE), `refused`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub r#move: Option<String>,
    /// Whether everything that the probe made is gone again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cleaned_up: Option<bool>,
    /// The probe's mailboxes that are still there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_over: Vec<String>,
    /// Mailboxes of probes of more than a day ago that were removed.
    #[serde(default, skip_serializing_if = "crate::evidence::is_zero")]
    pub old_removed: u32,
    /// Why the watcher saw nothing, where that is not the server's doing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watcher_fault: Option<Fault>,
    /// The answer that decided the stage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply: Option<ImapReply>,
}

/// IDLE (RFC 2177).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct IdleEvidence {
    /// Whether the server offers it.
    pub offered: bool,
    /// From the command to the server's leave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub go_ahead_ms: Option<f64>,
    /// Changes told meanwhile.
    #[serde(default, skip_serializing_if = "crate::evidence::is_zero")]
    pub events: u32,
    /// Time between signs of life that say nothing (`* OK Still here`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keepalive_ms: Option<f64>,
    /// From DONE to the tagged answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done_ms: Option<f64>,
    /// The command's answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply: Option<ImapReply>,
}

/// A session kept open and quiet.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HoldEvidence {
    /// How long it was to be quiet.
    pub asked_ms: f64,
    /// How long it was.
    pub held_ms: f64,
    /// Whether somebody was logged in.
    pub logged_in: bool,
    /// How it ended: `alive` (NOOP was answered), `bye`, `closed` (FIN without BYE), `reset`, `silent`.
    pub end: String,
    /// The BYE.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bye: Option<ImapReply>,
    /// From NOOP to its answer, at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer_ms: Option<f64>,
}
