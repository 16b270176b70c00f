//! The operator's command: asks, shows what is seen while it is seen, and says what it means.

mod args;
mod bundle;
mod check;
mod client;
mod command;
mod config;
mod console;
mod exit;
mod interrupt;
mod known_agents;
mod live;
mod local;
mod password;
mod question;
mod render;
mod set_aside;
mod trace;
mod view;

use std::ffi::OsString;
use std::process::ExitCode;

use args::{Cli, Unread};
use config::Config;
use exit::{Trouble, UNKNOWN};

/// Runs the command line to its end. The status of `probe` is its verdict's; everything else that goes wrong is 3.
pub fn main(words: impl IntoIterator<Item = OsString>) -> ExitCode {
    if let Err(error) = parallax_identity::forbid_core_dumps() {
        console::complain(&Trouble::from(error).lines());
        return ExitCode::from(UNKNOWN);
    }
    let ended = match args::parse(words) {
        Ok(cli) => run(cli),
        Err(Unread::Asked(text)) => console::print(&text).map(|()| 0).map_err(Trouble::from),
        Err(Unread::Wrong(trouble)) => Err(trouble),
    };
    match ended {
        Ok(status) => ExitCode::from(status),
        Err(trouble) => {
            console::complain(&trouble.lines());
            ExitCode::from(UNKNOWN)
        }
    }
}

fn run(cli: Cli) -> Result<u8, Trouble> {
    let config = Config::read(&cli.common)?;
    if cli.common.print_config {
        console::print(&config.to_toml())?;
        return Ok(0);
    }
    if cli.common.check_config {
        return command::check_files(cli.command.as_ref(), &config);
    }
    let command = cli
        .command
        .ok_or_else(|| Trouble::new("a command is missing").hint("see `ctl --help`"))?;
    parallax_telemetry::logs::init(config.log_format, Some(config.log.as_deref().unwrap_or("warn")))?;
    parallax_identity::install_provider();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let ended = runtime.block_on(command::run(command, &config));
    // Whatever still waits for a silent network is not waited for.
    runtime.shutdown_background();
    ended
}
