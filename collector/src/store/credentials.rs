//! Credentials and the circuits that protect them, as they are kept.

use jiff::Timestamp;
use parallax_model::credential::SealedSecret;
use parallax_model::vantage::AgentName;
use uuid::Uuid;

/// In the place of a generation, for a credential that agents keep by themselves: whether its secret is another since,
/// they alone could say.
pub(crate) const OWN_GENERATION: &str = "own";

/// A credential. Its secret is nowhere here but sealed to agents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CredentialRecord {
    pub(crate) name: String,
    /// The only host it is for.
    pub(crate) host: String,
    pub(crate) user: String,
    /// Empty: the best that is offered.
    pub(crate) mechanism: String,
    /// Trust anchors that its seal is bound to, DER.
    pub(crate) anchors: Vec<Vec<u8>>,
    /// This version of the secret.
    pub(crate) generation: Uuid,
    /// SPIFFE URI.
    pub(crate) set_by: String,
    pub(crate) set_at: Timestamp,
}

/// A credential's secret for one agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SealedCopy {
    pub(crate) agent: AgentName,
    pub(crate) secret: SealedSecret,
    /// The agent's key; when it has another by now it can't open the copy.
    pub(crate) key: Vec<u8>,
}

/// A credential and its copies, by agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeptCredential {
    pub(crate) credential: CredentialRecord,
    pub(crate) copies: Vec<SealedCopy>,
}

/// Whose secret it is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Account {
    pub(crate) host: String,
    pub(crate) user: String,
    /// The credential's name; empty for a secret that was typed.
    pub(crate) credential: String,
    /// The credential's generation; empty likewise.
    pub(crate) generation: String,
}

/// That a server turned a secret down, or took it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CircuitRecord {
    pub(crate) account: Account,
    pub(crate) opened_at: Timestamp,
    /// Who saw it.
    pub(crate) agent: AgentName,
    pub(crate) run: Uuid,
    /// How; empty where none ever did, and one took it.
    pub(crate) words: String,
    pub(crate) state: CircuitState,
}

/// How it stands with a secret of which a server said something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CircuitState {
    /// Nobody sends it.
    Open,
    /// An operator wants it tried once more, since then.
    Retry(Timestamp),
    /// A server took it, then.
    Accepted(Timestamp),
}
