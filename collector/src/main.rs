//! The collector's process.

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser as _;
use clap::error::ErrorKind;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use parallax_collector::Collector;
use parallax_collector::ca::{self, Step};
use parallax_collector::config::{
    Args, CaArgs, CaCommand, Command, Config, ListArgs, ListFormat, RevokeArgs, ServeArgs, TokenArgs,
    TokenCommand,
};
use parallax_collector::config::{ConfigError, default_data_dir};
use parallax_collector::token::{self, TokenOptions};
use parallax_model::token::JoinToken;
use parallax_telemetry::logs::{FilterError, LogFormat};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The command line or the configuration makes no sense.
const USAGE: u8 = 3;

/// It could not start, or not go on.
const FAILED: u8 = 1;

fn main() -> ExitCode {
    if let Err(error) = parallax_identity::forbid_core_dumps() {
        return complain(FAILED, &format!("forbid core dumps: {error}"));
    }
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => return usage(&error),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return complain(FAILED, &format!("start: {error}")),
    };
    let status = match args.command {
        Command::Serve(args) => match Config::load(&args) {
            Err(error) => complain(USAGE, &error.to_string()),
            Ok(config) => runtime.block_on(serve(&args, config)),
        },
        Command::Token(command) => runtime.block_on(tokens(command)),
        Command::Ca(command) => runtime.block_on(authority(command)),
    };
    // A look-up by the system's resolver may still be under way, in a thread of its own; nobody waits for it.
    runtime.shutdown_background();
    status
}

async fn serve(args: &ServeArgs, config: Config) -> ExitCode {
    if args.print_config {
        return print(config.to_toml());
    }
    if args.check_config {
        return match config.check_files() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => complain(USAGE, &error.to_string()),
        };
    }
    if let Err(error) = init_logs(&config) {
        return complain(USAGE, &error.to_string());
    }
    raise_open_files();
    // Before anything else: a stop that comes during the start is a stop too, and a reload ends nothing.
    let mut signals = match Signals::listen() {
        Ok(signals) => signals,
        Err(error) => return complain(FAILED, &format!("signals: {error}")),
    };
    let collector = match Collector::start(&config).await {
        Ok(collector) => collector,
        Err(error) => return complain(FAILED, &error.to_string()),
    };
    say_ready(&collector, config.log_format);
    let Signals {
        terminate,
        interrupt,
        hangup,
    } = &mut signals;
    let reloading = async {
        while hangup.recv().await.is_some() {
            collector.reload(args).await;
        }
        std::future::pending().await
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        () = reloading => {}
    }
    collector.shutdown().await;
    ExitCode::SUCCESS
}

/// What this process is told from outside.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    /// Read the configuration again.
    hangup: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }
}

async fn authority(command: CaCommand) -> ExitCode {
    let place = |args: CaArgs| args.data_dir.unwrap_or_else(default_data_dir);
    let done = match command {
        CaCommand::Show {
            pem: true,
            place: args,
        } => ca::anchors(&place(args)).await,
        CaCommand::Show {
            pem: false,
            place: args,
        } => ca::show(&place(args)).await,
        CaCommand::Prepare(args) => ca::step(&place(args), Step::Prepare).await,
        CaCommand::Switch(args) => ca::step(&place(args), Step::Switch).await,
        CaCommand::Retire { force, place: args } => ca::step(&place(args), Step::Retire { force }).await,
    };
    match done {
        Ok(text) => print(Ok(text)),
        Err(error) => complain(USAGE, &format!("ca: {error:#}")),
    }
}

async fn tokens(command: TokenCommand) -> ExitCode {
    match command {
        TokenCommand::Create(args) => create_token(args).await,
        TokenCommand::List(args) => match list_tokens(args).await {
            Ok(text) => print(Ok(text)),
            Err(error) => complain(USAGE, &format!("token list: {error:#}")),
        },
        TokenCommand::Revoke(args) => revoke_token(args).await,
    }
}

async fn list_tokens(args: ListArgs) -> anyhow::Result<String> {
    let data_dir = args.data_dir.unwrap_or_else(default_data_dir);
    let tokens = token::list(&data_dir).await?;
    Ok(match args.output {
        ListFormat::Table => tokens.table(jiff::Timestamp::now()),
        ListFormat::Json => tokens.json()?,
    })
}

async fn revoke_token(args: RevokeArgs) -> ExitCode {
    let data_dir = args.data_dir.unwrap_or_else(default_data_dir);
    match token::revoke(&data_dir, &args.id, args.keep_joined).await {
        Ok(revoked) => print(Ok(format!("{revoked}\n"))),
        Err(error) => complain(USAGE, &format!("token revoke: {error:#}")),
    }
}

async fn create_token(args: TokenArgs) -> ExitCode {
    let options = TokenOptions {
        role: args.role,
        names: args.names(),
        labels: args.labels.into_iter().collect(),
        takes_over: args.replace,
        ttl: args.ttl,
        uses: args.uses,
    };
    let made = match args.data_dir {
        Some(data_dir) => create_token_in(&data_dir, options).await,
        // Nobody has said that a collector will work there.
        None => token::create_beside(&default_data_dir(), options).await,
    };
    match made {
        Ok(token) => print(Ok(format!("{token}\n"))),
        Err(error) => complain(USAGE, &format!("token create: {error:#}")),
    }
}

/// Before the first start of a collector a token makes the CA that it will have; whoever meant another directory is told.
async fn create_token_in(data_dir: &Path, options: TokenOptions) -> anyhow::Result<JoinToken> {
    let is_known = token::is_known(data_dir);
    let token = token::create(data_dir, options).await?;
    if !is_known {
        eprintln!(
            "parallax-collector: made a new CA in {}, where no collector has worked yet: the token is good for the one \
             that is started there (`parallax-collector serve --data-dir {0}`), and for no other",
            data_dir.display()
        );
    }
    Ok(token)
}

/// As many connections as the system allows: what a shell gives is far less than the limits are made for.
fn raise_open_files() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, most)| setrlimit(Resource::RLIMIT_NOFILE, most, most));
    if let Err(problem) = raised {
        tracing::warn!("the limit of open files stays as it is: {problem}");
    }
}

fn init_logs(config: &Config) -> Result<(), FilterError> {
    parallax_telemetry::logs::init(config.log_format, config.log_filter.as_deref())
}

fn say_ready(collector: &Collector, format: LogFormat) {
    let show = |address: Option<std::net::SocketAddr>| address.map(|address| address.to_string());
    let grpc = show(collector.listen_addr()).unwrap_or_default();
    let http = show(collector.http_addr()).unwrap_or_default();
    match format {
        LogFormat::Text => eprintln!("parallax-collector is ready: gRPC on {grpc}, HTTP on {http}"),
        LogFormat::Json => {
            eprintln!(
                "{}",
                serde_json::json!({"message": "ready", "grpc": grpc, "http": http})
            );
        }
    }
}

fn print(text: Result<String, ConfigError>) -> ExitCode {
    match text {
        Ok(text) => match std::io::stdout().write_all(text.as_bytes()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => complain(FAILED, &format!("standard output: {error}")),
        },
        Err(error) => complain(USAGE, &error.to_string()),
    }
}

fn complain(status: u8, problem: &str) -> ExitCode {
    eprintln!("parallax-collector: {problem}");
    ExitCode::from(status)
}

/// Help and version go to standard output; anything else is one line and the status of a usage error.
fn usage(error: &clap::Error) -> ExitCode {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        return print(Ok(error.to_string()));
    }
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        return complain(USAGE, "a command is missing; see --help");
    }
    let text = error.to_string();
    let told: Vec<&str> = text
        .lines()
        .map(str::trim)
        .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more"))
        .filter(|line| !line.is_empty())
        .collect();
    let line = told.join(" ");
    let line = line.strip_prefix("error: ").unwrap_or(&line);
    complain(USAGE, line)
}
