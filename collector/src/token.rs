//! `parallax-collector token create`: how the first agent and the first operator get in.

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use parallax_model::identity::Role;
use parallax_model::token::{JoinToken, TokenNames};
use parallax_model::vantage::Labels;

use crate::config::Terms;
use crate::data_dir::DataDir;
use crate::identity::TokenWish;

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

/// Makes a token in a data directory, whether or not a collector works in it.
///
/// # Errors
/// When the directory, its database or its certificate authority can't be used.
pub async fn create(data_dir: &Path, options: TokenOptions) -> anyhow::Result<JoinToken> {
    parallax_identity::install_provider();
    let (_, admission) = DataDir::open(data_dir)?.admission(Terms::default()).await?;
    let wish = TokenWish {
        role: options.role,
        names: options.names,
        labels: options.labels,
        takes_over: options.takes_over,
        ttl: options.ttl,
        uses: options.uses,
        by: None,
    };
    admission.create_token(wish, Timestamp::now()).await
}
