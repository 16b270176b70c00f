//! What a server can do to a parser, and what comes out of ours: the known defects of `imap-proto` 0.17 (P), what
//! it rejects although real servers send it (L), and plain malice. P5, a password with a line break, is a matter of
//! the commands and stands with them.

#![allow(clippy::unwrap_used)]

use std::thread;
use std::time::Duration;

use parallax_engine::imap::fetch::Fetched;
use parallax_engine::imap::listing::Listed;
use parallax_engine::imap::namespace::Namespaces;
use parallax_engine::imap::parse::{Data, Reading, mailbox_data};
use parallax_engine::imap::sniff::{Expected, Service, wrong_service};
use parallax_engine::imap::status::MailboxStatus;
use parallax_engine::imap::{
    Capabilities, DataLine, Frame, Framer, LimitKind, Limits, Reply, ResponseCode, Status, Tags, server_id,
    token,
};
use parallax_engine::transcript::Transcript;
use parallax_model::text::escape;

/// Enough for iteration, and far too little for a parser that recurses a few hundred levels deep.
const SMALL_STACK: usize = 128 * 1024;

fn read_all(bytes: &[u8]) -> (Vec<Frame>, Option<LimitKind>) {
    let mut framer = Framer::new(Limits::default());
    framer.push(bytes);
    drain(&mut framer)
}

fn drain(framer: &mut Framer) -> (Vec<Frame>, Option<LimitKind>) {
    let mut frames = Vec::new();
    loop {
        match framer.next_frame() {
            Ok(Some(frame)) => frames.push(frame),
            Ok(None) => return (frames, None),
            Err(exceeded) => return (frames, Some(exceeded.kind)),
        }
    }
}

/// The frame behind a greeting, which has limits of its own.
fn one(bytes: &[u8]) -> Frame {
    let (mut frames, exceeded) = read_all(&[b"* OK hi\r\n", bytes].concat());
    assert_eq!((frames.len(), exceeded), (2, None), "{}", bytes.escape_ascii());
    frames.remove(1)
}

fn data<T>(bytes: &[u8], read: impl FnOnce(&Frame, &DataLine<'_>) -> T) -> T {
    let frame = one(bytes);
    match Reply::of(&frame) {
        Reply::Data(line) => read(&frame, &line),
        other => panic!("{other:?}"),
    }
}

fn mailbox(bytes: &[u8]) -> Reading {
    data(bytes, mailbox_data).expect("a keyword of mailbox data")
}

fn fetched(bytes: &[u8]) -> Fetched {
    match mailbox(bytes).data() {
        Some(Data::Fetch(fetched)) => fetched.clone(),
        other => panic!("{other:?}"),
    }
}

/// Puts bytes through everything there is, on a thread with a small stack.
fn survive(bytes: Vec<u8>) -> (usize, Option<LimitKind>) {
    let everything = move || {
        let (frames, exceeded) = read_all(&bytes);
        let mut transcript = Transcript::default();
        for frame in &frames {
            transcript.server(Duration::ZERO, frame);
            let _ = token::values(frame, 0);
            if let Reply::Data(line) = Reply::of(frame) {
                let _ = mailbox_data(frame, &line);
                let _ = Listed::from_data(frame, &line);
                let _ = Namespaces::from_data(frame, &line);
                let _ = server_id::from_data(frame, &line);
                let _ = MailboxStatus::from_data(frame, &line);
                let _ = Capabilities::from_data(frame, &line);
            }
        }
        assert!(!transcript.to_string().contains('\u{1b}'));
        (frames.len(), exceeded)
    };
    thread::Builder::new()
        .stack_size(SMALL_STACK)
        .spawn(everything)
        .unwrap()
        .join()
        .unwrap()
}

#[test]
fn p1_nested_parentheses_never_reach_a_parser_that_recurses() {
    for depth in [17, 400, 5_000, 100_000] {
        let open = "(".repeat(depth);
        let nested = [
            format!("* OK hi\r\n* 1 FETCH (BODYSTRUCTURE {open}"),
            format!(
                "* OK hi\r\n* 1 FETCH (BODYSTRUCTURE (\"text\" \"plain\" NIL NIL NIL \"7BIT\" 1 1 NIL NIL NIL NIL {open}"
            ),
            format!("* OK hi\r\n* LIST {open}\r\n"),
        ];
        for bytes in nested {
            assert_eq!(survive(bytes.into_bytes()), (1, Some(LimitKind::Nesting)));
        }
    }
}

#[test]
fn p1_parentheses_hidden_in_quotes_literals_and_text_are_harmless() {
    for depth in [400, 60_000] {
        let open = "(".repeat(depth);
        for line in [
            format!("* 1 FETCH (bodystructure \"{open}\")"),
            format!("* 1 FETCH (BODYSTRUCTURE {{{depth}}}\r\n{open})"),
            format!("* 1 FETCH (FLAGS x\"{} BodyStructure \"{open}\"", ")".repeat(9)),
            // The quote hides the rest of the line from us; imap-proto takes `("  )` as an unknown value and goes on.
            format!("* 1 FETCH (FLAGS (\" ) BODYSTRUCTURE {open}"),
            format!("* OK {open}"),
            format!("a1 BAD {open}"),
            format!("+ {open}"),
        ] {
            let bytes = format!("* OK hi\r\n{line}\r\n").into_bytes();
            assert_eq!(survive(bytes), (2, None), "{}", &line[..24]);
        }
    }
}

#[test]
fn p2_an_internal_date_that_is_nil_is_no_date() {
    let read = fetched(b"* 1 FETCH (UID 7 INTERNALDATE NIL)\r\n");
    assert_eq!((read.uid, read.internal_date), (Some(7), None));
    assert_eq!(fetched(b"* 1 FETCH (internaldate nil)\r\n").internal_date, None);
}

#[test]
fn p3_an_alert_without_a_space_keeps_its_text() {
    for (line, text) in [
        (
            "* OK [ALERT]\u{e9}t\u{e9}\r\n".as_bytes(),
            "\u{e9}t\u{e9}".as_bytes(),
        ),
        (b"* OK [ALERT]\xe9\r\n", b"\xe9"),
        (b"* OK [ALERT]text\r\n", b"text"),
    ] {
        let frame = one(line);
        let Reply::Status(status) = Reply::of(&frame) else {
            panic!()
        };
        assert_eq!(status.code.map(|code| code.name), Some(ResponseCode::Alert));
        assert_eq!(status.text, text);
    }
}

#[test]
fn p3_high_bytes_behind_a_bracket_in_data_do_not_panic() {
    let read = fetched(b"* 1 FETCH (UID 7 FLAGS ([ALERT]\xc3\xa9))\r\n");
    assert_eq!(read.flags.unwrap(), ["[ALERT]\u{e9}"]);
}

#[test]
fn p4_metadata_is_left_alone() {
    for line in [
        &b"* METADATA \"caf\xe9\" (/private/x NIL)\r\n"[..],
        b"* METADATA {1}\r\n\xff (/private/x NIL)\r\n",
    ] {
        assert_eq!(data(line, mailbox_data), None);
        assert_eq!(survive(line.to_vec()), (1, None));
    }
}

#[test]
fn p6_a_complete_line_is_never_waited_for() {
    let frame = one(b"* METADATA \"\" /private/vendor\r\n");
    assert!(matches!(Reply::of(&frame), Reply::Data(line) if line.is("METADATA")));
}

#[test]
fn p7_a_list_may_arrive_in_any_pieces() {
    let line = b"* ID (\"name\" \"Dovecot\" \"version\" \"2.3\")\r\n";
    for split in 1..line.len() {
        let mut framer = Framer::new(Limits::default());
        framer.push(&line[..split]);
        assert_eq!(framer.next_frame(), Ok(None));
        framer.push(&line[split..]);
        let frame = framer.next_frame().unwrap().unwrap();
        let Reply::Data(data) = Reply::of(&frame) else {
            panic!()
        };
        assert_eq!(server_id::from_data(&frame, &data).unwrap()["name"], "Dovecot");
    }
}

#[test]
fn p8_a_drip_of_bytes_is_looked_at_once() {
    let line = [
        b"* OK hi\r\n* 1 FETCH (BODY[] {200000}\r\n".to_vec(),
        vec![b'x'; 200_000],
        b")\r\n".to_vec(),
    ]
    .concat();
    let limits = Limits {
        line: 1024 * 1024,
        ..Limits::default()
    };
    let mut framer = Framer::new(limits);
    let mut frames = 0;
    let long = [b"* X ".to_vec(), vec![b'y'; 200_000], b"\r\n".to_vec()].concat();
    let bytes = [line, long].concat();
    for drip in bytes.chunks(8) {
        framer.push(drip);
        while framer.next_frame().unwrap().is_some() {
            frames += 1;
        }
        assert!(framer.scanned() <= framer.received());
    }
    assert_eq!(
        (frames, framer.scanned(), framer.is_empty()),
        (3, bytes.len() as u64, true)
    );
    assert!(bytes.len() > 400_000);
}

#[test]
fn p9_a_huge_literal_ends_at_its_header() {
    for size in ["4294967295", "9999999999", "262145"] {
        let (frames, exceeded) = read_all(format!("* OK hi\r\n* 1 FETCH (BODY[] {{{size}}}\r\n").as_bytes());
        assert_eq!((frames.len(), exceeded), (1, Some(LimitKind::Literal)), "{size}");
    }
    let long = read_all(b"* OK hi\r\n* 1 FETCH (BODY[] {00000000000000000001}\r\n");
    assert_eq!(long.1, Some(LimitKind::SizeField));
}

#[test]
fn p10_a_line_of_thousands_of_items_is_not_multiplied() {
    let pairs = "a 1 ".repeat(15_000);
    let fetch = mailbox(format!("* 1 FETCH ({pairs}UID 7)\r\n").as_bytes());
    assert!(matches!(&fetch, Reading::Unparsed(raw) if raw.len() == 512));
    let capabilities = "A ".repeat(3_900);
    let read = data(
        format!("* CAPABILITY {capabilities}\r\n").as_bytes(),
        Capabilities::from_data,
    )
    .unwrap();
    assert_eq!(read.names().len(), 1_000);
    assert_eq!(
        read_all("* X a 1 ".repeat(20_000).as_bytes()).1,
        Some(LimitKind::Greeting)
    );
}

#[test]
fn l1_capabilities_need_no_imap4rev1_and_no_single_spaces() {
    for (line, first, irregular) in [
        ("* CAPABILITY IMAP4rev2 IDLE\r\n", "IMAP4rev2", false),
        ("* CAPABILITY IMAP4 IDLE\r\n", "IMAP4", false),
        ("* CAPABILITY IMAP4rev1X IDLE\r\n", "IMAP4rev1X", false),
        ("* CAPABILITY IMAP4rev1  IDLE \r\n", "IMAP4rev1", true),
    ] {
        let read = data(line.as_bytes(), Capabilities::from_data).unwrap();
        assert_eq!(
            (read.names()[0].as_str(), read.has("idle"), read.irregular()),
            (first, true, irregular)
        );
    }
    let greeting = one(b"* OK [CAPABILITY IMAP4rev2 STARTTLS] hi\r\n");
    let Reply::Status(line) = Reply::of(&greeting) else {
        panic!()
    };
    assert!(
        Capabilities::from_code(&line.code.unwrap())
            .unwrap()
            .has("STARTTLS")
    );
}

#[test]
fn l2_namespaces_are_read_and_unknown_data_is_data() {
    let read = data(b"* NAMESPACE ((\"\" \"/\")) NIL NIL\r\n", Namespaces::from_data).unwrap();
    assert_eq!(read.personal.len(), 1);
    for keyword in [
        "ESEARCH (TAG \"a\") ALL 1",
        "THREAD (1 (2)(3))",
        "LANGUAGE (EN)",
        "GENURLAUTH x",
        "X-NEW 1",
    ] {
        assert_eq!(data(format!("* {keyword}\r\n").as_bytes(), mailbox_data), None);
    }
    assert!(data(b"* XLIST (\\Inbox) \"/\" INBOX\r\n", Listed::from_data).is_some());
}

#[test]
fn l3_status_items_of_extensions_are_read() {
    let line = b"* STATUS \"INBOX\" (MESSAGES 1 SIZE 2 DELETED 3 MAILBOXID (F1) APPENDLIMIT 4)\r\n";
    let read = data(line, MailboxStatus::from_data).unwrap();
    assert_eq!(
        (
            read.items["SIZE"],
            read.items["DELETED"],
            read.items["APPENDLIMIT"]
        ),
        (2, 3, 4)
    );
}

#[test]
fn l4_list_lines_of_extensions_are_read() {
    for line in [
        &b"* LIST () \"/\" box (\"CHILDINFO\" (\"SUBSCRIBED\"))\r\n"[..],
        b"* LIST () \"/\" box (\"OLDNAME\" (\"old\"))\r\n",
        b"* LIST (\\AllMail) \"/\" box\r\n",
        b"* LIST (HasNoChildren) \"/\" box\r\n",
    ] {
        let read = data(line, Listed::from_data).unwrap();
        assert_eq!((read.name.as_slice(), read.roles().count()), (&b"box"[..], 0));
    }
}

#[test]
fn l5_numbers_beyond_32_bits_are_read() {
    assert_eq!(
        mailbox(b"* 5000000000 EXISTS\r\n").data(),
        Some(&Data::Exists(5_000_000_000))
    );
    assert_eq!(
        fetched(b"* 1 FETCH (RFC822.SIZE 5000000000)\r\n").size,
        Some(5_000_000_000)
    );
}

#[test]
fn l6_fetch_items_of_extensions_leave_the_known_ones_readable() {
    for line in [
        &b"* 1 FETCH (UID 7 BINARY[1] ~{3}\r\na\0b)\r\n"[..],
        b"* 1 FETCH (UID 7 BODY[] {3+}\r\nabc)\r\n",
    ] {
        let read = fetched(line);
        assert_eq!((read.uid, read.sections[0].bytes), (Some(7), Some(3)));
    }
    for line in [
        &b"* 1 FETCH (BINARY.SIZE[1] 9 UID 7)\r\n"[..],
        b"* 1 FETCH (BODY (\"TEXT\" \"PLAIN\" NIL NIL NIL \"7BIT\" 9 1) UID 7)\r\n",
        b"* 1 FETCH (UID 7 ANNOTATION (/comment (value.priv \"x\")))\r\n",
        b"* 1 FETCH (UID 7 BODYSTRUCTURE ((\"TEXT\" \"PLAIN\" NIL NIL NIL \"7BIT\" 9 1) \"MIXED\"))\r\n",
    ] {
        assert_eq!(fetched(line).uid, Some(7), "{}", line.escape_ascii());
    }
    assert_eq!(
        fetched(b"* 1 FETCH ()\r\n"),
        Fetched {
            number: 1,
            ..Fetched::default()
        }
    );
}

#[test]
fn l7_codes_of_later_rfcs_are_named_and_taken_off_the_text() {
    for (code, name) in [
        ("AUTHENTICATIONFAILED", ResponseCode::AuthenticationFailed),
        ("OVERQUOTA", ResponseCode::OverQuota),
        ("LIMIT", ResponseCode::Limit),
        ("MODIFIED 7,9", ResponseCode::Modified),
        ("MAILBOXID (F1)", ResponseCode::MailboxId),
    ] {
        let frame = one(format!("a1 NO [{code}] so it is\r\n").as_bytes());
        let Reply::Tagged { tag: b"a1", line } = Reply::of(&frame) else {
            panic!()
        };
        assert_eq!(
            (line.status, line.code.unwrap().name, line.text),
            (Status::No, name, &b"so it is"[..])
        );
    }
}

#[test]
fn l8_quoted_strings_come_without_their_escapes() {
    let read = data(b"* LIST () \"\\\\\" \"a\\\"b\"\r\n", Listed::from_data).unwrap();
    assert_eq!(
        (read.delimiter.as_deref(), read.name.as_slice()),
        (Some(&b"\\"[..]), &b"a\"b"[..])
    );
}

#[test]
fn l9_enabled_is_no_capability_and_lsub_is_no_list() {
    assert_eq!(data(b"* ENABLED CONDSTORE\r\n", Capabilities::from_data), None);
    assert!(
        data(b"* ENABLED CONDSTORE\r\n", Capabilities::enabled)
            .unwrap()
            .has("CONDSTORE")
    );
    assert_eq!(data(b"* LSUB () \"/\" box\r\n", Listed::from_data), None);
}

#[test]
fn l10_sloppy_lines_are_read_and_flagged() {
    let frame = one(b"* 3 EXISTS\n");
    assert!(frame.bare_lf());
    assert_eq!(mailbox(b"* 3 EXISTS\n"), Reading::Tolerated(Data::Exists(3)));
    assert_eq!(mailbox(b"*  3  EXISTS\r\n"), Reading::Tolerated(Data::Exists(3)));
    let nul = one(b"* OK a\0b\rc\r\n");
    assert!(matches!(Reply::of(&nul), Reply::Status(line) if line.text == b"a\0b\rc"));
}

#[test]
fn l11_a_pop3_greeting_is_no_continuation() {
    let greeting = b"+OK POP3 ready\r\n";
    assert_eq!(Reply::of(&one(greeting)), Reply::Other);
    assert_eq!(wrong_service(greeting, Expected::Imap), Some(Service::Pop3));
}

#[test]
fn l12_control_and_bidi_characters_are_shown_as_escapes() {
    let bytes = "* OK \u{1b}]0;x\u{7}\u{9b}2J\u{202e}evil\u{200b}\u{feff}\r\n".as_bytes();
    let mut transcript = Transcript::default();
    transcript.server(Duration::ZERO, &one(bytes));
    for shown in [transcript.to_string(), escape(bytes, 512)] {
        let printable = |character: char| character == '\n' || (' '..='~').contains(&character);
        assert!(shown.chars().all(printable), "{shown:?}");
    }
}

#[test]
fn an_endless_line_and_endless_chatter_come_to_an_end() {
    let mut framer = Framer::new(Limits::default());
    framer.push(b"* OK hi\r\n");
    for _ in 0..100 {
        framer.push(&[b'x'; 1024]);
    }
    assert_eq!(drain(&mut framer).1, Some(LimitKind::Line));
    let chatter = read_all(&b"* OK Still here\r\n".repeat(6_000));
    assert_eq!((chatter.0.len(), chatter.1), (5_000, Some(LimitKind::Frames)));
}

#[test]
fn a_session_of_any_length_holds_no_more_than_its_limit() {
    let mut framer = Framer::new(Limits::default());
    for _ in 0..1_000 {
        framer.begin_command(5_000);
        framer.push(&b"* 1 EXISTS\r\n".repeat(1_000));
        if drain(&mut framer).1.is_some() {
            break;
        }
    }
    assert_eq!(framer.next_frame().unwrap_err().kind, LimitKind::Session);
    assert_eq!(
        (framer.received(), framer.scanned()),
        (8 * 1024 * 1024, 8 * 1024 * 1024)
    );
}

#[test]
fn answers_injected_behind_starttls_are_seen_before_the_handshake() {
    let mut framer = Framer::new(Limits::default());
    framer
        .push(b"* OK hi\r\naaaa0001 OK begin TLS\r\naaaa0002 OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] done\r\n");
    assert!(framer.next_frame().unwrap().is_some());
    let answer = framer.next_frame().unwrap().unwrap();
    assert!(matches!(
        Reply::of(&answer),
        Reply::Tagged { tag: b"aaaa0001", .. }
    ));
    assert!(!framer.is_empty());
}

#[test]
fn a_spoofed_tag_is_not_ours() {
    let tag = Tags::new(77).next_tag();
    let frame = one(b"a0001 OK you are logged in\r\n");
    let Reply::Tagged { tag: received, .. } = Reply::of(&frame) else {
        panic!()
    };
    assert!(!tag.is(received));
}

#[test]
fn mailbox_data_before_the_login_is_recognised_as_out_of_place() {
    for line in [
        "* LIST () \"/\" INBOX",
        "* 3 EXISTS",
        "* 1 FETCH (UID 1)",
        "* STATUS INBOX (MESSAGES 1)",
        "* FLAGS ()",
    ] {
        assert!(
            !data(format!("{line}\r\n").as_bytes(), |_, line| line
                .allowed_before_login()),
            "{line}"
        );
    }
    assert!(data(b"* CAPABILITY IMAP4rev1\r\n", |_, line| line
        .allowed_before_login()));
}

#[test]
fn a_literal_that_is_shorter_or_longer_than_declared_does_not_derail_the_reader() {
    let mut framer = Framer::new(Limits::default());
    framer.push(b"* 1 FETCH (BODY[] {50}\r\nshort)\r\n");
    assert_eq!(framer.next_frame(), Ok(None));
    assert_eq!(framer.unfinished().unwrap().literal, Some((50, 8)));
    let (frames, exceeded) = read_all(b"* 1 FETCH (BODY[] {3}\r\ntoo long\r\n)\r\n* BYE\r\n");
    assert_eq!((frames.len(), exceeded), (3, None));
    assert_eq!(Reply::of(&frames[1]), Reply::Other);
    assert!(matches!(Reply::of(&frames[2]), Reply::Status(line) if line.status == Status::Bye));
}
