//! `parallax-collector token create`: how the first agent and the first operator get in.

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use parallax_model::identity::Role;
use parallax_model::token::JoinToken;
use parallax_model::vantage::AgentName;

use crate::data_dir::DataDir;
use crate::identity::TokenWish;

/// What a token is to be good for.
#[derive(Debug, Clone)]
pub struct TokenOptions {
    /// What the joiner becomes.
    pub role: Role,
    /// The only name that may join with it; any name without one.
    pub name: Option<AgentName>,
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
    let (_, admission) = DataDir::open(data_dir)?.admission().await?;
    let wish = TokenWish {
        role: options.role,
        name: options.name,
        ttl: options.ttl,
        uses: options.uses,
    };
    admission.create_token(wish, Timestamp::now()).await
}
