//! What outlives the process: join tokens, agents, certificates, runs.

mod sqlite;

use std::future::Future;
use std::pin::Pin;

use jiff::Timestamp;
use parallax_model::capture::Capture;
use parallax_model::finding::Verdict;
use parallax_model::identity::Role;
use parallax_model::run::{RunDocument, RunSummary, RunTarget};
use parallax_model::vantage::AgentName;
use uuid::Uuid;

use crate::agents::Introduction;
use crate::runs::LastGood;

pub(crate) use sqlite::Sqlite;

/// SHA-256, of a token's secret or of a certificate.
pub(crate) type Sha256 = [u8; 32];

/// An answer that the store will give.
pub(crate) type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// Why the store could not do it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// The database was written by a newer program.
    #[error(
        "the database has version {found}, this program knows versions up to {known}; run the newer program, or restore an older backup"
    )]
    Newer { found: i64, known: i64 },
    /// The database itself.
    #[error("database: {0}")]
    Database(#[from] sqlx::Error),
    /// What is in the database can't be read.
    #[error("the database holds an unreadable {0}")]
    Unreadable(&'static str),
}

/// A join token, without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TokenRecord {
    /// SHA-256 of the secret.
    pub(crate) hash: Sha256,
    /// What the joiner becomes.
    pub(crate) role: Role,
    /// The only name that may join with it.
    pub(crate) name: Option<AgentName>,
    /// From when on it is worth nothing.
    pub(crate) expires_at: Timestamp,
    /// How often it can be used in all.
    pub(crate) uses: u32,
    /// How often it was.
    pub(crate) used: u32,
}

/// An agent as it is remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AgentRecord {
    /// Its name.
    pub(crate) name: AgentName,
    /// What it last said of itself.
    pub(crate) introduction: Introduction,
    /// When it was last heard of.
    pub(crate) last_seen: Option<Timestamp>,
}

/// What is known of a certificate that this collector issued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CertificateRecord {
    /// SHA-256 of its DER.
    pub(crate) sha256: Sha256,
    /// Whom it names.
    pub(crate) spiffe_id: String,
    /// When it was issued.
    pub(crate) issued_at: Timestamp,
    /// When it ends by itself.
    pub(crate) not_after: Timestamp,
}

/// Whether somebody with a verified certificate may come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Yes.
    Good,
    /// It was issued before its owner was removed.
    Removed,
}

/// What becomes of an identifier that may be cut short.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Found {
    /// One run.
    One(Box<RunDocument>),
    /// None begins like this.
    None,
    /// More than one begins like this.
    Several,
}

/// Which runs are listed.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct RunFilter {
    /// Only those of the same target: host and endpoints.
    pub(crate) target: Option<RunTarget>,
    /// Only those with this answer.
    pub(crate) verdict: Option<Verdict>,
    /// Only those that began before.
    pub(crate) before: Option<Timestamp>,
}

/// The packets of one attempt, kept beside their run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct KeptCapture {
    /// Its place in the run's own list.
    pub(crate) number: u32,
    /// The agent that recorded it.
    pub(crate) agent: AgentName,
    /// What it recorded.
    pub(crate) capture: Capture,
}

/// A place to keep things. Every call is complete when its future is.
pub(crate) trait Store: Send + Sync + 'static {
    /// Keeps a new token.
    fn add_token(&self, token: TokenRecord) -> Answer<'_, ()>;
    /// The token with this secret's hash.
    fn token(&self, hash: Sha256) -> Answer<'_, Option<TokenRecord>>;
    /// Counts one use and keeps the certificate bought with it, or does neither: `false` when the token is used
    /// up, expired, or gone by now, however many ask at once.
    fn spend_token(&self, hash: Sha256, bought: CertificateRecord, now: Timestamp) -> Answer<'_, bool>;

    /// Keeps a certificate that was issued without a token.
    fn add_certificate(&self, certificate: CertificateRecord) -> Answer<'_, ()>;
    /// Whether the owner of a certificate was removed after it was issued.
    fn standing(&self, sha256: Sha256) -> Answer<'_, Standing>;

    /// Remembers an agent as it now is.
    fn put_agent(&self, agent: AgentRecord) -> Answer<'_, ()>;
    /// Every agent ever seen and not removed.
    fn agents(&self) -> Answer<'_, Vec<AgentRecord>>;
    /// Takes an agent out, with every certificate it has; `false` when there is none of that name.
    fn remove_agent(&self, name: AgentName, spiffe_id: String, now: Timestamp) -> Answer<'_, bool>;

    /// Keeps a run that is over.
    fn put_run(&self, run: RunDocument) -> Answer<'_, ()>;
    /// The latest runs that are meant, newest first.
    fn runs(&self, meant: RunFilter, limit: u32) -> Answer<'_, Vec<RunSummary>>;
    /// What each vantage point saw of a target when all was well there; `None` when it never was.
    fn last_good(&self, target: RunTarget) -> Answer<'_, Option<LastGood>>;
    /// The run whose id is, or begins with, a text.
    fn run(&self, id: String) -> Answer<'_, Found>;

    /// Keeps packets beside a run, which may still be going on. The oldest of all go where there is no more room.
    fn put_capture(&self, run: Uuid, kept: KeptCapture) -> Answer<'_, ()>;
    /// Of the packets kept beside a run, the first from this place on.
    fn next_capture(&self, run: Uuid, from: u32) -> Answer<'_, Option<KeptCapture>>;

    /// Ends in good order; nothing is kept afterwards.
    fn close(&self) -> Answer<'_, ()>;
}
