//! What changed between two runs.

#![allow(clippy::unwrap_used, missing_docs)]

use parallax_diagnosis::changes;
use parallax_model::observation::Observation;
use serde_json::{Value, json};

fn connect(millis: f64) -> Value {
    json!({"stage": "connect", "outcome": "ok", "start_ms": 1.0, "duration_ms": millis})
}

fn silent() -> Value {
    json!({"stage": "connect", "outcome": "failed", "start_ms": 1.0, "duration_ms": 0.4,
        "fault": {"layer": "tcp", "kind": "timed_out", "message": "no answer"}})
}

fn tls(sha256: &str, key: &str, issuer: &str, not_after: &str) -> Value {
    json!({"stage": "tls", "outcome": "ok", "start_ms": 2.0, "duration_ms": 3.0, "evidence": {
        "bytes_received": 2100, "bytes_sent": 320, "verified": true, "ocsp_stapled": false,
        "chain": [{"subject": "CN=imap.example.org", "issuer": issuer, "serial": "01",
            "not_before": "2026-04-01T00:00:00Z", "not_after": not_after, "key": "EC P-256",
            "signature_algorithm": "ecdsa-with-SHA256", "sha256": sha256, "spki_sha256": key,
            "is_ca": false, "self_signed": false}]}})
}

fn capability(words: &[&str]) -> Value {
    json!({"stage": "capability", "outcome": "ok", "start_ms": 3.0, "duration_ms": 0.4,
        "evidence": {"capabilities": words}})
}

fn attempt(address: &str, stages: &[Value]) -> Value {
    json!({"address": address, "family": "ipv4", "port": 993, "security": "tls", "purpose": "requested",
        "outcome": "ok", "stages": stages})
}

fn vantage(agent: &str, attempts: &[Value]) -> Value {
    json!({"agent": agent, "labels": {}, "outcome": "ok", "attempts": attempts})
}

fn resolve(addresses: &[&str], asked: &[&str]) -> Value {
    let queries: Vec<_> = asked
        .iter()
        .map(|kind| {
            json!({"name": "imap.example.org", "record_type": kind, "resolver": "10.2.0.53:53",
                "transport": "udp", "rcode": "NOERROR", "duration_ms": 0.8})
        })
        .collect();
    json!({"stage": "resolve", "outcome": "ok", "start_ms": 0.0, "duration_ms": 0.8,
        "evidence": {"source": "dns", "addresses": addresses, "queries": queries}})
}

fn path(port: u16, hops: &[&str]) -> Value {
    let hops: Vec<_> = hops
        .iter()
        .enumerate()
        .map(|(at, hop)| {
            let addresses: Vec<_> = hop.split('|').filter(|hop| *hop != "*").collect();
            let reply = if addresses.is_empty() {
                "none"
            } else {
                "time_exceeded"
            };
            json!({"ttl": at + 1, "addresses": addresses, "reply": reply})
        })
        .collect();
    json!({"address": "10.9.0.10", "port": port, "protocol": "tcp", "reached": true, "hops": hops,
        "payload": "syn", "ended": "reached", "start_ms": 0.0, "duration_ms": 1.0})
}

/// What changed, one line each.
fn told(before: &Value, after: &Value) -> Vec<String> {
    let read = |seen: &Value| -> Vec<Observation> {
        match seen {
            Value::Array(_) => serde_json::from_value(seen.clone()).unwrap(),
            one => vec![serde_json::from_value(one.clone()).unwrap()],
        }
    };
    changes(&read(before), &read(after))
        .into_iter()
        .map(|change| {
            let address = change
                .address
                .map(|address| format!(" {address}"))
                .unwrap_or_default();
            format!(
                "{} {}{address}: {} -> {}",
                change.agent, change.what, change.before, change.after
            )
        })
        .collect()
}

#[test]
fn the_same_twice_is_no_change() {
    let seen = vantage(
        "fra-1",
        &[attempt(
            "10.9.0.10",
            &[
                connect(0.4),
                tls("aa", "bb", "CN=CA", "2026-07-01T00:00:00Z"),
                capability(&["IDLE"]),
            ],
        )],
    );
    assert!(told(&seen, &seen).is_empty());
}

#[test]
fn an_address_that_fails_now_is_named_with_its_fault() {
    let before = vantage(
        "fra-1",
        &[
            attempt("10.9.0.10", &[connect(0.4)]),
            attempt("10.9.0.11", &[connect(0.4)]),
        ],
    );
    let mut after = vantage(
        "fra-1",
        &[
            attempt("10.9.0.10", &[silent()]),
            attempt("10.9.0.11", &[connect(0.4)]),
        ],
    );
    after["outcome"] = json!("degraded");
    assert_eq!(
        told(&before, &after),
        ["fra-1 outcome 10.9.0.10: 993/tls ok -> 993/tls failed: connect timed_out"]
    );
}

#[test]
fn a_name_that_is_gone_and_an_agent_that_is_gone_are_changes_of_the_vantage_point() {
    let before = vantage("fra-1", &[attempt("10.9.0.10", &[connect(0.4)])]);
    let missing =
        json!({"agent": "fra-1", "labels": {}, "outcome": "missing", "reason": "offline", "attempts": []});
    assert_eq!(told(&before, &missing), ["fra-1 outcome: ok -> missing: offline"]);
    let nowhere = json!({"agent": "fra-1", "labels": {}, "outcome": "failed", "attempts": [],
        "resolve": {"stage": "resolve", "outcome": "failed", "start_ms": 0.0, "duration_ms": 0.8,
            "fault": {"layer": "dns", "kind": "nxdomain", "message": "no such name"}}});
    assert_eq!(
        told(&before, &nowhere),
        ["fra-1 outcome: ok -> failed: resolve nxdomain"]
    );
}

#[test]
fn addresses_are_sets_of_one_family_and_a_family_not_asked_for_is_no_change() {
    let with = |addresses: &[&str], asked: &[&str]| {
        let mut seen = vantage("fra-1", &[]);
        seen["resolve"] = resolve(addresses, asked);
        seen
    };
    let both = with(&["10.9.0.10", "10.9.0.11", "fd00:9::10"], &["A", "AAAA"]);
    assert!(
        told(
            &both,
            &with(&["fd00:9::10", "10.9.0.11", "10.9.0.10"], &["A", "AAAA"])
        )
        .is_empty()
    );
    assert!(told(&both, &with(&["10.9.0.11", "10.9.0.10"], &["A"])).is_empty());
    assert_eq!(
        told(&both, &with(&["10.9.0.10", "10.9.0.12"], &["A", "AAAA"])),
        [
            "fra-1 addresses: 10.9.0.10 10.9.0.11 -> 10.9.0.10 10.9.0.12",
            "fra-1 addresses: fd00:9::10 -> none"
        ]
    );
}

#[test]
fn a_renewed_certificate_differs_in_its_end_and_a_strangers_in_key_and_issuer() {
    let seen = |tls: Value| vantage("fra-1", &[attempt("10.9.0.10", &[connect(0.4), tls])]);
    let before = seen(tls("aa", "bb", "CN=CA", "2026-07-01T00:00:00Z"));
    assert_eq!(
        told(&before, &seen(tls("cc", "bb", "CN=CA", "2026-10-01T00:00:00Z"))),
        ["fra-1 certificate 10.9.0.10: until 2026-07-01T00:00:00Z -> until 2026-10-01T00:00:00Z"]
    );
    assert_eq!(
        told(
            &before,
            &seen(tls("dd", "ee", "CN=Pr\u{1b}oxy", "2026-07-01T00:00:00Z"))
        ),
        ["fra-1 certificate 10.9.0.10: key bb, by CN=CA -> key ee, by CN=Pr\\x1boxy"]
    );
}

#[test]
fn a_capability_that_is_lost_stands_on_one_side_only() {
    let seen = |words: &[&str]| {
        vantage(
            "fra-1",
            &[attempt("10.9.0.10", &[connect(0.4), capability(words)])],
        )
    };
    assert_eq!(
        told(&seen(&["IMAP4rev1", "STARTTLS"]), &seen(&["IMAP4REV1"])),
        [
            "fra-1 capabilities 10.9.0.10: before STARTTLS or a login: also STARTTLS -> \
          before STARTTLS or a login: nothing more"
        ]
    );
}

#[test]
fn another_way_has_other_hops_at_two_places_and_equal_paths_or_silent_hops_are_none() {
    let seen = |hops: &[&str]| {
        let mut seen = vantage("fra-1", &[]);
        seen["paths"] = json!([path(993, hops)]);
        seen
    };
    let before = seen(&["10.1.0.1", "10.0.1.1", "10.0.9.2", "10.9.0.10"]);
    assert!(told(&before, &seen(&["10.1.0.1", "10.0.5.5", "10.0.9.2", "10.9.0.10"])).is_empty());
    assert!(told(&before, &seen(&["10.1.0.1", "*", "*", "*"])).is_empty());
    assert!(
        told(
            &before,
            &seen(&["10.1.0.1", "10.0.5.5|10.0.1.1", "10.0.8.8|10.0.9.2"])
        )
        .is_empty()
    );
    assert_eq!(
        told(&before, &seen(&["10.1.0.1", "10.0.5.5", "*", "10.9.0.10"])).len(),
        0,
        "a silent hop is no other hop"
    );
    assert_eq!(
        told(&before, &seen(&["10.1.0.1", "10.0.5.5", "10.0.5.6", "10.9.0.10"])),
        ["fra-1 path 10.9.0.10: 10.1.0.1 10.0.1.1 10.0.9.2 -> 10.1.0.1 10.0.5.5 10.0.5.6"]
    );
}

#[test]
fn a_connection_is_slower_when_it_takes_many_times_and_much_longer() {
    let seen = |millis| vantage("fra-1", &[attempt("10.9.0.10", &[connect(millis)])]);
    assert!(
        told(&seen(0.4), &seen(15.0)).is_empty(),
        "many times, but not much"
    );
    assert!(
        told(&seen(80.0), &seen(160.0)).is_empty(),
        "much, but not many times"
    );
    assert_eq!(
        told(&seen(8.0), &seen(90.0)),
        ["fra-1 latency 10.9.0.10: connect in 8.0 ms -> connect in 90.0 ms"]
    );
    assert!(
        told(
            &vantage("fra-1", &[attempt("10.9.0.10", &[silent()])]),
            &seen(90.0)
        )
        .len()
            == 1
    );
}

#[test]
fn only_who_was_asked_twice_is_compared() {
    let here = vantage("fra-1", &[attempt("10.9.0.10", &[connect(0.4)])]);
    let there = vantage("nyc-1", &[attempt("10.9.0.10", &[silent()])]);
    assert!(told(&json!([here]), &json!([here, there])).is_empty());
}
