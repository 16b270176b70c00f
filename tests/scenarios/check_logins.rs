//! Checks that log in, and the account that they must not close: wrong passwords are counted where Dovecot logs them.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use parallax_tests::dovecot::PASSWORD;
use parallax_tests::host;
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
    world.set_credential(WRONG, &[]).unwrap().expect_status(0);
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

#[test]
fn a_retry_while_the_password_is_still_wrong_is_one_more_login_and_no_check_makes_another() {
    let Some(world) = world() else { return };
    let before = locked_out(&world);
    let opened = circuit(&world).unwrap();
    world.done(&["credential", "retry", "probe"]).unwrap();
    wait::until("the circuit to open again", SOON, || {
        let again = circuit(&world);
        Ok((again.is_some() && again != Some(opened.clone())).then_some(()))
    })
    .unwrap();
    rounds(&world, 2);
    assert_eq!(world.site.dovecot.refused_passwords(), before + 1);
}

#[test]
fn a_retry_after_the_password_was_put_right_lets_every_agent_in_without_a_wrong_login() {
    let Some(world) = world() else { return };
    let before = locked_out(&world);
    world.site.dovecot.set_password(PASSWORD).unwrap();
    rounds(&world, 2);
    assert_eq!(outcomes(&world).unwrap(), ["failed"; 2], "nobody asked for it");
    world.done(&["credential", "retry", "probe"]).unwrap();
    all_let_in(&world);
    assert_eq!(world.site.dovecot.refused_passwords(), before);
    assert_eq!(circuit(&world), None);
    rounds(&world, 2);
    assert_eq!(outcomes(&world).unwrap(), ["ok"; 2]);
}

/// A check that worked, until the server had another password: nobody sends the old one any more when this returns with
/// how often it was sent.
fn locked_out(world: &World) -> usize {
    world.set_credential(PASSWORD, &[]).unwrap().expect_status(0);
    let patient = [&LOGIN[..], &["--timeout", "20s"]].concat();
    world.add_check_of(IMAPS, "login", &patient).unwrap();
    all_let_in(world);
    world.site.dovecot.set_password("quite-another-password").unwrap();
    wait::until("the circuit to open", SOON, || Ok(circuit(world).map(|_| ()))).unwrap();
    rounds(world, 2);
    world.site.dovecot.refused_passwords()
}

/// When the circuit was opened, while it is open.
fn circuit(world: &World) -> Option<String> {
    let listed = world.ctl(&["credential", "-o", "json"]).unwrap().expect_status(0);
    let opened = &listed.json()[0]["circuit"]["opened_at"];
    opened.as_str().map(str::to_owned)
}

fn all_let_in(world: &World) {
    wait::until("everybody to be let in", SOON, || {
        Ok((outcomes(world)? == ["ok"; 2]).then_some(()))
    })
    .unwrap();
}

/// Waits for so many more results of each agent.
fn rounds(world: &World, more: usize) {
    let of = |agent: &str| {
        let results = world.results("login")?;
        anyhow::Ok(results.iter().filter(|result| result.agent == agent).count())
    };
    let before = [AMS, FRA].map(|agent| (agent, of(agent).unwrap()));
    wait::until("more rounds", SOON, || {
        for (agent, seen) in before {
            if of(agent)? < seen + more {
                return Ok(None);
            }
        }
        Ok(Some(()))
    })
    .unwrap();
}

/// What became of the last probe of each agent.
fn outcomes(world: &World) -> Result<Vec<String>> {
    let mut results = world.results("login")?;
    results.sort_by(|one, other| one.id.cmp(&other.id));
    let last = |agent: &str| {
        let last = results.iter().rev().find(|result| result.agent == agent);
        last.map_or_else(String::new, |result| result.outcome.clone())
    };
    Ok(vec![last(AMS), last(FRA)])
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
