use super::*;
use parallax_model::spec::ProbeOptions;
use parallax_model::spec::{DEFAULT_TIMEOUT, Depth};
use parallax_model::target::Target;

fn spec(target: &str, family: FamilyChoice) -> ProbeSpec {
    ProbeSpec {
        target: Target::parse(target, None).expect("a target"),
        depth: Depth::Greeting,
        family,
        addresses: Vec::new(),
        timeout: DEFAULT_TIMEOUT,
        login: None,
        anchors: Vec::new(),
        options: ProbeOptions::default(),
    }
}

/// `A NOERROR 192.0.2.1`, `AAAA -` for no answer.
fn query(text: &str) -> DnsQuery {
    let words: Vec<&str> = text.split(' ').collect();
    let silent = words[1] == "-";
    DnsQuery {
        records: Vec::new(),
        dnssec: None,
        name: "imap.example.org".into(),
        record_type: words[0].into(),
        resolver: "192.0.2.53:53".parse().expect("a socket"),
        transport: "udp".into(),
        rcode: (!silent).then(|| words[1].to_owned()),
        addresses: words[2..]
            .iter()
            .map(|word| word.parse().expect("an address"))
            .collect(),
        cname_chain: Vec::new(),
        second_answer: Vec::new(),
        ttl_s: None,
        duration: Duration::from_millis(3),
        fault: silent.then(|| Fault::new(FaultKind::Dns(DnsFault::Timeout), "no answer")),
    }
}

fn judged(queries: &[&str]) -> (String, Vec<String>) {
    of(
        &spec("imap.example.org", FamilyChoice::Any),
        queries,
        &Source::Dns,
    )
}

fn of(spec: &ProbeSpec, queries: &[&str], source: &Source) -> (String, Vec<String>) {
    let queries = queries.iter().map(|text| query(text)).collect();
    let asked = Asked::addresses(source.clone(), queries);
    let (stage, addresses) = conclude(spec, asked, Duration::ZERO, Duration::from_millis(5));
    let fault = stage.outcome.fault().map_or("", |fault| fault.kind.as_str());
    let said = format!("{} {fault}", stage.outcome.as_str())
        .trim_end()
        .to_owned();
    (said, addresses.iter().map(ToString::to_string).collect())
}

#[test]
fn addresses_of_both_families_are_kept_once_each() {
    let (said, addresses) = judged(&[
        "A NOERROR 192.0.2.2 192.0.2.1",
        "AAAA NOERROR 2001:db8::1",
        "A NOERROR 192.0.2.1",
    ]);
    assert_eq!(said, "ok");
    assert_eq!(addresses, ["192.0.2.2", "192.0.2.1", "2001:db8::1"]);
}

#[test]
fn a_name_of_one_family_is_fine() {
    assert_eq!(judged(&["A NOERROR 192.0.2.1", "AAAA NOERROR"]).0, "ok");
}

#[test]
fn half_an_answer_is_degraded() {
    assert_eq!(judged(&["A NOERROR 192.0.2.1", "AAAA -"]).0, "degraded timeout");
    assert_eq!(
        judged(&["A NOERROR 192.0.2.1", "AAAA SERVFAIL"]).0,
        "degraded servfail"
    );
    assert_eq!(
        judged(&["A NOERROR 192.0.2.1", "AAAA NXDOMAIN"]).0,
        "degraded nxdomain"
    );
}

#[test]
fn a_second_resolver_makes_up_for_a_silent_one() {
    assert_eq!(
        judged(&["A -", "AAAA -", "A NOERROR 192.0.2.1", "AAAA NOERROR"]).0,
        "ok"
    );
}

#[test]
fn each_way_to_have_no_address_is_told_apart() {
    assert_eq!(judged(&["A NXDOMAIN", "AAAA NXDOMAIN"]).0, "failed nxdomain");
    assert_eq!(judged(&["A NXDOMAIN", "AAAA -"]).0, "failed nxdomain");
    assert_eq!(judged(&["A NOERROR", "AAAA NOERROR"]).0, "failed no_address");
    assert_eq!(judged(&["A SERVFAIL", "AAAA SERVFAIL"]).0, "failed servfail");
    assert_eq!(judged(&["A REFUSED", "AAAA REFUSED"]).0, "failed refused");
    assert_eq!(judged(&["A -", "AAAA -"]).0, "failed timeout");
    assert_eq!(judged(&["A -", "AAAA NOERROR"]).0, "failed timeout");
    assert_eq!(judged(&["A FORMERR", "AAAA FORMERR"]).0, "failed other");
    assert_eq!(judged(&[]).0, "failed no_resolver");
}

#[test]
fn only_the_family_asked_for_counts() {
    let v6 = spec("imap.example.org", FamilyChoice::Ipv6);
    assert_eq!(of(&v6, &["AAAA NOERROR"], &Source::Dns).0, "failed no_address");
    let hosts = Source::Hosts(vec!["192.0.2.1".parse().expect("an address")]);
    assert_eq!(of(&v6, &[], &hosts), ("failed no_address".into(), vec![]));
    let any = spec("imap.example.org", FamilyChoice::Any);
    assert_eq!(of(&any, &[], &hosts), ("ok".into(), vec!["192.0.2.1".into()]));
}

#[test]
fn an_address_needs_no_look_up() {
    let literal = spec("192.0.2.7", FamilyChoice::Any);
    assert_eq!(Source::given(&literal), Some(Source::Literal));
    assert_eq!(
        of(&literal, &[], &Source::Literal),
        ("ok".into(), vec!["192.0.2.7".into()])
    );
    let forced = ProbeSpec {
        addresses: vec!["192.0.2.8".parse().expect("an address")],
        ..spec("imap.example.org", FamilyChoice::Any)
    };
    assert_eq!(Source::given(&forced), Some(Source::Forced));
    assert_eq!(of(&forced, &[], &Source::Forced).1, ["192.0.2.8"]);
    assert_eq!(Source::given(&spec("imap.example.org", FamilyChoice::Any)), None);
}

fn beside(queries: &[&str], other: &[&str]) -> Stage {
    let read = |queries: &[&str]| queries.iter().map(|text| query(text)).collect();
    let asked = Asked {
        other: Some(Other {
            resolver: "198.51.100.53:53".parse().expect("a socket"),
            queries: read(other),
        }),
        ..Asked::addresses(Source::Dns, read(queries))
    };
    let spec = spec("imap.example.org", FamilyChoice::Any);
    conclude(&spec, asked, Duration::ZERO, Duration::ZERO).0
}

fn evidence(stage: &Stage) -> &ResolveEvidence {
    match &stage.evidence {
        Some(Evidence::Resolve(facts)) => facts,
        other => panic!("{other:?}"),
    }
}

#[test]
fn another_resolver_that_says_the_same_in_another_order_agrees() {
    let stage = beside(
        &["A NOERROR 8.0.0.1 8.0.0.2", "AAAA NOERROR"],
        &["A NOERROR 8.0.0.2 8.0.0.1", "AAAA NOERROR"],
    );
    assert_eq!(stage.outcome, Outcome::Ok);
    assert!(evidence(&stage).other.as_ref().expect("an answer").agrees);
    let nobody = beside(&["A NXDOMAIN", "AAAA NXDOMAIN"], &["A NXDOMAIN", "AAAA NXDOMAIN"]);
    assert!(evidence(&nobody).other.as_ref().expect("an answer").agrees);
}

#[test]
fn another_resolver_that_says_something_else_degrades_the_stage_and_both_are_told() {
    let stage = beside(
        &["A NOERROR 10.0.0.1", "AAAA NOERROR"],
        &["A NOERROR 8.0.0.1", "AAAA NOERROR"],
    );
    let fault = stage.outcome.fault().expect("a fault");
    assert_eq!(stage.outcome.as_str(), "degraded");
    assert_eq!(fault.kind, FaultKind::Dns(DnsFault::AnswersDiffer));
    assert_eq!(
        fault.message,
        "imap.example.org: this host's resolver 192.0.2.53:53 gives 10.0.0.1 (private, RFC 1918), \
         198.51.100.53:53 gives 8.0.0.1"
    );
    let facts = evidence(&stage);
    assert_eq!(
        facts.addresses,
        ["10.0.0.1".parse::<IpAddr>().expect("an address")]
    );
    assert!(!facts.other.as_ref().expect("an answer").agrees);
    let absent = beside(
        &["A NOERROR 8.0.0.1", "AAAA NOERROR"],
        &["A NXDOMAIN", "AAAA NXDOMAIN"],
    );
    let fault = absent.outcome.fault().expect("a fault");
    assert!(
        fault.message.ends_with("says that there is no such name"),
        "{fault:?}"
    );
}

#[test]
fn another_resolver_that_is_silent_contradicts_nobody() {
    let stage = beside(&["A NOERROR 8.0.0.1", "AAAA NOERROR"], &["A -", "AAAA -"]);
    assert_eq!(stage.outcome, Outcome::Ok);
    let other = evidence(&stage).other.as_ref().expect("an answer");
    assert!(!other.agrees);
    let fault = other.fault.as_ref().expect("a fault");
    assert_eq!(fault.kind, FaultKind::Dns(DnsFault::Timeout));
}

#[test]
fn where_this_host_finds_no_address_the_stage_fails_and_says_what_the_other_one_said() {
    let stage = beside(
        &["A SERVFAIL", "AAAA SERVFAIL"],
        &["A NOERROR 8.0.0.1", "AAAA NOERROR"],
    );
    let fault = stage.outcome.fault().expect("a fault");
    assert_eq!(
        (stage.outcome.as_str(), fault.kind.as_str()),
        ("failed", "servfail")
    );
    assert!(
        fault.message.ends_with("; 198.51.100.53:53 gives 8.0.0.1"),
        "{fault:?}"
    );
}

fn further(name: &str, record_type: &str, records: &[&str]) -> DnsQuery {
    DnsQuery {
        name: name.into(),
        records: records.iter().map(|&record| record.to_owned()).collect(),
        ttl_s: Some(300),
        dnssec: Some("authenticated".into()),
        ..query(&format!("{record_type} NOERROR"))
    }
}

#[test]
fn records_beside_the_addresses_are_read_and_never_decide_the_stage() {
    let silent = DnsQuery {
        name: "_143._tcp.imap.example.org".into(),
        ..query("TLSA -")
    };
    let asked = Asked {
        further: vec![
            further(
                "_imaps._tcp.example.org",
                "SRV",
                &["0 1 993 imap.example.org.", "nonsense"],
            ),
            further("_imap._tcp.example.org", "SRV", &["0 0 0 ."]),
            further("_993._tcp.imap.example.org", "TLSA", &["3 1 1 00ff", "3 1"]),
            silent,
        ],
        ..Asked::addresses(
            Source::Dns,
            vec![query("A NOERROR 8.0.0.1"), query("AAAA NOERROR")],
        )
    };
    let spec = spec("imap.example.org", FamilyChoice::Any);
    let (stage, _) = conclude(&spec, asked, Duration::ZERO, Duration::ZERO);
    assert_eq!(stage.outcome, Outcome::Ok);
    let facts = evidence(&stage);
    assert_eq!(facts.queries.len(), 6);
    let places: Vec<String> = facts
        .services
        .iter()
        .map(|record| format!("{} {}:{}", record.service, record.target, record.port))
        .collect();
    assert_eq!(places, ["_imaps._tcp imap.example.org:993", "_imap._tcp .:0"]);
    let [association] = facts.tlsa.as_slice() else {
        panic!("{:?}", facts.tlsa)
    };
    assert_eq!((association.port, association.usage), (993, 3));
    assert_eq!(association.data, "00ff");
    assert!(association.authenticated);
}

#[test]
fn what_srv_says_is_remarked_where_it_leads_elsewhere() {
    let target = |text| Target::parse(text, None).expect("a target");
    let record = |service: &str, port, host: &str| parallax_model::evidence::SrvRecord {
        service: service.into(),
        port,
        target: host.into(),
        ..Default::default()
    };
    let here = record("_imaps._tcp", 993, "IMAP.example.org");
    let elsewhere = record("_imaps._tcp", 993, "mail.example.net");
    let other_port = record("_imaps._tcp", 1993, "imap.example.org");
    let none = record("_imaps._tcp", 0, ".");
    let clear = record("_imap._tcp", 143, "mail.example.net");
    let of = |records: &[&parallax_model::evidence::SrvRecord]| {
        let records: Vec<_> = records.iter().map(|&record| record.clone()).collect();
        remarks(&target("imap.example.org"), &records)
    };
    assert!(of(&[]).is_empty());
    assert!(of(&[&elsewhere, &here]).is_empty());
    assert!(of(&[&here, &clear]).is_empty(), "nobody asked for that one");
    assert_eq!(
        of(&[&elsewhere]),
        ["SRV _imaps._tcp names mail.example.net:993, another host than imap.example.org"]
    );
    assert_eq!(
        of(&[&other_port]),
        ["SRV _imaps._tcp names imap.example.org:1993, another port than 993"]
    );
    assert_eq!(
        of(&[&none]),
        ["SRV _imaps._tcp: the domain says that it does not offer this service"]
    );
}
