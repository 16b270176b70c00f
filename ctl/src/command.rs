//! One verb a file.

mod access;
mod agents;
mod alerts;
mod audit;
mod check;
mod completions;
mod credential;
mod doctor;
mod login;
mod probe;
mod runs;
mod schema;
mod status;
mod token;

pub(crate) use probe::Answer;

use crate::args::Command;
use crate::config::Config;
use crate::exit::Trouble;
use crate::interrupt;

/// Reads the files that a command names, and does nothing else.
pub(crate) fn check_files(command: Option<&Command>, config: &Config) -> Result<u8, Trouble> {
    match command {
        Some(Command::Check(args)) => check::check_file(args, config),
        _ => Ok(0),
    }
}

/// Does what was asked; the exit status.
pub(crate) async fn run(command: Command, config: &Config) -> Result<u8, Trouble> {
    match command {
        // An interrupted probe still ends its trace.
        Command::Probe(args) => probe::run(&args, config).await,
        other => interrupt::unless_asked(run_short(other, config)).await,
    }
}

async fn run_short(command: Command, config: &Config) -> Result<u8, Trouble> {
    match command {
        Command::Probe(args) => probe::run(&args, config).await,
        Command::Login(args) => login::run(&args, config).await,
        Command::Agents(args) => agents::run(args, config).await,
        Command::Runs(args) => runs::run(args, config).await,
        Command::Alerts(args) => alerts::run(args, config).await,
        Command::Check(args) => check::run(args, config).await,
        Command::Credential(args) => credential::run(args, config).await,
        Command::Token(args) => token::run(args.command, config).await,
        Command::Access(args) => access::run(args, config).await,
        Command::Audit(args) => audit::run(&args, config).await,
        Command::Status(args) => status::run(args, config).await,
        Command::Schema(args) => schema::run(&args.command),
        Command::Completions { shell } => completions::run(shell),
        Command::Doctor => doctor::run(config).await,
    }
}
