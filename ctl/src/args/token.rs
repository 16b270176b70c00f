//! `ctl token`.

use std::time::Duration;

use clap::builder::BoolishValueParser;
use clap::{Args, Subcommand};
use parallax_model::identity::Role;
use parallax_model::token::NamePattern;
use parallax_model::vantage::AgentName;

use super::names::roles;
use super::{OutputArgs, access, read};

/// `ctl token`.
#[derive(Debug, Args)]
pub(crate) struct TokenArgs {
    #[command(subcommand)]
    pub(crate) command: TokenCommand,
}

/// What is to be done with tokens.
#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    Create(TokenWish),
    /// Every token that was made, newest first
    List(OutputArgs),
    /// Make a token worthless and take out, at once, those who joined with it
    Revoke {
        /// Its ID, as `ctl token list` has it
        id: String,
        /// Those who joined with it stay
        #[arg(long, env = "PARALLAX_KEEP_JOINED", value_parser = BoolishValueParser::new())]
        keep_joined: bool,
    },
}

/// Make a join token and print it alone
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ctl token create --role agent --name fra-1 --ttl 30m
  ctl token create --role agent --name-pattern 'fra-*' --uses 20 --label region=eu

A name that somebody has is not sold again, except for a token made with --name: that takes the place of an
agent that is not connected, and with --replace of one that is.")]
pub(crate) struct TokenWish {
    /// agent, viewer, operator or admin
    #[arg(long, value_name = "ROLE", env = "PARALLAX_TOKEN_ROLE", value_parser = roles())]
    pub(crate) role: Role,
    /// The only name that may join with it
    #[arg(long, value_name = "NAME", env = "PARALLAX_TOKEN_NAME")]
    pub(crate) name: Option<AgentName>,
    /// Only names like this may join with it, such as fra-*
    #[arg(
        long,
        value_name = "PATTERN",
        env = "PARALLAX_TOKEN_NAME_PATTERN",
        conflicts_with = "name"
    )]
    pub(crate) name_pattern: Option<NamePattern>,
    /// A label of the agents that join with it, whatever they say of themselves; may be repeated
    #[arg(long = "label", value_name = "KEY=VALUE", env = "PARALLAX_TOKEN_LABELS", value_delimiter = ',', value_parser = access::label)]
    pub(crate) labels: Vec<(String, String)>,
    /// It takes the place of an agent of that name even while one is connected
    #[arg(long, env = "PARALLAX_TOKEN_REPLACE", requires = "name", value_parser = BoolishValueParser::new())]
    pub(crate) replace: bool,
    /// How long it can be used, such as 1h
    #[arg(long, value_name = "TIME", env = "PARALLAX_TOKEN_TTL", default_value = "1h", value_parser = read::ttl)]
    pub(crate) ttl: Duration,
    /// How often it can be used
    #[arg(long, value_name = "N", env = "PARALLAX_TOKEN_USES", default_value_t = 1, value_parser = read::count)]
    pub(crate) uses: u32,
}
