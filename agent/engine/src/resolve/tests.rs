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
    let (stage, addresses) = conclude(spec, queries, source, Duration::ZERO, Duration::from_millis(5));
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
