//! `cargo run --bin soak`: checks for a long time, and whether each process takes as much at the end as at the beginning.

use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Parser;
use parallax_tests::host;
use parallax_tests::interrupt::Interrupt;
use parallax_tests::lab::VANTAGES;
use parallax_tests::ledger::Ledger;
use parallax_tests::world::World;

/// Until caches, pools and log files have their size.
const WARM: Duration = Duration::from_secs(5 * 60);
const BETWEEN_SAMPLES: Duration = Duration::from_secs(60);
/// How often a process is looked at for one sample: what a probe opens comes and goes, the least of them is what stays.
const LOOKS: u32 = 25;
const BETWEEN_LOOKS: Duration = Duration::from_millis(200);
/// For agents to say how they stand.
const TO_SETTLE: Duration = Duration::from_secs(90);
/// What a process may take more at the end than when it was warm.
const MORE_FDS: u64 = 2;
const MORE_KIB: u64 = 4 << 10;

/// Builds the lab with four vantage points, has them repeat checks, and says each minute what every process takes. The
/// exit status is 1 when memory or open files grow, or a result is lost.
#[derive(Parser)]
struct Args {
    /// How long.
    #[arg(long, default_value_t = 60)]
    minutes: u64,
    /// How many checks each agent repeats.
    #[arg(long, default_value_t = 20)]
    checks: u32,
    /// How often, as `ctl check add` takes it.
    #[arg(long, default_value = "1s")]
    every: String,
}

/// What one process takes at least, for some seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Taken {
    name: String,
    kib: u64,
    fds: u64,
}

fn main() -> ExitCode {
    let args = Args::parse();
    match soak(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("soak: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn soak(args: &Args) -> Result<()> {
    if let Some(reason) = host::missing() {
        bail!("{reason}");
    }
    let interrupt = Interrupt::listen()?;
    let mut world = World::new(&VANTAGES)?;
    // It is the programs that are looked at, and not how fast the server makes processes.
    world.site.dovecot.hurry(&world.site.lab.mail)?;
    let names: Vec<String> = (1..=args.checks).map(|number| format!("soak-{number}")).collect();
    for name in &names {
        world.add_check(name, &["--every", &args.every])?;
    }
    let began = Instant::now();
    let end = Duration::from_secs(args.minutes * 60);
    let (mut warm, mut last) = (None, Vec::new());
    while began.elapsed() < end && !interrupt.asked() {
        std::thread::sleep(BETWEEN_SAMPLES.min(end.saturating_sub(began.elapsed())));
        last = taken(&world)?;
        eprintln!("{}", line(&world, began.elapsed(), &last)?);
        if warm.is_none() && began.elapsed() >= WARM.min(end / 2) {
            warm = Some(last.clone());
        }
    }
    let books = settle(&world, &names)?;
    eprintln!("{books}");
    compare(&warm.context("it was too short to see anything")?, &last)
}

/// Pauses every check and waits until each result is stored.
fn settle(world: &World, names: &[String]) -> Result<String> {
    let checks: Vec<&str> = names.iter().map(String::as_str).collect();
    for check in &checks {
        world.done(&["check", "pause", check])?;
    }
    let until = Instant::now() + TO_SETTLE;
    loop {
        let ledger = Ledger::read(world, &VANTAGES, &checks)?;
        match ledger.balance() {
            Ok(()) => return Ok(ledger.say()),
            Err(error) if Instant::now() >= until => return Err(error.context(ledger.say())),
            Err(_) => std::thread::sleep(Duration::from_secs(2)),
        }
    }
}

fn taken(world: &World) -> Result<Vec<Taken>> {
    let mut least = look(world)?;
    for _ in 1..LOOKS {
        std::thread::sleep(BETWEEN_LOOKS);
        for (least, now) in least.iter_mut().zip(look(world)?) {
            least.kib = least.kib.min(now.kib);
            least.fds = least.fds.min(now.fds);
        }
    }
    Ok(least)
}

fn look(world: &World) -> Result<Vec<Taken>> {
    world
        .processes()
        .into_iter()
        .map(|(name, id)| taken_by(name, id))
        .collect()
}

fn taken_by(name: String, id: u32) -> Result<Taken> {
    let status =
        std::fs::read_to_string(format!("/proc/{id}/status")).with_context(|| format!("{name} has ended"))?;
    let kib = status.lines().find_map(|line| {
        line.strip_prefix("VmRSS:")?
            .split_whitespace()
            .next()?
            .parse()
            .ok()
    });
    Ok(Taken {
        kib: kib.with_context(|| format!("memory of {name}"))?,
        fds: std::fs::read_dir(format!("/proc/{id}/fd"))?.count() as u64,
        name,
    })
}

fn line(world: &World, after: Duration, taken: &[Taken]) -> Result<String> {
    let mut line = format!("{:>4} min", after.as_secs() / 60);
    for Taken { name, kib, fds } in taken {
        let _ = write!(line, "  {name} {:.1} MiB {fds} fds", *kib as f64 / 1024.0);
    }
    let late = VANTAGES
        .iter()
        .map(|name| late(world, name))
        .collect::<Result<Vec<_>>>()?;
    let _ = write!(
        line,
        "  latest starts {late:?} ms  database {:.1} MiB",
        database(world)? as f64 / f64::from(1 << 20)
    );
    Ok(line)
}

/// How late the latest start of the last minute was, in milliseconds, and rounds that were left out.
fn late(world: &World, agent: &str) -> Result<(u64, u64)> {
    let answer = world.ctl(&["agents", "show", agent, "-o", "json"])?;
    let schedule = &answer.json()["schedule"];
    let number = |key: &str| schedule[key].as_u64().unwrap_or_default();
    Ok((number("latest_us") / 1000, number("skipped")))
}

fn database(world: &World) -> Result<u64> {
    let files = std::fs::read_dir(world.collector_data())?;
    let sizes = files
        .flatten()
        .filter_map(|file| Some(file.metadata().ok()?.len()));
    Ok(sizes.sum())
}

fn compare(warm: &[Taken], last: &[Taken]) -> Result<()> {
    for (before, after) in warm.iter().zip(last) {
        let most = before.kib + before.kib / 10 + MORE_KIB;
        if before.name != after.name || after.kib > most || after.fds > before.fds + MORE_FDS {
            bail!("{} takes more and more: {before:?}, then {after:?}", after.name);
        }
    }
    Ok(())
}
