//! The server presents the wrong certificate.

use crate::{down_under, world};

#[test]
fn an_expired_certificate_is_down_and_says_so() {
    let Some(mut world) = world() else { return };
    let document = down_under(&mut world, "certificate_expired@mail", "certificate_expired");
    assert_eq!(document.first_finding().stage(), Some("tls"), "{document}");
    assert_eq!(
        document.first_finding().location("segment"),
        Some("service"),
        "{document}"
    );
}

#[test]
fn a_certificate_for_another_name_names_both() {
    let Some(mut world) = world() else { return };
    let document = down_under(
        &mut world,
        "certificate_wrong_name@mail",
        "certificate_name_mismatch",
    );
    assert!(
        document
            .first_finding()
            .because()
            .contains("mail.elsewhere.example"),
        "{document}"
    );
}

#[test]
fn a_certificate_from_an_unknown_authority_is_untrusted() {
    let Some(mut world) = world() else { return };
    let document = down_under(&mut world, "certificate_untrusted@mail", "certificate_untrusted");
    assert!(
        document.first_finding().because().contains("Stranger"),
        "{document}"
    );
}

#[test]
fn a_self_signed_certificate_is_its_own_kind() {
    let Some(mut world) = world() else { return };
    down_under(
        &mut world,
        "certificate_self_signed@mail",
        "certificate_self_signed",
    );
}

#[test]
fn a_new_certificate_heals() {
    let Some(mut world) = world() else { return };
    down_under(&mut world, "certificate_expired@mail", "certificate_expired");
    world.heal("certificate_expired@mail").unwrap();
    world.probe(&[]).unwrap().expect_status(crate::HEALTHY);
}
