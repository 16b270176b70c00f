#![allow(clippy::unwrap_used)]

use super::*;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use parallax_model::credential::Secret;

fn credential(user: &str, secret: &str) -> Credential {
    Credential {
        user: user.into(),
        secret: Secret::new(secret.into()),
    }
}

fn begin(mechanism: Mechanism, nonce: &str, bindings: &[ChannelBinding]) -> Result<Conversation, SaslError> {
    let credential = credential("user", "pencil");
    let mut bytes = [0; 18];
    let decoded = STANDARD.decode(nonce).unwrap();
    bytes[..decoded.len()].copy_from_slice(&decoded);
    let means = Means {
        credential: &credential,
        nonce: bytes,
        bindings,
        binding_offered: true,
        host: "imap.example.org",
        port: 993,
    };
    Conversation::begin(mechanism, means).map(|begun| begun.unwrap())
}

const SHA1: (&str, &str, &str, &str) = (
    "fyko+d2lbbFgONRv9qkxdawL",
    "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
    "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
    "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
);

/// The example of RFC 5802 section 5. Its nonce is 24 characters of base64, as ours is.
#[test]
fn the_exchange_of_the_rfc_is_reproduced_and_its_server_believed() {
    let (nonce, first, last, verdict) = SHA1;
    let mut scram = begin(Mechanism::ScramSha1, nonce, &[]).unwrap();
    assert_eq!(
        &scram.initial().unwrap()[..],
        format!("n,,n=user,r={nonce}").as_bytes()
    );
    assert_eq!(&scram.answer(first.as_bytes()).unwrap()[..], last.as_bytes());
    assert_eq!(scram.server_verified(), Some(false), "not before its proof");
    assert!(scram.answer(verdict.as_bytes()).unwrap().is_empty());
    assert_eq!(scram.server_verified(), Some(true));
    assert_eq!(scram.answer(b"more"), Err(SaslError::Unexpected));
}

/// The password and salt of RFC 7677 section 3 with a nonce of ours; the proof was computed with another program.
#[test]
fn sha_256_is_another_mechanism_with_another_proof() {
    let (nonce, first, last, verdict) = SHA1;
    let mut scram = begin(Mechanism::ScramSha256, nonce, &[]).unwrap();
    scram.initial().unwrap();
    let answer = scram.answer(first.as_bytes()).unwrap();
    assert!(answer.starts_with(b"c=biws,r=") && answer[..] != *last.as_bytes());
    assert_eq!(
        scram.answer(verdict.as_bytes()),
        Err(SaslError::ServerNotVerified)
    );
    assert_eq!(scram.server_verified(), Some(false));
}

#[test]
fn a_server_that_lies_or_demands_too_much_is_not_answered() {
    let (nonce, ..) = SHA1;
    for (challenge, error) in [
        (
            "r=other,s=QSXCR+Q6sek8bf92,i=4096",
            SaslError::Unreadable("its nonce does not begin with ours"),
        ),
        (
            "r=fyko+d2lbbFgONRv9qkxdawL,s=QSXCR+Q6sek8bf92,i=4096",
            SaslError::Unreadable("its nonce does not begin with ours"),
        ),
        (
            "r=fyko+d2lbbFgONRv9qkxdawLx,s=QSXCR+Q6sek8bf92,i=2147483647",
            SaslError::TooManyRounds(2_147_483_647),
        ),
        (
            "r=fyko+d2lbbFgONRv9qkxdawLx,s=!,i=4096",
            SaslError::Unreadable("its salt is no base64"),
        ),
        (
            "m=ext,r=x",
            SaslError::Unreadable("nonce, salt and count of rounds were expected"),
        ),
    ] {
        let mut scram = begin(Mechanism::ScramSha1, nonce, &[]).unwrap();
        scram.initial().unwrap();
        assert_eq!(scram.answer(challenge.as_bytes()), Err(error), "{challenge}");
    }
}

#[test]
fn binding_is_told_in_the_header_and_missing_where_there_is_none() {
    let binding = ChannelBinding {
        kind: "tls-exporter",
        data: vec![7; 32],
    };
    let mut bound = begin(Mechanism::ScramSha256Plus, SHA1.0, std::slice::from_ref(&binding)).unwrap();
    assert!(bound.initial().unwrap().starts_with(b"p=tls-exporter,,n=user"));
    assert_eq!(bound.binding(), Some("tls-exporter"));
    let answer = bound.answer(SHA1.1.as_bytes()).unwrap();
    let header = STANDARD.encode([b"p=tls-exporter,,", &[7_u8; 32][..]].concat());
    assert!(answer.starts_with(format!("c={header},").as_bytes()));
    assert_eq!(
        begin(Mechanism::ScramSha1Plus, SHA1.0, &[]).unwrap_err(),
        SaslError::NoBinding(Mechanism::ScramSha1Plus)
    );
}

#[test]
fn tokens_go_out_once_and_errors_are_read_and_acknowledged() {
    let mut bearer = begin(Mechanism::OauthBearer, SHA1.0, &[]).unwrap();
    let first = bearer.initial().unwrap();
    assert_eq!(
        &first[..],
        b"n,a=user,\x01host=imap.example.org\x01port=993\x01auth=Bearer pencil\x01\x01"
    );
    let answer = bearer
        .answer(br#"{"status":"invalid_token","scope":"mail","openid-configuration":"https://a/"}"#)
        .unwrap();
    assert_eq!(&answer[..], b"\x01");
    assert_eq!(
        bearer.oauth_error().unwrap().status.as_deref(),
        Some("invalid_token")
    );
    assert_eq!(bearer.answer(b"{}"), Err(SaslError::Unexpected));

    let mut xoauth2 = begin(Mechanism::Xoauth2, SHA1.0, &[]).unwrap();
    let first = xoauth2.answer(b"").unwrap();
    assert_eq!(&first[..], b"user=user\x01auth=Bearer pencil\x01\x01");
    assert!(
        xoauth2
            .answer(br#"{"status":400,"schemes":["x"]}"#)
            .unwrap()
            .is_empty()
    );
    assert_eq!(xoauth2.oauth_error().unwrap().status.as_deref(), Some("400"));
}

#[test]
fn plain_login_and_external_say_what_they_have_to() {
    let plain = begin(Mechanism::Plain, SHA1.0, &[]).unwrap().initial().unwrap();
    assert_eq!(&plain[..], b"\0user\0pencil");
    let mut login = begin(Mechanism::Login, SHA1.0, &[]).unwrap();
    assert!(login.initial().is_none());
    assert_eq!(&login.answer(b"Username:").unwrap()[..], b"user");
    assert_eq!(&login.answer(b"Password:").unwrap()[..], b"pencil");
    assert_eq!(login.answer(b"Again:"), Err(SaslError::Unexpected));
    let external = begin(Mechanism::External, SHA1.0, &[])
        .unwrap()
        .initial()
        .unwrap();
    assert!(external.is_empty());
}
