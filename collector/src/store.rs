//! What outlives the process: join tokens, agents, certificates, runs.

mod access;
mod alerts;
mod checks;
mod credentials;
pub(crate) mod latency;
mod results;
mod sketch;
mod sqlite;

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;

use jiff::Timestamp;
use parallax_model::audit::AuditEntry;
use parallax_model::capture::Capture;
use parallax_model::check::CheckName;
use parallax_model::finding::Verdict;
use parallax_model::run::{RunDocument, RunSummary, RunTarget};
use parallax_model::vantage::{AgentName, Labels};
use uuid::Uuid;

use crate::agents::Introduction;
use crate::runs::LastGood;

pub(crate) use access::{
    AuditFilter, AuditRecord, Called, CertificateRecord, KnownIdentity, Spent, Standing, TokenRecord,
    token_id,
};
pub(crate) use alerts::{AlertStore, AlertsKept, Waiting, WaitingFor};
pub(crate) use checks::{CheckRecord, CheckStore, CheckWrite};
pub(crate) use credentials::{
    Account, CircuitRecord, CircuitState, CredentialRecord, KeptCredential, OWN_GENERATION, SealedCopy,
};
#[allow(unused_imports, reason = "the hub follows")]
pub(crate) use results::{
    Arrived, Baselines, Committed, Fresh, History, HistoryAsked, KeptRun, Pruned, ResultStore, RoundCommit,
};
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
    /// Only those of the check of that name.
    pub(crate) check: Option<CheckName>,
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
    /// Every token that was made, newest first.
    fn tokens(&self) -> Answer<'_, Vec<TokenRecord>>;
    /// The token of that name.
    fn token_called(&self, id: String) -> Answer<'_, Called>;
    /// Counts one use and keeps the certificate bought with it, or does neither. Whether it `replaces` somebody who
    /// has the name already is the caller's to say.
    fn spend_token(
        &self,
        hash: Sha256,
        bought: CertificateRecord,
        replaces: bool,
        now: Timestamp,
    ) -> Answer<'_, Spent>;
    /// Makes a token worthless, and takes out those who joined with it unless they are to stay: the identities that
    /// are out now. `None` when there is no such token.
    fn revoke_token(
        &self,
        hash: Sha256,
        keep_joined: bool,
        now: Timestamp,
    ) -> Answer<'_, Option<Vec<String>>>;

    /// Keeps a certificate that was issued for another, unless that is worth nothing by now: then `false`. One that
    /// is over must be remembered.
    fn renew_certificate(
        &self,
        presented: Sha256,
        is_over: bool,
        renewed: CertificateRecord,
        now: Timestamp,
    ) -> Answer<'_, bool>;
    /// Whether the owner of a certificate was removed after it was issued.
    fn standing(&self, sha256: Sha256) -> Answer<'_, Standing>;
    /// Whether somebody may come in with a certificate that others issued; one that is new is remembered.
    fn meet(&self, certificate: CertificateRecord) -> Answer<'_, Standing>;
    /// Lets somebody in again who was taken out, with a certificate that is new; `false` when nobody of that identity
    /// is out.
    fn restore_identity(&self, spiffe_id: String) -> Answer<'_, bool>;
    /// SPIFFE URIs of those who have a valid certificate, but none of this CA.
    fn not_renewed(&self, ca: Sha256, now: Timestamp) -> Answer<'_, Vec<String>>;
    /// Everybody who was let in, as far as they are remembered.
    fn identities(&self, now: Timestamp) -> Answer<'_, Vec<KnownIdentity>>;
    /// Who was taken out since then and has not come back, by SPIFFE URI, and when.
    fn removed_since(&self, since: Timestamp) -> Answer<'_, Vec<(String, Timestamp)>>;
    /// Takes somebody out, with every certificate; `false` when there is nobody of that identity.
    fn remove_identity(&self, spiffe_id: String, now: Timestamp) -> Answer<'_, bool>;

    /// Adds to what was done. Nothing is ever changed or taken out there.
    fn add_audit(&self, record: AuditRecord) -> Answer<'_, ()>;
    /// The latest of what was done and is meant, newest first.
    fn audit(&self, meant: AuditFilter, limit: u32) -> Answer<'_, Vec<AuditEntry>>;

    /// Remembers an agent as it now is.
    fn put_agent(&self, agent: AgentRecord) -> Answer<'_, ()>;
    /// Remembers when agents that are connected were last heard of, unless something later is remembered.
    fn agents_heard(&self, heard: Vec<(AgentName, Timestamp)>) -> Answer<'_, ()>;
    /// Every agent ever seen and not removed.
    fn agents(&self) -> Answer<'_, Vec<AgentRecord>>;
    /// Labels that count whatever an agent says of itself.
    fn pinned_labels(&self) -> Answer<'_, BTreeMap<AgentName, Labels>>;
    /// Pins labels of an agent, and leaves others to it again; what is pinned now.
    fn pin_labels(&self, agent: AgentName, set: Labels, unset: Vec<String>) -> Answer<'_, Labels>;

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

    /// Keeps a credential, or adds copies to the one that is kept; `false` when that is another one by now.
    fn put_credential(&self, kept: KeptCredential, add: bool) -> Answer<'_, bool>;
    /// Every credential, by name.
    fn credentials(&self) -> Answer<'_, Vec<KeptCredential>>;
    /// The credential of that name.
    fn credential(&self, name: String) -> Answer<'_, Option<KeptCredential>>;
    /// Forgets a credential; `false` when there is none of that name.
    fn remove_credential(&self, name: String) -> Answer<'_, bool>;

    /// Remembers that a server turned a secret down.
    fn login_rejected(&self, circuit: CircuitRecord) -> Answer<'_, ()>;
    /// Forgets it: the server took the secret.
    fn login_accepted(&self, account: Account, seen: (AgentName, Uuid), now: Timestamp) -> Answer<'_, ()>;
    /// An operator wants the secret tried again; `false` when nothing stands against that.
    fn retry_login(&self, account: Account, by: String, now: Timestamp) -> Answer<'_, bool>;
    /// The secrets that are not tried any more, the latest first.
    fn standing_circuits(&self, at_most: u32) -> Answer<'_, Vec<CircuitRecord>>;
    /// That this version of a secret was turned down, if none was taken since.
    fn circuit(&self, account: Account) -> Answer<'_, Option<CircuitRecord>>;
    /// Those of all credentials with a name.
    fn circuits(&self) -> Answer<'_, Vec<CircuitRecord>>;

    /// Ends in good order; nothing is kept afterwards.
    fn close(&self) -> Answer<'_, ()>;
}
