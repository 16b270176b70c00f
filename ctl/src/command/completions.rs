//! `ctl completions SHELL`

use clap::CommandFactory as _;
use clap_complete::{Shell, generate};

use crate::args::Cli;
use crate::console;
use crate::exit::Trouble;

pub(super) fn run(shell: Shell) -> Result<u8, Trouble> {
    let mut script = Vec::new();
    generate(shell, &mut Cli::command(), "ctl", &mut script);
    console::print(&String::from_utf8_lossy(&script))?;
    Ok(0)
}
