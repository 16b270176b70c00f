//! Runs in files: compared and packed by the built program, with no collector anywhere.

#![allow(clippy::unwrap_used, missing_docs)]

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use flate2::read::GzDecoder;
use serde_json::{Value, json};

const SAME: i32 = 0;
const CHANGED: i32 = 1;
const UNKNOWN: i32 = 3;

fn ctl(words: &[&str], stdin: &str, directory: &Path) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_ctl"))
        .env_clear()
        .env("PARALLAX_HOME", "/nonexistent/parallax")
        .current_dir(directory)
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Who does not read it has closed it.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A run in which `fra-1` saw a certificate with this key.
fn run(id: &str, time: &str, key: &str) -> Value {
    let tls = json!({"stage": "tls", "outcome": "ok", "start_ms": 2.0, "duration_ms": 3.0, "evidence": {
        "bytes_received": 2100, "bytes_sent": 320, "verified": true, "ocsp_stapled": false,
        "chain": [{"subject": "CN=imap.example.org", "issuer": "CN=CA", "serial": "01",
            "not_before": "2026-04-01T00:00:00Z", "not_after": "2026-10-01T00:00:00Z", "key": "EC P-256",
            "signature_algorithm": "ecdsa-with-SHA256", "sha256": key, "spki_sha256": key,
            "is_ca": false, "self_signed": false}]}});
    json!({"schema": "parallax.run/v1", "run_id": id,
        "target": {"input": "imap.example.org", "host": "imap.example.org",
            "endpoints": [{"port": 993, "security": "tls"}]},
        "depth": "greeting", "started_at": time, "duration_ms": 41.8,
        "vantages": [{"agent": "fra-1", "labels": {}, "outcome": "ok", "attempts": [
            {"address": "10.9.0.10", "family": "ipv4", "port": 993, "security": "tls", "purpose": "requested",
             "outcome": "ok", "stages": [tls],
             "transcript": [{"at_ms": 1.0, "speaker": "S", "text": "* OK ready"}]}]}],
        "verdict": "healthy", "summary": "well", "findings": []})
}

fn earlier() -> Value {
    run(
        "019852b4-7d6c-7a1e-9c40-3a5f0c9d2e11",
        "2026-07-28T10:31:07Z",
        "aa",
    )
}

fn later() -> Value {
    run(
        "019852c0-7d6c-7a1e-9c40-3a5f0c9d2e11",
        "2026-07-28T11:31:07Z",
        "bb",
    )
}

fn directory(files: &[(&str, &Value)]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, run) in files {
        std::fs::write(directory.path().join(name), run.to_string()).unwrap();
    }
    directory
}

#[test]
fn two_files_are_compared_and_the_status_says_whether_anything_changed() {
    let files = directory(&[("a.json", &earlier()), ("b.json", &later())]);
    let output = ctl(&["runs", "diff", "a.json", "b.json"], "", files.path());
    assert_eq!(output.status.code(), Some(CHANGED), "{output:?}");
    assert_eq!(
        text(&output.stdout),
        "imap.example.org, 2026-07-28 11:31:07 UTC against 2026-07-28 10:31:07 UTC\n\n\
         fra-1\n  certificate 10.9.0.10\n    - key aa\n    + key bb\n"
    );
    let output = ctl(&["runs", "diff", "a.json", "a.json"], "", files.path());
    assert_eq!(output.status.code(), Some(SAME), "{output:?}");
    assert!(text(&output.stdout).ends_with("nothing changed\n"));
}

#[test]
fn standard_input_stands_for_one_of_them_and_programs_get_json() {
    let files = directory(&[("a.json", &earlier())]);
    let words = ["runs", "diff", "a.json", "-", "-o", "json"];
    let output = ctl(&words, &later().to_string(), files.path());
    assert_eq!(output.status.code(), Some(CHANGED), "{output:?}");
    let difference: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(difference["before"]["run_id"], earlier()["run_id"]);
    assert_eq!(difference["after"]["run_id"], later()["run_id"]);
    assert_eq!(difference["changes"][0]["what"], "certificate");
    let words = ["runs", "diff", "a.json", "-", "-o", "markdown"];
    let output = ctl(&words, &later().to_string(), files.path());
    assert!(
        text(&output.stdout).contains("- fra-1 certificate 10.9.0.10: key aa is now **key bb**"),
        "{output:?}"
    );
}

#[test]
fn a_run_that_was_compared_already_needs_nothing_else() {
    let mut compared = later();
    let good = json!({"run_id": earlier()["run_id"], "started_at": earlier()["started_at"]});
    compared["compared_with"] = good;
    compared["changes"] =
        json!([{"agent": "fra-1", "what": "addresses", "before": "10.9.0.9", "after": "10.9.0.10"}]);
    let files = directory(&[("b.json", &compared), ("new.json", &later())]);
    let output = ctl(&["runs", "diff", "b.json"], "", files.path());
    assert_eq!(output.status.code(), Some(CHANGED), "{output:?}");
    assert!(
        text(&output.stdout).contains("    - 10.9.0.9\n    + 10.9.0.10\n"),
        "{output:?}"
    );
    let output = ctl(&["runs", "diff", "new.json"], "", files.path());
    assert_eq!(
        output.status.code(),
        Some(UNKNOWN),
        "nobody knows a good run: {output:?}"
    );
}

#[test]
fn runs_without_a_common_vantage_point_can_not_be_compared() {
    let mut other = later();
    other["vantages"][0]["agent"] = json!("nyc-1");
    let files = directory(&[("a.json", &earlier()), ("b.json", &other)]);
    let output = ctl(&["runs", "diff", "a.json", "b.json"], "", files.path());
    assert_eq!(output.status.code(), Some(UNKNOWN), "{output:?}");
    assert_eq!(
        text(&output.stderr),
        "error: no vantage point was asked in both runs\n"
    );
}

fn files_in(archive: &[u8]) -> Vec<PathBuf> {
    let mut tar = tar::Archive::new(GzDecoder::new(archive));
    let files = tar.entries().unwrap();
    files
        .map(|file| file.unwrap().path().unwrap().into_owned())
        .collect()
}

#[test]
fn a_bundle_is_named_by_its_run_and_says_where_it_is() {
    let files = directory(&[("a.json", &earlier())]);
    let output = ctl(&["runs", "bundle", "a.json"], "", files.path());
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(text(&output.stdout), "./parallax-run-019852b4-7d6c.tar.gz\n");
    let archive = std::fs::read(files.path().join("parallax-run-019852b4-7d6c.tar.gz")).unwrap();
    let names = files_in(&archive);
    assert!(
        names.contains(&"parallax-run-019852b4-7d6c/run.json".into()),
        "{names:?}"
    );
    assert!(
        names.contains(&"parallax-run-019852b4-7d6c/transcripts/fra-1/01-10.9.0.10-993.txt".into()),
        "{names:?}"
    );
    let output = ctl(
        &["runs", "bundle", "-", "--file", "-"],
        &earlier().to_string(),
        files.path(),
    );
    assert_eq!(output.stdout, archive, "the same bytes, wherever they go");
}

#[test]
fn a_bundle_that_can_not_be_written_leaves_nothing_behind() {
    let files = directory(&[("a.json", &earlier())]);
    std::fs::create_dir(files.path().join("taken")).unwrap();
    for file in ["taken", "no/such/folder.tar.gz"] {
        let output = ctl(&["runs", "bundle", "a.json", "--file", file], "", files.path());
        assert_eq!(output.status.code(), Some(UNKNOWN), "{output:?}");
        assert!(
            text(&output.stderr).starts_with(&format!("error: write {file}: ")),
            "{output:?}"
        );
    }
    let mut left: Vec<_> = std::fs::read_dir(files.path())
        .unwrap()
        .map(|file| file.unwrap().file_name())
        .collect();
    left.sort();
    assert_eq!(left, ["a.json", "taken"]);
}

#[test]
fn a_password_is_in_no_file_of_a_bundle() {
    let files = directory(&[]);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let target = format!("imap://127.0.0.1:{}", listener.local_addr().unwrap().port());
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream
            .write_all(b"* OK [CAPABILITY IMAP4rev1] ready\r\n")
            .unwrap();
        let mut said = [0; 256];
        while stream.read(&mut said).is_ok_and(|read| read > 0) {
            if stream.write_all(b"* BYE gone\r\n").is_err() {
                break;
            }
        }
    });
    let words = [
        "probe",
        &target,
        "--user",
        "probe",
        "--password-stdin",
        "--no-follow-up",
        "-o",
        "json",
    ];
    let output = ctl(&words, "correct-horse\n", files.path());
    server.join().unwrap();
    assert!(text(&output.stdout).contains("\"transcript\""), "{output:?}");
    let packed = ctl(
        &["runs", "bundle", "-", "--file", "-"],
        &text(&output.stdout),
        files.path(),
    );
    assert_eq!(packed.status.code(), Some(0), "{packed:?}");
    let mut tar = String::new();
    GzDecoder::new(packed.stdout.as_slice())
        .read_to_string(&mut tar)
        .unwrap();
    assert!(tar.contains("transcripts/local/"), "{tar}");
    assert!(!tar.contains("correct-horse"), "{tar}");
}
