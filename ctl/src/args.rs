//! What was typed.

mod access;
mod alerts;
mod check;
mod credential;
mod names;
mod probe;
pub(crate) mod read;
pub(crate) mod rules;
mod runs;
mod token;

use std::path::PathBuf;

use clap::builder::BoolishValueParser;
use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use parallax_identity::CollectorAddress;
use parallax_model::vantage::AgentName;
use parallax_telemetry::logs::LogFormat;

pub(crate) use access::{AccessArgs, AccessCommand, AuditArgs, LabelChange};
pub(crate) use alerts::{AlertsArgs, AlertsCommand, AlertsListArgs, SilenceWish};
pub(crate) use check::{AddCheck, ApplyChecks, CheckArgs, CheckCommand, CheckHistory, HistoryFormat};
pub(crate) use credential::{CredentialArgs, CredentialCommand, SetCredential};
use names::{list_formats, log_formats};
pub(crate) use probe::{Examine, ProbeArgs};
pub(crate) use read::{Unread, parse};
pub(crate) use runs::{BundleArgs, DiffArgs, RunSource, RunsArgs, RunsCommand, RunsListArgs};
pub(crate) use token::{TokenArgs, TokenCommand, TokenWish};

/// Ask many vantage points how an IMAP service looks from there, and get one verdict.
#[derive(Debug, Parser)]
#[command(name = "ctl", version, after_help = EXAMPLES, disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

const EXAMPLES: &str = "Examples:
  ctl probe imap.example.org                       from this machine, with nothing else running
  ctl login --collector mon.example.org --token T  once, then:
  ctl probe imap.example.org --from all            from every vantage point";

const EVERYWHERE: &str = "Options of every command";

/// Flags of every command.
#[derive(Debug, Args)]
pub(crate) struct Common {
    /// Where identity and config.toml are kept [default: ~/.config/parallax]
    #[arg(long, global = true, help_heading = EVERYWHERE, value_name = "DIR", env = "PARALLAX_HOME")]
    pub(crate) home: Option<PathBuf>,
    /// How logs are written on standard error: text or json
    #[arg(long, global = true, help_heading = EVERYWHERE, value_name = "FORMAT", env = "PARALLAX_LOG_FORMAT", value_parser = log_formats())]
    pub(crate) log_format: Option<LogFormat>,
    /// Which logs are written, such as info or parallax_agent=debug [default: warn]
    #[arg(long, global = true, help_heading = EVERYWHERE, value_name = "FILTER", env = "PARALLAX_LOG")]
    pub(crate) log: Option<String>,
    /// Read the configuration, say whether it is right, and end
    #[arg(long, global = true, help_heading = EVERYWHERE, env = "PARALLAX_CHECK_CONFIG", value_parser = BoolishValueParser::new())]
    pub(crate) check_config: bool,
    /// Print the configuration in force as TOML, and end
    #[arg(long, global = true, help_heading = EVERYWHERE, env = "PARALLAX_PRINT_CONFIG", value_parser = BoolishValueParser::new())]
    pub(crate) print_config: bool,
}

/// What is to be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Probe(Box<ProbeArgs>),
    Login(LoginArgs),
    /// Agents: list, show, remove, set-label
    Agents(AgentsArgs),
    /// Runs that were made: list, show, diff, bundle
    Runs(RunsArgs),
    /// What is wrong and who is told: list, silence, silences, unsilence, test
    Alerts(AlertsArgs),
    /// Probes that agents repeat: add, apply, list, show, pause, resume, remove, history
    Check(CheckArgs),
    /// Join tokens: create, list, revoke
    Token(TokenArgs),
    /// Who has an identity: list, remove
    Access(AccessArgs),
    Audit(AuditArgs),
    /// Secrets that are kept for probes, sealed to agents: set, list, remove, retry
    Credential(CredentialArgs),
    /// What the collector is and how many agents it has
    Status(OutputArgs),
    /// JSON Schemas of what is printed with -o json
    Schema(SchemaArgs),
    /// Completions for a shell, to be sourced by it
    Completions {
        /// bash, zsh, fish, elvish or powershell
        shell: Shell,
    },
    /// Look for what keeps this command from working
    Doctor,
}

/// Join a collector with a token and keep the identity it gives
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ctl login --collector mon.example.org:7143 --token-file token
  ctl login --collector mon.example.org --certificate ada.pem --key ada-key.pem --ca collector-ca.pem

The token comes from `parallax-collector token create --role operator` on the collector's host,
or from `ctl token create` of somebody who is logged in already.")]
pub(crate) struct LoginArgs {
    #[arg(
        long,
        value_name = "HOST:PORT",
        env = "PARALLAX_COLLECTOR",
        help = "The collector: HOST, HOST:PORT or [v6]:PORT [default port: 7143]"
    )]
    pub(crate) collector: CollectorAddress,
    /// The join token
    #[arg(
        long,
        value_name = "TOKEN",
        env = "PARALLAX_TOKEN",
        hide_env_values = true,
        required_unless_present_any = ["certificate", "token_file"]
    )]
    pub(crate) token: Option<String>,
    /// A file with the join token, so that it does not stand in the list of processes
    #[arg(
        long,
        value_name = "FILE",
        env = "PARALLAX_TOKEN_FILE",
        conflicts_with = "token"
    )]
    pub(crate) token_file: Option<PathBuf>,
    /// Your certificate chain (PEM), of a PKI of your own, instead of a token; it stays where it is
    #[arg(long, value_name = "FILE", env = "PARALLAX_CERTIFICATE", requires_all = ["key", "ca"], conflicts_with_all = ["token", "token_file", "name"])]
    pub(crate) certificate: Option<PathBuf>,
    /// Its key (PEM)
    #[arg(
        long,
        value_name = "FILE",
        env = "PARALLAX_CERTIFICATE_KEY",
        requires = "certificate"
    )]
    pub(crate) key: Option<PathBuf>,
    /// CA of the collector's certificate (PEM); may be repeated
    #[arg(
        long,
        value_name = "FILE",
        env = "PARALLAX_COLLECTOR_CA",
        value_delimiter = ',',
        requires = "certificate"
    )]
    pub(crate) ca: Vec<PathBuf>,
    /// Your name in the collector's books [default: $USER, or operator]
    #[arg(long, value_name = "NAME", env = "PARALLAX_NAME")]
    pub(crate) name: Option<AgentName>,
}

/// `ctl agents`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct AgentsArgs {
    #[command(subcommand)]
    pub(crate) command: Option<AgentsCommand>,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// What is to be done with agents.
#[derive(Debug, Subcommand)]
pub(crate) enum AgentsCommand {
    /// Every agent that ever joined and was not removed
    List(OutputArgs),
    /// One agent
    Show {
        /// Its name
        name: AgentName,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Take an agent out: its certificate is no longer accepted and its link is cut
    Remove {
        /// Its name
        name: AgentName,
    },
    /// Seal secrets to an agent that is new here, or that has a new key
    #[command(after_help = "Example:
  parallax-agent doctor                            on the agent's host: says its key
  ctl agents trust fra-1 --key SHA256:...          here: secrets are sealed to this key from now on")]
    Trust {
        /// Its name
        name: AgentName,
        /// The fingerprint of its key, as its own host says it
        #[arg(long, value_name = "SHA256:...", env = "PARALLAX_KEY")]
        key: String,
    },
    /// Give an agent labels that count whatever it says of itself, or leave them to it again
    #[command(after_help = "Example:
  ctl agents set-label fra-1 region=eu tier-    region is eu from now on; tier is the agent's own to say")]
    SetLabel {
        /// Its name
        name: AgentName,
        /// KEY=VALUE, or KEY- to take it back
        #[arg(required = true, value_name = "LABEL", value_parser = access::label_change)]
        labels: Vec<LabelChange>,
    },
}

/// `ctl schema`.
#[derive(Debug, Args)]
pub(crate) struct SchemaArgs {
    #[command(subcommand)]
    pub(crate) command: SchemaCommand,
}

/// Which schema.
#[derive(Debug, Subcommand)]
pub(crate) enum SchemaCommand {
    /// Of the run document: `ctl probe -o json`, `ctl runs show ID -o json`
    Run,
}

/// How a list is printed.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct OutputArgs {
    /// table or json
    #[arg(short, long, value_name = "FORMAT", env = "PARALLAX_LIST_OUTPUT", value_parser = list_formats())]
    pub(crate) output: Option<ListFormat>,
}

/// How a list can be printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum ListFormat {
    /// For a person.
    #[default]
    Table,
    /// For a program.
    Json,
}

/// How a run can be printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum RunFormat {
    /// Matrix, verdict, findings.
    #[default]
    Table,
    /// And the evidence.
    Wide,
    /// The run document.
    Json,
    /// Each event as it comes, then the run document.
    Jsonl,
    /// For a ticket.
    Markdown,
    /// For a monitoring system.
    Nagios,
}

impl RunFormat {
    /// Every format by its name.
    pub(crate) const NAMES: [(&'static str, Self); 6] = [
        ("table", Self::Table),
        ("wide", Self::Wide),
        ("json", Self::Json),
        ("jsonl", Self::Jsonl),
        ("markdown", Self::Markdown),
        ("nagios", Self::Nagios),
    ];
}

/// How a comparison can be printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum DiffFormat {
    /// For a person.
    #[default]
    Table,
    /// For a program.
    Json,
    /// For a ticket.
    Markdown,
}
