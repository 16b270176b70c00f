//! The collector is somebody else's. Its agents know what they may do.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

use parallax_identity::seal;
use parallax_model::credential::{SealContext, Secret};
use parallax_proto::v1;
use parallax_proto::v1::agent_message::Message as FromAgent;
use parallax_tests::address;
use parallax_tests::canary::Canary;
use parallax_tests::dovecot::USER;
use parallax_tests::host;
use parallax_tests::rogue::{Counted, Rogue, Thief};
use parallax_tests::site::TARGET;
use parallax_tests::world::World;

use crate::HEALTHY;

const AGENT: &str = "edge-one";
/// Where no agent has anything to do, whatever the host.
const PORTS: [u32; 3] = [22, 25, 5432];
pub(crate) const PASSWORD: &str = "cnry-rogue-4fb1c09a7d52e6883fa0";
const TRIES: usize = 10;
const AT_ONCE: usize = 2_000;

#[test]
fn whoever_has_taken_the_collector_gets_no_scan_and_no_password() {
    if !host::lab_can_run() {
        return;
    }
    let mut world = World::new(&[AGENT]).unwrap();
    world.kill_collector();
    {
        let site = &world.site;
        let host = &site.vantage(AGENT).unwrap().host;
        let counted = Counted::at(host, &FORBIDDEN).unwrap();
        let thieves = [143, 993].map(|port| Thief::listen(&site.lab.control, port).unwrap());
        let here = address::CONTROL.v4.to_string();
        let rogue = Rogue::start(&site.lab.control, &world.collector_data(), (&here, 7143)).unwrap();

        scans(&rogue);
        assert_eq!(counted.packets().unwrap(), 0, "somebody was looked at");
        steals(&rogue, &here);
        let canary = Canary::of(PASSWORD);
        for thief in &thieves {
            assert_eq!(canary.within(&thief.heard()), None);
        }
        assert!(
            !thieves[0].heard().is_empty(),
            "a thief that nobody came to proves nothing"
        );

        assert_eq!(site.dovecot.refused_passwords(), 0);
        for number in 0..TRIES {
            rogue.order(login(&rogue, format!("wrong-{number}"))).unwrap();
        }
        assert_eq!(
            site.dovecot.refused_passwords(),
            1,
            "a wrong password is sent once"
        );
        for number in 0..TRIES {
            let mut again = login(&rogue, format!("again-{number}"));
            again.retry_login = true;
            rogue.order(again).unwrap();
        }
        assert_eq!(
            site.dovecot.refused_passwords(),
            2,
            "and once more in ten minutes"
        );

        for number in 0..AT_ONCE {
            rogue.send(probe(&format!("flood-{number}"), TARGET, 22)).unwrap();
        }
        assert_eq!(rogue.ends(AT_ONCE).unwrap(), AT_ONCE);
        assert_eq!(counted.packets().unwrap(), 0, "somebody was looked at");
        let closed = SocketAddr::new(address::MAIL.v4.into(), 22);
        host.run(move || TcpStream::connect_timeout(&closed, Duration::from_secs(2)).ok());
        assert!(
            counted.packets().unwrap() > 0,
            "a counter that counts nothing proves nothing"
        );
    }
    world.start_collector().unwrap();
    world.wait_for_agents(&[AGENT]).unwrap();
    world.probe(&[]).unwrap().expect_status(HEALTHY);
}

/// What must not leave the agent's host.
pub(crate) const FORBIDDEN: [&str; 5] = [
    "tcp dport { 22, 25, 5432 }",
    "ip daddr { 169.254.0.0/16, 100.100.100.200, 168.63.129.16, 192.0.0.192 }",
    "ip6 daddr { 64:ff9b::/96, 2002::/16, fd00:ec2::254 }",
    "meta l4proto { tcp, udp } oifname \"lo\"",
    "udp dport { 161, 11211 }",
];

/// Ports, metadata services, resolvers.
fn scans(rogue: &Rogue) {
    let mail = address::MAIL.v4.to_string();
    let mut refused = BTreeSet::new();
    for port in PORTS {
        refuses(rogue, probe(&format!("port-{port}"), TARGET, port), "policy");
        for kind in [
            "control_port",
            "repeat",
            "path",
            "port_sweep",
            "hello_ladder",
            "answer_ttl",
        ] {
            refuses(
                rogue,
                experiment(&format!("{kind}-{port}"), kind, (&mail, port)),
                "policy",
            );
            refused.insert(kind);
        }
    }
    assert_eq!(refused.len(), 6);
    for (number, secret) in [
        "169.254.169.254",
        "::ffff:169.254.169.254",
        "64:ff9b::169.254.169.254",
        "2002:a9fe:a9fe::1",
        "100.100.100.200",
        "168.63.129.16",
        "fd00:ec2::254",
        "127.0.0.1",
        "::",
    ]
    .into_iter()
    .enumerate()
    {
        refuses(rogue, probe(&format!("literal-{number}"), secret, 993), "policy");
        let mut named = probe(&format!("named-{number}"), TARGET, 993);
        named.spec.as_mut().unwrap().addresses = vec![secret.to_owned()];
        refuses(rogue, named, "policy");
        refuses(
            rogue,
            experiment(&format!("way-{number}"), "path_udp", (secret, 993)),
            "policy",
        );
    }
    for (number, resolver) in [
        "127.0.0.1:53",
        "169.254.169.254:53",
        "10.9.0.10:161",
        "10.9.0.10:11211",
    ]
    .into_iter()
    .enumerate()
    {
        let mut other = experiment(&format!("resolver-{number}"), "other_resolver", (&mail, 993));
        other.experiments[0].resolver = resolver.to_owned();
        refuses(rogue, other, "policy");
        let mut beside = probe(&format!("beside-{number}"), TARGET, 993);
        let options = v1::ProbeOptions {
            resolver: resolver.to_owned(),
            ..v1::ProbeOptions::default()
        };
        beside.spec.as_mut().unwrap().options = Some(options);
        match rogue.order(beside).unwrap() {
            FromAgent::Done(done) => {
                let note = done.observation.unwrap().note;
                assert!(note.contains("policy"), "{note}");
            }
            other => panic!("{other:?}"),
        }
    }
    refuses(
        rogue,
        experiment("stranger", "tickle", (&mail, 993)),
        "unsupported",
    );
}

/// A secret that an operator sealed, and another place to send it to.
fn steals(rogue: &Rogue, thief: &str) {
    let mut own_anchors = login(rogue, "own-anchors".into());
    let spec = own_anchors.spec.as_mut().unwrap();
    spec.addresses = vec![thief.to_owned()];
    spec.anchors_der = vec![b"an authority of the thief's".to_vec()];
    refuses(rogue, own_anchors, "unsupported");
    let mut other_host = login(rogue, "other-host".into());
    let target = other_host.spec.as_mut().unwrap().target.as_mut().unwrap();
    target.host = thief.to_owned();
    refuses(rogue, other_host, "unsupported");
    for (id, port, security) in [
        ("in-clear", 143, "plaintext"),
        ("starttls", 143, "starttls"),
        ("no-tls", 993, "tls"),
    ] {
        let mut order = login(rogue, id.into());
        let spec = order.spec.as_mut().unwrap();
        spec.addresses = vec![thief.to_owned()];
        spec.login.as_mut().unwrap().mechanism = "PLAIN".into();
        spec.target.as_mut().unwrap().endpoints = vec![v1::Endpoint {
            port,
            security: security.into(),
        }];
        rogue.order(order).unwrap();
    }
}

fn refuses(rogue: &Rogue, order: v1::Order, reason: &str) {
    let id = order.order_id.clone();
    match rogue.order(order).unwrap() {
        FromAgent::Refused(refused) => {
            assert_eq!(refused.reason, reason, "{id}: {}", refused.note);
            assert!(!refused.note.is_empty(), "{id}");
        }
        other => panic!("{id}: {other:?}"),
    }
}

pub(crate) fn probe(id: &str, target: &str, port: u32) -> v1::Order {
    let security = if port == 993 { "tls" } else { "plaintext" };
    v1::Order {
        order_id: id.to_owned(),
        run_id: "018f0000-0000-7000-8000-000000000000".to_owned(),
        budget_ms: 8_000,
        spec: Some(v1::ProbeSpec {
            target: Some(v1::Target {
                input: target.to_owned(),
                host: target.to_owned(),
                endpoints: vec![v1::Endpoint {
                    port,
                    security: security.to_owned(),
                }],
            }),
            depth: "greeting".to_owned(),
            family: "any".to_owned(),
            timeout_ms: 4_000,
            ..v1::ProbeSpec::default()
        }),
        ..v1::Order::default()
    }
}

fn experiment(id: &str, kind: &str, (address, port): (&str, u32)) -> v1::Order {
    let mut order = probe(id, TARGET, 993);
    order.experiments = vec![v1::Experiment {
        kind: kind.to_owned(),
        agent: AGENT.to_owned(),
        address: address.to_owned(),
        endpoint: Some(v1::Endpoint {
            port,
            security: "plaintext".to_owned(),
        }),
        ..v1::Experiment::default()
    }];
    order
}

/// A login as an operator ordered it once: the secret is sealed for the target, and wrong.
pub(crate) fn login(rogue: &Rogue, id: String) -> v1::Order {
    let mut order = probe(&id, TARGET, 993);
    let spec = order.spec.as_mut().unwrap();
    spec.depth = "login".to_owned();
    let mail: IpAddr = address::MAIL.v4.into();
    spec.addresses = vec![mail.to_string()];
    spec.login = Some(v1::LoginSpec {
        user: USER.to_owned(),
        ..v1::LoginSpec::default()
    });
    let context = SealContext {
        host: TARGET,
        user: USER,
        anchors: &[],
    };
    let sealed = seal::seal(&rogue.sealing_key, &context, &Secret::new(PASSWORD.to_owned())).unwrap();
    order.secret = Some(sealed.into());
    order
}
