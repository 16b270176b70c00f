//! `parallax-collector token create|list|revoke`: how the first agent and the first operator get in, on the
//! collector's own host, whether or not the collector runs.

mod list;

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use parallax_model::identity::{Role, SpiffeId};
use parallax_model::token::{JoinToken, TokenNames};
use parallax_model::vantage::Labels;

use crate::audit::Audit;
use crate::config::Terms;
use crate::data_dir::DataDir;
use crate::identity::{TokenWish, name_of};
use crate::peer::Peer;
use crate::store::{Called, Store as _};

pub use list::Listed;

/// What a token is to be good for.
#[derive(Debug, Clone)]
pub struct TokenOptions {
    /// What the joiner becomes.
    pub role: Role,
    /// Which names may join with it.
    pub names: TokenNames,
    /// Labels of the agents that join with it.
    pub labels: Labels,
    /// Whether it takes the place of somebody who is connected.
    pub takes_over: bool,
    /// How long it is good.
    pub ttl: Duration,
    /// How often.
    pub uses: u32,
}

/// A token that was made worthless.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revoked {
    id: String,
    removed: Vec<String>,
    keep_joined: bool,
}

/// Whether a collector has ever worked in a data directory, or a token was made there.
pub fn is_known(data_dir: &Path) -> bool {
    DataDir::existing(data_dir).is_ok()
}

/// Makes a token where a collector has worked, whether or not it does now.
///
/// # Errors
/// When none has, or its database or certificate authority can't be used.
pub async fn create_beside(data_dir: &Path, options: TokenOptions) -> anyhow::Result<JoinToken> {
    DataDir::existing(data_dir)?;
    create(data_dir, options).await
}

/// Makes a token in a data directory, whether or not a collector works in it or ever has: its certificate authority is
/// made if there is none.
///
/// # Errors
/// When the directory, its database or its certificate authority can't be used.
pub async fn create(data_dir: &Path, options: TokenOptions) -> anyhow::Result<JoinToken> {
    parallax_identity::install_provider();
    let (store, admission) = DataDir::open(data_dir)?.admission(Terms::default()).await?;
    let wish = TokenWish {
        role: options.role,
        names: options.names,
        labels: options.labels,
        takes_over: options.takes_over,
        ttl: options.ttl,
        uses: options.uses,
        by: None,
    };
    if let Some(refusal) = admission.sells_nothing() {
        return Err(refusal.into());
    }
    let subject = format!("{} {}", wish.role, wish.names);
    let entry = Audit::new(store)
        .begin(&Peer::default(), "CreateToken", subject.trim_end())
        .await?;
    match admission.create_token(wish, Timestamp::now()).await {
        Ok(token) => {
            entry.end("done", &format!("token {}", name_of(&token))).await;
            Ok(token)
        }
        Err(error) => {
            entry.end("failed", &error.to_string()).await;
            Err(error)
        }
    }
}

/// Every token of a data directory, newest first.
///
/// # Errors
/// When there is no collector's database in it, or that can't be read.
pub async fn list(data_dir: &Path) -> anyhow::Result<Listed> {
    let store = DataDir::existing(data_dir)?.store().await?;
    let tokens = store.tokens().await?;
    store.close().await?;
    Ok(Listed::of(tokens))
}

/// Makes a token worthless and takes out who joined with it. A collector that runs cuts those off within a second.
///
/// # Errors
/// When there is no token of that name, or the database can't be used.
pub async fn revoke(data_dir: &Path, id: &str, keep_joined: bool) -> anyhow::Result<Revoked> {
    let store = DataDir::existing(data_dir)?.store().await?;
    let hash = match store.token_called(id.to_owned()).await? {
        Called::One(token) => token.hash,
        none_or_several => anyhow::bail!(none_or_several.problem(id)),
    };
    let entry = Audit::new(store.clone())
        .begin(&Peer::default(), "RevokeToken", id)
        .await?;
    let removed = store.revoke_token(hash, keep_joined, Timestamp::now()).await?;
    let removed = removed.unwrap_or_default();
    entry.end("done", &removed.join(" ")).await;
    store.close().await?;
    Ok(Revoked {
        id: id.to_owned(),
        removed,
        keep_joined,
    })
}

impl std::fmt::Display for Revoked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let out: Vec<String> = self.removed.iter().map(|id| short(id)).collect();
        write!(f, "revoked {}; ", self.id)?;
        match out.as_slice() {
            _ if self.keep_joined => f.write_str("those who joined with it stay"),
            [] => f.write_str("nobody had joined with it"),
            [one] => write!(f, "{one}, which joined with it, is out"),
            many => write!(
                f,
                "{} identities that joined with it are out ({})",
                many.len(),
                many.join(", ")
            ),
        }
    }
}

/// `agent/fra-1`.
fn short(spiffe_id: &str) -> String {
    spiffe_id
        .parse::<SpiffeId>()
        .map_or_else(|_| spiffe_id.to_owned(), |id| format!("{}/{}", id.role, id.name))
}
