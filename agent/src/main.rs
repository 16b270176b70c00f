//! The agent's process.

use std::convert::Infallible;
use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;
use clap::error::ErrorKind;
use parallax_agent::config::{self, Args, Command, Config, ConfigError, RunArgs, StateArgs};
use parallax_agent::doctor;
use parallax_telemetry::logs::{self, FilterError};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// What it was given makes no sense or is of no use: the command line, the configuration, a token, a directory.
const USAGE: u8 = 3;

/// It could not start.
const FAILED: u8 = 1;

fn main() -> ExitCode {
    if let Err(error) = parallax_identity::forbid_core_dumps() {
        return complain(FAILED, &format!("forbid core dumps: {error}"));
    }
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => return usage(&error),
    };
    // One thread: an agent is small, and its probes measure time better without handing work around.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return complain(FAILED, &format!("start: {error}")),
    };
    let (args, examine) = match args.command {
        Command::Run(args) => (args, false),
        Command::Doctor(args) => (args, true),
        Command::Fingerprint(args) => return fingerprint(&args),
    };
    let config = match Config::load(&args) {
        Ok(config) => config,
        Err(error) => return complain(USAGE, &error.to_string()),
    };
    if args.print_config {
        return print(config.to_toml());
    }
    if args.check_config {
        let readable = config.check_credentials().and_then(|()| config.check_identity());
        return match readable.and_then(|()| config.into_options(&args)) {
            Ok(_) => ExitCode::SUCCESS,
            Err(error) => complain(USAGE, &error.to_string()),
        };
    }
    if examine {
        return examined(&runtime.block_on(doctor::examine(&config)));
    }
    let status = runtime.block_on(run(config, &args));
    // A look-up by the system's resolver may still be under way, in a thread of its own; nobody waits for it.
    runtime.shutdown_background();
    status
}

fn examined(diagnosis: &doctor::Diagnosis) -> ExitCode {
    let printed = print(Ok(diagnosis.to_string()));
    if diagnosis.is_fit() {
        printed
    } else {
        ExitCode::from(FAILED)
    }
}

fn fingerprint(args: &StateArgs) -> ExitCode {
    let state_dir = match config::state_dir(args) {
        Ok(state_dir) => state_dir,
        Err(error) => return complain(USAGE, &error.to_string()),
    };
    match parallax_agent::fingerprint(&state_dir) {
        Ok(Some(fingerprint)) => print(Ok(format!("{fingerprint}\n"))),
        Ok(None) => {
            let problem = format!(
                "{} holds no sealing key yet: it is made at the first start",
                state_dir.display()
            );
            complain(USAGE, &problem)
        }
        Err(error) => complain(USAGE, &error.to_string()),
    }
}

async fn run(config: Config, args: &RunArgs) -> ExitCode {
    if let Err(error) = init_logs(&config) {
        return complain(USAGE, &error.to_string());
    }
    // Before anything else: a stop that comes during the start is a stop too.
    let signals = signal(SignalKind::terminate())
        .and_then(|terminate| Ok((terminate, signal(SignalKind::interrupt())?)));
    let (terminate, interrupt) = match signals {
        Ok(signals) => signals,
        Err(error) => return complain(FAILED, &format!("signals: {error}")),
    };
    let hangups = match signal(SignalKind::hangup()) {
        Ok(hangups) => hangups,
        Err(error) => return complain(FAILED, &format!("signals: {error}")),
    };
    let options = match config.into_options(args) {
        Ok(options) => options,
        Err(error) => return complain(USAGE, &error.to_string()),
    };
    let ended = tokio::select! {
        ended = parallax_agent::run(options, stopped(terminate, interrupt)) => ended,
        never = follow_log_filter(args, hangups) => match never {},
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is_of_input() => complain(USAGE, &error.to_string()),
        Err(error) => complain(FAILED, &error.to_string()),
    }
}

/// Reads which log lines are written again whenever somebody asks for that by SIGHUP.
async fn follow_log_filter(args: &RunArgs, mut hangups: Signal) -> Infallible {
    while hangups.recv().await.is_some() {
        let read = Config::load(args).map_err(|error| error.to_string());
        let chosen = read
            .and_then(|config| logs::choose(config.log_filter.as_deref()).map_err(|error| error.to_string()));
        if let Err(error) = chosen {
            tracing::error!("the log filter stays as it was: {error}");
        }
    }
    std::future::pending().await
}

async fn stopped(mut terminate: Signal, mut interrupt: Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

fn init_logs(config: &Config) -> Result<(), FilterError> {
    logs::init(config.log_format, config.log_filter.as_deref())
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
    eprintln!("parallax-agent: {problem}");
    ExitCode::from(status)
}

/// Help and version go to standard output; anything else is one line and the status of a usage error.
fn usage(error: &clap::Error) -> ExitCode {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        return print(Ok(error.to_string()));
    }
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        return complain(
            USAGE,
            "a command is missing: run, doctor or fingerprint; see --help",
        );
    }
    let text = error.to_string();
    let told: Vec<&str> = text
        .lines()
        .map(str::trim)
        .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more"))
        .filter(|line| !line.is_empty())
        .collect();
    let line = told.join(" ");
    complain(USAGE, line.strip_prefix("error: ").unwrap_or(&line))
}
