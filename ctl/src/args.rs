//! What was typed.

mod names;
mod read;

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::BoolishValueParser;
use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use parallax_identity::CollectorAddress;
use parallax_model::credential::Mechanism;
use parallax_model::identity::Role;
use parallax_model::selector::Selector;
use parallax_model::spec::{Depth, FamilyChoice};
use parallax_model::target::Security;
use parallax_model::vantage::AgentName;
use parallax_telemetry::logs::LogFormat;

use names::{depths, list_formats, log_formats, mechanisms, roles, run_formats, securities};
pub(crate) use read::{Unread, parse};

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
    /// Agents: list, show, remove
    Agents(AgentsArgs),
    /// Runs that were made: list, show
    Runs(RunsArgs),
    /// Join tokens: create
    Token(TokenArgs),
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

/// Probe an IMAP service and say what is wrong and where
///
/// Exit status: 0 healthy, 1 partial or degraded, 2 down, 3 could not tell.
#[derive(Debug, Args)]
#[command(after_help = PROBE_EXAMPLES)]
pub(crate) struct ProbeArgs {
    #[arg(help = "host, host:port, [v6]:port, imaps://host[:port] or imap://host[:port]")]
    pub(crate) target: String,
    /// Vantage points: all, a name, a glob, labels such as region=eu,tier!=test; repeat for OR [default: all]
    #[arg(long, value_name = "SELECTOR", env = "PARALLAX_FROM")]
    pub(crate) from: Vec<String>,
    /// At most so many vantage points, spread over their labels
    #[arg(long, value_name = "N", env = "PARALLAX_LIMIT", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) limit: Option<u32>,
    /// tls, starttls or plaintext [default: from the scheme or the port]
    #[arg(long, value_name = "SECURITY", env = "PARALLAX_SECURITY", value_parser = securities())]
    pub(crate) security: Option<Security>,
    /// How far to go: connect, tls, greeting, login, mailbox [default: greeting; with --user mailbox]
    #[arg(long, value_name = "DEPTH", env = "PARALLAX_DEPTH", value_parser = depths())]
    pub(crate) depth: Option<Depth>,
    /// Log in as this user
    #[arg(long, value_name = "USER", env = "PARALLAX_USER", requires = "password_stdin")]
    pub(crate) user: Option<String>,
    /// Read the password from the first line of standard input
    #[arg(long, env = "PARALLAX_PASSWORD_STDIN", requires = "user", value_parser = BoolishValueParser::new())]
    pub(crate) password_stdin: bool,
    /// PLAIN or LOGIN [default: the best that is offered]
    #[arg(long, value_name = "MECHANISM", env = "PARALLAX_MECHANISM", requires = "user", ignore_case = true, value_parser = mechanisms())]
    pub(crate) mechanism: Option<Mechanism>,
    /// Time for the probe at each vantage point [default: 20s]
    #[arg(long, value_name = "TIME", env = "PARALLAX_TIMEOUT", value_parser = read::timeout)]
    pub(crate) timeout: Option<Duration>,
    /// IPv4 only
    #[arg(short = '4', long = "ipv4", env = "PARALLAX_IPV4", conflicts_with = "ipv6", value_parser = BoolishValueParser::new())]
    pub(crate) ipv4: bool,
    /// IPv6 only
    #[arg(short = '6', long = "ipv6", env = "PARALLAX_IPV6", value_parser = BoolishValueParser::new())]
    pub(crate) ipv6: bool,
    /// Try this address instead of resolving the name; may be repeated
    #[arg(long, value_name = "ADDR", env = "PARALLAX_ADDRESS")]
    pub(crate) address: Vec<std::net::IpAddr>,
    /// PEM file with more trust anchors for the target's certificate; may be repeated
    #[arg(long, value_name = "FILE", env = "PARALLAX_CA_FILE")]
    pub(crate) ca_file: Vec<PathBuf>,
    /// Trace the path: auto or never (always is not available yet) [default: auto]
    #[arg(long, value_name = "WHEN", env = "PARALLAX_PATH", value_parser = ["auto", "always", "never"])]
    pub(crate) path: Option<String>,
    /// Do not let the diagnosis ask again to tell explanations apart
    #[arg(long, env = "PARALLAX_NO_FOLLOW_UP", value_parser = BoolishValueParser::new())]
    pub(crate) no_follow_up: bool,
    /// Say which agents would run and why, and ask nothing
    #[arg(long, env = "PARALLAX_DRY_RUN", value_parser = BoolishValueParser::new())]
    pub(crate) dry_run: bool,
    /// Without a collector: send spans to this OTLP/gRPC endpoint, such as http://localhost:4317
    #[arg(long, value_name = "URL", env = "PARALLAX_OTLP_ENDPOINT")]
    pub(crate) otlp_endpoint: Option<String>,
    /// table, wide, json, jsonl (events as they come), markdown (for a ticket) or nagios (for monitoring)
    #[arg(short, long, value_name = "FORMAT", env = "PARALLAX_OUTPUT", value_parser = run_formats())]
    pub(crate) output: Option<RunFormat>,
}

const PROBE_EXAMPLES: &str = "Examples:
  ctl probe imap.example.org
  ctl probe imap://mail.example.org --from region=eu --from nyc-1
  ctl probe mail.example.org --user probe --password-stdin < password.txt
  ctl probe mail.example.org -o json | jq .findings[0]";

/// Join a collector with a token and keep the identity it gives
#[derive(Debug, Args)]
#[command(after_help = "Example:
  ctl login --collector mon.example.org:7143 --token plx1....

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
    #[arg(long, value_name = "TOKEN", env = "PARALLAX_TOKEN", hide_env_values = true)]
    pub(crate) token: String,
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
}

/// `ctl runs`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct RunsArgs {
    #[command(subcommand)]
    pub(crate) command: Option<RunsCommand>,
    #[command(flatten)]
    pub(crate) list: RunsListArgs,
}

/// What is to be done with runs.
#[derive(Debug, Subcommand)]
pub(crate) enum RunsCommand {
    /// The latest runs, newest first
    List(RunsListArgs),
    /// One run, as it was printed
    Show {
        /// Its id, or an unambiguous beginning of it
        id: String,
        /// table, wide, json, jsonl, markdown or nagios
        #[arg(short, long, value_name = "FORMAT", env = "PARALLAX_OUTPUT", value_parser = run_formats())]
        output: Option<RunFormat>,
    },
}

/// `ctl runs list`.
#[derive(Debug, Args)]
pub(crate) struct RunsListArgs {
    /// At most so many
    #[arg(long, value_name = "N", env = "PARALLAX_RUNS_LIMIT", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) limit: u32,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// `ctl token`.
#[derive(Debug, Args)]
pub(crate) struct TokenArgs {
    #[command(subcommand)]
    pub(crate) command: TokenCommand,
}

/// What is to be done with tokens.
#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a join token and print it alone
    #[command(after_help = "Example:
  ctl token create --role agent --name fra-1 --ttl 30m")]
    Create {
        /// agent, viewer, operator or admin
        #[arg(long, value_name = "ROLE", env = "PARALLAX_TOKEN_ROLE", value_parser = roles())]
        role: Role,
        /// The only name that may join with it
        #[arg(long, value_name = "NAME", env = "PARALLAX_TOKEN_NAME")]
        name: Option<AgentName>,
        /// How long it can be used, such as 1h
        #[arg(long, value_name = "TIME", env = "PARALLAX_TOKEN_TTL", default_value = "1h", value_parser = read::ttl)]
        ttl: Duration,
        /// How often it can be used
        #[arg(long, value_name = "N", env = "PARALLAX_TOKEN_USES", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
        uses: u32,
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

impl ProbeArgs {
    /// The families asked for.
    pub(crate) const fn family(&self) -> FamilyChoice {
        match (self.ipv4, self.ipv6) {
            (true, _) => FamilyChoice::Ipv4,
            (false, true) => FamilyChoice::Ipv6,
            (false, false) => FamilyChoice::Any,
        }
    }

    /// The vantage points asked for.
    pub(crate) fn selector(&self) -> Result<Selector, parallax_model::selector::SelectorError> {
        Selector::parse_any(&self.from)
    }
}
