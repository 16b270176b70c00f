use std::io::Read as _;

use flate2::read::GzDecoder;
use parallax_model::capture::Capture;
use parallax_model::evidence::Evidence;
use serde_json::{Value, json};

use super::*;

fn attempt(address: &str, extra: Value) -> Value {
    let mut attempt = json!({"address": address, "family": "ipv4", "port": 993, "security": "tls",
        "purpose": "requested", "outcome": "failed", "stages": [
            {"stage": "connect", "outcome": "ok", "start_ms": 1.0, "duration_ms": 0.4},
            {"stage": "greeting", "outcome": "failed", "start_ms": 2.0, "duration_ms": 9.0,
                "fault": {"layer": "imap", "kind": "protocol_error", "message": "no greeting"}}]});
    for (key, value) in extra.as_object().unwrap() {
        attempt[key] = value.clone();
    }
    attempt
}

fn document() -> RunDocument {
    let said = json!([{"at_ms": 1.0, "speaker": "S", "text": "* BYE \u{1b}[2Jgone"},
        {"at_ms": 2.0, "speaker": "C", "text": "a1 LOGOUT"}]);
    let hops = json!([{"ttl": 1, "addresses": ["10.1.0.1"], "rtt_ms": 0.3, "reply": "time_exceeded"},
        {"ttl": 2, "addresses": ["10.0.9.2"], "rtt_ms": 20.1, "reply": "unreachable:admin_prohibited"},
        {"ttl": 3, "addresses": [], "reply": "none"}]);
    let vantage = json!({"agent": "fra-1", "labels": {}, "outcome": "failed",
        "attempts": [attempt("10.9.0.10", json!({"transcript": said})), attempt("10.9.0.11", json!({})),
            attempt("fd00:9::10", json!({"family": "ipv6", "purpose": "follow_up", "experiment": "repeat",
                "transcript": said}))],
        "paths": [{"address": "10.9.0.10", "port": 993, "protocol": "tcp", "reached": false, "hops": hops,
            "payload": "syn", "ended": "unreachable", "start_ms": 0.0, "duration_ms": 9.0}]});
    let finding = json!({"kind": "rejected_with_icmp", "severity": "critical", "confidence": 0.9,
        "summary": "fra-1 is refused\nrm -rf /", "scope": {"affected": ["fra-1"], "unaffected": []},
        "location": {"segment": "transit"}, "because": ["said so"],
        "next_steps": ["on 10.0.9.2: nft list ruleset | grep -nE '993|drop|reject'", "two\nlines"]});
    serde_json::from_value(json!({
        "schema": "parallax.run/v1", "run_id": "019852b4-7d6c-7a1e-9c40-3a5f0c9d2e11",
        "target": {"input": "x'; reboot", "host": "imap.example.org",
            "endpoints": [{"port": 993, "security": "tls"}]},
        "depth": "greeting", "started_at": "2026-07-28T10:31:07Z", "duration_ms": 41.8,
        "vantages": [vantage], "verdict": "down", "summary": "fra-1 is refused", "findings": [finding],
        "compared_with": {"run_id": "019852b0-7d6c-7a1e-9c40-3a5f0c9d2e11", "started_at": "2026-07-28T10:00:00Z"},
        "changes": [{"agent": "fra-1", "what": "outcome", "address": "10.9.0.10", "before": "993/tls ok",
            "after": "993/tls failed: greeting protocol_error"}]}))
    .unwrap()
}

/// Header and text of each file, in the order of the archive.
fn unpacked(archive: &[u8]) -> Vec<(String, String)> {
    let mut tar = tar::Archive::new(GzDecoder::new(archive));
    let files = tar.entries().unwrap().map(|file| {
        let mut file = file.unwrap();
        let header = file.header();
        let line = format!(
            "{:o} {} {} {} {}",
            header.mode().unwrap(),
            header.uid().unwrap(),
            header.gid().unwrap(),
            header.mtime().unwrap(),
            file.path().unwrap().display()
        );
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        (line, text)
    });
    files.collect()
}

fn file(name: &str) -> String {
    let files = unpacked(&archive(&document(), &[]).unwrap());
    let found = files.into_iter().find(|(line, _)| line.ends_with(name));
    found.unwrap_or_else(|| panic!("no {name}")).1
}

#[test]
fn the_archive_has_these_files() {
    let lines: Vec<_> = unpacked(&archive(&document(), &[]).unwrap())
        .into_iter()
        .map(|(line, _)| line)
        .collect();
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn the_same_run_gives_the_same_bytes() {
    assert_eq!(
        archive(&document(), &[]).unwrap(),
        archive(&document(), &[]).unwrap()
    );
}

#[test]
fn the_document_in_it_is_the_document() {
    let read: RunDocument = serde_json::from_str(&file("/run.json")).unwrap();
    assert_eq!(read, document());
}

#[test]
fn every_line_of_the_script_is_a_comment() {
    let script = file("/reproduce.sh");
    assert!(script.lines().all(|line| line.starts_with('#')), "{script}");
    insta::assert_snapshot!(script);
}

#[test]
fn paths_have_a_line_for_each_hop() {
    insta::assert_snapshot!(file("/paths/fra-1.txt"));
}

#[test]
fn a_dialogue_says_where_and_how_it_ended_and_is_escaped() {
    insta::assert_snapshot!(file("/transcripts/fra-1/01-10.9.0.10-993.txt"));
}

#[test]
fn what_changed_stands_in_a_file_of_its_own() {
    insta::assert_snapshot!(file("/changes.txt"));
    let mut document = document();
    document.compared_with = None;
    assert_eq!(
        changes_text(&document),
        "no earlier good run of this target was known\n"
    );
}

#[test]
fn nothing_a_server_says_moves_the_cursor_of_whoever_reads_the_files() {
    for (line, text) in unpacked(&archive(&document(), &[]).unwrap()) {
        let clean = text
            .chars()
            .all(|character| character == '\n' || !character.is_control());
        assert!(clean, "{line}: {text:?}");
    }
}

/// Packets of the attempt that came from this port.
fn recorded(port: u16, address: &str, experiment: Option<&str>) -> RecordedBy {
    let facts = json!({"address": address, "port": 993, "security": "tls", "experiment": experiment,
        "local": format!("10.1.0.2:{port}"), "packets": 9, "secrets": "session"});
    RecordedBy {
        agent: "fra-1".parse().unwrap(),
        capture: Capture {
            facts: serde_json::from_value(facts).unwrap(),
            pcapng: port.to_be_bytes().to_vec(),
        },
    }
}

#[test]
fn packets_are_named_as_the_dialogue_of_their_attempt() {
    let mut document = document();
    let connected = json!({"peer": "10.9.0.11:993", "local": "10.1.0.2:40001"});
    let connect = &mut document.vantages[0].attempts[1].stages[0];
    connect.evidence = Some(Evidence::Connect(serde_json::from_value(connected).unwrap()));
    let captures = [
        recorded(40_001, "10.9.0.11", None),
        recorded(40_002, "fd00:9::10", Some("serial")),
        recorded(40_003, "fd00:9::10", Some("serial")),
    ];
    let packed = archive(&document, &captures).unwrap();
    let mut tar = tar::Archive::new(GzDecoder::new(packed.as_slice()));
    let mut files = Vec::new();
    for file in tar.entries().unwrap() {
        let mut file = file.unwrap();
        let (path, mut bytes) = (file.path().unwrap().display().to_string(), Vec::new());
        file.read_to_end(&mut bytes).unwrap();
        if let Some((_, name)) = path.split_once("/captures/") {
            files.push((name.to_owned(), u16::from_be_bytes(bytes.try_into().unwrap())));
        } else if path.ends_with("/README.txt") {
            assert!(
                String::from_utf8(bytes)
                    .unwrap()
                    .contains("\ncaptures/     the packets")
            );
        }
    }
    let named = |name: &str, port| (name.to_owned(), port);
    assert_eq!(
        files,
        [
            named("fra-1/00-fd00_9__10-993-serial-from-40003.pcapng", 40_003),
            named("fra-1/00-fd00_9__10-993-serial.pcapng", 40_002),
            named("fra-1/02-10.9.0.11-993.pcapng", 40_001),
        ]
    );
    assert_eq!(
        archive(&document, &captures).unwrap(),
        packed,
        "the same run gives the same bytes"
    );
}

#[test]
fn a_bundle_with_packets_is_for_its_owner() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().unwrap();
    let mode = |captures: &[RecordedBy]| {
        let file = directory.path().join("run.tar.gz");
        write(&file, b"archive", captures).unwrap();
        std::fs::metadata(&file).unwrap().permissions().mode() & 0o077
    };
    assert_ne!(mode(&[]), 0);
    assert_eq!(mode(&[recorded(1, "10.9.0.10", None)]), 0);
}
