//! The command line.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand};

use parallax_telemetry::logs::LogFormat;

/// Stands at a vantage point: takes orders from the collector, probes, reports.
#[derive(Debug, Parser)]
#[command(name = "parallax-agent", version, propagate_version = true)]
pub struct Args {
    /// What is to be done.
    #[command(subcommand)]
    pub command: Command,
}

/// What is to be done.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the agent
    Run(RunArgs),
    /// Say what this host can and cannot do: collector, clock, resolver, IPv4 and IPv6, privileges, state directory
    Doctor(RunArgs),
    /// Say the fingerprint of the key that secrets for this agent are sealed to, to be compared with `ctl agents show NAME`
    Fingerprint(StateArgs),
}

/// Where an agent keeps what it is.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct StateArgs {
    /// Configuration file (TOML)
    #[arg(long, env = "PARALLAX_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where the identity is kept
    #[arg(long, env = "PARALLAX_STATE_DIR", value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
}

/// How the agent is to run.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct RunArgs {
    /// Configuration file (TOML); its keys are named like these flags
    #[arg(long, env = "PARALLAX_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// File (TOML) with the policy alone: what this agent may touch, whatever is ordered; instead of the configuration's
    /// `[policy]`. SIGHUP reads it again
    #[arg(long, env = "PARALLAX_POLICY", value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// Where the collector is
    #[arg(long, env = "PARALLAX_COLLECTOR", value_name = "HOST:PORT")]
    pub collector: Option<String>,
    /// Join token; needed once
    #[arg(long, env = "PARALLAX_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// File with the join token
    #[arg(
        long,
        env = "PARALLAX_TOKEN_FILE",
        value_name = "FILE",
        conflicts_with = "token"
    )]
    pub token_file: Option<PathBuf>,
    /// Certificate chain of this agent (PEM), of a PKI of your own: no token then; read again when it changes
    #[arg(long, env = "PARALLAX_CERTIFICATE", value_name = "FILE", conflicts_with_all = ["token", "token_file"])]
    pub certificate: Option<PathBuf>,
    /// Its key (PEM)
    #[arg(long, env = "PARALLAX_CERTIFICATE_KEY", value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// CA of the collector's certificate (PEM); may be repeated
    #[arg(
        long,
        env = "PARALLAX_COLLECTOR_CA",
        value_name = "FILE",
        value_delimiter = ','
    )]
    pub collector_ca: Vec<PathBuf>,
    /// Unique name of the vantage point
    #[arg(long, env = "PARALLAX_NAME", value_name = "NAME")]
    pub name: Option<String>,
    /// Label of the vantage point; may be repeated
    #[arg(long, env = "PARALLAX_LABEL", value_name = "KEY=VALUE", value_delimiter = ',')]
    pub label: Vec<String>,
    /// Where the identity is kept
    #[arg(long, env = "PARALLAX_STATE_DIR", value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// More trust anchors for the targets' certificates (PEM); may be repeated
    #[arg(long, env = "PARALLAX_CA_FILE", value_name = "FILE", value_delimiter = ',')]
    pub ca_file: Vec<PathBuf>,
    /// Address of this host that probes may be sent from, beside the usual ones; may be repeated
    #[arg(
        long,
        env = "PARALLAX_SOURCE_ADDRESS",
        value_name = "ADDRESS",
        value_delimiter = ','
    )]
    pub source_address: Vec<IpAddr>,
    /// What answers whenever this host's network works [default: the collector]
    #[arg(long, env = "PARALLAX_CONTROL_TARGET", value_name = "HOST:PORT")]
    pub control_target: Option<String>,
    /// Probes at a time [default: 32]
    #[arg(long, env = "PARALLAX_MAX_PROBES", value_name = "N")]
    pub max_probes: Option<usize>,
    /// Metrics and probes over HTTP [default: no port]
    #[arg(long, env = "PARALLAX_HTTP", value_name = "ADDR:PORT")]
    pub http: Option<String>,
    /// File with the token that visitors of the HTTP port show; needed beyond loopback
    #[arg(long, env = "PARALLAX_HTTP_TOKEN_FILE", value_name = "FILE")]
    pub http_token_file: Option<PathBuf>,
    /// OTLP/gRPC receiver for the spans and metrics of this agent, http://HOST:PORT [default: through the collector]
    #[arg(long, env = "PARALLAX_OTLP_ENDPOINT", value_name = "URL")]
    pub otlp_endpoint: Option<String>,
    /// How log lines are written to standard error
    #[arg(long, env = "PARALLAX_LOG_FORMAT", value_enum)]
    pub log_format: Option<LogFormat>,
    /// Which logs are written, such as info or parallax_agent=debug
    #[arg(long, env = "PARALLAX_LOG_FILTER", value_name = "FILTER")]
    pub log_filter: Option<String>,
    /// Check the configuration and stop
    #[arg(long)]
    pub check_config: bool,
    /// Print the configuration as it would be used, and stop
    #[arg(long)]
    pub print_config: bool,
}
