use parallax_model::credential::{Credential, Secret};

use super::*;
use crate::handshake::Verified;
use crate::imap::outgoing::Anything;
use crate::imap::redact::Redactor;
use crate::imap::tag::Tags;

fn tag() -> Tag {
    Tags::new(0).next_tag()
}

fn credential(user: &str, password: &str) -> Credential {
    Credential {
        user: user.into(),
        secret: Secret::new(password.into()),
    }
}

fn parts(mut command: Command) -> Vec<(String, String)> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    std::iter::from_fn(|| command.next_part())
        .map(|part| (text(part.wire(&Anything)), text(part.shown())))
        .collect()
}

fn wire(command: Command) -> Vec<String> {
    parts(command).into_iter().map(|(wire, _)| wire).collect()
}

#[test]
fn every_command_is_one_line_that_ends_in_crlf() {
    assert_eq!(wire(Command::capability(tag())), ["aaaa0001 CAPABILITY\r\n"]);
    assert_eq!(
        wire(Command::list_delimiter(tag())),
        ["aaaa0001 LIST \"\" \"\"\r\n"]
    );
    let returns = ListReturn {
        special_use: true,
        subscribed: true,
    };
    assert_eq!(
        wire(Command::list_all(tag(), returns)),
        ["aaaa0001 LIST \"\" \"*\" RETURN (SPECIAL-USE SUBSCRIBED)\r\n"]
    );
    assert_eq!(
        wire(Command::examine(tag(), b"INBOX", true, Literals::Synchronising).unwrap()),
        ["aaaa0001 EXAMINE \"INBOX\" (CONDSTORE)\r\n"]
    );
    assert_eq!(
        wire(Command::fetch_headers(tag(), Which::Uid(7))),
        ["aaaa0001 UID FETCH 7 (UID FLAGS INTERNALDATE RFC822.SIZE \
          BODY.PEEK[HEADER.FIELDS (MESSAGE-ID DATE)]<0.4096>)\r\n"]
    );
    assert_eq!(wire(Command::id(tag(), &[]).unwrap()), ["aaaa0001 ID NIL\r\n"]);
    assert_eq!(
        wire(Command::id(tag(), &[("name", "parallax"), ("version", "0.1")]).unwrap()),
        ["aaaa0001 ID (\"name\" \"parallax\" \"version\" \"0.1\")\r\n"]
    );
}

#[test]
fn a_login_is_quoted_and_never_shown() {
    let command = Command::login(
        &Verified::for_a_test(),
        tag(),
        &credential("pro\"be", "hunter2"),
        Literals::Synchronising,
    )
    .unwrap();
    assert_eq!(
        parts(command),
        [(
            "aaaa0001 LOGIN \"pro\\\"be\" \"hunter2\"\r\n".into(),
            "aaaa0001 LOGIN <user> <password>\r\n".into()
        )]
    );
}

#[test]
fn a_password_beyond_ascii_goes_as_a_literal_that_waits_when_it_must() {
    let credential = credential("probe", "p\u{e4}ss");
    let waiting = Command::login(
        &Verified::for_a_test(),
        tag(),
        &credential,
        Literals::Synchronising,
    )
    .unwrap();
    assert_eq!(
        parts(waiting),
        [
            (
                "aaaa0001 LOGIN \"probe\" {5}\r\n".into(),
                "aaaa0001 LOGIN <user> {...}\r\n".into()
            ),
            ("p\u{e4}ss\r\n".into(), "<password>\r\n".into()),
        ]
    );
    let at_once = Command::login(
        &Verified::for_a_test(),
        tag(),
        &credential,
        Literals::NonSynchronisingSmall,
    )
    .unwrap();
    assert_eq!(wire(at_once), ["aaaa0001 LOGIN \"probe\" {5+}\r\np\u{e4}ss\r\n"]);
}

#[test]
fn a_message_goes_with_the_command_or_after_the_plus() {
    let credential = credential("tim", "tanstaaftanstaaf");
    let (proof, plain) = (Verified::for_a_test(), b"\0tim\0tanstaaftanstaaf");
    let with = Command::authenticate(&proof, tag(), "PLAIN", &credential, Some(plain)).unwrap();
    assert_eq!(
        parts(with),
        [(
            "aaaa0001 AUTHENTICATE PLAIN AHRpbQB0YW5zdGFhZnRhbnN0YWFm\r\n".into(),
            "aaaa0001 AUTHENTICATE PLAIN <credentials>\r\n".into()
        )]
    );
    let after = Command::authenticate(&proof, tag(), "PLAIN", &credential, None).unwrap();
    assert_eq!(wire(after), ["aaaa0001 AUTHENTICATE PLAIN\r\n"]);
    let (answer, _) = sasl_response(&proof, plain);
    assert_eq!(answer.wire(&Anything), b"AHRpbQB0YW5zdGFhZnRhbnN0YWFm\r\n");
    assert_eq!(answer.shown(), b"<credentials>\r\n");
    let empty = Command::authenticate(&proof, tag(), "EXTERNAL", &credential, Some(b"")).unwrap();
    assert_eq!(wire(empty), ["aaaa0001 AUTHENTICATE EXTERNAL =\r\n"]);
}

#[test]
fn whatever_a_server_repeats_of_a_login_is_masked() {
    let credential = credential("probe", "hun\"ter2");
    for mut command in [
        Command::login(
            &Verified::for_a_test(),
            tag(),
            &credential,
            Literals::Synchronising,
        )
        .unwrap(),
        Command::authenticate(
            &Verified::for_a_test(),
            tag(),
            "PLAIN",
            &credential,
            Some(b"\0probe\0hun\"ter2"),
        )
        .unwrap(),
    ] {
        let mut redactor = Redactor::default();
        for concealed in command.concealed() {
            redactor.conceal(concealed.clone());
        }
        let sent = command.next_part().unwrap();
        let echo = [b"BAD hun\"ter2 ", sent.wire(&Anything)].concat();
        let echo = String::from_utf8(redactor.redact(&echo).into_owned()).unwrap();
        assert!(
            !echo.contains("ter2") && !echo.contains("probe") && !echo.contains("AHBy"),
            "{echo}"
        );
    }
}

#[test]
fn a_line_break_in_a_name_or_a_password_is_refused() {
    for bad in ["a\r\nb NOOP", "a\n", "a\0b"] {
        let by_password = credential("probe", bad);
        let error = CommandError::ControlCharacter { what: "password" };
        assert_eq!(
            Command::login(
                &Verified::for_a_test(),
                tag(),
                &by_password,
                Literals::NonSynchronising
            )
            .unwrap_err(),
            error
        );
        assert_eq!(
            Command::authenticate(&Verified::for_a_test(), tag(), "PLAIN", &by_password, None).unwrap_err(),
            error
        );
        assert!(
            Command::login(
                &Verified::for_a_test(),
                tag(),
                &credential(bad, "x"),
                Literals::Synchronising
            )
            .is_err()
        );
        assert!(Command::examine(tag(), bad.as_bytes(), false, Literals::NonSynchronising).is_err());
        assert!(Command::id(tag(), &[("name", bad)]).is_err());
    }
}

#[test]
fn a_command_prints_without_its_secrets() {
    let command = Command::login(
        &Verified::for_a_test(),
        tag(),
        &credential("probe", "hunter2"),
        Literals::Synchronising,
    )
    .unwrap();
    assert!(!format!("{command:?}").contains("hunter2"));
}
