use super::*;

fn policy(allow: &[&str], deny: &[&str]) -> Policy {
    Policy {
        allow: allow.iter().map(|rule| rule.parse().unwrap()).collect(),
        deny: deny.iter().map(|network| network.parse().unwrap()).collect(),
        ..Policy::default()
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

/// What it is about, the rule, and the value.
fn told(admitted: Result<(), Forbidden>) -> (PolicyMatter, String, String) {
    let refusal = admitted.unwrap_err().refusal().clone();
    (refusal.what, refusal.rule, refusal.value)
}

#[test]
fn a_refusal_names_the_entry_and_what_was_asked() {
    use PolicyMatter::{Address, Experiments, Host as OfHost, Port, Resolver};
    let policy = policy(
        &["*.example.org:993", "mail?.example.org:143", "192.0.2.0/24:993"],
        &["10.0.0.0/8", "169.254.0.0/16"],
    );
    let (mail, other) = (host("mail1.example.org"), host("imap.example.com"));
    let expected = |what, rule: &str, value: &str| (what, rule.to_owned(), value.to_owned());
    for (admitted, refusal) in [
        (
            policy.admits_target(&mail, 25),
            expected(
                Port,
                "allow *.example.org:993 mail?.example.org:143 192.0.2.0/24:993",
                "25",
            ),
        ),
        (
            policy.admits(&other, address("192.0.2.1"), 143),
            expected(Port, "allow 192.0.2.0/24:993", "143"),
        ),
        (
            policy.admits(&other, address("198.51.100.1"), 993),
            expected(Address, "allow", "198.51.100.1"),
        ),
        (
            policy.admits(&mail, address("64:ff9b::10.1.2.3"), 993),
            expected(Address, "deny 10.0.0.0/8", "64:ff9b::a01:203"),
        ),
        (
            policy.admits_experiment(ExperimentKind::PathUdp, &mail, address("169.254.1.1"), 993),
            expected(Address, "deny 169.254.0.0/16", "169.254.1.1"),
        ),
        (
            policy.admits_resolver("192.0.2.53:5353".parse().unwrap(), &[]),
            expected(Resolver, "allow", "192.0.2.53:5353"),
        ),
    ] {
        assert_eq!(told(admitted), refusal);
    }
    let names_alone = Policy {
        allow: vec!["*.example.org:993".parse().unwrap()],
        experiments: false,
        ..policy
    };
    assert_eq!(
        told(names_alone.admits_target(&other, 993)),
        expected(OfHost, "allow", "imap.example.com")
    );
    let control = names_alone.admits_experiment(ExperimentKind::ControlPort, &mail, address("192.0.2.1"), 7);
    assert_eq!(
        told(control),
        expected(Experiments, "experiments = false", "experiments")
    );
    let at = policy_at(names_alone.admits(&mail, address("10.1.1.1"), 993));
    assert_eq!(at, (Some(address("10.1.1.1")), Some(993)));
}

fn policy_at(admitted: Result<(), Forbidden>) -> (Option<IpAddr>, Option<u16>) {
    let refusal = admitted.unwrap_err().refusal().clone();
    (refusal.address, refusal.port)
}

#[test]
fn a_long_list_is_told_by_its_beginning() {
    let entries: Vec<String> = (0..200)
        .map(|number| format!("mail{number}.example.org:993"))
        .collect();
    let entries: Vec<&str> = entries.iter().map(String::as_str).collect();
    let (_, rule, _) = told(policy(&entries, &[]).admits_target(&host("mail7.example.org"), 25));
    assert_eq!(rule, "allow mail7.example.org:993");
    let networks: Vec<String> = (0..200)
        .map(|number| format!("192.0.{number}.0/24:993"))
        .collect();
    let networks: Vec<&str> = networks.iter().map(String::as_str).collect();
    let (_, rule, _) = told(policy(&networks, &[]).admits_target(&host("imap.example.org"), 25));
    assert!(rule.len() < 250 && rule.ends_with("..."), "{rule}");
}

#[test]
fn every_key_is_read_and_a_word_that_is_none_is_an_error() {
    let read = |text: &str| toml::from_str::<Policy>(text).map_err(|error| error.message().to_owned());
    assert_eq!(read("").unwrap(), Policy::default());
    let strict = read(
        "max_depth = \"tls\"\nlogin = [\"probe\"]\ntrace = false\nmax_probes = 2\nrate = 60\nrate_per_target = 6\n",
    )
    .unwrap();
    assert_eq!(
        strict,
        Policy {
            max_depth: Depth::Tls,
            login: Logins::Own(["probe".to_owned()].into()),
            trace: false,
            max_probes: NonZeroUsize::new(2),
            rate: NonZeroU32::new(60).unwrap(),
            rate_per_target: NonZeroU32::new(6).unwrap(),
            ..Policy::default()
        }
    );
    assert_eq!(read(&toml::to_string(&strict).unwrap()).unwrap(), strict);
    for (bad, place) in [
        (
            "max_depth = \"abyss\"",
            "connect, tls, greeting, login, mailbox, sync",
        ),
        ("login = \"no\"", "true, false, or a list"),
        ("rate = 0", "nonzero"),
        ("max_probes = 0", "nonzero"),
        ("max_dept = \"tls\"", "max_dept"),
    ] {
        let error = read(bad).unwrap_err();
        assert!(error.contains(place), "{bad}: {error}");
    }
}

#[test]
fn depth_login_trace_and_number_are_each_forbidden_by_their_key() {
    let strict = Policy {
        max_depth: Depth::Login,
        login: Logins::Own(["probe".to_owned()].into()),
        trace: false,
        max_probes: NonZeroUsize::new(2),
        ..Policy::default()
    };
    assert!(strict.admits_depth(Depth::Login).is_ok());
    let (what, rule, value) = told(strict.admits_depth(Depth::Mailbox));
    assert_eq!(
        (what, rule.as_str(), value.as_str()),
        (PolicyMatter::Depth, "max_depth = \"login\"", "mailbox")
    );
    assert!(strict.admits_login(Some("probe")).is_ok());
    let (what, rule, value) = told(strict.admits_login(None));
    let said = (
        PolicyMatter::Login,
        "login = [\"probe\"]",
        "a secret of the order's",
    );
    assert_eq!((what, rule.as_str(), value.as_str()), said);
    assert_eq!(told(strict.admits_login(Some("other"))).2, "the credential other");
    let mail = host("imap.example.org");
    for kind in ExperimentKind::ALL.iter().copied() {
        let admitted = strict.admits_experiment(kind, &mail, address("192.0.2.1"), 993);
        assert_eq!(admitted.is_ok(), !kind.is_path(), "{kind}");
    }
    assert_eq!(told(strict.admits_trace()).1, "trace = false");
    assert!(strict.admits_beside(1).is_ok());
    assert_eq!(told(strict.admits_beside(2)).1, "max_probes = 2");
    let forbids_all = Policy {
        login: Logins::Any(false),
        ..Policy::default()
    };
    assert_eq!(told(forbids_all.admits_login(Some("probe"))).1, "login = false");
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
