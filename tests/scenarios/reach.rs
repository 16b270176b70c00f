//! The service, or the way to it, does not answer.

use crate::{BRIEF, DOWN, down_under, everyone, partial_under, world};

/// The first hop of edge-ams, in both families.
const AMS_ROUTER: [&str; 2] = ["10.2.0.1", "fd00:2::1"];

#[test]
fn nothing_listening_is_a_closed_port() {
    let Some(mut world) = world() else { return };
    let document = down_under(&mut world, "dovecot_stopped@mail", "port_closed");
    assert_eq!(document.first_finding().stage(), Some("connect"), "{document}");
    assert_eq!(
        document.first_finding().location("segment"),
        Some("service"),
        "{document}"
    );
}

#[test]
fn a_host_off_its_network_is_down() {
    let Some(mut world) = world() else { return };
    down_under(&mut world, "host_down@mail", "host_down");
}

#[test]
fn a_silent_host_is_down_or_filtered_and_both_are_named() {
    let Some(mut world) = world() else { return };
    world.inject("host_silent@mail").unwrap();
    let document = world.probe(&BRIEF).unwrap().expect_status(DOWN).document();
    assert_eq!(document.verdict(), "down", "{document}");
    let finding = document.first_finding();
    assert_eq!(finding.affected(), everyone(), "{document}");
    let mut named = finding.alternatives();
    named.push(finding.kind());
    assert!(
        ["host_down", "packets_dropped"].contains(&finding.kind()),
        "{document}"
    );
    assert!(named.contains(&"host_down"), "{document}");
}

#[test]
fn a_drop_on_the_shared_path_is_seen_from_everywhere() {
    let Some(mut world) = world() else { return };
    let document = down_under(&mut world, "firewall_drop@site-fw", "packets_dropped");
    assert_ne!(
        document.first_finding().location("segment"),
        Some("vantage_edge"),
        "{document}"
    );
}

#[test]
fn one_vantage_point_behind_a_dropping_firewall_is_a_path_fault() {
    let Some(mut world) = world() else { return };
    let document = partial_under(
        &mut world,
        "firewall_drop@edge-ams",
        "edge-ams",
        "packets_dropped",
    );
    assert_eq!(document.first_finding().stage(), Some("connect"), "{document}");
    assert_eq!(
        document.first_finding().location("segment"),
        Some("vantage_edge"),
        "{document}"
    );
}

#[test]
fn one_vantage_point_behind_a_resetting_firewall_is_a_path_fault() {
    let Some(mut world) = world() else { return };
    let document = partial_under(
        &mut world,
        "firewall_reset@edge-ams",
        "edge-ams",
        "rejected_with_reset",
    );
    assert_eq!(
        document.first_finding().location("segment"),
        Some("vantage_edge"),
        "{document}"
    );
}

#[test]
fn one_vantage_point_behind_a_rejecting_firewall_is_a_path_fault_at_a_named_hop() {
    let Some(mut world) = world() else { return };
    let document = partial_under(
        &mut world,
        "firewall_reject@edge-ams",
        "edge-ams",
        "rejected_with_icmp",
    );
    let finding = document.first_finding();
    let because = finding.because();
    let named = finding.location("before").into_iter().chain([because.as_str()]);
    assert!(
        named
            .into_iter()
            .any(|text| AMS_ROUTER.iter().any(|hop| text.contains(hop))),
        "{document}"
    );
}

#[test]
fn a_reset_for_everyone_that_is_not_the_hosts_own_is_told_by_the_way_of_the_packets() {
    let Some(mut world) = world() else { return };
    let document = down_under(&mut world, "firewall_reset@core", "rejected_with_reset");
    let finding = document.first_finding();
    assert_eq!(finding.location("before"), Some("10.0.9.2"), "{document}");
    // The host's own reset would come from a hop further.
    assert!(!finding.alternatives().contains(&"port_closed"), "{document}");
}

#[test]
fn a_rejection_for_everyone_names_its_sender() {
    let Some(mut world) = world() else { return };
    down_under(&mut world, "firewall_reject@core", "rejected_with_icmp");
}

#[test]
fn little_time_is_enough_to_tell_a_drop() {
    let Some(mut world) = world() else { return };
    world.inject("firewall_drop@edge-ams").unwrap();
    let document = world
        .probe(&["--timeout", "4s"])
        .unwrap()
        .expect_status(crate::PARTIAL)
        .document();
    assert_eq!(document.first_finding().kind(), "packets_dropped", "{document}");
}

#[test]
fn a_healed_path_is_healthy_again() {
    let Some(mut world) = world() else { return };
    partial_under(
        &mut world,
        "firewall_reset@edge-ams",
        "edge-ams",
        "rejected_with_reset",
    );
    world.heal("firewall_reset@edge-ams").unwrap();
    world.probe(&[]).unwrap().expect_status(crate::HEALTHY);
}
