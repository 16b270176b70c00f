//! The whole catalogue, and how right the answers are.

// The table is what this is for.
#![allow(clippy::print_stdout)]

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use parallax_tests::accuracy::{self, Judged};
use parallax_tests::answer::Answer;
use parallax_tests::catalogue::{Ask, Case, FAR, FRESH, FRESH_ROWS, ROWS, Row, Today, UNSEEN};
use parallax_tests::dovecot::{PASSWORD, USER};
use parallax_tests::far::Far;
use parallax_tests::lab::VANTAGES;
use parallax_tests::site::{TARGET, TARGET_OF_TWO};
use parallax_tests::world::World;
use parallax_tests::{host, recording};

use crate::{BRIEF, all_but};

/// Most of a row is waiting, so that several worlds keep two processors busy.
const WORLDS: usize = 6;
/// Of the second lab, beside them.
const FAR_WORLDS: usize = 2;
/// Ids of rows, with commas between: only these are run.
const SOME: &str = "PARALLAX_ROWS";
/// Where every run is written for the tests of the diagnosis.
const RECORD: &str = "PARALLAX_RECORD";

#[test]
fn every_fault_of_the_catalogue_is_named_or_known_to_be_wrong() {
    if !host::lab_can_run() {
        return;
    }
    let began = Instant::now();
    let (queue, far_queue) = (
        Mutex::new(chosen(ROWS.iter().chain(FRESH_ROWS), |row| row.id)),
        Mutex::new(chosen(FAR.iter().chain(UNSEEN).chain(FRESH), |case| case.row.id)),
    );
    let done = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..FAR_WORLDS {
            scope.spawn(|| work(&far_queue, &done, Far::new, run_far, |case| case.row.id));
        }
        for _ in 0..WORLDS {
            scope.spawn(|| work(&queue, &done, || World::new(&VANTAGES), run, |row| row.id));
        }
    });
    let outcomes = done.into_inner().unwrap();
    let mut judged: Vec<Judged> = outcomes
        .iter()
        .filter_map(|outcome| outcome.clone().ok())
        .collect();
    let far = || FAR.iter().chain(UNSEEN).chain(FRESH).map(|case| &case.row);
    let all = || ROWS.iter().chain(FRESH_ROWS).chain(far());
    judged.sort_by_key(|judged| all().position(|row| row.id == judged.row.id));
    println!("\n{}", accuracy::table(&judged));
    println!("{} rows in {:.0?}", judged.len(), began.elapsed());
    if std::env::var_os(SOME).is_none() {
        std::fs::write(report_file(), format!("{:#}\n", accuracy::report(&judged))).unwrap();
    }
    let mut complaints: Vec<String> = outcomes.into_iter().filter_map(Result::err).collect();
    complaints.extend(
        judged
            .iter()
            .filter(|judged| complaint(judged).is_some())
            .filter_map(alone),
    );
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

/// Eight worlds on two processors are a busy host, on which a round trip or a neighbour's entry may be late. What is wrong
/// there is asked once more with nothing beside it, and only what is wrong then too fails; the table keeps the first answer.
fn alone(first: &Judged) -> Option<String> {
    let id = first.row.id;
    println!("{id} was wrong beside the others: once more, alone");
    let usual = ROWS.iter().chain(FRESH_ROWS).find(|row| row.id == id);
    let far = || {
        FAR.iter()
            .chain(UNSEEN)
            .chain(FRESH)
            .find(|case| case.row.id == id)
    };
    let second = match usual {
        Some(row) => World::new(&VANTAGES).and_then(|mut world| run(&mut world, row)),
        None => Far::new().and_then(|mut lab| run_far(&mut lab, far().context("a row of that id")?)),
    };
    match second {
        Ok(second) => complaint(&second),
        Err(error) => Some(format!("{id}: {error:#}")),
    }
}

fn chosen<T>(all: impl Iterator<Item = &'static T>, id: fn(&T) -> &'static str) -> VecDeque<&'static T> {
    let some = std::env::var(SOME).ok();
    let wanted = |one: &&T| {
        some.as_ref()
            .is_none_or(|some| some.split(',').any(|wanted| wanted == id(one)))
    };
    all.filter(wanted).collect()
}

/// A world in which a row could not be set up or healed is not used for another.
fn work<W, T>(
    queue: &Mutex<VecDeque<&'static T>>,
    done: &Mutex<Vec<Result<Judged, String>>>,
    build: impl Fn() -> Result<W>,
    run: fn(&mut W, &'static T) -> Result<Judged>,
    id: fn(&T) -> &'static str,
) {
    let mut world = None;
    loop {
        let Some(row) = locked(queue).pop_front() else {
            return;
        };
        let mut usable = match world.take() {
            Some(world) => world,
            None => build().unwrap(),
        };
        match run(&mut usable, row) {
            Ok(judged) => {
                locked(done).push(Ok(judged));
                world = Some(usable);
            }
            Err(error) => locked(done).push(Err(format!("{}: {error:#}", id(row)))),
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn run(world: &mut World, row: &'static Row) -> Result<Judged> {
    for fault in row.inject {
        world.inject(fault)?;
    }
    let without: Vec<&str> = match row.inject.iter().find(|fault| fault.starts_with("agent_down@")) {
        Some(fault) => all_but(fault.trim_start_matches("agent_down@")),
        None => Vec::new(),
    };
    if !without.is_empty() {
        world.wait_for_agents(&without)?;
    }
    let answer = ask(world, row.ask)?;
    ensure!(answer.stdout.starts_with('{'), "no run document\n{answer}");
    let document = answer.document();
    let judged = Judged::new(row, &document, answer.took);
    println!("{}", line(&judged));
    if let Some(directory) = std::env::var_os(RECORD) {
        recording::write(Path::new(&directory), row, &document)?;
    }
    for fault in row.inject.iter().rev() {
        world.heal(fault)?;
    }
    if row.inject.iter().any(|fault| fault.starts_with("agent_")) {
        world.wait_for_agents(&VANTAGES)?;
    }
    if row.inject.contains(&"auth_backend_down@mail") {
        // The server holds failed logins against those who tried, until it is started anew.
        world.inject("dovecot_stopped@mail")?;
        world.heal("dovecot_stopped@mail")?;
    }
    Ok(judged)
}

fn run_far(far: &mut Far, case: &'static Case) -> Result<Judged> {
    far.inject(case.troubles)?;
    let args = [&["probe", "-o", "json"], case.ask, &BRIEF].concat();
    let answer = far.ask(&args)?;
    ensure!(answer.stdout.starts_with('{'), "no run document\n{answer}");
    let document = answer.document();
    let judged =
        Judged::new(&case.row, &document, answer.took).with_verdict(case.verdict, &document, answer.status);
    println!("{}", line(&judged));
    if let Some(directory) = std::env::var_os(RECORD) {
        recording::write(Path::new(&directory), &case.row, &document)?;
    }
    far.heal(case.troubles)?;
    Ok(judged)
}

fn ask(world: &World, ask: Ask) -> Result<Answer> {
    let starttls = format!("imap://{TARGET}");
    let login = ["--user", USER, "--password-stdin"];
    let (target, more): (&str, Vec<&str>) = match ask {
        Ask::Tls => (TARGET, Vec::new()),
        Ask::Starttls => (&starttls, Vec::new()),
        Ask::TwoAddresses => (TARGET_OF_TWO, Vec::new()),
        Ask::Login => (TARGET, login.to_vec()),
        Ask::Mailbox => (TARGET, [&login[..], &["--depth", "mailbox"]].concat()),
        Ask::StarttlsExamined => (
            &starttls,
            vec!["--depth", "greeting", "--examine", "starttls-injection"],
        ),
        Ask::Hold => (TARGET, vec!["--depth", "greeting", "--hold", "6s"]),
    };
    let patience = if ask == Ask::Hold { &[][..] } else { &BRIEF[..] };
    let args = [
        &["probe", target, "--from", "all", "-o", "json"][..],
        &more,
        patience,
    ]
    .concat();
    let stdin = if more.contains(&"--password-stdin") {
        PASSWORD
    } else {
        ""
    };
    world.start_ctl(&args, stdin)?.answer().context("ask")
}

fn line(judged: &Judged) -> String {
    let mark = |answer: Option<bool>| match answer {
        Some(true) => "yes",
        Some(false) => "NO",
        None => "-",
    };
    format!(
        "{:<30} kind {:<3} scope {:<3} segment {:<3} router {:<3} verdict {:<3} {:>5.1} s  {}",
        judged.row.id,
        mark(Some(judged.kind)),
        mark(Some(judged.scope)),
        mark(judged.place),
        mark(judged.hop),
        mark(judged.verdict),
        judged.took.as_secs_f64(),
        judged.said
    )
}

fn complaint(judged: &Judged) -> Option<String> {
    let id = judged.row.id;
    let right = judged.right() && judged.verdict != Some(false);
    match (judged.row.today, right) {
        (Today::Right, true) | (Today::Wrong(_), false) | (Today::Sometimes(_), _) => None,
        (Today::Right, false) => Some(format!("{id} is wrong: {}", judged.said)),
        (Today::Wrong(why), true) => Some(format!("{id} is right now, take its mark away ({why})")),
    }
}

/// Beside the programs' build directories.
fn report_file() -> PathBuf {
    let executable = std::env::current_exe().unwrap();
    let target = executable.ancestors().nth(3).unwrap_or(Path::new("."));
    target.join("accuracy.json")
}
