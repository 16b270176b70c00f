//! Paths and hops.

use std::net::IpAddr;

use parallax_tests::lab::{Lab, VANTAGES};
use parallax_tests::{address, host};

use crate::trace::hops;

#[test]
fn every_hop_from_every_vantage_point_answers_in_both_families() {
    if !host::lab_can_run() {
        return;
    }
    let lab = Lab::new(&VANTAGES).unwrap();
    for (number, vantage) in (1..).zip(&lab.vantages) {
        let path = [
            address::vantage_router(number),
            address::core_to_vantage(number),
            address::SITE_FIREWALL,
            address::MAIL,
        ];
        let [v4, v6] = address::MAIL.both();
        assert_eq!(
            hops(&vantage.host, v4),
            path.map(|pair| IpAddr::from(pair.v4)),
            "{}",
            vantage.name
        );
        assert_eq!(
            hops(&vantage.host, v6),
            path.map(|pair| IpAddr::from(pair.v6)),
            "{}",
            vantage.name
        );
    }
}

#[test]
fn the_control_host_is_two_hops_behind_the_edge() {
    if !host::lab_can_run() {
        return;
    }
    let lab = Lab::new(&["edge-one"]).unwrap();
    let path = [
        address::vantage_router(1),
        address::core_to_vantage(1),
        address::CONTROL,
    ];
    let [v4, v6] = address::CONTROL.both();
    assert_eq!(
        hops(&lab.vantages[0].host, v4),
        path.map(|pair| IpAddr::from(pair.v4))
    );
    assert_eq!(
        hops(&lab.vantages[0].host, v6),
        path.map(|pair| IpAddr::from(pair.v6))
    );
}

#[test]
fn the_second_mail_address_is_reached_as_well() {
    if !host::lab_can_run() {
        return;
    }
    let lab = Lab::new(&["edge-one"]).unwrap();
    for address in address::MAIL_SECOND.both() {
        assert_eq!(hops(&lab.vantages[0].host, address).len(), 4);
    }
}

#[test]
fn two_labs_do_not_see_each_other() {
    if !host::lab_can_run() {
        return;
    }
    let (one, other) = (Lab::new(&["edge-one"]).unwrap(), Lab::new(&["edge-one"]).unwrap());
    let listener = one
        .mail
        .run(|| std::net::TcpListener::bind("10.9.0.10:993"))
        .unwrap();
    let connect = || std::net::TcpStream::connect("10.9.0.10:993").is_ok();
    assert!(one.vantages[0].host.run(connect));
    assert!(!other.vantages[0].host.run(connect));
    drop(listener);
}
