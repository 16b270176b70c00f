//! Program entry.

use std::process::ExitCode;

fn main() -> ExitCode {
    parallax_ctl::main(std::env::args_os())
}
