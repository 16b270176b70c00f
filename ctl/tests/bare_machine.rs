//! The built program on a machine where nothing else runs.

#![allow(clippy::unwrap_used, missing_docs)]

use std::io::Write as _;
use std::net::TcpListener;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

const DOWN: i32 = 2;
const UNKNOWN: i32 = 3;

fn ctl(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ctl"));
    command
        .env_clear()
        .env("PARALLAX_HOME", "/nonexistent/parallax")
        .args(words)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn run(words: &[&str]) -> Output {
    ctl(words).output().unwrap()
}

/// A port on which nothing listens, a moment ago.
fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

#[test]
fn a_probe_needs_no_collector_and_no_configuration() {
    let target = format!("127.0.0.1:{}", closed_port());
    let output = run(&["probe", &target, "-o", "json"]);
    assert_eq!(output.status.code(), Some(DOWN), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["schema"], "parallax.run/v1");
    assert_eq!(document["vantages"][0]["agent"], "local");
    assert_eq!(document["findings"][0]["kind"], "port_closed");
}

#[test]
fn events_come_first_and_the_document_last() {
    let target = format!("127.0.0.1:{}", closed_port());
    let output = run(&["probe", &target, "-o", "jsonl"]);
    let stdout = text(&output.stdout);
    let lines: Vec<Value> = stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.first().unwrap()["event"], "started");
    assert!(lines.iter().any(|line| line["event"] == "stage"), "{stdout}");
    assert_eq!(lines.last().unwrap()["schema"], "parallax.run/v1");
}

#[test]
fn a_password_is_taken_from_standard_input_and_shown_nowhere() {
    let target = format!("127.0.0.1:{}", closed_port());
    for format in ["json", "jsonl", "wide", "markdown"] {
        let mut command = ctl(&[
            "probe",
            &target,
            "--user",
            "probe",
            "--password-stdin",
            "-o",
            format,
            "--log",
            "trace",
        ]);
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(b"correct-horse\r\n")
            .unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(DOWN), "{output:?}");
        for stream in [&output.stdout, &output.stderr] {
            assert!(
                !String::from_utf8_lossy(stream).contains("correct-horse"),
                "{format}"
            );
        }
    }
}

#[test]
fn a_client_key_is_shown_nowhere_and_needs_no_password() {
    let target = format!("127.0.0.1:{}", closed_port());
    let own = rcgen::generate_simple_self_signed(vec!["probe".to_owned()]).unwrap();
    let key = own.signing_key.serialize_pem();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), own.cert.pem() + &key).unwrap();
    let path = file.path().to_str().unwrap();
    let line = key.lines().nth(1).unwrap();
    for format in ["json", "wide"] {
        let output = run(&[
            "probe",
            &target,
            "--mechanism",
            "external",
            "--client-certificate",
            path,
            "-o",
            format,
            "--log",
            "trace",
        ]);
        assert_eq!(output.status.code(), Some(DOWN), "{output:?}");
        for stream in [&output.stdout, &output.stderr] {
            assert!(!String::from_utf8_lossy(stream).contains(line), "{format}");
        }
    }
}

#[test]
fn a_probe_that_writes_says_so_once_before_it_does() {
    let target = format!("127.0.0.1:{}", closed_port());
    let probe = |more: &[&str]| {
        let words = [
            "probe",
            &target,
            "--user",
            "u",
            "--password-stdin",
            "--depth",
            "sync",
            "-o",
            "json",
        ];
        let mut child = ctl(&[&words, more].concat())
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(b"secret\n").unwrap();
        child.wait_with_output().unwrap()
    };
    let output = probe(&[]);
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(DOWN), "{output:?}");
    assert!(stderr.starts_with("warning: --depth sync writes"), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(serde_json::from_slice::<Value>(&output.stdout).is_ok());
    let output = probe(&["--sync-with", "fra-1"]);
    assert_eq!(output.status.code(), Some(UNKNOWN), "{output:?}");
    assert!(
        text(&output.stderr).contains("there is no agent fra-1"),
        "{output:?}"
    );
    assert!(probe(&["--dry-run"]).stderr.is_empty());
}

#[test]
fn what_can_not_be_done_is_one_line_a_hint_and_three() {
    for words in [
        &["probe"][..],
        &["probe", "imap://"],
        &["probe", "x", "--depth", "abyss"],
        &["probe", "x", "--from", "fra-1"],
        &["probe", "x", "--path", "sometimes"],
        &["runs", "diff"],
        &["runs", "diff", "last"],
        &["runs", "diff", "/nonexistent/run.json"],
        &["runs", "diff", "-", "-"],
        &["runs", "diff", "-"],
        &["runs", "bundle", "019852b4"],
        &["runs", "bundle", "/nonexistent/run.json"],
        &["probe", "x", "--hold", "31m"],
        &["probe", "x", "--hold", "1m", "--depth", "tls"],
        &["probe", "x", "--examine", "dnssec"],
        &["probe", "x", "--examine", "starttls_injection"],
        &["probe", "x", "--resolver", "dns.example.org"],
        &["probe", "x", "--sync-with", "fra-1"],
        &["probe", "x", "--user", "u"],
        &["probe", "x", "--mechanism", "CRAM-MD5"],
        &["probe", "x", "--mechanism", "EXTERNAL"],
        &["probe", "x", "--client-certificate", "/nonexistent"],
        &["agents"],
        &["status"],
        &["login", "--collector", "localhost", "--token", "no-token"],
        &[],
    ] {
        let output = run(words);
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(UNKNOWN), "{words:?} {stderr}");
        assert!(output.stdout.is_empty(), "{words:?}");
        assert!(stderr.starts_with("error: "), "{words:?} {stderr}");
        assert!(stderr.lines().count() <= 2, "{words:?} {stderr}");
    }
}

#[test]
fn what_is_asked_for_is_printed_without_trouble() {
    for (words, part) in [
        (&["--help"][..], "ctl probe imap.example.org"),
        (&["probe", "--help"], "Exit status"),
        (&["--version"], "ctl 0."),
        (&["--print-config"], "log_format = \"text\""),
        (&["--check-config"], ""),
        (&["schema", "run"], "\"$schema\""),
        (&["completions", "bash"], "complete"),
        (&["doctor"], "in this process"),
    ] {
        let output = run(words);
        assert_eq!(output.status.code(), Some(0), "{words:?} {output:?}");
        assert!(text(&output.stdout).contains(part), "{words:?} {output:?}");
    }
}

#[test]
fn packets_need_somebody_who_keeps_them_and_a_bundle_comes_with_the_answer() {
    let target = format!("127.0.0.1:{}", closed_port());
    let output = run(&["probe", &target, "--capture", "always"]);
    assert_eq!(output.status.code(), Some(UNKNOWN), "{output:?}");
    assert!(
        text(&output.stderr).contains("nobody would keep the packets"),
        "{output:?}"
    );
    let output = run(&["probe", &target, "--bundle", "-"]);
    assert_eq!(output.status.code(), Some(UNKNOWN), "{output:?}");
    let directory = tempfile::tempdir().unwrap();
    let bundle = directory.path().join("run.tar.gz");
    let output = run(&[
        "probe",
        &target,
        "-o",
        "json",
        "--bundle",
        bundle.to_str().unwrap(),
    ]);
    assert_eq!(
        output.status.code(),
        Some(DOWN),
        "the bundle changes no verdict: {output:?}"
    );
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(
        std::fs::File::open(&bundle).unwrap(),
    ));
    let files = tar.entries().unwrap();
    let packed = files.filter(|file| {
        file.as_ref()
            .unwrap()
            .path()
            .unwrap()
            .extension()
            .is_some_and(|it| it == "pcapng")
    });
    let captures = document["captures"].as_array().map_or(0, Vec::len);
    assert_eq!(
        packed.count(),
        captures,
        "every capture, where this machine may record any"
    );
    let nowhere = run(&["probe", &target, "--bundle", "/no/such/folder/run.tar.gz"]);
    assert_eq!(nowhere.status.code(), Some(UNKNOWN), "{nowhere:?}");
}
