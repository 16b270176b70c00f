//! The built program against servers that put escape sequences wherever text can stand: whatever it writes, a
//! terminal is safe from it, and a program can read it.

#![allow(clippy::unwrap_used, missing_docs)]

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::thread;

use serde_json::Value;

/// Clears a screen, sets a title, hides text: ESC and C1, bidi, zero width, no UTF-8, a quote and a pipe to break out
/// of tables and strings.
const EVIL: &[u8] =
    b"\x1b[2J\x1b]0;owned\x07\xc2\x9b31m\xe2\x80\xaelive\xe2\x80\x8b\xef\xbb\xbf\xff\x80 | <b> `x` \x00 end";

/// What a server says, one reply after another; `$` is the tag of the command before it.
type Dialogue = &'static [&'static str];

/// In every field that a server can fill, as far as each dialogue comes.
const DIALOGUES: [(&str, Dialogue); 6] = [
    ("in a refusing greeting", &["* BYE [XEVIL] EVIL"]),
    ("in a greeting that is none", &["EVIL"]),
    (
        "in a refusal",
        &["* OK EVIL", "* OK EVIL|$ NO [XEVIL] EVIL", "* BYE EVIL|$ OK EVIL"],
    ),
    (
        "in a bye",
        &["* OK EVIL", "* CAPABILITY IMAP4rev1 XEVIL|* BYE [XEVIL] EVIL"],
    ),
    ("in half a line", &["* OK [XEVIL] EVIL", "* CAPABILITY EVIL"]),
    (
        "behind a preauth, in names and lists",
        &[
            "* PREAUTH [CAPABILITY IMAP4rev1 ID NAMESPACE XEVIL] EVIL",
            "* CAPABILITY IMAP4rev1 ID NAMESPACE XEVIL|$ OK EVIL",
            "* ID (\"name\" \"EVIL\" \"EVIL\" \"EVIL\")|$ OK [XEVIL] EVIL",
            "* NAMESPACE ((\"EVIL\" \"/\")) NIL ((\"EVIL\" \"EVIL\"))|$ OK EVIL",
            "* LIST (\\Noselect) \"/\" \"EVIL\"|$ OK EVIL",
            "* LIST (\\Sent \\EVIL) \"/\" \"EVIL\"|* LIST () \"EVIL\" INBOX|$ OK EVIL",
            "* STATUS INBOX (MESSAGES 1)|$ OK EVIL",
            "* FLAGS (EVIL)|* 1 EXISTS|* OK [UIDVALIDITY 7] EVIL|$ OK [XEVIL] EVIL",
            "* 1 FETCH (UID 1 FLAGS (EVIL) INTERNALDATE \"EVIL\")|$ NO [XEVIL] EVIL",
            "* BYE EVIL|$ OK EVIL",
        ],
    ),
];

fn serve(dialogue: Dialogue) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            thread::spawn(move || talk(&stream, dialogue));
        }
    });
    port
}

fn talk(mut stream: &TcpStream, dialogue: Dialogue) {
    let mut lines = BufReader::new(stream).lines();
    let mut tag = String::new();
    for (position, reply) in dialogue.iter().enumerate() {
        if position > 0 {
            let Some(Ok(line)) = lines.next() else { return };
            tag = line.split(' ').next().unwrap().to_owned();
        }
        for line in reply.split('|') {
            let line = line.replace('$', &tag);
            let mut bytes = Vec::new();
            for (part, text) in line.split("EVIL").enumerate() {
                if part > 0 {
                    bytes.extend_from_slice(EVIL);
                }
                bytes.extend_from_slice(text.as_bytes());
            }
            bytes.extend_from_slice(b"\r\n");
            if stream.write_all(&bytes).is_err() {
                return;
            }
        }
    }
    let _ = stream.shutdown(std::net::Shutdown::Write);
    for line in lines {
        if line.is_err() {
            return;
        }
    }
}

fn probe(port: u16, format: &str) -> (String, String) {
    let target = format!("imap://127.0.0.1:{port}");
    let mut child = Command::new(env!("CARGO_BIN_EXE_ctl"))
        .env_clear()
        .env("PARALLAX_HOME", "/nonexistent/parallax")
        .args(["probe", &target, "--security", "plaintext", "--depth", "mailbox"])
        .args([
            "--user",
            "probe",
            "--password-stdin",
            "--timeout",
            "3s",
            "--no-follow-up",
            "-o",
            format,
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"correct-horse\n").unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (text(output.stdout), text(output.stderr))
}

/// Whether a terminal shows this character and does nothing else with it.
fn harmless(character: char) -> bool {
    let steers = matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200b}'..='\u{200f}' | '\u{feff}');
    character == '\n' || (!character.is_control() && !steers)
}

#[test]
fn no_server_reaches_a_terminal_through_what_is_shown() {
    for (name, dialogue) in DIALOGUES {
        let port = serve(dialogue);
        for format in ["table", "wide", "markdown", "nagios"] {
            let (shown, aside) = probe(port, format);
            assert!(!shown.is_empty(), "{name}, {format}: {aside}");
            for text in [&shown, &aside] {
                let harmful: Vec<char> = text.chars().filter(|character| !harmless(*character)).collect();
                assert!(harmful.is_empty(), "{name}, {format}: {harmful:?} in\n{text:?}");
            }
        }
    }
}

#[test]
fn the_run_document_stays_json_whatever_a_server_says() {
    for (name, dialogue) in DIALOGUES {
        let port = serve(dialogue);
        let (document, aside) = probe(port, "json");
        let read: Value = serde_json::from_str(&document).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(read["schema"], "parallax.run/v1", "{name}");
        // A terminal may see the document too.
        assert!(
            document
                .chars()
                .all(|character| character == '\n' || !character.is_control()),
            "{name}"
        );
        assert!(aside.chars().all(harmless), "{name}: {aside}");
        let (events, _) = probe(port, "jsonl");
        for line in events.lines() {
            serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("{name}: {error}: {line}"));
        }
    }
}
