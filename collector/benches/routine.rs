//! What months of checks cost the store: bytes on disk, and the time of the questions that people ask.
//!
//! `cargo bench -p parallax-collector --bench routine -- --agents 50 --checks 20 --days 30 --raw-days 14`

#![allow(clippy::print_stdout, reason = "it is what a benchmark is for")]

use std::process::ExitCode;

use parallax_collector::measure::{Fleet, routine};

fn main() -> ExitCode {
    let fleet = match fleet(std::env::args().skip(1)) {
        Ok(fleet) => fleet,
        Err(problem) => {
            println!("{problem}: give --agents, --checks, --days, --raw-days, each with a number");
            return ExitCode::FAILURE;
        }
    };
    let directory = match std::env::var_os("PARALLAX_BENCH_DIR") {
        Some(directory) => directory.into(),
        None => std::env::temp_dir(),
    };
    let file = directory.join(format!("parallax-routine-{}.db", std::process::id()));
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(problem) => {
            println!("{problem}");
            return ExitCode::FAILURE;
        }
    };
    let lines = runtime.block_on(routine(&file, fleet));
    for ending in ["", "-wal", "-shm"] {
        // What was never made can't be removed.
        let _ = std::fs::remove_file(format!("{}{ending}", file.display()));
    }
    match lines {
        Ok(lines) => {
            for line in lines {
                println!("{line}");
            }
            ExitCode::SUCCESS
        }
        Err(problem) => {
            println!("{problem}");
            ExitCode::FAILURE
        }
    }
}

fn fleet(mut words: impl Iterator<Item = String>) -> Result<Fleet, String> {
    let mut fleet = Fleet::default();
    while let Some(word) = words.next() {
        let field = match word.as_str() {
            "--agents" => &mut fleet.agents,
            "--checks" => &mut fleet.checks,
            "--days" => &mut fleet.days,
            "--raw-days" => &mut fleet.raw_days,
            // Cargo's own word.
            "--bench" => continue,
            other => return Err(format!("{other} is not known")),
        };
        let number = words.next().ok_or_else(|| format!("{word} has no number"))?;
        *field = number.parse().map_err(|_| format!("{number} is no number"))?;
    }
    Ok(fleet)
}
