//! What each stage's evidence says in words, by documents made by hand.

use parallax_model::client::ClientReport;
use serde_json::Map;

use super::*;

fn told(name: &str, millis: f64, evidence: Value) -> Value {
    let mut stage = stage(name, millis);
    stage["evidence"] = evidence;
    stage
}

fn faulty(name: &str, outcome: &str, fault: [&str; 3], evidence: Value) -> Value {
    let [layer, kind, message] = fault;
    let mut stage = super::fault(name, outcome, layer, kind, message);
    stage["duration_ms"] = json!(12.0);
    stage["evidence"] = evidence;
    stage
}

fn session(security: &str, stages: Vec<Value>) -> Value {
    let port = if security == "tls" { 993 } else { 143 };
    json!({"address": "10.9.0.10", "family": "ipv4", "port": port, "security": security, "purpose": "requested",
        "outcome": "ok", "stages": stages})
}

fn follow_up(experiment: &str, mut attempt: Value) -> Value {
    attempt["purpose"] = json!("follow_up");
    attempt["experiment"] = json!(experiment);
    attempt
}

fn document(resolve: Option<Value>, attempts: &[Value]) -> RunDocument {
    let mut vantage = vantage("edge-ams", "degraded", attempts);
    if let Some(resolve) = resolve {
        vantage["resolve"] = resolve;
    }
    run(&[vantage], "partial", "something must be seen", &[])
}

/// The middle of `-o wide`: without the matrix above and the run's number below.
fn evidence(document: &RunDocument) -> String {
    let text = wide(document, terminal(110));
    assert!(
        text.lines()
            .all(|line| canvas::columns(line) <= 110 && line.trim_end() == line),
        "{text}"
    );
    let from = text.find("\n\nedge-ams").unwrap() + 2;
    let to = text.find("\n\nPARTIAL").unwrap();
    text[from..to].to_owned()
}

fn names() -> RunDocument {
    let query = |record_type: &str, name: &str, more: Value| {
        let mut query = json!({"name": name, "record_type": record_type, "resolver": "10.2.0.53:53",
            "transport": "udp", "rcode": "NOERROR", "duration_ms": 0.8});
        for (key, value) in more.as_object().unwrap() {
            query[key] = value.clone();
        }
        query
    };
    let resolve = faulty(
        "resolve",
        "degraded",
        [
            "dns",
            "answers_differ",
            "10.2.0.53 says 10.9.0.10, 192.0.2.53 says 10.9.0.66",
        ],
        json!({"source": "dns", "addresses": ["10.9.0.10"],
            "queries": [
                query("A", "imap.lab.example", json!({"addresses": ["10.9.0.10"], "ttl_s": 60, "dnssec": "authenticated",
                    "second_answer": ["10.9.0.99"], "cname_chain": ["mail.lab.example"]})),
                query("AAAA", "imap.lab.example", json!({"rcode": "SERVFAIL", "dnssec": "bogus",
                    "fault": {"layer": "dns", "kind": "bogus", "message": "the signatures do not fit"}})),
                query("SRV", "_imaps._tcp.lab.example", json!({"ttl_s": 300, "dnssec": "not_authenticated"}))],
            "other": {"resolver": "192.0.2.53:53", "addresses": ["10.9.0.66"], "agrees": false},
            "services": [
                {"service": "_imaps._tcp", "priority": 0, "weight": 1, "port": 993, "target": "imap.lab.example",
                 "ttl_s": 300},
                {"service": "_imap._tcp", "priority": 0, "weight": 0, "port": 0, "target": ".", "ttl_s": 300}],
            "tlsa": [
                {"port": 993, "usage": 3, "selector": 1, "matching": 1, "data": "0123456789abcdef0123456789abcdef",
                 "authenticated": true},
                {"port": 993, "usage": 9, "selector": 0, "matching": 0, "data": "00", "authenticated": false}]}),
    );
    let connect = told(
        "connect",
        3012.0,
        json!({"peer": "10.9.0.10:993", "local": "10.2.0.2:41234", "interface": "eth0", "syn_retransmits": 2,
            "mss": 536, "on_link": true}),
    );
    let mut refused = faulty(
        "connect",
        "failed",
        ["tcp", "permission_denied", "connect to 10.9.0.10:143: prohibited"],
        json!({"peer": "10.9.0.10:143", "errno": "EHOSTUNREACH", "syn_retransmits": 1,
            "icmp": {"type": 3, "code": 13, "name": "admin_prohibited", "from": "10.9.0.1"}}),
    );
    refused["evidence"]["tcp"] = json!({"state": "SYN_SENT", "rtt_ms": 0.0, "total_retransmits": 1, "retransmits": 1,
        "unacked": 1, "segs_out": 2, "segs_in": 0, "bytes_acked": 0, "bytes_received": 0, "rcv_ooopack": 0,
        "snd_mss": 524, "pmtu": 1500, "soft_error": "EHOSTUNREACH"});
    document(
        Some(resolve),
        &[session("tls", vec![connect]), session("starttls", vec![refused])],
    )
}

fn certificate() -> Value {
    json!({"subject": "CN=imap.lab.example", "issuer": "CN=Lab CA", "serial": "01",
        "not_before": "2026-07-01T00:00:00Z", "not_after": "2026-09-29T00:00:00Z",
        "dns_names": ["imap.lab.example"], "srv_names": ["_imaps.lab.example"], "key": "EC P-256",
        "signature_algorithm": "ecdsa-with-SHA256", "sha256": "0123456789abcdef0123", "spki_sha256": "fedcba9876543210fedc",
        "is_ca": false, "self_signed": false, "lifetime_left": 0.69, "scts": 2, "must_staple": true,
        "ca_issuers": ["http://ca.lab.example/lab.der"]})
}

fn handshakes() -> RunDocument {
    let tls = json!({"server_name": "imap.lab.example", "version": "TLSv1.3", "cipher_suite": "TLS_AES_256_GCM_SHA384",
        "group": "X25519MLKEM768", "alpn": "imap", "handshake_kind": "hello_retry", "bytes_received": 2100,
        "bytes_sent": 320, "verified": true, "trusted_by": ["system"], "strict": true, "ocsp_stapled": true,
        "chain": [certificate()],
        "ocsp": {"status": "good", "this_update": "2026-07-27T00:00:00Z", "next_update": "2026-08-03T00:00:00Z"},
        "tlsa": {"records": 2, "matched": false, "note": "the key was changed and the record was not"}});
    let old = json!({"version": "TLSv1.0", "bytes_received": 900, "bytes_sent": 200, "verified": false,
        "ocsp_stapled": false, "raw_hello": {"offered": ["TLSv1.0", "TLSv1.1", "TLSv1.2"], "version": "TLSv1.0",
            "cipher_suite": "TLS_RSA_WITH_AES_128_CBC_SHA"}});
    let refused = json!({"bytes_received": 7, "bytes_sent": 200, "verified": false, "ocsp_stapled": false,
        "first_bytes": "15030100020246", "alert": "protocol_version",
        "raw_hello": {"offered": ["TLSv1.0"], "alert": "protocol_version"}});
    let resumed = json!({"version": "TLSv1.3", "handshake_kind": "resumed", "bytes_received": 300, "bytes_sent": 600,
        "verified": true, "trusted_by": ["system"], "ocsp_stapled": false, "tlsa": {"records": 0, "note": "no record"}});
    let anew = json!({"version": "TLSv1.2", "handshake_kind": "full", "bytes_received": 2100, "bytes_sent": 600,
        "verified": true, "trusted_by": ["system"], "ocsp_stapled": false, "chain": [certificate()]});
    let injected = json!({"injection": "executed", "reply": {"status": "OK", "text": "Begin TLS"},
        "capabilities": ["IMAP4rev1"], "added": ["AUTH=PLAIN"], "removed": ["LOGINDISABLED", "STARTTLS"],
        "tls": {"version": "TLSv1.3", "bytes_received": 2100, "bytes_sent": 320, "verified": true,
            "trusted_by": ["ca_file"], "ocsp_stapled": false}});
    let fault = [
        "imap",
        "starttls_injection",
        "a command sent in clear was carried out behind TLS",
    ];
    let too_old = ["tls", "protocol_version", "the server speaks TLSv1.0 at most"];
    document(
        None,
        &[
            session("tls", vec![told("tls", 3.1, tls)]),
            follow_up("resumption", session("tls", vec![told("tls", 1.4, resumed)])),
            follow_up(
                "raw_hello",
                session("tls", vec![faulty("tls", "degraded", too_old, old)]),
            ),
            follow_up("resumption", session("tls", vec![told("tls", 2.9, anew)])),
            follow_up("raw_hello", session("tls", vec![told("tls", 0.9, refused)])),
            follow_up(
                "starttls_injection",
                session("starttls", vec![faulty("starttls", "failed", fault, injected)]),
            ),
        ],
    )
}

fn logins() -> RunDocument {
    let greeting = json!({"bytes_received": 60,
        "reply": {"status": "OK", "code": "ALERT", "text": "down at 18:00", "cause": "the operator has something to say"},
        "backend": "imap-3.lab.example"});
    let capability = json!({"capabilities": ["IMAP4rev1", "IDLE"], "reply": {"status": "OK", "text": "done"},
        "added": ["IDLE"], "removed": ["LOGINDISABLED"], "cleartext_login": true});
    let scram = json!({"mechanism": "SCRAM-SHA-256-PLUS", "command": "AUTHENTICATE", "initial_response": true,
        "reply": {"status": "OK", "text": "in"}, "server_verified": true, "channel_binding": "tls-exporter",
        "added": ["QUOTA", "ENABLE"], "removed": ["SASL-IR"], "enabled": ["CONDSTORE"], "penalty_suspected": true});
    let token = json!({"mechanism": "OAUTHBEARER", "command": "AUTHENTICATE", "initial_response": false,
        "oauth_error": {"status": "invalid_token", "scope": "mail", "openid_configuration": "https://id.lab.example/c"},
        "reply": {"status": "NO", "code": "AUTHENTICATIONFAILED", "text": "no such token",
            "cause": "the server does not accept the token", "source": "RFC 5530",
            "next_step": "get a new token for the scope mail"}});
    let command = json!({"mechanism": "LOGIN", "command": "LOGIN", "initial_response": false,
        "reply": {"status": "OK", "text": "in"}, "penalty_suspected": false});
    let nothing_in_common = json!({"mechanism": "", "initial_response": false});
    let none = [
        "auth",
        "mechanism_unavailable",
        "the server does not offer SCRAM-SHA-256-PLUS",
    ];
    let refused = json!({"mechanism": "SCRAM-SHA-1", "command": "AUTHENTICATE", "initial_response": false,
        "server_verified": false, "reply": {"status": "NO", "text": "no"}});
    let rejected = ["auth", "credentials_rejected", "the password was rejected"];
    let unproven = json!({"mechanism": "SCRAM-SHA-1", "command": "AUTHENTICATE", "initial_response": false,
        "server_verified": false});
    let fault = ["auth", "token_rejected", "the token was rejected: invalid_token"];
    document(
        None,
        &[
            session(
                "tls",
                vec![
                    told("greeting", 1.0, greeting),
                    told("capability", 0.4, capability),
                    told("authenticate", 8.0, scram),
                ],
            ),
            session("tls", vec![faulty("authenticate", "failed", fault, token)]),
            session(
                "tls",
                vec![
                    told("authenticate", 5.0, command),
                    told("authenticate", 6.0, unproven),
                    faulty("authenticate", "failed", none, nothing_in_common),
                    faulty("authenticate", "failed", rejected, refused),
                ],
            ),
        ],
    )
}

fn mailboxes() -> RunDocument {
    let namespace =
        json!({"personal": [{"prefix": "INBOX.", "delimiter": "."}], "shared": [{"prefix": "shared."}]});
    let list = json!({"mailboxes": 7, "delimiter": ".", "roles": {"drafts": 1, "sent": 2}, "unparsed": 1,
        "missing_roles": ["trash", "junk"], "doubled_roles": ["sent"], "undecodable": 1, "outside_prefix": 2});
    let select = json!({"command": "EXAMINE", "exists": 12, "uid_validity": 17, "uid_next": 40, "read_only": true,
        "permanent_flags": ["\\Seen", "\\*"], "uid_not_sticky": true, "no_modseq": true, "mailbox_id": "F2212ea87",
        "status": {"messages": 12, "unseen": 3, "uid_next": 41, "size": 3_500_000},
        "quota": [{"root": "User quota", "resource": "STORAGE", "usage": 950, "limit": 1024},
            {"root": "", "resource": "MESSAGE", "usage": 12, "limit": 10}],
        "reply": {"status": "OK", "code": "READ-ONLY", "text": "done", "cause": "it can be read but not changed"}});
    let fetch = json!({"uid": 39, "size": 4_321, "literal_bytes": 310, "declared_bytes": 312, "first_byte_ms": 0.9,
        "end_ms": 2.4, "reply": {"status": "OK", "text": "done"}});
    let roles = [
        "mailbox",
        "special_use",
        "no mailbox for trash, junk; two for sent",
    ];
    let short = [
        "mailbox",
        "fetch_mismatch",
        "310 bytes came where 312 were announced",
    ];
    document(
        None,
        &[session(
            "tls",
            vec![
                told("namespace", 0.5, namespace),
                faulty("list", "degraded", roles, list),
                told("select", 0.7, select),
                faulty("fetch", "degraded", short, fetch),
            ],
        )],
    )
}

fn synchronised() -> RunDocument {
    let append = json!({"mailbox": "parallax-probe-6a1", "bytes": 412, "go_ahead_ms": 0.4, "stored_ms": 2.2,
        "uid_validity": 17, "uid": 1, "intact": true, "reply": {"status": "OK", "code": "APPENDUID", "text": "done"}});
    let sync = json!({"watcher": "edge-fra", "uncertainty_ms": 0.4,
        "events": [{"event": "exists", "seen": "idle", "latency_ms": 12.0},
            {"event": "flags", "seen": "noop", "latency_ms": 3_010.0},
            {"event": "flags", "seen": "select", "latency_ms": 6_200.0},
            {"event": "expunge", "seen": "never"}],
        "flags_kept": true, "copy": "copied", "move": "copied_and_expunged", "cleaned_up": true, "old_removed": 1});
    let idle =
        json!({"offered": true, "go_ahead_ms": 0.2, "events": 3, "keepalive_ms": 120_000.0, "done_ms": 0.3});
    let broken = [
        "mailbox",
        "sync_broken",
        "the removal of a message was never seen",
    ];
    let mut watch = follow_up(
        "watch",
        session(
            "tls",
            vec![
                told("select", 0.4, json!({"command": "EXAMINE", "exists": 1})),
                told("idle", 6_000.0, idle),
            ],
        ),
    );
    watch["agent"] = json!("edge-fra");
    let altered = json!({"mailbox": "parallax-probe-6a2", "bytes": 412, "intact": false,
        "difference": "line 3: Date was written anew",
        "reply": {"status": "OK", "text": "done"}});
    let mismatch = [
        "mailbox",
        "append_mismatch",
        "the message did not come back as it was sent",
    ];
    let unwatched = json!({"events": [], "flags_kept": false, "copy": "refused", "move": "refused", "cleaned_up": false,
        "left_over": ["parallax-probe-6a2"],
        "watcher_fault": {"layer": "agent", "kind": "deadline", "message": "edge-fra went away"}});
    let gone = ["mailbox", "sync_delayed", "nobody watched"];
    document(
        None,
        &[
            session(
                "tls",
                vec![
                    told("append", 9.0, append),
                    faulty("sync", "failed", broken, sync),
                    told(
                        "idle",
                        0.6,
                        json!({"offered": true, "go_ahead_ms": 0.2, "done_ms": 0.3}),
                    ),
                ],
            ),
            session(
                "tls",
                vec![
                    faulty("append", "degraded", mismatch, altered),
                    faulty("sync", "degraded", gone, unwatched),
                ],
            ),
            watch,
        ],
    )
}

fn held() -> RunDocument {
    let hold = |asked: f64, held: f64, end: &str, more: Value| {
        let mut facts = json!({"asked_ms": asked, "held_ms": held, "logged_in": false, "end": end});
        for (key, value) in more.as_object().unwrap() {
            facts[key] = value.clone();
        }
        facts
    };
    let rung = |facts: Value| follow_up("hold", session("tls", vec![told("hold", 1.0, facts)]));
    let mut main = hold(600_000.0, 600_000.0, "silent", json!({}));
    main["logged_in"] = json!(true);
    let cut = [
        "imap",
        "idle_timeout",
        "the session was dead after 10 min of silence",
    ];
    let unmade = follow_up(
        "hold",
        session(
            "tls",
            vec![super::fault(
                "connect",
                "failed",
                "tcp",
                "timed_out",
                "no answer within 5 s",
            )],
        ),
    );
    document(
        None,
        &[
            session("tls", vec![faulty("hold", "failed", cut, main)]),
            rung(hold(480_000.0, 300_100.0, "reset", json!({}))),
            rung(hold(60_000.0, 60_000.0, "alive", json!({"answer_ms": 0.4}))),
            rung(hold(
                360_000.0,
                180_000.0,
                "bye",
                json!({"bye": {"status": "BYE", "text": "idle for too long"}}),
            )),
            rung(hold(120_000.0, 120_000.0, "alive", json!({"answer_ms": 0.5}))),
            unmade,
        ],
    )
}

fn with_clients() -> RunDocument {
    let mut document = healthy();
    let report = |client: &str, outcome: &str, because: &[&str]| -> ClientReport {
        serde_json::from_value(json!({"client": client, "outcome": outcome, "because": because})).unwrap()
    };
    document.clients = vec![
        report("Thunderbird", "works", &[]),
        report(
            "Apple Mail",
            "degraded",
            &["the server offers no IDLE: new mail is seen when it asks"],
        ),
        report(
            "Outlook",
            "fails",
            &[
                "it speaks TLS 1.2 at least and the server TLS 1.0 at most, which leaves nothing that both understand",
                "it logs in with OAuth or AUTH=PLAIN; the server offers neither",
            ],
        ),
        report("mbsync", "unknown", &["the probe did not log in"]),
    ];
    document.clients[2].affected = vec!["edge-ams".parse().unwrap(), "edge-fra".parse().unwrap()];
    document
}

fn every_document() -> Vec<RunDocument> {
    vec![
        names(),
        handshakes(),
        logins(),
        mailboxes(),
        synchronised(),
        held(),
        with_clients(),
        followed_up(),
        partial(),
        expired(),
    ]
}

#[test]
fn names_and_connections_say_who_answered_what() {
    insta::assert_snapshot!(evidence(&names()));
}

#[test]
fn handshakes_say_what_was_agreed_and_what_was_examined() {
    insta::assert_snapshot!(evidence(&handshakes()));
}

#[test]
fn logins_say_how_and_what_a_refusal_means() {
    insta::assert_snapshot!(evidence(&logins()));
}

#[test]
fn mailboxes_say_what_is_missing_doubled_and_full() {
    insta::assert_snapshot!(evidence(&mailboxes()));
}

#[test]
fn synchronisation_says_how_each_change_was_seen_and_what_is_left() {
    insta::assert_snapshot!(evidence(&synchronised()));
}

#[test]
fn held_sessions_are_a_ladder_that_brackets_what_cuts_them() {
    insta::assert_snapshot!(evidence(&held()));
}

#[test]
fn clients_are_one_line_in_the_table_and_only_when_one_fails() {
    let mut document = with_clients();
    let text = table(&document, terminal(80));
    let line = "clients   1 of 4 families of mail clients would not work: Outlook (see -o wide)";
    assert!(text.contains(line), "{text}");
    document.clients.remove(2);
    assert!(!table(&document, terminal(80)).contains("clients"));
}

#[test]
fn clients_are_a_block_in_wide_and_a_table_in_markdown() {
    let document = with_clients();
    let wide = wide(&document, terminal(100));
    assert!(wide.lines().all(|line| canvas::columns(line) <= 100), "{wide}");
    let block = &wide[wide.find("mail clients").unwrap()..];
    let markdown = markdown(&document);
    let table = &markdown[markdown.find("### Mail clients").unwrap()..];
    insta::assert_snapshot!(format!("{block}\n{table}"));
}

#[test]
fn no_text_of_any_document_moves_the_cursor() {
    for document in every_document() {
        let hostile = poisoned(&document);
        let clean = |character: char| {
            character == '\n'
                || (!character.is_control() && character != '\u{202e}' && character != '\u{200b}')
        };
        for text in [
            table(&hostile, terminal(80)),
            wide(&hostile, terminal(80)),
            markdown(&hostile),
            nagios(&hostile),
        ] {
            assert!(text.chars().all(clean), "{text:?}");
        }
        // What stands behind the line end of a text never begins a line.
        let text = wide(&hostile, Canvas::PLAIN) + &table(&hostile, Canvas::PLAIN) + &markdown(&hostile);
        let begins = |line: &str| line.trim_start().starts_with("\\u{202e}");
        assert!(text.contains("\\u{202e}") && !text.lines().any(begins), "{text}");
    }
}

#[test]
fn every_document_is_what_the_schema_says() {
    let schema = serde_json::to_value(schemars::schema_for!(RunDocument)).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    for document in every_document() {
        let value = serde_json::to_value(&document).unwrap();
        let wrong: Vec<_> = validator
            .iter_errors(&value)
            .map(|error| error.to_string())
            .collect();
        assert!(wrong.is_empty(), "{wrong:?}");
        let read: RunDocument = serde_json::from_str(&json(&document).unwrap()).unwrap();
        assert_eq!(read, document);
    }
}

/// The document with something vile behind every text that can hold it.
fn poisoned(document: &RunDocument) -> RunDocument {
    let mut whole = serde_json::to_value(document).unwrap();
    let mut places = Vec::new();
    find_texts(&whole, String::new(), &mut places);
    for place in places {
        let text = whole.pointer(&place).and_then(Value::as_str).unwrap().to_owned();
        *whole.pointer_mut(&place).unwrap() = json!(format!("{text}\u{1b}[2J\r\n\u{202e}\u{200b}\u{9b}31m"));
        if serde_json::from_value::<RunDocument>(whole.clone()).is_err() {
            *whole.pointer_mut(&place).unwrap() = json!(text);
        }
    }
    serde_json::from_value(whole).unwrap()
}

fn find_texts(value: &Value, place: String, places: &mut Vec<String>) {
    match value {
        // What the model reads as one of its own names changes its meaning, not its looks.
        Value::String(_) => places.push(place),
        Value::Array(values) => {
            for (at, value) in values.iter().enumerate() {
                find_texts(value, format!("{place}/{at}"), places);
            }
        }
        Value::Object(fields) => find_in_fields(fields, &place, places),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn find_in_fields(fields: &Map<String, Value>, place: &str, places: &mut Vec<String>) {
    const NAMES: [&str; 8] = [
        "outcome",
        "verdict",
        "experiment",
        "purpose",
        "security",
        "stage",
        "layer",
        "handshake_kind",
    ];
    for (name, value) in fields {
        if !NAMES.contains(&name.as_str()) {
            find_texts(value, format!("{place}/{name}"), places);
        }
    }
}
