//! Something else answers on the port.

use parallax_tests::site::TARGET;

use crate::{BRIEF, DOWN, down_under, everyone, world};

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
