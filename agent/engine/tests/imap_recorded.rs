//! Recorded replies of real servers, kept outside the repository: whole files of server lines.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use parallax_engine::imap::listing::Listed;
use parallax_engine::imap::namespace::Namespaces;
use parallax_engine::imap::parse::{Reading, mailbox_data};
use parallax_engine::imap::status::MailboxStatus;
use parallax_engine::imap::{Capabilities, Frame, Framer, Limits, Reply, ResponseCode, limits, server_id};

/// Names the directory with the recordings.
const VARIABLE: &str = "PARALLAX_IMAP_RECORDINGS";

/// Recordings begin anywhere and hold whole messages, which no probe fetches.
const LIMITS: Limits = Limits {
    line: limits::LINE,
    greeting: limits::LINE,
    literal: 8 * 1024 * 1024,
    frame: 8 * 1024 * 1024,
    literals_per_frame: 32,
    frames_per_command: limits::FRAMES_PER_COMMAND,
    session: 64 * 1024 * 1024,
    nesting: limits::NESTING,
};

#[test]
#[ignore = "needs recorded server replies; name their directory in PARALLAX_IMAP_RECORDINGS"]
fn recorded_replies_are_framed_to_the_last_byte() {
    let directory =
        PathBuf::from(std::env::var_os(VARIABLE).unwrap_or_else(|| panic!("{VARIABLE} is not set")));
    let mut counts = BTreeMap::new();
    let mut lost = Vec::new();
    let files = files_below(&directory);
    for file in &files {
        let bytes = crlf(&std::fs::read(file).unwrap());
        let mut framer = Framer::new(LIMITS);
        framer.push(&bytes);
        loop {
            match framer.next_frame() {
                Ok(Some(frame)) => *counts.entry(outcome(&frame)).or_insert(0_u32) += 1,
                Ok(None) if framer.is_empty() => break,
                end => {
                    lost.push(format!(
                        "{}: {end:?}, {} bytes left",
                        file.display(),
                        framer.buffered()
                    ));
                    break;
                }
            }
        }
    }
    let counts: Vec<_> = counts
        .iter()
        .map(|(outcome, count)| format!("{count:6} {outcome}"))
        .collect();
    println!("{} files\n{}", files.len(), counts.join("\n"));
    assert!(!files.is_empty() && lost.is_empty(), "{}", lost.join("\n"));
}

fn outcome(frame: &Frame) -> String {
    match Reply::of(frame) {
        Reply::Status(line) | Reply::Tagged { line, .. } => match line.code.map(|code| code.name) {
            Some(ResponseCode::Unknown(name)) => format!("status line, unknown code {name}"),
            Some(_) => "status line with a code".to_owned(),
            None => "status line".to_owned(),
        },
        Reply::Continuation(_) => "continuation".to_owned(),
        Reply::Other => format!(
            "other: {}",
            frame.content()[..frame.content().len().min(70)].escape_ascii()
        ),
        Reply::Data(line) => match mailbox_data(frame, &line) {
            Some(Reading::Parsed(_)) => "mailbox data, parsed".to_owned(),
            Some(Reading::Tolerated(_)) => "mailbox data, tolerated".to_owned(),
            Some(Reading::Unparsed(raw)) => format!("mailbox data, unparsed: {}", raw.escape_ascii()),
            None => {
                let read = Listed::from_data(frame, &line).is_some()
                    || Namespaces::from_data(frame, &line).is_some()
                    || MailboxStatus::from_data(frame, &line).is_some()
                    || Capabilities::from_data(frame, &line).is_some()
                    || server_id::from_data(frame, &line).is_some();
                let keyword = line.keyword.to_ascii_uppercase().escape_ascii().to_string();
                if read {
                    format!("{keyword}, read")
                } else {
                    format!("{keyword}, left alone")
                }
            }
        },
    }
}

fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_below(&path))
        } else {
            files.push(path)
        }
    }
    files.sort();
    files
}

/// Recordings kept with line feeds alone get the line ends of the protocol back.
fn crlf(bytes: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(bytes.len() + bytes.len() / 40);
    for byte in bytes {
        if *byte == b'\n' && text.last() != Some(&b'\r') {
            text.push(b'\r');
        }
        text.push(*byte);
    }
    text
}
