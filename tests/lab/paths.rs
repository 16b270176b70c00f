//! The way of what fails, as a program without any privilege traces it: who answers, and up to where.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::process::Command;
use std::time::Duration;

use parallax_tests::address::{self, Pair};
use parallax_tests::document::Document;
use parallax_tests::host;
use parallax_tests::programs::Programs;
use parallax_tests::running::Running;
use parallax_tests::site::{Site, TARGET};
use serde_json::Value;

/// The port that a healthy host answers with a reset.
const CONTROL_PORT: u64 = 7;
/// The port that traceroutes send datagrams to.
const UDP_PORT: u64 = 33_434;
/// A connection waits five seconds, and its traces and most follow-ups are over with it; a busy machine has a few more.
const SLOWEST: Duration = Duration::from_secs(10);

#[test]
fn a_healthy_way_is_seen_up_to_the_host_in_both_families() {
    let Some(site) = site() else { return };
    let document = probe(&site, &["--path", "always"]);
    for address in address::MAIL.both() {
        let path = path(&document, address, 993);
        assert_eq!(told(path), "ra core site-fw syn_ack", "{document}");
        assert_eq!(path["reached"], true, "{document}");
        assert_eq!(path["experiment"], Value::Null, "{document}");
        let distances: Vec<_> = hops(path).iter().map(|hop| hop["reply_ttl"].as_u64()).collect();
        assert_eq!(distances, [Some(64), Some(63), Some(62), None], "{document}");
        let mss: Vec<_> = hops(path).iter().map(|hop| hop["mss"].is_u64()).collect();
        assert_eq!(mss, [true, true, true, false], "{document}");
    }
}

#[test]
fn a_way_that_is_healthy_is_not_traced_unasked() {
    let Some(site) = site() else { return };
    let document = probe(&site, &["--path", "auto"]);
    assert_eq!(
        document.value()["vantages"][0]["paths"],
        Value::Null,
        "{document}"
    );
}

#[test]
fn a_drop_on_the_way_ends_behind_the_router_that_still_answers_and_the_control_port_goes_on() {
    let Some(mut site) = site() else { return };
    site.inject(&"firewall_drop@core".parse().unwrap()).unwrap();
    let document = probe(&site, &["--path", "auto"]);
    for address in address::MAIL.both() {
        let failing = path(&document, address, 993);
        assert_eq!(told(failing), "ra core * * * *", "{document}");
        assert_eq!(
            (&failing["ended"], &failing["experiment"]),
            (&"silent".into(), &"path".into())
        );
        let control = path(&document, address, CONTROL_PORT);
        assert_eq!(told(control), "ra core site-fw rst", "{document}");
        assert_eq!(control["experiment"], "path_control", "{document}");
        assert_ne!(failing["source"], control["source"], "{document}");
        let datagrams = path(&document, address, UDP_PORT);
        assert_eq!(
            told(datagrams),
            "ra core site-fw unreachable:port_unreachable",
            "{document}"
        );
        assert_eq!(
            (&datagrams["ended"], &datagrams["protocol"]),
            (&"reached".into(), &"udp".into())
        );
    }
}

#[test]
fn a_reset_that_is_not_the_hosts_comes_from_nearer_than_the_hosts_own() {
    let Some(mut site) = site() else { return };
    site.inject(&"firewall_reset@core".parse().unwrap()).unwrap();
    let document = probe(&site, &["--path", "auto"]);
    for address in address::MAIL.both() {
        assert_eq!(told(path(&document, address, 993)), "ra core rst", "{document}");
        let control = path(&document, address, CONTROL_PORT);
        assert_eq!(told(control), "ra core site-fw rst", "{document}");
    }
}

#[test]
fn whoever_rejects_is_named_and_its_answer_ends_the_way() {
    let Some(mut site) = site() else { return };
    site.inject(&"firewall_reject@site-fw".parse().unwrap()).unwrap();
    let document = probe(&site, &["--path", "auto"]);
    for address in address::MAIL.both() {
        let path = path(&document, address, 993);
        assert_eq!(
            told(path),
            "ra core site-fw unreachable:admin_prohibited",
            "{document}"
        );
        assert_eq!(path["ended"], "unreachable", "{document}");
        let rejecter = &hops(path)[3]["addresses"][0];
        assert_eq!(name(rejecter), "site-fw", "{document}");
    }
}

#[test]
fn a_router_that_lowers_the_segment_size_is_seen_from_the_next_one_on() {
    let Some(site) = site() else { return };
    let mut clamp = Command::new("nft");
    clamp.args([
        "add table inet clamp; add chain inet clamp forward { type filter hook forward priority 0; }; \
         add rule inet clamp forward tcp flags syn tcp option maxseg size set 1111",
    ]);
    let clamped = site.lab.vantages[0].router.output(clamp).unwrap();
    assert!(clamped.status.success(), "{clamped:?}");
    let document = probe(&site, &["--path", "always"]);
    for address in address::MAIL.both() {
        let path = path(&document, address, 993);
        let mss: Vec<_> = hops(path).iter().map(|hop| hop["mss"].as_u64()).collect();
        assert!(mss[0].is_some_and(|mss| mss > 1111), "{document}");
        assert_eq!(mss[1..3], [Some(1111), Some(1111)], "{document}");
    }
}

#[test]
fn a_reset_of_the_hello_that_is_not_the_hosts_has_another_ttl_than_the_connection() {
    let Some(site) = site() else { return };
    let mut filter = Command::new("nft");
    filter.args([
        "add table inet hello; add chain inet hello forward { type filter hook forward priority 0; }; \
         add rule inet hello forward tcp dport 993 @ih,0,8 0x16 reject with tcp reset",
    ]);
    let filtered = site.lab.core.output(filter).unwrap();
    assert!(filtered.status.success(), "{filtered:?}");
    let root = site.lab.directory().join("root.pem").display().to_string();
    let document = probe(&site, &["--depth", "greeting", "--ca-file", &root]);
    for address in address::MAIL.both() {
        let traced = path(&document, address, 993);
        assert_eq!(told(traced), "ra core site-fw syn_ack", "{document}");
        assert_eq!(traced["experiment"], "path", "{document}");
        let answer = |payload: &str| {
            let is_meant = |path: &&Value| {
                path["address"] == address.to_string()
                    && path["experiment"] == "answer_ttl"
                    && path["payload"] == payload
            };
            let found = paths(&document).iter().find(is_meant);
            found.unwrap_or_else(|| panic!("no answer to {payload} of {address}\n{document}"))
        };
        assert_eq!(answer("syn")["answer_ttl"], 61, "{document}");
        let hello = answer("client_hello");
        let replies: Vec<_> = hops(hello).iter().map(|hop| &hop["reply"]).collect();
        assert_eq!(replies, ["time_exceeded", "time_exceeded", "rst"], "{document}");
        assert_eq!(hello["answer_ttl"], 63, "{document}");
    }
}

#[test]
fn packets_of_every_size_are_traced_where_large_ones_vanish() {
    let Some(mut site) = site() else { return };
    for fault in ["small_link@core", "too_big_lost@core", "too_big_lost@site-fw"] {
        site.inject(&fault.parse().unwrap()).unwrap();
    }
    let document = greeted(&site, TARGET);
    for address in address::MAIL.both() {
        let sizes = of_experiment(&document, address, "path_size");
        let bytes: Vec<_> = sizes.iter().map(|path| path["bytes"].as_u64().unwrap()).collect();
        assert_eq!(bytes, [1_500, 1_492, 1_400, 1_280], "{document}");
        // What is small enough arrives; the larger ones get no further than the router before the small link.
        assert_eq!(sizes[3]["reached"], true, "{document}");
        assert_eq!(
            told(sizes[3]),
            "ra core site-fw unreachable:port_unreachable",
            "{document}"
        );
    }
}

#[test]
fn a_fault_of_some_flows_stays_with_its_ports_in_both_passes_of_a_sweep() {
    let Some(mut site) = site() else { return };
    site.inject(&"half_flows_drop@core".parse().unwrap()).unwrap();
    // Chance decides whether the one connection of a probe is among them.
    let document = (0..20)
        .map(|_| probe(&site, &["--path", "auto"]))
        .find(|document| !sweeps(document).is_empty());
    let document = document.expect("a probe whose connection is dropped");
    for sweep in sweeps(&document) {
        let flows = sweep["flows"].as_array().unwrap();
        let opens = |flow: &&Value| flow["replies"][0] == "syn_ack";
        let open = flows.iter().filter(opens).count();
        assert!(flows.len() == 16 && open > 0 && open < 16, "{document}");
        for flow in flows {
            assert_eq!(flow["replies"][0], flow["replies"][1], "{document}");
        }
    }
}

#[test]
fn hellos_end_where_tls_is_dropped() {
    let Some(mut site) = site() else { return };
    site.inject(&"hello_drop@core".parse().unwrap()).unwrap();
    let document = greeted(&site, TARGET);
    for address in address::MAIL.both() {
        let ladders = of_experiment(&document, address, "hello_ladder");
        let payloads: Vec<_> = ladders.iter().map(|path| &path["payload"]).collect();
        assert_eq!(payloads, ["client_hello", "client_hello_control"], "{document}");
        for ladder in ladders {
            let replies: Vec<_> = hops(ladder).iter().map(|hop| &hop["reply"]).collect();
            let routers = ["time_exceeded", "time_exceeded", "none", "none", "none", "none"];
            assert_eq!(replies, routers, "{document}");
        }
    }
}

#[test]
fn a_reset_of_the_hello_behind_starttls_is_found_as_near_as_without() {
    let Some(mut site) = site() else { return };
    site.inject(&"hello_reset@core".parse().unwrap()).unwrap();
    let document = greeted(&site, &format!("imap://{TARGET}"));
    for address in address::MAIL.both() {
        let answers = of_experiment(&document, address, "answer_ttl");
        let hello = answers.iter().find(|path| path["payload"] == "client_hello");
        let hello = hello.unwrap_or_else(|| panic!("{document}"));
        let replies: Vec<_> = hops(hello).iter().map(|hop| &hop["reply"]).collect();
        assert_eq!(replies, ["time_exceeded", "time_exceeded", "rst"], "{document}");
        assert_eq!(hello["answer_ttl"], 63, "{document}");
    }
}

fn greeted(site: &Site, target: &str) -> Document {
    let root = site.lab.directory().join("root.pem").display().to_string();
    probe_at(site, target, &["--depth", "greeting", "--ca-file", &root])
}

fn of_experiment<'a>(document: &'a Document, address: IpAddr, experiment: &str) -> Vec<&'a Value> {
    let address = address.to_string();
    let all = paths(document).iter();
    all.filter(|path| path["address"] == address && path["experiment"] == experiment)
        .collect()
}

fn sweeps(document: &Document) -> &[Value] {
    let sweeps = document.value()["vantages"][0]["sweeps"].as_array();
    sweeps.map(Vec::as_slice).unwrap_or_default()
}

fn site() -> Option<Site> {
    host::lab_can_run().then(|| Site::new(&["edge-one"]).unwrap())
}

/// What one vantage point sees, with a program that has every capability taken away.
fn probe(site: &Site, extra: &[&str]) -> Document {
    probe_at(site, TARGET, extra)
}

fn probe_at(site: &Site, target: &str, extra: &[&str]) -> Document {
    let mut command = Command::new("setpriv");
    command.args(["--bounding-set=-all", "--inh-caps=-all"]);
    command.arg(Programs::ready().unwrap().ctl().get_program());
    command.args(["probe", target, "-o", "json"]).args(extra);
    if !extra.contains(&"--depth") {
        command.args(["--depth", "connect"]);
    }
    let directory = site.lab.directory();
    command.env("PARALLAX_HOME", directory).env("HOME", directory);
    let host = &site.lab.vantages[0].host;
    let answer = Running::start(host, directory, &command, "")
        .unwrap()
        .answer()
        .unwrap();
    assert!(answer.took < SLOWEST, "{answer}");
    answer.document()
}

fn path(document: &Document, address: IpAddr, port: u64) -> &Value {
    let is_meant = |path: &&Value| path["address"] == address.to_string() && path["port"] == port;
    paths(document)
        .iter()
        .find(is_meant)
        .unwrap_or_else(|| panic!("no path to {address} port {port}\n{document}"))
}

fn paths(document: &Document) -> &[Value] {
    let paths = document.value()["vantages"][0]["paths"].as_array();
    paths.map(Vec::as_slice).unwrap_or_default()
}

fn hops(path: &Value) -> &[Value] {
    path["hops"].as_array().unwrap()
}

/// Routers by name, `*` where nobody answered, the answer itself where it is another one.
fn told(path: &Value) -> String {
    let word = |hop: &Value| match hop["reply"].as_str().unwrap() {
        "time_exceeded" => name(&hop["addresses"][0]),
        "none" => "*".to_owned(),
        other => other.to_owned(),
    };
    hops(path).iter().map(word).collect::<Vec<_>>().join(" ")
}

fn name(address: &Value) -> String {
    let both = |pair: Pair, name| pair.both().map(|address| (address.to_string(), name));
    let names: BTreeMap<String, &str> = [
        both(address::vantage_router(1), "ra"),
        both(address::core_to_vantage(1), "core"),
        both(address::SITE_FIREWALL, "site-fw"),
        both(address::MAIL, "mail"),
    ]
    .into_iter()
    .flatten()
    .collect();
    let address = address.as_str().unwrap();
    names.get(address).copied().unwrap_or(address).to_owned()
}
