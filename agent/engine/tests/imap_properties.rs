//! What holds for any bytes, in any pieces.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use parallax_engine::imap::listing::Listed;
use parallax_engine::imap::namespace::Namespaces;
use parallax_engine::imap::parse::mailbox_data;
use parallax_engine::imap::redact::{Concealed, Redactor};
use parallax_engine::imap::select::Selected;
use parallax_engine::imap::sniff::Service;
use parallax_engine::imap::status::MailboxStatus;
use parallax_engine::imap::status_line::split_code;
use parallax_engine::imap::{Capabilities, Frame, Framer, LimitKind, Limits, Reply, server_id, token};
use parallax_engine::transcript::{ENTRY, HEAD, TAIL, Transcript};
use proptest::collection::vec;
use proptest::prelude::*;

/// Small, so that every limit is met often.
const TIGHT: Limits = Limits {
    line: 120,
    greeting: 60,
    literal: 40,
    frame: 140,
    literals_per_frame: 3,
    frames_per_command: 12,
    session: 600,
    nesting: 4,
};

/// Pieces of IMAP and of what breaks it, put together at random.
fn dialogue() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        6 => prop::sample::select(vec![
            "* ", "a0001 ", "+ ", "+OK", "OK ", "NO ", "BAD ", "BYE", "[ALERT] ", "[CAPABILITY IMAP4rev1", "]", "\r\n",
            "\r\n", "\r\n", "\n", "\r", "(", ")", "((((", "))))", "\"", "\\", "{0}\r\n", "{3}\r\n", "{39+}\r\n",
            "~{2}\r\n", "{41}\r\n", "{99999999999}\r\n", "{", "}", "{7", "1 FETCH (", "UID 7 ", "BODY[] ", "BODY[HEADER]<0> ",
            "BODYSTRUCTURE (", "INTERNALDATE NIL", "RFC822.SIZE 5000000000 ", "FLAGS (\\Seen) ", "12 EXISTS", "LIST () \"/\" ",
            "NAMESPACE ((\"\" \"/\")) NIL NIL", "ID (\"a\" NIL)", "STATUS INBOX (", "METADATA ", "NIL ", " ", "  ", "[", "\0",
            "\u{e9}", "\u{202e}", "\u{1b}",
        ]).prop_map(|text| text.as_bytes().to_vec()),
        1 => vec(any::<u8>(), 0..12),
    ];
    vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

fn run(limits: Limits, pieces: &[&[u8]]) -> (Vec<Frame>, Option<LimitKind>, Framer) {
    let mut framer = Framer::new(limits);
    let mut frames = Vec::new();
    for piece in pieces {
        framer.push(piece);
        loop {
            match framer.next_frame() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(exceeded) => {
                    assert_eq!(framer.next_frame(), Err(exceeded));
                    return (frames, Some(exceeded.kind), framer);
                }
            }
        }
    }
    (frames, None, framer)
}

fn pieces<'b>(bytes: &'b [u8], sizes: &[usize]) -> Vec<&'b [u8]> {
    let mut rest = bytes;
    let mut pieces = Vec::new();
    for size in sizes.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (piece, after) = rest.split_at((*size).min(rest.len()));
        pieces.push(piece);
        rest = after;
    }
    pieces
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_frames_do_not_depend_on_the_pieces(bytes in dialogue(), sizes in vec(1_usize..30, 1..20)) {
        let (whole, exceeded, framer) = run(TIGHT, &[&bytes]);
        let (pieced, exceeded_too, framer_too) = run(TIGHT, &pieces(&bytes, &sizes));
        prop_assert_eq!(&whole, &pieced);
        prop_assert_eq!(exceeded, exceeded_too);
        prop_assert_eq!(framer.scanned(), framer_too.scanned());
        prop_assert_eq!(framer.partial(), framer_too.partial());
        prop_assert!(framer.first_bytes().starts_with(framer_too.first_bytes()));
        prop_assert!(exceeded.is_some() || framer.first_bytes() == framer_too.first_bytes());
    }

    #[test]
    fn frames_are_the_bytes_received_in_order_and_nothing_else(bytes in dialogue()) {
        let (frames, exceeded, framer) = run(TIGHT, &[&bytes]);
        let mut at = 0;
        for frame in &frames {
            prop_assert_eq!(frame.offset(), at as u64);
            prop_assert_eq!(frame.bytes(), &bytes[at..at + frame.bytes().len()]);
            at += frame.bytes().len();
        }
        if exceeded.is_none() {
            prop_assert_eq!(&bytes[at..], framer.partial());
            prop_assert_eq!(framer.scanned(), bytes.len() as u64);
        }
    }

    #[test]
    fn no_frame_is_beyond_a_limit(bytes in dialogue()) {
        let (frames, _, framer) = run(TIGHT, &[&bytes]);
        prop_assert!(framer.received() <= TIGHT.session && framer.scanned() <= framer.received());
        prop_assert!(framer.partial().len() <= TIGHT.frame + TIGHT.line);
        prop_assert!(frames.len() <= TIGHT.frames_per_command as usize);
        for (index, frame) in frames.iter().enumerate() {
            let literals: usize = frame.literals().iter().map(ExactSizeIterator::len).sum();
            let line = frame.bytes().len() - literals;
            let limit = if index == 0 { TIGHT.greeting } else { TIGHT.line };
            prop_assert!(line <= limit);
            prop_assert!(frame.literals().len() <= TIGHT.literals_per_frame);
            prop_assert!(frame.literals().iter().all(|literal| literal.len() <= TIGHT.literal));
            let status = !matches!(Reply::of(frame), Reply::Data(_) | Reply::Other);
            prop_assert!(frame.nesting() <= TIGHT.nesting || status || frame.bytes().starts_with(b"+"));
            prop_assert!(frame.bytes().ends_with(b"\n"));
        }
    }

    #[test]
    fn nothing_that_reads_a_frame_panics(bytes in dialogue()) {
        let (frames, _, framer) = run(Limits::default(), &[&bytes]);
        let mut transcript = Transcript::default();
        let mut selected = Selected::default();
        for frame in &frames {
            transcript.server(Duration::ZERO, frame);
            match Reply::of(frame) {
                Reply::Data(line) => {
                    if let Some(data) = mailbox_data(frame, &line).as_ref().and_then(|reading| reading.data()) {
                        selected.take_data(data);
                    }
                    let _ = Listed::from_data(frame, &line);
                    let _ = Namespaces::from_data(frame, &line);
                    let _ = server_id::from_data(frame, &line);
                    let _ = MailboxStatus::from_data(frame, &line);
                    let _ = Capabilities::from_data(frame, &line);
                }
                Reply::Status(line) | Reply::Tagged { line, .. } => {
                    if let Some(code) = &line.code {
                        selected.take_code(code);
                        let _ = code.name.meaning();
                    }
                }
                Reply::Continuation(_) | Reply::Other => {}
            }
            for from in (0..frame.bytes().len()).step_by(5) {
                let _ = token::values(frame, from);
            }
        }
        transcript.unfinished(Duration::ZERO, &framer);
        let printable = |character: char| character == '\n' || !character.is_control();
        prop_assert!(transcript.to_string().chars().all(printable));
        let _ = Service::of(&bytes);
    }

    #[test]
    fn a_code_and_its_text_are_parts_of_the_line(bytes in vec(any::<u8>(), 0..80)) {
        let text = [&b"[ALERT "[..], &bytes].concat();
        let (code, rest) = split_code(&text);
        prop_assert!(text.ends_with(rest));
        prop_assert_eq!(code.is_none(), !bytes.contains(&b']'));
    }

    #[test]
    fn a_transcript_stays_small(lengths in vec(0_usize..2_000, 0..300)) {
        let mut transcript = Transcript::default();
        for length in &lengths {
            transcript.event(Duration::ZERO, &"x".repeat(*length));
        }
        prop_assert!(transcript.entries().count() <= HEAD + TAIL);
        prop_assert!(transcript.entries().all(|entry| entry.bytes.len() <= ENTRY));
        prop_assert_eq!(transcript.entries().count() as u64 + transcript.left_out(), lengths.len() as u64);
    }

    #[test]
    fn a_secret_never_comes_through(secret in "[A-Z0-9!\"\\\\ ]{4,20}", before in "[a-zA-Z0-9]{0,20}", after in "[a-zA-Z0-9]{0,20}") {
        let mut redactor = Redactor::default();
        redactor.conceal(Concealed::secret(secret.as_bytes(), "<password>"));
        let text = format!("{before}{secret}{after}{secret}");
        let redacted = String::from_utf8(redactor.redact(text.as_bytes()).into_owned()).unwrap();
        prop_assert!(!redacted.contains(&secret), "{}", redacted);
    }
}
