//! What was typed behind `ctl probe`.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::builder::BoolishValueParser;
use parallax_model::credential::Mechanism;
use parallax_model::selector::{Selector, SelectorError};
use parallax_model::spec::{CaptureChoice, Depth, Examination, FamilyChoice, PathChoice};
use parallax_model::target::Security;
use parallax_model::vantage::AgentName;

use super::names::{
    capture_choices, depths, examinations, mechanisms, path_choices, run_formats, securities,
};
use super::{RunFormat, read};

const FROM_WHERE: &str = "From where";
const TARGET: &str = "Which way to the target";
const HOW_FAR: &str = "How far, and what else is looked at";
const LOGIN: &str = "Login";
const ANSWER: &str = "The answer";

/// Probe an IMAP service and say what is wrong and where
///
/// Exit status: 0 healthy, 1 partial or degraded, 2 down, 3 could not tell.
#[derive(Debug, Default, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ProbeArgs {
    #[arg(help = "host, host:port, [v6]:port, imaps://host[:port] or imap://host[:port]")]
    pub(crate) target: String,

    /// Vantage points: all, a name, a glob, labels such as region=eu,tier!=test; repeat for OR [default: all]
    #[arg(long, help_heading = FROM_WHERE, value_name = "SELECTOR", env = "PARALLAX_FROM")]
    pub(crate) from: Vec<String>,
    /// At most so many vantage points, spread over their labels
    #[arg(long, help_heading = FROM_WHERE, value_name = "N", env = "PARALLAX_LIMIT", value_parser = read::count)]
    pub(crate) limit: Option<u32>,
    /// Say which agents would run and why, and ask nothing
    #[arg(long, help_heading = FROM_WHERE, env = "PARALLAX_DRY_RUN", value_parser = BoolishValueParser::new())]
    pub(crate) dry_run: bool,

    /// tls, starttls or plaintext [default: from the scheme or the port]
    #[arg(long, help_heading = TARGET, value_name = "SECURITY", env = "PARALLAX_SECURITY", value_parser = securities())]
    pub(crate) security: Option<Security>,
    /// IPv4 only
    #[arg(short = '4', long = "ipv4", help_heading = TARGET, env = "PARALLAX_IPV4", conflicts_with = "ipv6", value_parser = BoolishValueParser::new())]
    pub(crate) ipv4: bool,
    /// IPv6 only
    #[arg(short = '6', long = "ipv6", help_heading = TARGET, env = "PARALLAX_IPV6", value_parser = BoolishValueParser::new())]
    pub(crate) ipv6: bool,
    /// Try this address instead of resolving the name; may be repeated
    #[arg(long, help_heading = TARGET, value_name = "ADDR", env = "PARALLAX_ADDRESS", value_parser = read::address)]
    pub(crate) address: Vec<IpAddr>,
    /// Ask this resolver too, and say where its answer differs from that of each host's own
    #[arg(long, help_heading = TARGET, value_name = "ADDR[:PORT]", env = "PARALLAX_RESOLVER", value_parser = read::resolver)]
    pub(crate) resolver: Option<SocketAddr>,
    /// PEM file with more trust anchors for the target's certificate; may be repeated
    #[arg(long, help_heading = TARGET, value_name = "FILE", env = "PARALLAX_CA_FILE")]
    pub(crate) ca_file: Vec<PathBuf>,

    /// connect, tls, greeting, login, mailbox (reads) or sync (writes into a mailbox of its own) [default: greeting;
    /// with a login mailbox]
    #[arg(long, help_heading = HOW_FAR, value_name = "DEPTH", env = "PARALLAX_DEPTH", hide_possible_values = true, value_parser = depths())]
    pub(crate) depth: Option<Depth>,
    /// With --depth sync: the session that watches what is written is this agent's [default: a second session of
    /// each agent]
    #[arg(long, help_heading = HOW_FAR, value_name = "AGENT", env = "PARALLAX_SYNC_WITH")]
    pub(crate) sync_with: Option<AgentName>,
    /// Keep the session open and quiet for so long, and shorter ones beside it, to see what ends them; up to 30m
    #[arg(long, help_heading = HOW_FAR, value_name = "TIME", env = "PARALLAX_HOLD", value_parser = read::hold)]
    pub(crate) hold: Option<Duration>,
    /// Look at this too; commas between several, may be repeated
    #[arg(long, help_heading = HOW_FAR, value_name = "WHAT", env = "PARALLAX_EXAMINE", ignore_case = true, value_delimiter = ',', value_parser = examinations())]
    pub(crate) examine: Vec<Examine>,
    /// Trace the way to the target: always, auto (where something on it fails) or never [default: auto; with
    /// --no-follow-up never]
    #[arg(long, help_heading = HOW_FAR, value_name = "WHEN", env = "PARALLAX_PATH", hide_possible_values = true, value_parser = path_choices())]
    pub(crate) path: Option<PathChoice>,
    /// Record packets, where agents may: always, auto (of attempts in which something was not ok) or never. They are in
    /// the run's bundle [default: auto; without a collector and --bundle never]
    #[arg(long, help_heading = HOW_FAR, value_name = "WHEN", env = "PARALLAX_CAPTURE", hide_possible_values = true, value_parser = capture_choices())]
    pub(crate) capture: Option<CaptureChoice>,
    /// Do not let the diagnosis ask again to tell explanations apart
    #[arg(long, help_heading = HOW_FAR, env = "PARALLAX_NO_FOLLOW_UP", value_parser = BoolishValueParser::new())]
    pub(crate) no_follow_up: bool,
    /// Time for the probe at each vantage point, what is held not counted [default: 20s]
    #[arg(long, help_heading = HOW_FAR, value_name = "TIME", env = "PARALLAX_TIMEOUT", value_parser = read::timeout)]
    pub(crate) timeout: Option<Duration>,

    /// Log in as this user
    #[arg(long, help_heading = LOGIN, value_name = "USER", env = "PARALLAX_USER")]
    pub(crate) user: Option<String>,
    /// Read the password from the first line of standard input; with OAUTHBEARER or XOAUTH2 it is the access token
    #[arg(long, help_heading = LOGIN, env = "PARALLAX_PASSWORD_STDIN", requires = "user", value_parser = BoolishValueParser::new())]
    pub(crate) password_stdin: bool,
    /// Log in with a credential of `ctl credential`
    #[arg(long, help_heading = LOGIN, value_name = "NAME", env = "PARALLAX_CREDENTIAL", conflicts_with_all = ["user", "password_stdin", "mechanism", "client_certificate", "ca_file"])]
    pub(crate) credential: Option<String>,
    /// Try a secret once more that was rejected before, and at the next address where one did not answer; an agent does so
    /// once in 10 minutes, and three times a day
    #[arg(long, help_heading = LOGIN, env = "PARALLAX_RETRY_LOGIN", value_parser = BoolishValueParser::new())]
    pub(crate) retry_login: bool,
    /// How to log in; LOGIN-COMMAND is the command of that name [default: the best that is offered]
    #[arg(long, help_heading = LOGIN, value_name = "MECHANISM", env = "PARALLAX_MECHANISM", ignore_case = true, value_parser = mechanisms())]
    pub(crate) mechanism: Option<Mechanism>,
    /// PEM file with a certificate and its key, shown to servers that ask for one; EXTERNAL logs in by it
    #[arg(long, help_heading = LOGIN, value_name = "FILE", env = "PARALLAX_CLIENT_CERTIFICATE")]
    pub(crate) client_certificate: Option<PathBuf>,

    /// table, wide (with what was seen), json, jsonl (events as they come), markdown (for a ticket) or nagios (for
    /// monitoring) [default: table]
    #[arg(short, long, help_heading = ANSWER, value_name = "FORMAT", env = "PARALLAX_OUTPUT", hide_possible_values = true, value_parser = run_formats())]
    pub(crate) output: Option<RunFormat>,
    /// Also write the run into one archive, as `ctl runs bundle` does
    #[arg(long, help_heading = ANSWER, value_name = "FILE", env = "PARALLAX_BUNDLE")]
    pub(crate) bundle: Option<PathBuf>,
    /// Without a collector: send spans to this OTLP/gRPC endpoint, such as http://localhost:4317
    #[arg(long, help_heading = ANSWER, value_name = "URL", env = "PARALLAX_OTLP_ENDPOINT")]
    pub(crate) otlp_endpoint: Option<String>,
}

const EXAMPLES: &str = "Examples:
  ctl probe imap.example.org
  ctl probe imap://mail.example.org --from region=eu --from nyc-1
  ctl probe mail.example.org --user probe --password-stdin < secret
  ctl probe mail.example.org --credential probe
  ctl probe mail.example.org --user probe --password-stdin --depth sync --sync-with nyc-1 < secret
  ctl probe imap://mail.example.org --examine all --hold 10m
  ctl probe mail.example.org --capture always --bundle run.tar.gz
  ctl probe mail.example.org -o json | jq .findings[0]

What an agent may touch is in its own policy; what that refuses is shown by its rule, and nothing asked here lifts it.";

/// What `--examine` names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Examine {
    /// Everything that there is to examine at the target.
    All,
    /// One thing.
    One(Examination),
}

impl Examine {
    /// The name as flags are written, with hyphens.
    pub(crate) const fn flag(what: Examination) -> &'static str {
        match what {
            Examination::Srv => "srv",
            Examination::Tlsa => "tlsa",
            Examination::Resumption => "resumption",
            Examination::StarttlsInjection => "starttls-injection",
            Examination::LegacyTls => "legacy-tls",
        }
    }
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
    pub(crate) fn selector(&self) -> Result<Selector, SelectorError> {
        Selector::parse_any(&self.from)
    }

    /// Whether a login is asked for; EXTERNAL has none but the certificate's.
    pub(crate) fn logs_in(&self) -> bool {
        self.user.is_some() || self.credential.is_some() || self.is_external()
    }

    /// Whether the client certificate is the login.
    pub(crate) fn is_external(&self) -> bool {
        self.mechanism == Some(Mechanism::External)
    }
}
