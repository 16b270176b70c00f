//! The server does not let the user in.

use parallax_tests::answer::Answer;
use parallax_tests::dovecot::{PASSWORD, USER};
use parallax_tests::site::TARGET;
use parallax_tests::world::World;

use crate::{DOWN, HEALTHY, PARTIAL, everyone, world};

#[test]
fn a_refused_password_is_tried_once_and_its_response_code_is_read_out() {
    let Some(world) = world() else { return };
    let answer = login(&world, "wrong-1-password");
    let document = answer.document();
    let finding = document.first_finding();
    assert_ne!(answer.status, Some(HEALTHY), "{answer}");
    assert_eq!(finding.kind(), "credentials_rejected", "{document}");
    assert_eq!(finding.stage(), Some("authenticate"), "{document}");
    assert!(finding.because().contains("AUTHENTICATIONFAILED"), "{document}");
    assert_eq!(
        world.site.dovecot.refused_passwords(),
        1,
        "{}",
        world.site.dovecot.log()
    );
    assert!(!answer.stdout.contains("wrong-1-password"), "{answer}");
}

#[test]
fn a_password_database_that_is_down_is_not_a_wrong_password() {
    let Some(mut world) = world() else { return };
    world.inject("auth_backend_down@mail").unwrap();
    let document = login(&world, PASSWORD).expect_status(DOWN).document();
    assert_eq!(
        document.first_finding().kind(),
        "auth_backend_unavailable",
        "{document}"
    );
    assert!(
        document.first_finding().because().contains("UNAVAILABLE"),
        "{document}"
    );
    world.heal("auth_backend_down@mail").unwrap();

    // The server holds the failures against the addresses they came from, and makes them wait.
    let document = login(&world, PASSWORD).expect_status(PARTIAL).document();
    assert_eq!(document.with_outcome("ok"), everyone(), "{document}");
    assert_eq!(document.first_finding().kind(), "auth_penalty", "{document}");
    assert_eq!(document.first_finding().affected(), everyone(), "{document}");

    // It forgets them when it is started anew.
    world.inject("dovecot_stopped@mail").unwrap();
    world.heal("dovecot_stopped@mail").unwrap();
    let document = login(&world, PASSWORD).expect_status(HEALTHY).document();
    assert_eq!(document.with_outcome("ok"), everyone(), "{document}");
}

fn login(world: &World, password: &str) -> Answer {
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
    world.start_ctl(&args, password).unwrap().answer().unwrap()
}
