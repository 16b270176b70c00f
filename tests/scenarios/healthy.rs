//! Nothing is wrong.

use parallax_tests::dovecot::{PASSWORD, USER};
use parallax_tests::lab::VANTAGES;
use parallax_tests::site::{TARGET, TARGET_OF_TWO};
use parallax_tests::{host, world::World};

use crate::{HEALTHY, UNKNOWN, everyone, world};

const TLS: [&str; 2] = ["10.9.0.10:993", "[fd00:9::10]:993"];

#[test]
fn a_working_service_is_healthy_from_everywhere_in_both_families() {
    let Some(world) = world() else { return };
    let document = world.probe(&[]).unwrap().expect_status(HEALTHY).document();
    assert_eq!(document.verdict(), "healthy", "{document}");
    assert_eq!(document.with_outcome("ok"), everyone(), "{document}");
    assert!(
        document.findings().all(|finding| finding.severity() == "info"),
        "{document}"
    );
    for vantage in document.vantages() {
        assert_eq!(vantage.endpoints(), TLS, "{document}");
        for stage in ["connect", "tls", "greeting", "capability", "id", "logout"] {
            assert_eq!(vantage.outcomes_of(stage), ["ok", "ok"], "{stage} {document}");
        }
    }
}

#[test]
fn starttls_on_143_is_healthy_too() {
    let Some(world) = world() else { return };
    let target = format!("imap://{TARGET}");
    let args = ["probe", &target, "--from", "all", "-o", "json"];
    let document = world.ctl(&args).unwrap().expect_status(HEALTHY).document();
    for vantage in document.vantages() {
        assert_eq!(
            vantage.endpoints(),
            ["10.9.0.10:143", "[fd00:9::10]:143"],
            "{document}"
        );
        for stage in ["greeting", "capability", "starttls", "logout"] {
            assert_eq!(vantage.outcomes_of(stage), ["ok", "ok"], "{stage} {document}");
        }
    }
}

#[test]
fn every_address_of_a_name_gets_an_attempt_of_its_own() {
    let Some(world) = world() else { return };
    let args = ["probe", TARGET_OF_TWO, "--from", "edge-fra", "-o", "json"];
    let document = world.ctl(&args).unwrap().expect_status(HEALTHY).document();
    let expected = [
        "10.9.0.10:993",
        "10.9.0.11:993",
        "[fd00:9::10]:993",
        "[fd00:9::11]:993",
    ];
    assert_eq!(document.vantage("edge-fra").endpoints(), expected, "{document}");
}

#[test]
fn a_login_reads_the_mailbox_and_the_password_stays_nowhere() {
    let Some(world) = world() else { return };
    let args = [
        "probe",
        TARGET,
        "--from",
        "all",
        "-o",
        "json",
        "--user",
        USER,
        "--password-stdin",
    ];
    let answer = world
        .start_ctl(&args, PASSWORD)
        .unwrap()
        .answer()
        .unwrap()
        .expect_status(HEALTHY);
    let document = answer.document();
    for vantage in document.vantages() {
        for stage in ["authenticate", "namespace", "list", "select", "fetch", "logout"] {
            assert_eq!(vantage.outcomes_of(stage), ["ok", "ok"], "{stage} {document}");
        }
    }
    assert!(
        !answer.stdout.contains(PASSWORD) && !answer.stderr.contains(PASSWORD),
        "{answer}"
    );
    assert!(!world.logs().contains(PASSWORD));
    assert_nowhere_below(&world.collector_data(), PASSWORD);
    for agent in VANTAGES {
        assert_nowhere_below(&world.state_of(agent), PASSWORD);
    }
}

#[test]
fn a_selector_asks_some() {
    let Some(world) = world() else { return };
    let args = ["probe", TARGET, "-o", "json", "--from"];
    let names = |selector| {
        let document = world
            .ctl(&[&args[..], &[selector]].concat())
            .unwrap()
            .expect_status(HEALTHY)
            .document();
        document
            .with_outcome("ok")
            .into_iter()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(names("region=eu"), ["edge-ams", "edge-fra", "edge-lon"]);
    assert_eq!(names("region=eu,site!=lon"), ["edge-ams", "edge-fra"]);
    assert_eq!(names("edge-n*"), ["edge-nyc"]);
}

#[test]
fn a_selector_that_matches_nobody_can_not_tell() {
    let Some(world) = world() else { return };
    let answer = world
        .ctl(&["probe", TARGET, "--from", "region=moon", "-o", "json"])
        .unwrap();
    answer.expect_status(UNKNOWN);
}

#[test]
fn a_bare_machine_needs_no_collector() {
    if !host::lab_can_run() {
        return;
    }
    let world = World::new(&["edge-fra"]).unwrap();
    let mut command = world.programs().ctl();
    command.env("HOME", world.collector_data().with_file_name("stranger"));
    command
        .args(["probe", TARGET, "-o", "json", "--ca-file"])
        .arg(world.site.ca_file());
    let host = &world.site.vantage("edge-fra").unwrap().host;
    let document = world
        .run(host, &command)
        .unwrap()
        .expect_status(HEALTHY)
        .document();
    assert_eq!(document.verdict(), "healthy", "{document}");
    assert_eq!(document.vantage("local").endpoints(), TLS, "{document}");
}

fn assert_nowhere_below(directory: &std::path::Path, secret: &str) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            assert_nowhere_below(&path, secret);
        } else {
            let bytes = std::fs::read(&path).unwrap();
            let found = bytes
                .windows(secret.len())
                .any(|window| window == secret.as_bytes());
            assert!(!found, "the password is in {}", path.display());
        }
    }
}
