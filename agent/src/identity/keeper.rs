//! Staying in: the identity is renewed before it ends, and after it has ended as long as that is allowed; then a new
//! token is waited for.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use parallax_identity::{Dialer, Identity, IdentityError, JoinError, Joiner, LocalKey};
use parallax_model::token::JoinToken;
use tokio::time::Instant;

use crate::config::read_token;

/// Between two looks at the clock: a laptop sleeps, and a wall clock jumps.
const LOOK: Duration = Duration::from_secs(600);
/// Between two tries, and never longer than a tenth of what is left.
const AGAIN: Duration = Duration::from_secs(60);
const AGAIN_SOONEST: Duration = Duration::from_secs(1);
/// How renewals are spread when the collector's CA changes.
const SPREAD_LEAST: Duration = Duration::from_secs(1);
const SPREAD: Duration = Duration::from_secs(60);
/// Between two lines about an identity that only a person can bring back.
const TOLD_AGAIN: Duration = Duration::from_secs(3600);

/// Keeps one identity.
pub(crate) struct Keeper {
    pub(crate) identity: Identity,
    pub(crate) dialer: Dialer,
    pub(crate) dir: PathBuf,
    /// A token that it was started with.
    pub(crate) token: Option<JoinToken>,
    /// Where a new token may appear.
    pub(crate) token_file: Option<PathBuf>,
    /// Tokens that turned out to be of no use.
    pub(crate) useless: Vec<JoinToken>,
}

impl Keeper {
    /// Renews the identity whenever two thirds of its time are over, for as long as the process lives.
    pub(crate) async fn keep_fresh(mut self) {
        let mut told: Option<Instant> = None;
        loop {
            let now = SystemTime::now();
            let left = self.identity.renew_at().duration_since(now).unwrap_or_default();
            if !left.is_zero() {
                tokio::select! {
                    () = tokio::time::sleep(left.min(LOOK)) => continue,
                    () = self.dialer.trust_moves() => {}
                    () = self.dialer.refusal() => {
                        if self.come_back(&mut told).await {
                            told = None;
                        }
                        continue;
                    }
                }
                // A fleet hears of it at once, and does not renew at once.
                tokio::time::sleep(SPREAD_LEAST + SPREAD.mul_f64(self.identity.place())).await;
                if !self.dialer.trust_has_moved() {
                    continue;
                }
                tracing::info!("the collector's CA changes: this agent's certificate is renewed");
            }
            match self.try_again().await {
                Ok(renewed) => {
                    tracing::info!("the agent's certificate is renewed");
                    self.identity = renewed;
                    told = None;
                }
                Err(error) if error.may_retry() || !self.identity.has_expired(now) => {
                    tracing::warn!("the agent's certificate could not be renewed: {error}");
                    tokio::time::sleep(self.pause(now)).await;
                }
                Err(error) => {
                    if told.is_none_or(|at| at.elapsed() >= TOLD_AGAIN) {
                        self.tell(&error);
                        told = Some(Instant::now());
                    }
                    tokio::time::sleep(AGAIN).await;
                }
            }
        }
    }

    async fn try_again(&mut self) -> Result<Identity, JoinError> {
        let refused = match renew(&self.identity, &self.dialer, &self.dir).await {
            Err(error) if !error.may_retry() => error,
            other => return other,
        };
        self.join_again().await.unwrap_or(Err(refused))
    }

    /// Buys the identity once more, because the collector does not take it although its time is not over.
    async fn come_back(&mut self, told: &mut Option<Instant>) -> bool {
        let useless = match self.join_again().await {
            Some(Ok(joined)) => {
                tracing::info!(agent = %joined.spiffe().name, "joined the collector again, with a new token");
                self.identity = joined;
                return true;
            }
            Some(Err(error)) if error.may_retry() => {
                tracing::warn!("this agent could not join again yet: {error}");
                return false;
            }
            Some(Err(error)) => Some(error),
            None => None,
        };
        let is_news = useless.is_some() || told.is_none_or(|at| at.elapsed() >= TOLD_AGAIN);
        if is_news {
            let useless = useless.map(|error| format!(", and the token it has is of no use ({error})"));
            tracing::error!(
                "this agent needs a new identity{}: {}",
                useless.unwrap_or_default(),
                self.way_back()
            );
            *told = Some(Instant::now());
        }
        false
    }

    /// Joins with a token that is there, unless it has turned out to be of no use; `None` without one.
    async fn join_again(&mut self) -> Option<Result<Identity, JoinError>> {
        let in_file = self.token_file.as_deref().map(read_token);
        let in_file = in_file.and_then(|read| read.ok().flatten());
        let tokens: Vec<_> = in_file.into_iter().chain(self.token.clone()).collect();
        self.useless.retain(|useless| tokens.contains(useless));
        let token = tokens.into_iter().find(|token| !self.useless.contains(token))?;
        let joined = self.join_with(&token).await;
        if joined.as_ref().is_err_and(|error| !error.may_retry()) {
            self.useless.push(token);
        }
        Some(joined)
    }

    async fn join_with(&self, token: &JoinToken) -> Result<Identity, JoinError> {
        let (name, key) = (&self.identity.spiffe().name, LocalKey::generate()?);
        let joined = parallax_identity::join(self.dialer.address(), token, Joiner::agent(name), &key).await?;
        take(&joined, &self.dialer, &self.dir)?;
        Ok(joined)
    }

    fn pause(&self, now: SystemTime) -> Duration {
        let left = self
            .identity
            .not_after()
            .duration_since(now)
            .unwrap_or(AGAIN * 10);
        (left / 10).clamp(AGAIN_SOONEST, AGAIN)
    }

    fn tell(&self, error: &JoinError) {
        tracing::error!(
            "this agent's certificate is over and can't be renewed ({error}): {}",
            self.way_back()
        );
    }

    fn way_back(&self) -> String {
        let name = &self.identity.spiffe().name;
        let place = self.token_file.as_deref().map_or_else(
            || "start this agent with it (--token-file)".to_owned(),
            |path| format!("put it into {}", path.display()),
        );
        format!("make a token with `ctl token create --role agent --name {name}` and {place}")
    }
}

/// A new certificate for the identity, whether or not its present one is over; kept and used from now on.
pub(super) async fn renew(identity: &Identity, dialer: &Dialer, dir: &Path) -> Result<Identity, JoinError> {
    let channel = dialer.connect_to_renew().await?;
    let renewed = parallax_identity::renew(channel, identity, &LocalKey::generate()?).await?;
    take(&renewed, dialer, dir)?;
    Ok(renewed)
}

fn take(identity: &Identity, dialer: &Dialer, dir: &Path) -> Result<(), JoinError> {
    identity.save(dir)?;
    dialer.replace(identity).map_err(IdentityError::from)?;
    Ok(())
}
