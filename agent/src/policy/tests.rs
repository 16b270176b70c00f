use super::*;

fn policy(allow: &[&str], deny: &[&str]) -> Policy {
    Policy {
        allow: allow.iter().map(|rule| rule.parse().unwrap()).collect(),
        deny: deny.iter().map(|network| network.parse().unwrap()).collect(),
        experiments: true,
        capture: false,
    }
}

fn host(text: &str) -> Host {
    text.parse().unwrap()
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn the_default_allows_imap_ports_anywhere_but_on_this_host() {
    let policy = Policy::default();
    let mail = host("imap.example.org");
    assert!(policy.admits(&mail, address("192.0.2.1"), 993).is_ok());
    assert!(policy.admits(&mail, address("2001:db8::1"), 143).is_ok());
    assert!(policy.admits(&mail, address("192.0.2.1"), 25).is_err());
    for inside in ["127.0.0.1", "127.8.8.8", "::1", "169.254.169.254", "fe80::1"] {
        assert!(policy.admits(&mail, address(inside), 993).is_err(), "{inside}");
    }
}

#[test]
fn a_denied_address_in_other_clothes_is_denied() {
    let policy = Policy::default();
    for disguise in [
        "::ffff:127.0.0.1",
        "0.0.0.0",
        "::",
        "::ffff:0.0.0.0",
        "::ffff:169.254.1.1",
    ] {
        let denied = policy.admits(&host("imap.example.org"), address(disguise), 993);
        assert!(denied.unwrap_err().to_string().contains("denies"), "{disguise}");
    }
}

#[test]
fn deny_wins_over_allow() {
    let policy = policy(&["10.0.0.0/8:1-65535"], &["10.1.0.0/16"]);
    let mail = host("mail.corp.example");
    assert!(policy.admits(&mail, address("10.2.0.1"), 993).is_ok());
    assert!(policy.admits(&mail, address("10.1.0.1"), 993).is_err());
}

#[test]
fn a_name_is_looked_up_only_where_a_rule_could_allow_it() {
    let named = policy(&["*.example.org:993"], &[]);
    assert!(named.admits_target(&host("imap.example.org"), 993).is_ok());
    assert!(named.admits_target(&host("imap.example.com"), 993).is_err());
    assert!(named.admits_target(&host("imap.example.org"), 143).is_err());
    let by_network = policy(&["192.0.2.0/24:993"], &[]);
    assert!(by_network.admits_target(&host("imap.example.com"), 993).is_ok());
    let mail = host("imap.example.com");
    assert!(by_network.admits(&mail, address("192.0.2.9"), 993).is_ok());
    assert!(by_network.admits(&mail, address("198.51.100.9"), 993).is_err());
}

#[test]
fn a_control_port_of_an_allowed_target_is_allowed_with_experiments() {
    let mut policy = policy(&["*.example.org:993"], &["10.0.0.0/8"]);
    let mail = host("imap.example.org");
    let control = |policy: &Policy, at: &str| {
        policy.admits_experiment(ExperimentKind::ControlPort, &mail, address(at), 7)
    };
    assert!(control(&policy, "192.0.2.1").is_ok());
    assert!(control(&policy, "10.0.0.1").is_err());
    let other_port = policy.admits_experiment(ExperimentKind::OtherPort, &mail, address("192.0.2.1"), 143);
    assert!(other_port.is_err());
    policy.experiments = false;
    assert!(control(&policy, "192.0.2.1").is_err());
}

#[test]
fn the_way_to_an_allowed_target_is_traced_with_experiments_and_to_no_other() {
    let mut policy = policy(&["*.example.org:993"], &["10.0.0.0/8"]);
    let mail = host("imap.example.org");
    for kind in [
        ExperimentKind::Path,
        ExperimentKind::PathControl,
        ExperimentKind::PathUdp,
    ] {
        let way = |policy: &Policy, at: &str| policy.admits_experiment(kind, &mail, address(at), 33_434);
        assert_eq!(way(&policy, "192.0.2.1").is_ok(), kind != ExperimentKind::Path);
        assert!(
            policy
                .admits_experiment(kind, &mail, address("192.0.2.1"), 993)
                .is_ok()
        );
        assert!(way(&policy, "10.0.0.1").is_err());
        policy.experiments = false;
        assert!(way(&policy, "192.0.2.1").is_err());
        policy.experiments = true;
    }
}

#[test]
fn no_kind_of_experiment_touches_a_port_that_no_rule_names() {
    let policy = Policy::default();
    let mail = host("imap.example.org");
    for kind in ExperimentKind::ALL.iter().copied() {
        let beside = matches!(
            kind,
            ExperimentKind::PathControl | ExperimentKind::PathUdp | ExperimentKind::PathSize
        );
        let admits = |at: &str, port| policy.admits_experiment(kind, &mail, address(at), port).is_ok();
        for port in [22, 25, 80, 5432, 33_434, 65_535] {
            assert_eq!(admits("192.0.2.1", port), beside, "{kind} {port}");
        }
        assert_eq!(
            admits("192.0.2.1", CONTROL_PORT),
            beside || matches!(kind, ExperimentKind::ControlPort | ExperimentKind::AnswerTtl),
            "{kind}"
        );
        for inside in [
            "127.0.0.1",
            "169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "fd00:ec2::254",
        ] {
            for port in [CONTROL_PORT, 143, 993] {
                assert!(!admits(inside, port), "{kind} {inside} {port}");
            }
        }
    }
}

#[test]
fn what_clouds_tell_their_machines_is_nobodys_to_ask() {
    let policy = Policy::default();
    for secret in [
        "169.254.169.254",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "fd00:ec2::254",
        "fd20:ce::254",
        "::ffff:100.100.100.200",
        "2002:a83f:8110::1",
        "224.0.0.1",
        "255.255.255.255",
        "ff02::1",
    ] {
        assert!(
            policy
                .admits(&host("imap.example.org"), address(secret), 993)
                .is_err(),
            "{secret}"
        );
    }
    for ordinary in ["10.0.0.1", "192.168.1.1", "fd00::1", "64:ff9b::c000:201"] {
        assert!(
            policy
                .admits(&host("imap.example.org"), address(ordinary), 993)
                .is_ok()
        );
    }
}

#[test]
fn a_resolver_that_an_order_names_is_at_its_port_and_not_on_this_host_unless_it_is_its_own() {
    let policy = Policy::default();
    let own = ["127.0.0.53:53".parse().unwrap()];
    let asks = |resolver: &str| policy.admits_resolver(resolver.parse().unwrap(), &own).is_ok();
    assert!(asks("192.0.2.53:53") && asks("[2001:db8::53]:53") && asks("127.0.0.53:53"));
    for forbidden in [
        "127.0.0.1:53",
        "127.0.0.53:5353",
        "169.254.169.253:53",
        "[64:ff9b::a9fe:a9fe]:53",
        "192.0.2.53:161",
        "192.0.2.53:11211",
    ] {
        assert!(!asks(forbidden), "{forbidden}");
    }
    let anything = Policy::allow_all();
    assert!(
        anything
            .admits_resolver("127.0.0.1:5353".parse().unwrap(), &[])
            .is_ok()
    );
    let strict = Policy {
        experiments: false,
        ..Policy::default()
    };
    assert!(
        strict
            .admits_resolver("192.0.2.53:53".parse().unwrap(), &own)
            .is_err()
    );
    assert!(strict.admits_resolver(own[0], &own).is_ok());
}

#[test]
fn rules_round_trip_and_nonsense_is_refused() {
    for text in [
        "*:143,993",
        "*.example.org:1-1024",
        "192.0.2.0/24:993",
        "[2001:db8::/32]:993",
    ] {
        assert_eq!(text.parse::<Rule>().unwrap().to_string(), text);
    }
    for bad in [
        "",
        "*",
        "*:",
        "*:0",
        "*:993-143",
        "*:http",
        "a b:993",
        "192.0.2.0/33",
        ":993",
    ] {
        assert!(bad.parse::<Rule>().is_err(), "{bad:?}");
    }
    for bad in ["", "10.0.0.0/33", "::1/129", "example.org"] {
        assert!(bad.parse::<Network>().is_err(), "{bad:?}");
    }
}
