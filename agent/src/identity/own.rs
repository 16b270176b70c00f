//! An identity that others certify and renew: read from its files, and again when they change.

use std::time::{Duration, SystemTime};

use parallax_identity::{Dialer, Identity, IdentityError, OwnFiles};
use parallax_model::identity::Role;
use parallax_model::vantage::AgentName;
use tokio::time::Instant;

use super::NoIdentity;

/// Of the life of a certificate, the last part in which somebody is told that nobody has renewed it.
const LAST_PART: u32 = 10;
/// Between two lines about it, and at most between two looks at the clock.
const TOLD_AGAIN: Duration = Duration::from_secs(3600);

/// The identity in the files, which must be an agent's, and of this name if one is wanted.
pub(crate) fn of_files(files: &OwnFiles, name: Option<&AgentName>) -> Result<Identity, NoIdentity> {
    let identity = files.identity()?;
    let spiffe = identity.spiffe();
    if spiffe.role == Role::Agent && name.is_none_or(|name| *name == spiffe.name) {
        return Ok(identity);
    }
    Err(NoIdentity::OfSomebodyElse {
        file: files.certificate.display().to_string(),
        kept: spiffe.to_string(),
        wanted: name.map_or_else(|| "an agent".to_owned(), |name| format!("the agent {name}")),
    })
}

/// Uses what the files hold whenever they change, for as long as the process lives. What can't be used leaves the old
/// in force.
pub(crate) async fn follow(files: OwnFiles, mut identity: Identity, dialer: &Dialer) {
    let mut stamp = files.stamp();
    let mut told: Option<Instant> = None;
    loop {
        tokio::select! {
            () = files.changed(&mut stamp) => match take(&files, &identity, dialer) {
                Ok(next) => {
                    tracing::info!("the agent's certificate was read again");
                    identity = next;
                    told = None;
                }
                Err(error) => tracing::error!("the agent keeps its old certificate: {error}"),
            },
            () = tokio::time::sleep(until_it_is_told(&identity)) => {
                if told.is_none_or(|at| at.elapsed() >= TOLD_AGAIN) {
                    tell(&files, &identity);
                    told = Some(Instant::now());
                }
            }
        }
    }
}

fn take(files: &OwnFiles, old: &Identity, dialer: &Dialer) -> Result<Identity, NoIdentity> {
    let next = of_files(files, Some(&old.spiffe().name))?;
    dialer.replace(&next).map_err(IdentityError::from)?;
    Ok(next)
}

fn until_it_is_told(identity: &Identity) -> Duration {
    let life = identity
        .not_after()
        .duration_since(identity.not_before())
        .unwrap_or_default();
    let due = identity.not_after() - life / LAST_PART;
    let left = due.duration_since(SystemTime::now()).unwrap_or_default();
    left.clamp(Duration::from_secs(60), TOLD_AGAIN)
}

fn tell(files: &OwnFiles, identity: &Identity) {
    let (file, now) = (files.certificate.display(), SystemTime::now());
    let Ok(left) = identity.not_after().duration_since(now) else {
        tracing::error!("the certificate in {file} is over: put a new one there");
        return;
    };
    let life = identity
        .not_after()
        .duration_since(identity.not_before())
        .unwrap_or_default();
    if left <= life / LAST_PART {
        let minutes = left.as_secs() / 60;
        tracing::warn!("the certificate in {file} ends in {minutes} min, and nobody has renewed it yet");
    }
}
