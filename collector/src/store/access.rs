//! Who may come in, as it is kept.

use std::time::Duration;

use jiff::Timestamp;
use parallax_model::identity::Role;
use parallax_model::token::TokenNames;
use parallax_model::vantage::Labels;

use super::Sha256;

/// A join token, without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TokenRecord {
    /// SHA-256 of the secret.
    pub(crate) hash: Sha256,
    /// What the joiner becomes.
    pub(crate) role: Role,
    /// Which names may join with it.
    pub(crate) names: TokenNames,
    /// Labels of the agents that join with it.
    pub(crate) labels: Labels,
    /// Whether it takes the place of somebody who is connected.
    pub(crate) takes_over: bool,
    /// When it was made.
    pub(crate) created_at: Timestamp,
    /// SPIFFE URI of who made it; none on the collector's own host.
    pub(crate) created_by: Option<String>,
    /// From when on it is worth nothing.
    pub(crate) expires_at: Timestamp,
    /// How often it can be used in all.
    pub(crate) uses: u32,
    /// How often it was.
    pub(crate) used: u32,
    /// When it was made worthless.
    pub(crate) revoked_at: Option<Timestamp>,
}

impl TokenRecord {
    /// What it is called.
    pub(crate) fn id(&self) -> String {
        token_id(&self.hash)
    }
}

/// What a token is called: how its hash begins.
pub(crate) fn token_id(hash: &Sha256) -> String {
    hex::encode(&hash[..4])
}

/// What a token's name stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Called {
    /// One token.
    One(Box<TokenRecord>),
    /// None.
    None,
    /// More than one: a name is short.
    Several,
}

impl Called {
    /// What to tell whoever meant one.
    pub(crate) fn problem(&self, id: &str) -> String {
        match self {
            Self::One(_) => format!("{id} is one token"),
            Self::None => format!("there is no token {id}"),
            Self::Several => format!("two tokens are called {id}; both end by themselves"),
        }
    }
}

/// What became of a token that somebody wants to spend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spent {
    /// It bought a certificate.
    Bought,
    /// It is used up, expired, revoked or gone by now, however many ask at once.
    Worthless,
    /// Somebody else has a valid certificate for this name.
    InUse,
    /// The name was taken out after the token was made.
    RemovedSince,
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
    /// SHA-256 of the certificate of the CA that issued it; none where others did.
    pub(crate) ca: Option<Sha256>,
}

/// Somebody who was let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KnownIdentity {
    /// Who.
    pub(crate) spiffe_id: String,
    /// How many certificates are valid.
    pub(crate) certificates: u32,
    /// When the last certificate ends.
    pub(crate) not_after: Timestamp,
    /// The token it joined with, as far as that is remembered.
    pub(crate) token: Option<Sha256>,
    /// When it was taken out.
    pub(crate) removed_at: Option<Timestamp>,
}

/// Whether somebody with a verified certificate may come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Yes.
    Good,
    /// Its owner was removed, or another took its place.
    Removed,
}

/// Something that was done, before it has its place in the audit log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AuditRecord {
    pub(crate) at: Timestamp,
    pub(crate) actor: String,
    pub(crate) role: String,
    pub(crate) peer: String,
    pub(crate) call: String,
    pub(crate) subject: String,
    pub(crate) run_id: String,
    pub(crate) result: String,
    pub(crate) detail: String,
    pub(crate) took: Duration,
}

/// Which entries of the audit log are meant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct AuditFilter {
    /// Only those before this one.
    pub(crate) before: Option<i64>,
    /// Only what this name did.
    pub(crate) actor: Option<String>,
    /// Only this call.
    pub(crate) call: Option<String>,
    /// Only what happened since.
    pub(crate) since: Option<Timestamp>,
    /// Only what belongs to this run.
    pub(crate) run: Option<String>,
}
