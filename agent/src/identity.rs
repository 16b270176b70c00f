//! The agent's own identity: bought once with a token, kept, renewed before it ends.

use std::path::Path;
use std::time::{Duration, SystemTime};

use parallax_identity::{CollectorAddress, Dialer, Identity, IdentityError, JoinError, LocalKey};
use parallax_model::identity::Role;
use parallax_model::token::JoinToken;
use parallax_model::vantage::AgentName;

/// Between two tries to join a collector that is not there yet.
const JOIN_AGAIN: Duration = Duration::from_secs(2);
/// Between two looks at the clock: a laptop sleeps, and a wall clock jumps.
const LOOK: Duration = Duration::from_secs(600);
const RENEW_AGAIN: Duration = Duration::from_secs(60);

/// Why there is no identity.
#[derive(Debug, thiserror::Error)]
pub enum NoIdentity {
    /// Nothing is kept, and no token was given.
    #[error(
        "{dir} holds no identity yet: give a join token once (--token or --token-file), made by `parallax-collector token create --role agent`"
    )]
    NoToken {
        /// The state directory.
        dir: String,
    },
    /// What is kept has expired.
    #[error("the identity in {dir} has expired: join again with a new token (--token or --token-file)")]
    Expired {
        /// The state directory.
        dir: String,
    },
    /// What is kept is another agent's.
    #[error(
        "{dir} holds the identity of {kept}, not of {wanted}: give every agent a state directory of its own"
    )]
    AnotherName {
        /// The state directory.
        dir: String,
        /// Whose identity it is.
        kept: String,
        /// Whose was asked for.
        wanted: String,
    },
    /// Nobody said who this is.
    #[error("a new agent needs a name: give --name")]
    NoName,
    /// The collector gave none.
    #[error(transparent)]
    Join(#[from] JoinError),
    /// The files can't be used.
    #[error(transparent)]
    Files(#[from] IdentityError),
}

/// Where an identity comes from.
pub(crate) struct Wanted<'a> {
    pub(crate) dir: &'a Path,
    pub(crate) collector: &'a CollectorAddress,
    pub(crate) token: Option<&'a JoinToken>,
    pub(crate) name: Option<&'a AgentName>,
}

/// The identity that is kept, or a new one for the token. A collector that is not there yet is waited for.
pub(crate) async fn obtain(wanted: &Wanted<'_>) -> Result<Identity, NoIdentity> {
    let dir = || wanted.dir.display().to_string();
    let kept = Identity::load(wanted.dir)?;
    if let Some(kept) = kept {
        check_name(&kept, wanted)?;
        if !kept.has_expired(SystemTime::now()) {
            return Ok(kept);
        }
        if wanted.token.is_none() {
            return Err(NoIdentity::Expired { dir: dir() });
        }
        tracing::info!("the identity in the state directory has expired; joining again");
    }
    let Some(token) = wanted.token else {
        return Err(NoIdentity::NoToken { dir: dir() });
    };
    let name = wanted.name.ok_or(NoIdentity::NoName)?;
    let key = LocalKey::generate()?;
    let identity = join(wanted.collector, token, name, &key).await?;
    identity.save(wanted.dir)?;
    tracing::info!(agent = %name, "joined the collector");
    Ok(identity)
}

fn check_name(kept: &Identity, wanted: &Wanted<'_>) -> Result<(), NoIdentity> {
    let spiffe = kept.spiffe();
    match wanted.name {
        Some(name) if *name != spiffe.name || spiffe.role != Role::Agent => Err(NoIdentity::AnotherName {
            dir: wanted.dir.display().to_string(),
            kept: format!("the {} {}", spiffe.role, spiffe.name),
            wanted: format!("the agent {name}"),
        }),
        _ => Ok(()),
    }
}

async fn join(
    collector: &CollectorAddress,
    token: &JoinToken,
    name: &AgentName,
    key: &LocalKey,
) -> Result<Identity, JoinError> {
    let mut told = String::new();
    loop {
        match parallax_identity::join(collector, token, name, key).await {
            Err(error) if error.may_retry() => {
                let text = error.to_string();
                if text != told {
                    tracing::warn!("{text}; trying again");
                    told = text;
                }
                tokio::time::sleep(JOIN_AGAIN).await;
            }
            other => return other,
        }
    }
}

/// Renews the identity whenever two thirds of its time are over, for as long as the process lives.
pub(crate) async fn keep_fresh(mut identity: Identity, dialer: Dialer, dir: &Path) {
    loop {
        let left = identity
            .renew_at()
            .duration_since(SystemTime::now())
            .unwrap_or_default();
        if !left.is_zero() {
            tokio::time::sleep(left.min(LOOK)).await;
            continue;
        }
        match renew(&identity, &dialer, dir).await {
            Ok(renewed) => {
                tracing::info!("the agent's certificate is renewed");
                identity = renewed;
            }
            Err(error) => {
                tracing::warn!("the agent's certificate could not be renewed: {error}");
                tokio::time::sleep(RENEW_AGAIN).await;
            }
        }
    }
}

async fn renew(identity: &Identity, dialer: &Dialer, dir: &Path) -> Result<Identity, JoinError> {
    let channel = dialer.connect().await?;
    let renewed = parallax_identity::renew(channel, identity, &LocalKey::generate()?).await?;
    renewed.save(dir)?;
    dialer.replace(&renewed).map_err(IdentityError::from)?;
    Ok(renewed)
}
