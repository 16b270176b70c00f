//! Credentials that are kept, and an account that is protected from those who ask again and again.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use parallax_tests::answer::Answer;
use parallax_tests::dovecot::{PASSWORD, USER};
use parallax_tests::host;
use parallax_tests::site::TARGET;
use parallax_tests::wait;
use parallax_tests::world::World;

use crate::{DOWN, HEALTHY, PARTIAL, UNKNOWN};

const AMS: &str = "edge-ams";
const FRA: &str = "edge-fra";
const WRONG: &str = "wrong-1-password";

fn world() -> Option<World> {
    host::lab_can_run().then(|| World::new(&[AMS, FRA]).unwrap())
}

/// Dovecot makes whoever failed before wait for the next answer, four seconds and two more.
const PATIENT: [&str; 2] = ["--timeout", "20s"];

#[test]
fn a_credential_is_for_one_host_and_for_those_agents_to_which_it_is_sealed() {
    let Some(world) = world() else { return };
    world
        .set_credential(PASSWORD, &["--from", AMS])
        .unwrap()
        .expect_status(0);
    let document = probe(&world, &[]).expect_status(PARTIAL).document();
    assert_eq!(document.with_outcome("ok"), [AMS], "{document}");
    let note = document.vantage(FRA).note().map(str::to_owned).unwrap();
    assert!(
        note.contains("ctl credential set probe --add --from edge-fra"),
        "{note}"
    );

    let listed = world.ctl(&["credential", "-o", "json"]).unwrap().json();
    assert_eq!(listed[0]["sealed_to"], serde_json::json!([AMS]), "{listed}");
    assert_eq!(listed[0]["unable"][0]["agent"], FRA, "{listed}");
    let elsewhere = world
        .ctl(&["probe", "mail.lab.example", "--credential", "probe"])
        .unwrap()
        .expect_status(UNKNOWN);
    assert!(
        elsewhere.stderr.contains("is for imap.lab.example"),
        "{elsewhere}"
    );

    let other_user = [
        "credential",
        "set",
        "probe",
        "--add",
        "--target",
        TARGET,
        "--user",
        "bert",
        "--password-stdin",
    ];
    let answer = world.start_ctl(&other_user, PASSWORD).unwrap().answer().unwrap();
    assert!(answer.stderr.contains("not for what you say"), "{answer}");
    world
        .set_credential(PASSWORD, &["--add", "--from", FRA])
        .unwrap()
        .expect_status(0);
    probe(&world, &[]).expect_status(HEALTHY);
    let anew: Vec<_> = other_user.into_iter().filter(|arg| *arg != "--add").collect();
    let answer = world
        .start_ctl(&anew, "pebble-3-lantern")
        .unwrap()
        .answer()
        .unwrap();
    answer.expect_status(0);
    let listed = world.ctl(&["credential", "-o", "json"]).unwrap().json();
    assert_eq!(listed.as_array().map(Vec::len), Some(1), "{listed}");
    assert_eq!(listed[0]["user"], "bert", "another user takes the name: {listed}");
    probe(&world, &[]).expect_status(HEALTHY);
    world
        .ctl(&["credential", "remove", "probe"])
        .unwrap()
        .expect_status(0);
    probe(&world, &[]).expect_status(UNKNOWN);
}

#[test]
fn a_credential_that_is_rejected_is_tried_once_until_somebody_has_looked() {
    let Some(world) = world() else { return };
    world.set_credential(WRONG, &[]).unwrap().expect_status(0);
    assert_eq!(state(&world), "untried");
    let document = probe(&world, &[]).document();
    assert_eq!(
        document.first_finding().kind(),
        "credentials_rejected",
        "{document}"
    );
    for _ in 0..2 {
        let document = probe(&world, &[]).expect_status(DOWN).document();
        let found = document.first_finding();
        assert_eq!(found.kind(), "credentials_rejected", "{document}");
        let steps = found.next_steps();
        assert!(steps.contains("ctl credential retry NAME"), "{document}");
        let told = document.to_string();
        for part in ["was not sent again", "ctl credential retry probe"] {
            assert!(told.contains(part), "{part}: {document}");
        }
    }
    let table = world
        .ctl(&["probe", TARGET, "--credential", "probe"])
        .unwrap()
        .expect_status(DOWN);
    assert!(table.stdout.contains("not sent"), "{table}");
    assert_eq!(world.site.dovecot.refused_passwords(), 1);
    let list = world.ctl(&["credential"]).unwrap();
    let close = "ctl credential retry probe";
    assert!(list.stdout.contains("rejected: credentials_rejected"), "{list}");
    assert!(list.stdout.contains(close), "{list}");
    let close = "to try it again: ctl credential retry probe";
    let status = world.ctl(&["status"]).unwrap().expect_status(0);
    assert!(
        status
            .stdout
            .contains("not tried  credential probe of anna at imap.lab.example")
            && status.stdout.contains(close),
        "{status}"
    );

    world
        .ctl(&["credential", "retry", "probe"])
        .unwrap()
        .expect_status(0);
    assert_eq!(state(&world), "retry");
    probe(&world, &[]);
    assert_eq!(world.site.dovecot.refused_passwords(), 2);
    comes_to_be(&world, "rejected");
    probe(&world, &["--retry-login"]);
    assert_eq!(world.site.dovecot.refused_passwords(), 2, "once in ten minutes");
    world.set_credential(PASSWORD, &[]).unwrap().expect_status(0);
    assert_eq!(state(&world), "untried", "a new secret");
    assert_let_in(&probe(&world, &[]));
    comes_to_be(&world, "taken");
    let status = world.ctl(&["status"]).unwrap().expect_status(0);
    assert!(!status.stdout.contains("not tried"), "{status}");
}

#[test]
fn an_agent_logs_in_with_a_credential_of_its_own_and_others_are_told_as_unable() {
    let Some(mut world) = world() else { return };
    keep_at(&mut world, FRA, PASSWORD);
    let list = world.ctl(&["credential", "-o", "json"]).unwrap().json();
    assert_eq!(list[0]["source"], "agent edge-fra", "{list}");
    assert_eq!(
        (&list[0]["host"], &list[0]["user"]),
        (&TARGET.into(), &USER.into()),
        "{list}"
    );
    assert!(!list.to_string().contains(PASSWORD), "{list}");

    let document = probe(&world, &[]).expect_status(PARTIAL).document();
    assert_eq!(document.with_outcome("ok"), [FRA], "{document}");
    let note = document.vantage(AMS).note().map(str::to_owned).unwrap();
    assert!(note.contains("this agent keeps no credential probe"), "{note}");
    let elsewhere = world
        .ctl(&["probe", "mail.lab.example", "--credential", "probe"])
        .unwrap()
        .expect_status(UNKNOWN);
    assert!(
        elsewhere.stderr.contains("is for imap.lab.example"),
        "{elsewhere}"
    );

    std::fs::write(secret_of(&world, FRA), WRONG).unwrap();
    let document = probe(&world, &[]).document();
    assert_eq!(
        document.first_finding().kind(),
        "credentials_rejected",
        "{document}"
    );
    let document = probe(&world, &[]).document().to_string();
    assert!(
        document.contains("at the agents, then: ctl credential retry probe"),
        "{document}"
    );
    assert_eq!(world.site.dovecot.refused_passwords(), 1);
    std::fs::write(secret_of(&world, FRA), PASSWORD).unwrap();
    world
        .ctl(&["credential", "retry", "probe"])
        .unwrap()
        .expect_status(0);
    let document = probe(&world, &[]).document();
    assert_eq!(document.with_outcome("ok"), [FRA], "{document}");

    world
        .set_credential(PASSWORD, &["--from", AMS])
        .unwrap()
        .expect_status(0);
    let document = probe(&world, &[]).document();
    assert_eq!(
        document.with_outcome("ok"),
        [AMS],
        "a sealed one goes first: {document}"
    );
    let kept = world.collector_data().join("collector.db");
    let database = std::fs::read(kept).unwrap();
    assert!(
        !database
            .windows(PASSWORD.len())
            .any(|part| part == PASSWORD.as_bytes())
    );
}

#[test]
fn a_typed_password_that_is_rejected_is_sent_once_by_all_agents_and_across_restarts() {
    let Some(mut world) = world() else { return };
    let kind = |answer: Answer| answer.document().first_finding().kind().to_owned();
    assert_eq!(kind(typed(&world, WRONG, "all")), "credentials_rejected");
    assert_eq!(kind(typed(&world, WRONG, "all")), "credentials_rejected");
    for name in [AMS, FRA] {
        world.kill_agent(name).unwrap();
    }
    world.kill_collector();
    world.start_collector().unwrap();
    for name in [AMS, FRA] {
        world.start_agent(name).unwrap();
    }
    world.wait_for_agents(&[AMS, FRA]).unwrap();
    assert_eq!(kind(typed(&world, WRONG, "all")), "credentials_rejected");
    for name in [AMS, FRA] {
        typed(&world, WRONG, name);
    }
    assert_eq!(world.site.dovecot.refused_passwords(), 1);
    assert_let_in(&typed(&world, PASSWORD, "all"));
}

/// Of an agent that is away the collector knows a key and can show no proof: so does one that puts a key of its own there.
#[test]
fn a_secret_is_sealed_at_first_sight_to_keys_that_are_proved_and_to_others_once_they_are_compared() {
    let Some(mut world) = world() else { return };
    world.kill_agent(FRA).unwrap();
    world.kill_collector();
    world.start_collector().unwrap();
    world.wait_for_agents(&[AMS]).unwrap();
    let answer = world.set_credential(PASSWORD, &[]).unwrap().expect_status(0);
    assert!(answer.stdout.contains("is sealed to edge-ams\n"), "{answer}");
    let why = "nothing proves its key";
    assert!(
        answer.stderr.contains("ctl agents trust edge-fra --key SHA256:") && answer.stderr.contains(why),
        "{answer}"
    );
    let show = world.ctl(&["agents", "show", AMS]).unwrap().expect_status(0);
    let proved = "its certificate proves it, secrets are sealed to it";
    assert!(show.stdout.contains(proved), "{show}");

    let mut fingerprint = world.programs().agent();
    let state = world.state_of(FRA);
    fingerprint.arg("fingerprint").arg("--state-dir").arg(state);
    let said = world
        .run(&world.site.lab.control, &fingerprint)
        .unwrap()
        .expect_status(0);
    let key = said.stdout.trim();
    let show = world.ctl(&["agents", "show", FRA]).unwrap().expect_status(0);
    assert!(show.stdout.contains(key) && show.stdout.contains(why), "{show}");
    world
        .ctl(&["agents", "trust", FRA, "--key", key])
        .unwrap()
        .expect_status(0);
    let answer = world.set_credential(PASSWORD, &[]).unwrap().expect_status(0);
    assert!(
        answer.stdout.contains("is sealed to edge-ams, edge-fra\n"),
        "{answer}"
    );
    world.start_agent(FRA).unwrap();
    world.wait_for_agents(&[AMS, FRA]).unwrap();
    probe(&world, &[]).expect_status(HEALTHY);
}

/// How the secret of the first credential stands.
fn state(world: &World) -> String {
    let listed = world.ctl(&["credential", "-o", "json"]).unwrap().json();
    listed[0]["state"].as_str().unwrap().to_owned()
}

fn comes_to_be(world: &World, wanted: &str) {
    wait::until("what is said of the secret", Duration::from_secs(20), || {
        Ok((state(world) == wanted).then_some(()))
    })
    .unwrap();
}

/// However long the server makes an address wait from which it was sent a wrong password.
fn assert_let_in(answer: &Answer) {
    let document = answer.document();
    assert_eq!(document.with_outcome("ok"), [AMS, FRA], "{document}");
}

/// Starts an agent anew with a credential `probe` of its own.
fn keep_at(world: &mut World, agent: &str, secret: &str) {
    let path = secret_of(world, agent);
    std::fs::write(&path, secret).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    let configuration = format!(
        "[[credentials]]\nname = \"probe\"\nhost = \"{TARGET}\"\nuser = \"{USER}\"\nfile = {path:?}\n"
    );
    std::fs::write(world.configuration_of(agent), configuration).unwrap();
    world.kill_agent(agent).unwrap();
    world.start_agent(agent).unwrap();
    wait::until(
        "the agent's credential in the list",
        Duration::from_secs(20),
        || {
            let answer = world.ctl(&["credential"])?;
            Ok(answer.stdout.contains("agent edge-fra").then_some(()))
        },
    )
    .unwrap();
}

fn secret_of(world: &World, agent: &str) -> PathBuf {
    world.state_of(agent).join("probe-secret")
}

fn probe(world: &World, extra: &[&str]) -> Answer {
    world
        .probe(&[&PATIENT[..], &["--credential", "probe"], extra].concat())
        .unwrap()
}

fn typed(world: &World, secret: &str, from: &str) -> Answer {
    let usual = [
        "probe",
        TARGET,
        "-o",
        "json",
        "--user",
        USER,
        "--password-stdin",
        "--from",
        from,
    ];
    let args = [&usual[..], &PATIENT].concat();
    world.start_ctl(&args, secret).unwrap().answer().unwrap()
}
