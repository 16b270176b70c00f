//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};
use parallax_model::identity::Role;
use parallax_model::token::{NamePattern, TokenNames};
use parallax_model::vantage::{AgentName, parse_label};

use parallax_telemetry::logs::LogFormat;

/// Holds the agents' streams, fans a question out, concludes.
#[derive(Debug, Parser)]
#[command(name = "parallax-collector", version, propagate_version = true)]
pub struct Args {
    /// What is to be done.
    #[command(subcommand)]
    pub command: Command,
}

/// What is to be done.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the collector
    Serve(Box<ServeArgs>),
    /// The collector's CA, on its own host: show it, or put another in its place without losing anybody
    #[command(subcommand)]
    Ca(CaCommand),
    /// Join tokens, on the collector's own host: create, list, revoke
    #[command(subcommand)]
    Token(TokenCommand),
}

/// What can be done with the CA. In this order: prepare, switch, retire.
#[derive(Debug, Subcommand)]
pub enum CaCommand {
    /// Which CA issues, which is trusted, who still needs the old one, and what comes next
    Show {
        /// The certificates to trust (PEM), and nothing else
        #[arg(long)]
        pem: bool,
        /// Where it is.
        #[command(flatten)]
        place: CaArgs,
    },
    /// Make the next CA: agents and operators learn to trust it, the present one goes on issuing
    Prepare(CaArgs),
    /// Have the next CA issue: agents renew within two minutes, operators with their next command
    Switch(CaArgs),
    /// Trust the old CA no more; refused while somebody has no certificate of the new one
    Retire {
        /// Whoever still needs it is out, and joins again with a new token
        #[arg(long)]
        force: bool,
        /// Where it is.
        #[command(flatten)]
        place: CaArgs,
    },
}

/// Where the CA is.
#[derive(Debug, Clone, clap::Args)]
pub struct CaArgs {
    /// The collector's data directory
    #[arg(long, env = "PARALLAX_DATA_DIR", value_name = "DIR", help = data_dir_help("The collector's data directory, as given to `serve`"))]
    pub data_dir: Option<PathBuf>,
}

/// What can be done with tokens.
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Print a new join token, and nothing else
    Create(TokenArgs),
    /// Every token that was made, newest first
    List(ListArgs),
    /// Make a token worthless and take out, at once, those who joined with it
    Revoke(RevokeArgs),
}

/// How the collector is to run.
#[derive(Debug, Clone, clap::Args)]
pub struct ServeArgs {
    /// Configuration file (TOML); its keys are named like these flags. SIGHUP reads it again
    #[arg(long, env = "PARALLAX_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where the certificate authority and the database are; made at the first start
    #[arg(long, env = "PARALLAX_DATA_DIR", value_name = "DIR", help = data_dir_help("Where the certificate authority and the database are; made at the first start"))]
    pub data_dir: Option<PathBuf>,
    /// Where agents and operators connect (gRPC, mutual TLS).
    #[arg(
        long,
        env = "PARALLAX_LISTEN",
        value_name = "ADDR:PORT",
        help = "Where agents and operators connect (gRPC, mutual TLS) (default: [::]:7143)"
    )]
    pub listen: Option<String>,
    /// Web page, /metrics, /healthz, /readyz (default: 127.0.0.1:7180)
    #[arg(long, env = "PARALLAX_HTTP", value_name = "ADDR:PORT")]
    pub http: Option<String>,
    /// How the page is guarded.
    #[command(flatten)]
    pub page: PageArgs,
    /// What the server certificate is valid for (default: host name, localhost, loopback addresses)
    #[arg(
        long,
        env = "PARALLAX_ADVERTISE",
        value_name = "NAME-OR-IP",
        value_delimiter = ','
    )]
    pub advertise: Vec<String>,
    /// OTLP/gRPC receiver for spans and metrics of collector and agents, and spans of operators, http://HOST:PORT
    #[arg(long, env = "PARALLAX_OTLP_ENDPOINT", value_name = "URL")]
    pub otlp_endpoint: Option<String>,
    /// The share of the rounds of checks in which all is well that are traced, 0 to 1; the others are anyway (default: 0.01)
    #[arg(
        long,
        env = "PARALLAX_TRACE_RATIO",
        value_name = "SHARE",
        allow_negative_numbers = true
    )]
    pub trace_ratio: Option<f64>,
    /// How long a certificate is good: 1m to 30d (default: 7d)
    #[arg(long, env = "PARALLAX_CERTIFICATE_LIFETIME", value_name = "TIME")]
    pub certificate_lifetime: Option<String>,
    /// How long after its end a certificate can still be renewed: 0s to 30d (default: 7d)
    #[arg(long, env = "PARALLAX_RENEW_GRACE", value_name = "TIME")]
    pub renew_grace: Option<String>,
    /// A PKI of the operators' own.
    #[command(flatten)]
    pub tls: TlsArgs,
    /// How log lines are written to standard error
    #[arg(long, env = "PARALLAX_LOG_FORMAT", value_enum)]
    pub log_format: Option<LogFormat>,
    /// Which log lines are written: a level, or target=level with commas between (default: info)
    #[arg(long, env = "PARALLAX_LOG_FILTER", value_name = "FILTER")]
    pub log_filter: Option<String>,
    /// Check the configuration and stop
    #[arg(long)]
    pub check_config: bool,
    /// Print the configuration as it would be used, and stop
    #[arg(long)]
    pub print_config: bool,
}

/// Certificates of a PKI of the operators' own, instead of a CA of the collector's: no tokens then.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct TlsArgs {
    /// The collector's certificate chain (PEM), of a PKI of your own: no CA is made here then, and no tokens
    #[arg(long, env = "PARALLAX_TLS_CERTIFICATE", value_name = "FILE")]
    pub tls_certificate: Option<PathBuf>,
    /// Its key (PEM)
    #[arg(long, env = "PARALLAX_TLS_KEY", value_name = "FILE")]
    pub tls_key: Option<PathBuf>,
    /// CAs of the certificates of agents and operators (PEM); may be repeated
    #[arg(
        long,
        env = "PARALLAX_TLS_CLIENT_CA",
        value_name = "FILE",
        value_delimiter = ','
    )]
    pub tls_client_ca: Vec<PathBuf>,
    /// The SPIFFE trust domain of these certificates: they name spiffe://DOMAIN/ROLE/NAME
    #[arg(long, env = "PARALLAX_TRUST_DOMAIN", value_name = "DOMAIN")]
    pub trust_domain: Option<String>,
}

/// How the page is guarded. On a loopback address nothing is needed; elsewhere it is TLS and a token.
#[derive(Debug, Clone, clap::Args)]
pub struct PageArgs {
    /// No TLS for the page, since something in front does it; the token is asked for all the same
    #[arg(long, env = "PARALLAX_HTTP_PLAIN")]
    pub http_plain: bool,
    /// The token that the page asks for off loopback (default: http-token in the data directory, made if missing)
    #[arg(long, env = "PARALLAX_HTTP_TOKEN_FILE", value_name = "FILE")]
    pub http_token_file: Option<PathBuf>,
    /// Certificate chain of the page, PEM (default: one of the collector's own authority)
    #[arg(long, env = "PARALLAX_HTTP_CERTIFICATE", value_name = "FILE")]
    pub http_certificate: Option<PathBuf>,
    /// Its key, PEM
    #[arg(long, env = "PARALLAX_HTTP_KEY", value_name = "FILE")]
    pub http_key: Option<PathBuf>,
}

/// What a token is to be good for.
#[derive(Debug, Clone, clap::Args)]
pub struct TokenArgs {
    /// The collector's data directory
    #[arg(long, env = "PARALLAX_DATA_DIR", value_name = "DIR", help = data_dir_help("The collector's data directory, as given to `serve`"))]
    pub data_dir: Option<PathBuf>,
    /// What the joiner becomes: agent, viewer, operator or admin
    #[arg(long, value_parser = role)]
    pub role: Role,
    /// The only name that may join with it; it takes the place of one that is not connected
    #[arg(long)]
    pub name: Option<AgentName>,
    /// Only names like this may join with it: fra-*
    #[arg(long, conflicts_with = "name")]
    pub name_pattern: Option<NamePattern>,
    /// A label of the agents that join with it, KEY=VALUE, whatever they say of themselves; may be repeated
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = label)]
    pub labels: Vec<(String, String)>,
    /// It takes the place of an agent of that name even while one is connected
    #[arg(long, requires = "name")]
    pub replace: bool,
    /// How long it is good: 90s, 30m, 1h, 7d
    #[arg(long, default_value = "1h", value_parser = ttl)]
    pub ttl: Duration,
    /// How often it can be used
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub uses: u32,
}

/// How tokens are listed.
#[derive(Debug, Clone, clap::Args)]
pub struct ListArgs {
    /// The collector's data directory
    #[arg(long, env = "PARALLAX_DATA_DIR", value_name = "DIR", help = data_dir_help("The collector's data directory, as given to `serve`"))]
    pub data_dir: Option<PathBuf>,
    /// table or json
    #[arg(
        short,
        long,
        env = "PARALLAX_LIST_OUTPUT",
        value_name = "FORMAT",
        value_enum,
        default_value_t
    )]
    pub output: ListFormat,
}

/// How a list is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum ListFormat {
    /// For a person
    #[default]
    Table,
    /// For a program
    Json,
}

/// Which token is taken back.
#[derive(Debug, Clone, clap::Args)]
pub struct RevokeArgs {
    /// Its ID, as `token list` has it
    pub id: String,
    /// The collector's data directory
    #[arg(long, env = "PARALLAX_DATA_DIR", value_name = "DIR", help = data_dir_help("The collector's data directory, as given to `serve`"))]
    pub data_dir: Option<PathBuf>,
    /// Those who joined with it stay
    #[arg(long, env = "PARALLAX_KEEP_JOINED")]
    pub keep_joined: bool,
}

impl TokenArgs {
    /// Which names may join with it.
    pub fn names(&self) -> TokenNames {
        match (&self.name, &self.name_pattern) {
            (Some(name), _) => TokenNames::Only(name.clone()),
            (None, Some(pattern)) => TokenNames::Like(pattern.clone()),
            (None, None) => TokenNames::Any,
        }
    }
}

fn data_dir_help(what: &str) -> String {
    format!("{what} (default: {})", super::default_data_dir().display())
}

fn label(text: &str) -> Result<(String, String), String> {
    parse_label(text).map_err(|error| error.to_string())
}

fn role(text: &str) -> Result<Role, String> {
    Role::known(text)
        .filter(|&role| role != Role::Collector)
        .ok_or_else(|| "write agent, viewer, operator or admin".to_owned())
}

fn ttl(text: &str) -> Result<Duration, String> {
    duration(text)
        .filter(|time| (1..=365 * 24 * 3600).contains(&time.as_secs()))
        .ok_or_else(|| "write a number and a unit: 90s, 30m, 1h, 7d; at most 365d".to_owned())
}

/// `90s`, `30m`, `1h`, `7d`.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let unit = text.chars().last()?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 24 * 3600,
        _ => return None,
    };
    let number: u64 = text.strip_suffix(unit)?.parse().ok()?;
    number.checked_mul(seconds).map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetimes_are_read_as_they_are_written() {
        assert_eq!(ttl("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(ttl("7d"), Ok(Duration::from_secs(7 * 86_400)));
        for bad in ["", "h", "1", "0s", "1y", "-1h", "400d", "1µ"] {
            assert!(ttl(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn nobody_becomes_the_collector_by_a_token() {
        assert!(role("collector").is_err());
        assert_eq!(role("agent"), Ok(Role::Agent));
    }
}
