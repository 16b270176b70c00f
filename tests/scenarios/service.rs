//! Something else answers on the port.

use parallax_tests::site::TARGET;

use crate::{BRIEF, DOWN, HEALTHY, down_under, everyone, world};

#[test]
fn smtp_on_993_is_the_wrong_service() {
    let Some(mut world) = world() else { return };
    let document = down_under(&mut world, "wrong_service@mail", "wrong_service");
    assert!(document.first_finding().because().contains("220"), "{document}");
}

#[test]
fn smtp_on_143_is_the_wrong_service() {
    let Some(mut world) = world() else { return };
    world.inject("wrong_service@mail").unwrap();
    let target = format!("imap://{TARGET}");
    let args = [&["probe", &target, "--from", "all", "-o", "json"][..], &BRIEF].concat();
    let document = world.ctl(&args).unwrap().expect_status(DOWN).document();
    assert_eq!(document.first_finding().kind(), "wrong_service", "{document}");
    assert_eq!(document.first_finding().affected(), everyone(), "{document}");
}

#[test]
fn a_server_that_speaks_no_tls_of_today_is_too_old_and_its_version_is_named() {
    let Some(mut world) = world() else { return };
    let document = down_under(&mut world, "tls_too_old@mail", "tls_version_too_old");
    let finding = document.first_finding();
    assert_eq!(finding.stage(), Some("tls"), "{document}");
    assert!(finding.because().contains("TLSv1.1"), "{document}");
}

#[test]
fn a_server_that_takes_clear_text_for_tls_is_found_out() {
    let Some(mut world) = world() else { return };
    let target = format!("imap://{TARGET}");
    let args = [
        "probe",
        &target,
        "--from",
        "all",
        "-o",
        "json",
        "--depth",
        "greeting",
        "--examine",
        "starttls-injection",
    ];
    let document = world.ctl(&args).unwrap().expect_status(HEALTHY).document();
    assert!(
        document
            .findings()
            .all(|finding| finding.kind() != "starttls_injection"),
        "{document}"
    );
    world.inject("starttls_injectable@mail").unwrap();
    let document = world.ctl(&args).unwrap().document();
    let finding = document.finding("starttls_injection");
    assert_eq!(finding.affected(), everyone(), "{document}");
    assert_eq!(finding.stage(), Some("starttls"), "{document}");
    assert!(!finding.next_steps().is_empty(), "{document}");
}
