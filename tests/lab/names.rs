//! The name server, asked with its own wire format.

use std::net::{IpAddr, UdpSocket};
use std::time::Duration;

use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};
use parallax_tests::namespace::Namespace;
use parallax_tests::site::{Site, TARGET, TARGET_OF_TWO};
use parallax_tests::{address, host};

#[test]
fn an_alias_leads_to_both_addresses() {
    if !host::lab_can_run() {
        return;
    }
    let site = Site::new(&["edge-one"]).unwrap();
    let vantage = &site.lab.vantages[0].host;
    let [v4, v6] = address::MAIL.both();
    assert_eq!(addresses(vantage, TARGET, RecordType::A), [v4]);
    assert_eq!(addresses(vantage, TARGET, RecordType::AAAA), [v6]);
    assert_eq!(addresses(vantage, TARGET_OF_TWO, RecordType::A).len(), 2);
    let answer = ask(vantage, TARGET, RecordType::A).unwrap();
    assert!(matches!(answer.answers[0].data, RData::CNAME(_)));
    assert_eq!(answer.answers[0].ttl, 60);
    assert_eq!(code(vantage, "nobody.lab.example"), ResponseCode::NXDomain);
}

#[test]
fn the_system_resolver_of_a_vantage_point_asks_the_lab() {
    if !host::lab_can_run() {
        return;
    }
    let site = Site::new(&["edge-one"]).unwrap();
    let mut getent = std::process::Command::new("getent");
    getent.args(["ahosts", TARGET]);
    let output = site.lab.vantages[0].host.output(getent).unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        text.contains("10.9.0.10") && text.contains("fd00:9::10"),
        "{text}"
    );
}

#[test]
fn one_vantage_point_can_be_answered_differently() {
    if !host::lab_can_run() {
        return;
    }
    let mut site = Site::new(&["edge-one", "edge-two"]).unwrap();
    for (fault, expected) in [
        ("nxdomain@edge-two", Some(ResponseCode::NXDomain)),
        ("no_address@edge-two", Some(ResponseCode::NoError)),
        ("servfail@edge-two", Some(ResponseCode::ServFail)),
        ("refused@edge-two", Some(ResponseCode::Refused)),
        ("dns_silent@edge-two", None),
        ("aaaa_silent@edge-two", None),
    ] {
        let fault = fault.parse().unwrap();
        site.inject(&fault).unwrap();
        let [one, two] = [0, 1].map(|number| &site.lab.vantages[number].host);
        let answer = ask(two, TARGET, RecordType::AAAA);
        assert_eq!(
            answer.as_ref().map(|answer| answer.metadata.response_code),
            expected,
            "{fault}"
        );
        assert!(answer.is_none_or(|answer| answer.answers.is_empty()), "{fault}");
        assert_eq!(addresses(one, TARGET, RecordType::AAAA).len(), 1, "{fault}");
        site.heal(&fault).unwrap();
        assert_eq!(
            addresses(&site.lab.vantages[1].host, TARGET, RecordType::AAAA).len(),
            1,
            "{fault}"
        );
    }
}

#[test]
fn everyone_can_be_answered_wrongly() {
    if !host::lab_can_run() {
        return;
    }
    let mut site = Site::new(&["edge-one", "edge-two"]).unwrap();
    site.inject(&"wrong_address@dns".parse().unwrap()).unwrap();
    for vantage in &site.lab.vantages {
        assert_eq!(
            addresses(&vantage.host, TARGET, RecordType::A),
            [IpAddr::from(address::CONTROL.v4)]
        );
        assert!(addresses(&vantage.host, TARGET, RecordType::AAAA).is_empty());
    }
}

fn addresses(vantage: &Namespace, name: &str, kind: RecordType) -> Vec<IpAddr> {
    let answer = ask(vantage, name, kind).unwrap();
    answer
        .answers
        .iter()
        .filter_map(|record| record.data.ip_addr())
        .collect()
}

fn code(vantage: &Namespace, name: &str) -> ResponseCode {
    ask(vantage, name, RecordType::A).unwrap().metadata.response_code
}

fn ask(vantage: &Namespace, name: &str, kind: RecordType) -> Option<Message> {
    let mut question = Message::query();
    question.metadata.recursion_desired = true;
    question.add_query(Query::query(Name::from_ascii(format!("{name}.")).unwrap(), kind));
    let question = question.to_vec().unwrap();
    vantage.run(move || {
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        socket.connect((address::DNS.v4, 53)).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        socket.send(&question).unwrap();
        let mut answer = [0; 1500];
        let length = socket.recv(&mut answer).ok()?;
        Some(Message::from_vec(&answer[..length]).unwrap())
    })
}
