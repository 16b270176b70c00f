//! The name does not lead to the service.

use crate::{down_under, partial_under, world};

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
