//! What was typed behind `ctl check`.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::BoolishValueParser;
use clap::{Args, Subcommand};
use jiff::Timestamp;
use parallax_model::spec::{Depth, PathChoice};
use parallax_model::target::Security;

use super::names::{depths, examinations, path_choices, securities, steps};
use super::rules::{self, HowMany, Slow};
use super::{Examine, OutputArgs, read};

const FROM_WHERE: &str = "From where, and when";
const PROBE: &str = "The probe";
const ALERTS: &str = "Whom it wakes, and when";

/// `ctl check`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct CheckArgs {
    #[command(subcommand)]
    pub(crate) command: Option<CheckCommand>,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// What is to be done with checks.
#[derive(Debug, Subcommand)]
pub(crate) enum CheckCommand {
    Add(Box<AddCheck>),
    Apply(ApplyChecks),
    /// Every check, and how its last round went
    List(OutputArgs),
    /// One check: what it asks, which agents run it, its last round
    Show {
        /// Its name
        name: String,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Have no agent run a check until it is resumed; its alerts resolve
    Pause {
        /// Its name
        name: String,
    },
    /// Run a paused check again
    Resume {
        /// Its name
        name: String,
    },
    /// Forget a check; what came of it stays in the history until it is too old
    Remove {
        /// Its name
        name: String,
    },
    History(CheckHistory),
}

/// Have a probe repeated by agents
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ctl check add imap --target imap.example.org --every 60s
  ctl check add imap-eu --target imap.example.org --from region=eu --every 60s --together --fail-from 2 --for-rounds 3
  ctl check add login --target imap.example.org --credential probe --depth mailbox --every 5m

Starts are spread over the interval, so that neither the agents nor the target get them all at once; with --together
every vantage point of a round starts at the same moment. Many checks are better kept in a file: `ctl check apply`.")]
pub(crate) struct AddCheck {
    /// What it is called
    pub(crate) name: String,

    #[arg(long, help_heading = PROBE, value_name = "TARGET", env = "PARALLAX_CHECK_TARGET", help = "host, host:port, [v6]:port, imaps://host[:port] or imap://host[:port]")]
    pub(crate) target: String,
    /// tls, starttls or plaintext [default: from the scheme or the port]
    #[arg(long, help_heading = PROBE, value_name = "SECURITY", env = "PARALLAX_SECURITY", value_parser = securities())]
    pub(crate) security: Option<Security>,
    /// connect, tls, greeting, login, mailbox or sync [default: greeting; with a credential mailbox]
    #[arg(long, help_heading = PROBE, value_name = "DEPTH", env = "PARALLAX_DEPTH", hide_possible_values = true, value_parser = depths())]
    pub(crate) depth: Option<Depth>,
    /// Log in with a credential of `ctl credential`
    #[arg(long, help_heading = PROBE, value_name = "NAME", env = "PARALLAX_CREDENTIAL", conflicts_with = "ca_file")]
    pub(crate) credential: Option<String>,
    /// Time for the probe at each vantage point [default: 20s]
    #[arg(long, help_heading = PROBE, value_name = "TIME", env = "PARALLAX_TIMEOUT", value_parser = read::timeout)]
    pub(crate) timeout: Option<Duration>,
    /// IPv4 only
    #[arg(short = '4', long = "ipv4", help_heading = PROBE, env = "PARALLAX_IPV4", conflicts_with = "ipv6", value_parser = BoolishValueParser::new())]
    pub(crate) ipv4: bool,
    /// IPv6 only
    #[arg(short = '6', long = "ipv6", help_heading = PROBE, env = "PARALLAX_IPV6", value_parser = BoolishValueParser::new())]
    pub(crate) ipv6: bool,
    /// Try this address instead of resolving the name; may be repeated
    #[arg(long, help_heading = PROBE, value_name = "ADDR", env = "PARALLAX_ADDRESS", value_parser = read::address)]
    pub(crate) address: Vec<IpAddr>,
    /// Ask this resolver too
    #[arg(long, help_heading = PROBE, value_name = "ADDR[:PORT]", env = "PARALLAX_RESOLVER", value_parser = read::resolver)]
    pub(crate) resolver: Option<SocketAddr>,
    /// PEM file with more trust anchors for the target's certificate; may be repeated
    #[arg(long, help_heading = PROBE, value_name = "FILE", env = "PARALLAX_CA_FILE")]
    pub(crate) ca_file: Vec<PathBuf>,
    /// Keep the session open and quiet for so long, to see what ends it
    #[arg(long, help_heading = PROBE, value_name = "TIME", env = "PARALLAX_HOLD", value_parser = read::hold)]
    pub(crate) hold: Option<Duration>,
    /// Look at this too; commas between several, may be repeated
    #[arg(long, help_heading = PROBE, value_name = "WHAT", env = "PARALLAX_EXAMINE", ignore_case = true, value_delimiter = ',', value_parser = examinations())]
    pub(crate) examine: Vec<Examine>,
    /// Trace the way to the target: always, auto (where something on it fails) or never [default: auto]
    #[arg(long, help_heading = PROBE, value_name = "WHEN", env = "PARALLAX_PATH", hide_possible_values = true, value_parser = path_choices())]
    pub(crate) path: Option<PathChoice>,
    /// Do not let the diagnosis ask again when a round fails
    #[arg(long, help_heading = PROBE, env = "PARALLAX_NO_FOLLOW_UP", value_parser = BoolishValueParser::new())]
    pub(crate) no_follow_up: bool,

    /// Vantage points: all, a name, a glob, labels such as region=eu,tier!=test; repeat for OR [default: all]
    #[arg(long, help_heading = FROM_WHERE, value_name = "SELECTOR", env = "PARALLAX_FROM")]
    pub(crate) from: Vec<String>,
    /// At most so many vantage points
    #[arg(long, help_heading = FROM_WHERE, value_name = "N", env = "PARALLAX_LIMIT", value_parser = read::count)]
    pub(crate) limit: Option<u32>,
    /// How often: 1s to 24h
    #[arg(long, help_heading = FROM_WHERE, value_name = "TIME", env = "PARALLAX_EVERY", value_parser = read::every)]
    pub(crate) every: Duration,
    /// Every vantage point of a round starts at the same moment
    #[arg(long, help_heading = FROM_WHERE, env = "PARALLAX_TOGETHER", value_parser = BoolishValueParser::new())]
    pub(crate) together: bool,

    /// A round is bad when it fails from so many vantage points (all, where fewer are expected in it; one that says
    /// nothing is none), or from such a part of those that answered: 2, 50% [default: 2]
    #[arg(long, help_heading = ALERTS, value_name = "K|SHARE", env = "PARALLAX_FAIL_FROM", value_parser = rules::how_many)]
    pub(crate) fail_from: Option<HowMany>,
    /// So many bad rounds in a row, until it is told [default: 2]
    #[arg(long, help_heading = ALERTS, value_name = "R", env = "PARALLAX_FOR_ROUNDS", value_parser = read::count_to(1000))]
    pub(crate) for_rounds: Option<u32>,
    /// So many good rounds in a row, until it is over [default: 2]
    #[arg(long, help_heading = ALERTS, value_name = "R", env = "PARALLAX_RECOVER_ROUNDS", value_parser = read::count_to(1000))]
    pub(crate) recover_rounds: Option<u32>,
    /// Tell of what works with faults, too
    #[arg(long, help_heading = ALERTS, env = "PARALLAX_DEGRADED", value_parser = BoolishValueParser::new())]
    pub(crate) degraded: bool,
    /// A stage, or total, that takes longer than so much, or than so many times what it usually takes; may be repeated
    #[arg(long, help_heading = ALERTS, value_name = "STAGE:TIME|STAGE:3x", env = "PARALLAX_LATENCY", value_parser = rules::slow)]
    pub(crate) latency: Vec<Slow>,
    /// A certificate that is over in so many days [default: 14; 3 for critical]
    #[arg(long, help_heading = ALERTS, value_name = "DAYS", env = "PARALLAX_CERTIFICATE_DAYS", value_parser = read::count_to(3650))]
    pub(crate) certificate_days: Option<u32>,
    /// A certificate with no more than this part of its life left, such as 10% [default: 10%]
    #[arg(long, help_heading = ALERTS, value_name = "SHARE", env = "PARALLAX_CERTIFICATE_LEFT", value_parser = rules::share)]
    pub(crate) certificate_left: Option<f64>,
    /// Tell nobody anything
    #[arg(long, help_heading = ALERTS, env = "PARALLAX_NO_ALERTS", value_parser = BoolishValueParser::new(), conflicts_with_all = ["fail_from", "for_rounds", "recover_rounds", "degraded", "latency", "certificate_days", "certificate_left"])]
    pub(crate) no_alerts: bool,
    /// A label of its alerts: KEY=VALUE; may be repeated
    #[arg(long, help_heading = ALERTS, value_name = "KEY=VALUE", env = "PARALLAX_CHECK_LABEL", value_parser = rules::label)]
    pub(crate) label: Vec<(String, String)>,
    /// Where it is said what to do about its alerts
    #[arg(long, help_heading = ALERTS, value_name = "URL", env = "PARALLAX_RUNBOOK")]
    pub(crate) runbook: Option<String>,
}

/// Make the checks what a file says: what would change is shown first
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ctl check apply -f checks.toml --dry-run
  ctl check apply -f checks.toml --prune --yes

Exit status: 0 done, or nothing to do; 1 with --dry-run something would change, or it was not confirmed; 3 it could not
be done. Either every check of the file is taken, or none.")]
pub(crate) struct ApplyChecks {
    /// TOML file with [[check]] tables; - for standard input
    #[arg(short, long, value_name = "FILE", env = "PARALLAX_CHECKS_FILE")]
    pub(crate) file: PathBuf,
    /// Remove the checks that are not in the file
    #[arg(long, env = "PARALLAX_PRUNE", value_parser = BoolishValueParser::new())]
    pub(crate) prune: bool,
    /// Say what would change, and change nothing
    #[arg(long, env = "PARALLAX_DRY_RUN", value_parser = BoolishValueParser::new())]
    pub(crate) dry_run: bool,
    /// Do not ask
    #[arg(short, long, env = "PARALLAX_YES", value_parser = BoolishValueParser::new())]
    pub(crate) yes: bool,
}

/// What came of a check
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ctl check history imap                       the last day, by the hour
  ctl check history imap --since 400d          by the day
  ctl check history imap --step round --since 30m
  ctl check history imap --results --since 1h -o jsonl")]
pub(crate) struct CheckHistory {
    /// Its name
    pub(crate) name: String,
    /// From when: a time such as 2026-12-05T22:00:00Z, or so long ago, such as 24h
    #[arg(long, value_name = "TIME", env = "PARALLAX_SINCE", default_value = "24h", value_parser = rules::moment)]
    pub(crate) since: Timestamp,
    /// Until when [default: now]
    #[arg(long, value_name = "TIME", env = "PARALLAX_UNTIL", value_parser = rules::moment)]
    pub(crate) until: Option<Timestamp>,
    /// auto, round, hour or day [default: auto]
    #[arg(long, value_name = "STEP", env = "PARALLAX_STEP", hide_possible_values = true, value_parser = steps())]
    pub(crate) step: Option<&'static str>,
    /// Only these vantage points
    #[arg(long, value_name = "SELECTOR", env = "PARALLAX_FROM")]
    pub(crate) from: Vec<String>,
    /// At most so many rows
    #[arg(long, value_name = "N", env = "PARALLAX_HISTORY_LIMIT", default_value_t = 1000, value_parser = read::count_to(100_000))]
    pub(crate) limit: u32,
    /// Every single result that is still kept, oldest first
    #[arg(long, env = "PARALLAX_RESULTS", value_parser = BoolishValueParser::new(), conflicts_with = "step")]
    pub(crate) results: bool,
    /// table, json or jsonl
    #[arg(short, long, value_name = "FORMAT", env = "PARALLAX_HISTORY_OUTPUT", value_parser = super::names::history_formats())]
    pub(crate) output: Option<HistoryFormat>,
}

/// How a history can be printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum HistoryFormat {
    /// For a person.
    #[default]
    Table,
    /// One document.
    Json,
    /// One row a line.
    Jsonl,
}
