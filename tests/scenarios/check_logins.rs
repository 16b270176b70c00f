//! Checks that log in, and the account that they must not close: wrong passwords are counted where Dovecot logs them.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use parallax_tests::dovecot::USER;
use parallax_tests::host;
use parallax_tests::site::TARGET;
use parallax_tests::wait;
use parallax_tests::world::World;
use serde_json::Value;

const AMS: &str = "edge-ams";
const FRA: &str = "edge-fra";
/// Not hers.
const WRONG: &str = "wrong-1-password";
/// One address and one port: one login a round.
const IMAPS: &str = "imaps://imap.lab.example";
const LOGIN: [&str; 7] = ["--credential", "probe", "--depth", "login", "-4", "--every", "3s"];
const SOON: Duration = Duration::from_secs(90);

fn world() -> Option<World> {
    host::lab_can_run().then(|| World::new(&[AMS, FRA]).unwrap())
}

/// Dovecot says no after two seconds at the earliest, and these probes end before: each round would send the secret again,
/// and no answer would ever stop that.
#[test]
fn a_wrong_password_that_is_answered_too_late_is_not_sent_by_each_round() {
    let Some(world) = world() else { return };
    set(&world, WRONG);
    let begun = Instant::now();
    let hasty = [&LOGIN[..], &["--timeout", "1500ms"]].concat();
    world.add_check_of(IMAPS, "login", &hasty).unwrap();
    let faults = wait::until("six rounds", SOON, || {
        let faults = faults(&world, "login")?;
        Ok((faults.len() >= 6).then_some(faults))
    });
    let faults = faults.unwrap();
    assert!(
        faults.iter().all(|fault| fault == "authenticate deadline"),
        "a round without a login is as the one with it: {faults:?}"
    );
    let minutes = usize::try_from(begun.elapsed().as_secs() / 60).unwrap();
    let sent = world.site.dovecot.refused_passwords();
    assert!(
        (1..=1 + minutes).contains(&sent),
        "{sent} wrong passwords in {:?} and {} rounds",
        begun.elapsed(),
        faults.len()
    );
}

/// Where and how the results of a check failed.
fn faults(world: &World, check: &str) -> Result<Vec<String>> {
    let args = ["check", "history", check, "--results", "-o", "jsonl"];
    let answer = world.ctl(&args)?;
    ensure!(answer.status == Some(0), "{answer}");
    let word = |line: &Value, key: &str| line[key].as_str().unwrap_or("-").to_owned();
    let lines = answer.stdout.lines().map(|line| {
        let line: Value = serde_json::from_str(line)?;
        Ok(format!("{} {}", word(&line, "stage"), word(&line, "fault")))
    });
    lines.collect()
}

fn set(world: &World, secret: &str) {
    let args = [
        "credential",
        "set",
        "probe",
        "--target",
        TARGET,
        "--user",
        USER,
        "--password-stdin",
    ];
    let answer = world.start_ctl(&args, secret).unwrap().answer().unwrap();
    answer.expect_status(0);
}
