//! The name does not lead to the service.

use parallax_tests::address;

use crate::{PARTIAL, down_under, partial_under, world};

#[test]
fn a_name_that_does_not_exist_is_down_for_everyone() {
    let Some(mut world) = world() else { return };
    let document = down_under(&mut world, "nxdomain@dns", "dns_nxdomain");
    assert_eq!(document.first_finding().stage(), Some("resolve"), "{document}");
    assert!(
        document.vantages().all(|vantage| vantage.endpoints().is_empty()),
        "{document}"
    );
}

#[test]
fn a_name_that_does_not_exist_for_one_resolver_is_partial() {
    let Some(mut world) = world() else { return };
    let document = partial_under(&mut world, "nxdomain@edge-ams", "edge-ams", "dns_nxdomain");
    assert_eq!(document.first_finding().stage(), Some("resolve"), "{document}");
}

#[test]
fn a_name_server_that_fails_is_not_a_missing_name() {
    let Some(mut world) = world() else { return };
    down_under(&mut world, "servfail@dns", "dns_servfail");
    world.heal("servfail@dns").unwrap();
    down_under(&mut world, "refused@dns", "dns_refused");
}

#[test]
fn a_name_without_addresses_is_not_a_missing_name() {
    let Some(mut world) = world() else { return };
    down_under(&mut world, "no_address@dns", "dns_no_address");
}

#[test]
fn a_silent_resolver_at_one_vantage_point_is_partial() {
    let Some(mut world) = world() else { return };
    partial_under(
        &mut world,
        "dns_silent@edge-ams",
        "edge-ams",
        "agent_resolver_down",
    );
}

#[test]
fn another_resolver_that_says_something_else_is_named_beside_the_usual_one() {
    let Some(world) = world() else { return };
    let elsewhere = address::CONTROL.v4.into();
    let _other = world.site.other_resolver(elsewhere).unwrap();
    let resolver = address::MAIL.v4.to_string();
    let answer = world.probe(&["--resolver", &resolver]).unwrap();
    let document = answer.expect_status(PARTIAL).document();
    let finding = document.finding("dns_answers_differ");
    assert_eq!(finding.affected(), crate::everyone(), "{document}");
    let because = finding.because();
    assert!(because.contains(&resolver), "{document}");
    assert!(because.contains(&elsewhere.to_string()), "{document}");
    // The service works; that the resolvers disagree is worth a look.
    assert_eq!(document.with_outcome("degraded"), crate::everyone(), "{document}");
    assert_eq!(document.verdict(), "partial", "{document}");
}
