//! `cargo demo`: the lab, one fault in it, and what Parallax says.

use std::io::Write;
use std::process::{Child, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context, Error, Result, bail};
use clap::Parser;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use parallax_tests::host;
use parallax_tests::impair::{Fault, Kind};
use parallax_tests::interrupt::Interrupt;
use parallax_tests::lab::VANTAGES;
use parallax_tests::process::die_with_us;
use parallax_tests::programs::Programs;
use parallax_tests::site::TARGET;
use parallax_tests::world::World;

/// The exit status of a program that SIGINT ended, as shells show it.
const INTERRUPTED: u8 = 130;
/// The exit status of `ctl` when it could not tell.
const UNKNOWN: u8 = 3;
/// How long an interrupted `ctl` gets to end by itself.
const TO_SAY_GOODBYE: Duration = Duration::from_secs(2);
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);
/// What a terminal program needs to know of its terminal.
const TERMINAL: [&str; 6] = ["TERM", "COLORTERM", "NO_COLOR", "COLUMNS", "LANG", "LC_ALL"];

/// Builds four vantage points and a mail service in network namespaces, breaks something, and runs
/// `ctl probe imap.lab.example --from all`. Everything is removed at the end.
#[derive(Parser)]
#[command(name = "cargo demo --")]
struct Args {
    /// Something to break: KIND@PLACE, such as firewall_drop@edge-ams. May be repeated.
    #[arg(long, value_name = "KIND@PLACE")]
    fault: Vec<Fault>,
    /// Show what can be broken, and end.
    #[arg(long)]
    list: bool,
    /// More arguments for `ctl probe`.
    #[arg(last = true, value_name = "CTL ARGUMENTS")]
    ctl: Vec<String>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    if args.list {
        // Whoever closed the pipe has read enough.
        let _ = std::io::stdout().write_all(list().as_bytes());
        return ExitCode::SUCCESS;
    }
    let interrupt = match Interrupt::listen() {
        Ok(interrupt) => interrupt,
        Err(error) => return fail(&error),
    };
    match demonstrate(&args, &interrupt) {
        Ok(status) => ExitCode::from(status),
        Err(_) if interrupt.asked() => ExitCode::from(INTERRUPTED),
        Err(error) => fail(&error),
    }
}

fn fail(error: &Error) -> ExitCode {
    eprintln!("demo: {error:#}");
    ExitCode::from(UNKNOWN)
}

fn list() -> String {
    let line = |kind: &Kind| {
        format!(
            "{:<24} {}; at {}\n",
            kind.name(),
            kind.effect(),
            kind.places().join(", ")
        )
    };
    let kinds: String = Kind::ALL.iter().map(line).collect();
    format!("{kinds}\nedge-NAME is one of {}\n", VANTAGES.join(", "))
}

fn demonstrate(args: &Args, interrupt: &Interrupt) -> Result<u8> {
    if let Some(reason) = host::missing() {
        bail!("{reason}");
    }
    eprintln!("demo: building the programs");
    Programs::ready()?;
    let began = Instant::now();
    let mut world = World::new(&VANTAGES)?;
    eprintln!(
        "demo: {} and a mail service stand after {:.1?}",
        VANTAGES.join(", "),
        began.elapsed()
    );
    for fault in &args.fault {
        world.inject(&fault.to_string())?;
        eprintln!("demo: injected {fault}: {}", fault.kind.effect());
    }
    if interrupt.asked() {
        return Ok(INTERRUPTED);
    }
    let mut words = vec!["probe", TARGET, "--from", "all"];
    words.extend(args.ctl.iter().map(String::as_str));
    eprintln!("\n$ ctl {}", words.join(" "));
    let mut ctl = start(&world, &words)?;
    wait_for(&mut ctl, interrupt)
}

fn start(world: &World, words: &[&str]) -> Result<Child> {
    let mut command = world.ctl_command();
    command.args(words);
    let known = TERMINAL
        .iter()
        .filter_map(|name| Some((name, std::env::var_os(name)?)));
    command.envs(known);
    let mut command = die_with_us(&command);
    world
        .site
        .lab
        .control
        .run(move || command.spawn())
        .context("start ctl")
}

fn wait_for(ctl: &mut Child, interrupt: &Interrupt) -> Result<u8> {
    let mut asked_at = None;
    loop {
        if let Some(status) = ctl.try_wait()? {
            return Ok(status
                .code()
                .and_then(|code| u8::try_from(code).ok())
                .unwrap_or(INTERRUPTED));
        }
        if interrupt.asked() && asked_at.is_none() {
            asked_at = Some(Instant::now());
            kill(Pid::from_raw(i32::try_from(ctl.id())?), Signal::SIGTERM)?;
        }
        if asked_at.is_some_and(|asked| asked.elapsed() > TO_SAY_GOODBYE) {
            ctl.kill()?;
        }
        std::thread::sleep(BETWEEN_LOOKS);
    }
}
