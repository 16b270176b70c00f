//! The agent's own identity: bought once with a token, kept, renewed before it ends.

mod keeper;
mod own;

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use parallax_identity::{
    CollectorAddress, Dialer, Identity, IdentityError, JoinError, Joiner, LocalKey, OwnFiles,
};
use parallax_model::identity::Role;
use parallax_model::token::JoinToken;
use parallax_model::vantage::AgentName;

pub(crate) use keeper::Keeper;
pub(crate) use own::{follow, of_files};

/// Between two tries to join a collector that is not there yet.
const JOIN_AGAIN: Duration = Duration::from_secs(2);

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
    /// A certificate that others made is not for this agent.
    #[error("the certificate in {file} is of {kept}, not of {wanted}")]
    OfSomebodyElse {
        /// The file.
        file: String,
        /// Whose it is.
        kept: String,
        /// Whose is needed.
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
    pub(crate) own: Option<&'a OwnFiles>,
    pub(crate) name: Option<&'a AgentName>,
}

/// The identity that is kept, or a new one for the token. A collector that is not there yet is waited for.
pub(crate) async fn obtain(wanted: &Wanted<'_>) -> Result<Identity, NoIdentity> {
    if let Some(files) = wanted.own {
        // What secrets are sealed to is kept there all the same.
        private_dir(wanted.dir)?;
        return of_files(files, wanted.name);
    }
    let dir = || wanted.dir.display().to_string();
    let kept = Identity::load(wanted.dir)?;
    if let Some(kept) = kept {
        check_name(&kept, wanted)?;
        if let Some(joined) = of_another_ca(&kept, wanted).await? {
            return Ok(joined);
        }
        if !kept.has_expired(SystemTime::now()) {
            return Ok(kept);
        }
        if let Some(renewed) = revive(&kept, wanted).await? {
            return Ok(renewed);
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

/// An identity for a token of a CA that the kept one does not know: the collector's was replaced while this agent was
/// away, or it is another collector. A token that was used long ago may still be there: then the kept one it is.
async fn of_another_ca(kept: &Identity, wanted: &Wanted<'_>) -> Result<Option<Identity>, NoIdentity> {
    let Some(token) = wanted.token.filter(|token| !kept.trusts(token.ca_sha256())) else {
        return Ok(None);
    };
    let name = &kept.spiffe().name;
    match parallax_identity::join(
        wanted.collector,
        token,
        Joiner::agent(name),
        &LocalKey::generate()?,
    )
    .await
    {
        Ok(joined) => {
            joined.save(wanted.dir)?;
            tracing::info!(agent = %name, "joined the collector anew: the token is of another CA");
            Ok(Some(joined))
        }
        Err(error) => {
            tracing::info!("the token is of another CA than the identity, and of no use: {error}");
            Ok(None)
        }
    }
}

/// Renews an identity that is over, as long as the collector lets it; `None` when it does not any more.
async fn revive(kept: &Identity, wanted: &Wanted<'_>) -> Result<Option<Identity>, NoIdentity> {
    let dialer = Dialer::new(wanted.collector.clone(), kept).map_err(IdentityError::from)?;
    let mut told = String::new();
    loop {
        match keeper::renew(kept, &dialer, wanted.dir).await {
            Ok(renewed) => {
                tracing::info!("the identity in the state directory had expired; it is renewed");
                return Ok(Some(renewed));
            }
            Err(error) if error.may_retry() => {
                retell(&mut told, &error);
                tokio::time::sleep(JOIN_AGAIN).await;
            }
            Err(error) => {
                tracing::warn!("the expired identity can't be renewed: {error}");
                return Ok(None);
            }
        }
    }
}

fn private_dir(path: &Path) -> Result<(), IdentityError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|source| IdentityError::File {
        path: path.to_owned(),
        source,
    })
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
        match parallax_identity::join(collector, token, Joiner::agent(name), key).await {
            Err(error) if error.may_retry() => {
                retell(&mut told, &error);
                tokio::time::sleep(JOIN_AGAIN).await;
            }
            other => return other,
        }
    }
}

/// The same trouble is one line in the log, not one every two seconds.
fn retell(told: &mut String, error: &JoinError) {
    let text = error.to_string();
    if text != *told {
        tracing::warn!("{text}; trying again");
        *told = text;
    }
}
