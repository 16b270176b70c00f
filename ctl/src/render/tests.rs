//! Whole answers as they are printed.

mod evidence;

use std::time::Duration;

use parallax_model::experiment::ExperimentKind;
use parallax_model::observation::Observation;
use parallax_model::run::RunDocument;
use parallax_model::stage::StageName;
use parallax_model::vantage::Labels;
use serde_json::{Value, json};

use super::*;
use crate::view::{Choice, FollowUp, News, RunView, Started, VantageStage};

const GREETING: [(&str, f64); 6] = [
    ("connect", 0.412),
    ("tls", 3.104),
    ("greeting", 1.020),
    ("capability", 0.350),
    ("id", 0.291),
    ("logout", 0.402),
];

fn stage(name: &str, millis: f64) -> Value {
    json!({"stage": name, "outcome": "ok", "start_ms": 1.0, "duration_ms": millis})
}

fn fault(name: &str, outcome: &str, layer: &str, kind: &str, message: &str) -> Value {
    json!({"stage": name, "outcome": outcome, "start_ms": 1.0, "duration_ms": 5001.7,
        "fault": {"layer": layer, "kind": kind, "message": message}})
}

fn not_reached(name: &str) -> Value {
    json!({"stage": name, "outcome": "not_reached", "start_ms": 0.0, "duration_ms": 0.0})
}

/// Every stage of a probe to `greeting`, the first `ok` of them fine, then `trouble`.
fn attempt(address: &str, ok: usize, trouble: Option<Value>) -> Value {
    let mut stages: Vec<_> = GREETING[..ok]
        .iter()
        .map(|&(name, time)| stage(name, time))
        .collect();
    stages.extend(trouble);
    stages.extend(
        GREETING
            .iter()
            .skip(stages.len())
            .map(|&(name, _)| not_reached(name)),
    );
    let family = if address.contains(':') { "ipv6" } else { "ipv4" };
    json!({"address": address, "family": family, "port": 993, "security": "tls", "purpose": "requested",
        "outcome": "ok", "stages": stages})
}

fn vantage(name: &str, outcome: &str, attempts: &[Value]) -> Value {
    let labels = json!({"region": "eu", "site": name.trim_start_matches("edge-")});
    let resolve = json!({"stage": "resolve", "outcome": "ok", "start_ms": 0.0, "duration_ms": 0.82,
        "evidence": {"source": "dns", "addresses": ["10.9.0.10", "fd00:9::10"], "queries": [
            {"name": "imap.lab.example", "record_type": "A", "resolver": "10.2.0.53:53", "transport": "udp",
             "rcode": "NOERROR", "addresses": ["10.9.0.10"], "ttl_s": 60, "duration_ms": 0.8}]}});
    json!({"agent": name, "labels": labels, "outcome": outcome, "resolve": resolve, "attempts": attempts,
        "clock": {"offset_ms": -0.31, "start_skew_ms": 0.12}})
}

fn run(vantages: &[Value], verdict: &str, summary: &str, findings: &[Value]) -> RunDocument {
    let document = json!({
        "schema": "parallax.run/v1", "run_id": "019852b4-7d6c-7a1e-9c40-3a5f0c9d2e11",
        "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
        "target": {"input": "imap.lab.example", "host": "imap.lab.example",
            "endpoints": [{"port": 993, "security": "tls"}]},
        "depth": "greeting", "started_at": "2026-07-28T10:31:07Z", "duration_ms": 41.8,
        "vantages": vantages, "verdict": verdict, "summary": summary, "findings": findings});
    serde_json::from_value(document).unwrap()
}

fn both(ok: usize, trouble: Option<Value>) -> Vec<Value> {
    vec![
        attempt("10.9.0.10", ok, trouble.clone()),
        attempt("fd00:9::10", ok, trouble),
    ]
}

fn healthy() -> RunDocument {
    let vantages: Vec<_> = ["edge-ams", "edge-fra", "edge-lon", "edge-nyc"]
        .iter()
        .map(|name| vantage(name, "ok", &both(6, None)))
        .collect();
    run(
        &vantages,
        "healthy",
        "imap.lab.example is healthy from all 4 vantage points",
        &[],
    )
}

/// One vantage point is behind a firewall that drops, another is offline.
fn partial() -> RunDocument {
    let silence = fault(
        "connect",
        "failed",
        "tcp",
        "timed_out",
        "connect to 10.9.0.10:993: no answer within 5 s",
    );
    let nyc = json!({"agent": "edge-nyc", "labels": {"site": "nyc"}, "outcome": "missing", "reason": "offline",
        "note": "not connected since 10:31:02", "attempts": []});
    let vantages = [
        vantage("edge-ams", "failed", &both(0, Some(silence))),
        vantage("edge-fra", "ok", &both(6, None)),
        vantage(
            "edge-lon",
            "degraded",
            &[
                attempt("10.9.0.10", 6, None),
                attempt(
                    "fd00:9::10",
                    2,
                    Some(fault(
                        "greeting",
                        "degraded",
                        "imap",
                        "slow",
                        "the greeting took 5.0 s",
                    )),
                ),
            ],
        ),
        nyc,
    ];
    let dropped = json!({
        "kind": "packets_dropped", "severity": "critical", "confidence": 0.85,
        "summary": "edge-ams cannot reach imap.lab.example:993: packets are dropped on the way",
        "scope": {"affected": ["edge-ams"], "unaffected": ["edge-fra", "edge-lon"],
            "endpoints": ["10.9.0.10:993", "[fd00:9::10]:993"], "families": ["ipv4", "ipv6"]},
        "stage": "connect", "location": {"segment": "vantage_edge", "after": "10.2.0.1"},
        "because": [
            "edge-ams sent a SYN and 4 retransmissions to 10.9.0.10:993 and heard nothing for 5 s",
            "edge-fra and edge-lon connected to 10.9.0.10:993 in 0.4 ms at the same moment"],
        "alternatives": [{"kind": "source_banned", "confidence": 0.1,
            "told_apart_by": "whether the mail host answers edge-ams on any other port"}],
        "next_steps": ["look at the egress rules of the firewall at edge-ams for tcp/993"]});
    let missing = json!({
        "kind": "agent_missing", "severity": "warning", "confidence": 1.0,
        "summary": "nothing was heard from edge-nyc", "scope": {"affected": ["edge-nyc"], "unaffected": []},
        "location": {"segment": "unknown"}, "because": ["edge-nyc: offline, not connected since 10:31:02"],
        "next_steps": ["start parallax-agent at edge-nyc, and see `parallax-agent doctor` there"]});
    run(
        &vantages,
        "partial",
        "edge-ams cannot reach imap.lab.example:993: packets are dropped on the way (2 of 4 vantage points are healthy, 1 more finding)",
        &[dropped, missing],
    )
}

/// The certificate has expired for everybody; there is evidence and a dialogue.
fn expired() -> RunDocument {
    let mut tls = fault(
        "tls",
        "failed",
        "tls",
        "certificate_expired",
        "the certificate of imap.lab.example ended on 2026-07-01",
    );
    tls["duration_ms"] = json!(3.9);
    tls["evidence"] = json!({"server_name": "imap.lab.example", "version": "TLSv1.3",
        "cipher_suite": "TLS_AES_256_GCM_SHA384", "group": "X25519", "bytes_received": 2100, "bytes_sent": 320,
        "verified": false, "ocsp_stapled": false,
        "chain": [{"subject": "CN=imap.lab.example", "issuer": "CN=Lab CA", "serial": "01",
            "not_before": "2026-04-01T00:00:00Z", "not_after": "2026-07-01T00:00:00Z",
            "dns_names": ["imap.lab.example"], "key": "EC P-256", "signature_algorithm": "ecdsa-with-SHA256",
            "sha256": "aa", "spki_sha256": "bb", "is_ca": false, "self_signed": false}]});
    let mut connect = stage("connect", 0.412);
    connect["evidence"] = json!({"peer": "10.9.0.10:993", "local": "10.2.0.2:41234"});
    let mut attempt = attempt("10.9.0.10", 0, Some(connect));
    attempt["stages"][1] = tls;
    attempt["transcript"] = json!([{"at_ms": 4.2, "speaker": "S", "text": "* BYE \u{1b}[2Jgone"}]);
    let mut again = attempt.clone();
    again["purpose"] = json!("follow_up");
    again["experiment"] = json!(ExperimentKind::Repeat);
    again["transcript"] = json!([]);
    let finding = json!({
        "kind": "certificate_expired", "severity": "critical", "confidence": 1.0,
        "summary": "the certificate of imap.lab.example expired 27 days ago",
        "scope": {"affected": ["edge-ams"], "unaffected": [], "endpoints": ["10.9.0.10:993"]},
        "stage": "tls", "location": {"segment": "service"},
        "because": ["CN=imap.lab.example ended on 2026-07-01, 27 days ago"],
        "next_steps": ["renew the certificate on the mail host and reload the service"]});
    run(
        &[vantage("edge-ams", "failed", &[attempt, again])],
        "down",
        "the certificate of imap.lab.example expired 27 days ago",
        &[finding],
    )
}

/// [`partial`], with what was tried, the paths that were traced, and what was otherwise when it last worked.
fn followed_up() -> RunDocument {
    let mut document = serde_json::to_value(partial()).unwrap();
    document["vantages"][0]["paths"] = json!([
        {"address": "10.9.0.10", "port": 993, "protocol": "tcp", "reached": false, "payload": "syn",
            "ended": "silent", "start_ms": 0.0, "duration_ms": 900.0, "hops": [
            {"ttl": 1, "addresses": ["10.2.0.1"], "rtt_ms": 0.3, "reply": "time_exceeded"},
            {"ttl": 2, "addresses": [], "reply": "none", "asked": 2}]},
        {"address": "10.9.0.10", "port": 7, "protocol": "tcp", "reached": true, "payload": "syn",
            "experiment": "path_control", "ended": "reached", "answer_ttl": 61, "start_ms": 0.0,
            "duration_ms": 90.0, "hops": [
            {"ttl": 1, "addresses": ["10.2.0.1"], "rtt_ms": 0.3, "reply": "time_exceeded"},
            {"ttl": 2, "addresses": ["10.0.1.1", "10.0.1.5"], "rtt_ms": 12.0, "reply": "time_exceeded", "mss": 1360},
            {"ttl": 3, "addresses": ["10.9.0.10"], "rtt_ms": 20.1, "reply": "rst"}]}]);
    let experiment = |round: u32, kind: &str, agent: &str, outcome: &str| {
        json!({"round": round, "kind": kind, "agent": agent, "address": "10.9.0.10", "port": 993,
            "security": "tls", "because": "packets_dropped or source_banned", "outcome": outcome})
    };
    document["experiments"] = json!([
        experiment(1, "path", "edge-fra", "done"),
        experiment(1, "control_port", "edge-ams", "refused"),
        experiment(2, "other_source", "edge-ams", "missing")
    ]);
    document["experiments"][2]["source"] = json!("10.2.0.3");
    for record in 0..2 {
        document["experiments"][record]["changed"] =
            json!("packets_dropped 0.50 -> 0.85 in transit after 10.2.0.1");
    }
    document["compared_with"] = json!({"run_id": "019852b0-7d6c-7a1e-9c40-3a5f0c9d2e11",
        "started_at": "2026-07-28T09:31:07Z"});
    document["changes"] = json!([
        {"agent": "edge-ams", "what": "outcome", "address": "10.9.0.10", "before": "993/tls ok",
            "after": "993/tls failed: connect timed_out"},
        {"agent": "edge-ams", "what": "outcome", "address": "fd00:9::10", "before": "993/tls ok",
            "after": "993/tls failed: connect timed_out"},
        {"agent": "edge-lon", "what": "latency", "address": "10.9.0.10", "before": "connect in 1.0 ms",
            "after": "connect in 90.0 ms"}]);
    serde_json::from_value(document).unwrap()
}

fn terminal(width: usize) -> Canvas {
    Canvas {
        width: Some(width),
        colour: false,
    }
}

#[test]
fn a_healthy_run_is_a_table_and_one_line() {
    insta::assert_snapshot!(table(&healthy(), Canvas::PLAIN));
}

#[test]
fn a_partial_run_says_who_what_where_and_next() {
    insta::assert_snapshot!(table(&partial(), terminal(110)));
}

#[test]
fn a_narrow_terminal_gets_fewer_columns_and_whole_words() {
    let text = table(&partial(), terminal(80));
    assert!(text.lines().all(|line| canvas::columns(line) <= 80), "{text}");
    insta::assert_snapshot!(text);
}

#[test]
fn a_very_narrow_terminal_keeps_what_is_wrong() {
    let text = table(&partial(), terminal(48));
    assert!(text.contains("timeout") && text.contains("offline"), "{text}");
    assert!(text.lines().all(|line| canvas::columns(line) <= 48), "{text}");
    insta::assert_snapshot!(text);
}

/// One agent may not go there, another may not go to one of two addresses.
fn refused() -> RunDocument {
    let rule = |what: &str, rule: &str, value: &str, address: Option<&str>| {
        let mut refusal = json!({"what": what, "rule": rule, "value": value});
        if let Some(address) = address {
            refusal["address"] = address.into();
            refusal["port"] = 993.into();
        }
        refusal
    };
    let mut ams = vantage("edge-ams", "ok", &[attempt("10.9.0.10", 6, None)]);
    ams["left_out"] = json!([
        rule("address", "deny fd00::/8", "fd00:9::10", Some("fd00:9::10")),
        rule("trace", "trace = false", "path", None),
    ]);
    let fra = json!({"agent": "edge-fra", "labels": {}, "outcome": "refused", "reason": "policy",
        "note": "this agent's policy does not allow imap.lab.example port 993",
        "refusal": rule("port", "allow *:143\u{1b}[2J", "993", None), "attempts": []});
    run(
        &[ams, fra],
        "healthy",
        "imap.lab.example is healthy from edge-ams",
        &[],
    )
}

#[test]
fn what_an_agents_policy_refuses_stands_beside_its_rule_and_is_not_failed() {
    let by = "refused: policy (its own rule: deny fd00::/8)";
    for text in [
        table(&refused(), Canvas::PLAIN),
        wide(&refused(), Canvas::PLAIN),
        markdown(&refused()),
    ] {
        let line = |word: &str| text.lines().find(|line| line.contains(word)).unwrap_or_default();
        assert!(line("fd00:9::10").contains(by), "{text}");
        assert!(line("trace = false").contains("path"), "{text}");
        assert!(line("port 993").contains("allow"), "{text}");
        assert!(!text.contains('\u{1b}'), "{text}");
    }
}

#[test]
fn wide_shows_what_was_seen() {
    insta::assert_snapshot!(wide(&expired(), terminal(110)));
}

#[test]
fn a_run_says_what_is_otherwise_since_it_last_worked_in_one_line() {
    let text = table(&followed_up(), Canvas::PLAIN);
    let line = "since the last good run (2026-07-28 09:31:07 UTC): outcome at edge-ams; latency at edge-lon";
    assert!(text.lines().any(|shown| shown == line), "{text}");
    assert!(!table(&partial(), Canvas::PLAIN).contains("since the last"));
}

#[test]
fn wide_shows_the_paths_and_what_was_tried() {
    insta::assert_snapshot!(wide(&followed_up(), terminal(110)));
}

#[test]
fn markdown_shows_the_paths_and_what_was_tried() {
    insta::assert_snapshot!(markdown(&followed_up()));
}

#[test]
fn a_name_that_does_not_resolve_has_rows_all_the_same() {
    let mut document = healthy();
    for vantage in &mut document.vantages {
        vantage.attempts.clear();
        let resolve = fault(
            "resolve",
            "failed",
            "dns",
            "nxdomain",
            "imap.lab.example does not exist",
        );
        vantage.resolve = Some(serde_json::from_value(resolve).unwrap());
    }
    document.summary = "imap.lab.example does not exist".into();
    insta::assert_snapshot!(table(&document, Canvas::PLAIN));
}

#[test]
fn markdown_is_inert_where_a_server_speaks() {
    let mut document = partial();
    document.findings[0].because[0] = "said <img src=x> | **bold** `code` @team".into();
    insta::assert_snapshot!(markdown(&document));
}

#[test]
fn nagios_gets_one_line_with_performance_data() {
    let text = nagios(&partial());
    assert_eq!(text.lines().count(), 1);
    assert_eq!(text.matches('|').count(), 1);
    insta::assert_snapshot!(text);
}

#[test]
fn colour_says_nothing_that_words_do_not() {
    let colour = Canvas {
        width: Some(110),
        colour: true,
    };
    let painted = table(&partial(), colour);
    assert!(painted.contains("\x1b[1;31m"));
    assert_eq!(without_colour(&painted), table(&partial(), terminal(110)));
}

#[test]
fn nothing_a_server_says_moves_the_cursor() {
    let mut document = expired();
    let followed_up = followed_up();
    document.experiments = followed_up.experiments;
    document.experiments[0].because = "\x1b[2J".into();
    document.experiments[0].changed = Some("\u{202e}\n".into());
    document.compared_with = followed_up.compared_with;
    document.changes = followed_up.changes;
    document.changes[0].before = "key \x1b[2J".into();
    document.changes[0].after = "by \u{202e}\r\nCN".into();
    document.vantages[0].network = followed_up.vantages[0].network.clone();
    let vile = parallax_model::path::HopReply::Unreachable("\x1b[2J".into());
    document.vantages[0].network.paths[0].hops[0].reply = vile;
    let difference = changes::Difference {
        target: "\x1b[2J".into(),
        before: document.reference(),
        after: document.reference(),
        not_in_both: Vec::new(),
        changes: document.changes.clone(),
    };
    document.summary = "x\x1b[2J\u{202e}".into();
    document.findings[0].because.push("y\r\n\x07z".into());
    document.vantages[0].note = Some("\x1b]0;title\x07".into());
    for text in [
        table(&document, terminal(80)),
        wide(&document, terminal(80)),
        markdown(&document),
        nagios(&document),
        changes::table(&difference, terminal(80)),
        changes::markdown(&difference),
    ] {
        let clean = text
            .chars()
            .all(|character| character == '\n' || (!character.is_control() && character != '\u{202e}'));
        assert!(clean, "{text:?}");
    }
}

#[test]
fn json_is_the_document_itself() {
    let document = partial();
    let read: RunDocument = serde_json::from_str(&json(&document).unwrap()).unwrap();
    assert_eq!(read, document);
    assert_eq!(json_line(&document).unwrap().lines().count(), 1);
}

#[test]
fn progress_has_a_line_for_each_vantage_point_and_never_scrolls() {
    let document = partial();
    let mut view = RunView::default();
    let choice = |vantage: &Observation| Choice {
        agent: vantage.agent.clone(),
        labels: Labels::new(),
        connected: true,
        why: String::new(),
    };
    view.fold(&News::Started(Started {
        run_id: None,
        trace_id: None,
        asked: document.vantages.iter().map(choice).collect(),
        passed_over: Vec::new(),
        deadline: Duration::from_secs(25),
    }));
    for vantage in &document.vantages[..2] {
        let attempt = &vantage.attempts[0];
        view.fold(&News::Stage(Box::new(VantageStage {
            agent: vantage.agent.clone(),
            endpoint: Some((attempt.address, attempt.endpoint)),
            stage: attempt.stage(StageName::Connect).cloned().unwrap(),
        })));
    }
    view.fold(&News::Observation(Box::new(document.vantages[3].clone())));
    view.fold(&News::FollowUp(FollowUp {
        round: 1,
        experiments: Vec::new(),
    }));
    let frame = |height, width| live::frame(&view, Duration::from_millis(1530), height, terminal(width));
    insta::assert_snapshot!(frame(24, 80).join("\n"));
    assert_eq!(frame(4, 80).len(), 3);
    assert!(frame(24, 30).iter().all(|line| canvas::columns(line) <= 30));
}

fn without_colour(text: &str) -> String {
    let mut pieces = text.split("\x1b[");
    let first = pieces.next().unwrap_or_default().to_owned();
    pieces.fold(first, |text, piece| {
        text + piece.split_once('m').map_or("", |(_, rest)| rest)
    })
}
