//! Servers that repeat what they were told at the login, wherever they can put text. Nothing of it is kept.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use parallax_model::fault::{AuthFault, FaultKind, ImapFault};
use parallax_model::stage::StageName;

use crate::arena::{HOST, PASSWORD, fight};
use crate::attack::{Attack, Expected, Seen};
use crate::honest;
use crate::peer::Peer;

const REFUSED: Expected = Expected::Failed(
    StageName::Authenticate,
    FaultKind::Auth(AuthFault::CredentialsRejected),
);

/// What a server offers so that the secret comes in this form.
const PLAIN_AT_ONCE: &str = "AUTH=PLAIN SASL-IR";
const PLAIN_LATER: &str = "AUTH=PLAIN";
const LOGIN: &str = "AUTH=LOGIN";
const COMMAND: &str = "ID";
const SCRAM: &str = "AUTH=SCRAM-SHA-256 SASL-IR";

#[test]
fn a_secret_that_is_repeated_in_a_refusal_is_kept_nowhere() {
    let mut attacks = Vec::new();
    for offer in [PLAIN_AT_ONCE, PLAIN_LATER, LOGIN, COMMAND] {
        for (status, outcome) in [
            ("NO [AUTHENTICATIONFAILED]", REFUSED),
            ("NO [AUTHENTICATIONFAILED] [X", REFUSED),
        ] {
            attacks.push(
                Attack::new(
                    format!("{status} to {offer}"),
                    outcome,
                    move |mut peer| async move {
                        let (tag, line) = secret_line(&mut peer, offer).await?;
                        let shouted = line.to_ascii_uppercase();
                        peer.say(format!(
                            "* OK [ALERT] {line}\r\n{tag} {status} {line} {shouted}\r\n"
                        ))
                        .await?;
                        peer.behave().await
                    },
                )
                .in_the_mailbox()
                .and(nothing_is_kept),
            );
        }
    }
    fight(attacks);
}

#[test]
fn a_secret_that_is_repeated_where_no_answer_is_due_is_kept_nowhere() {
    let attack = |name: &str, outcome, say: fn(&str) -> String| {
        Attack::new(name, outcome, move |mut peer| async move {
            let (_, line) = secret_line(&mut peer, PLAIN_AT_ONCE).await?;
            peer.say(say(&line)).await?;
            peer.half_close().await
        })
        .in_the_mailbox()
        .and(nothing_is_kept)
    };
    let failed = |fault| Expected::Failed(StageName::Authenticate, FaultKind::Imap(fault));
    fight(vec![
        attack("in a BYE", failed(ImapFault::Bye), |line| {
            format!("* BYE {line}\r\n")
        }),
        attack("as it came", failed(ImapFault::ConnectionClosed), |line| {
            format!("{line}\r\n")
        }),
        attack("in half a line", failed(ImapFault::ConnectionClosed), |line| {
            format!("* OK {line}")
        }),
        attack(
            "among the capabilities",
            failed(ImapFault::ConnectionClosed),
            |line| format!("* CAPABILITY IMAP4rev1 {line}\r\n"),
        ),
        attack("in a code", failed(ImapFault::ConnectionClosed), |line| {
            let word = line.rsplit(' ').next().unwrap_or_default();
            format!("* OK [{word} {word}] {word}\r\n")
        }),
    ]);
}

/// A server that knows the password from before needs no login to say it.
#[test]
fn a_secret_that_is_said_before_the_login_is_kept_nowhere() {
    let attack = Attack::new("in the greeting", REFUSED, |mut peer| async move {
        peer.secure().await?;
        let encoded = STANDARD.encode(PASSWORD);
        peer.say(format!(
            "* OK [CAPABILITY IMAP4rev1 {PLAIN_AT_ONCE} X{PASSWORD} {encoded}] {HOST} {PASSWORD} {encoded}\r\n"
        ))
        .await?;
        let command = peer.go_on_until("AUTHENTICATE").await?;
        peer.say(format!("{} NO [AUTHENTICATIONFAILED] no\r\n", command.tag))
            .await?;
        peer.behave().await
    });
    fight(vec![attack.in_the_mailbox().and(nothing_is_kept)]);
}

/// With the salt, whoever reads a proof can try passwords against it (RFC 5802 section 9).
#[test]
fn the_proof_of_a_scram_login_is_kept_nowhere() {
    let attack = Attack::new("SCRAM", REFUSED, |mut peer| async move {
        let (tag, first) = secret_line(&mut peer, SCRAM).await?;
        let first = STANDARD.decode(first.rsplit(' ').next().unwrap_or_default());
        let first = String::from_utf8(first.unwrap_or_default()).unwrap_or_default();
        let nonce = first
            .rsplit_once("r=")
            .map(|(_, nonce)| nonce)
            .unwrap_or_default();
        let salt = STANDARD.encode("a salt of the server");
        peer.say(format!(
            "+ {}\r\n",
            STANDARD.encode(format!("r={nonce}more,s={salt},i=4096"))
        ))
        .await?;
        peer.command().await?;
        let proof = peer.last_line();
        let clear = STANDARD.decode(&proof).unwrap_or_default();
        let clear = String::from_utf8_lossy(&clear).into_owned();
        assert!(clear.contains("p="), "{clear} is no proof");
        peer.say(format!("{tag} NO [AUTHENTICATIONFAILED] {proof}\r\n"))
            .await?;
        peer.behave().await
    });
    fight(vec![attack.in_the_mailbox().and(nothing_is_kept)]);
}

/// Behaves until the line with the secret has come, and says the command's tag and that line.
async fn secret_line(peer: &mut Peer, offer: &'static str) -> std::io::Result<(String, String)> {
    peer.secure().await?;
    peer.say(format!("* OK [CAPABILITY IMAP4rev1 {offer}] {HOST}\r\n"))
        .await?;
    let command = loop {
        let command = peer.command().await?;
        match command.verb.as_str() {
            "AUTHENTICATE" | "LOGIN" => break command,
            "CAPABILITY" => {
                peer.say(format!(
                    "* CAPABILITY IMAP4rev1 {offer}\r\n{} OK done\r\n",
                    command.tag
                ))
                .await?;
            }
            _ => peer.say(honest::answer(&command, peer.security)).await?,
        }
    };
    let asked: &[&str] = match offer {
        PLAIN_LATER => &[""],
        LOGIN => &["VXNlcm5hbWU6", "UGFzc3dvcmQ6"],
        _ => &[],
    };
    for challenge in asked {
        peer.say(format!("+ {challenge}\r\n")).await?;
        peer.command().await?;
    }
    Ok((command.tag, peer.last_line()))
}

fn nothing_is_kept(seen: &Seen) {
    let kept = format!("{:?}", seen.observation).to_ascii_lowercase();
    let port = seen.attempt().endpoint.port;
    let response = STANDARD.encode(format!("\0probe-{port}\0{PASSWORD}"));
    let mut secrets = vec![PASSWORD.to_owned(), STANDARD.encode(PASSWORD), response];
    // Behind the command of a SASL exchange, each line of the client's is one of its messages.
    let said = seen.heard.iter();
    secrets.extend(said.filter(|line| !line.contains(' ') && line.len() > 8).cloned());
    for secret in secrets {
        assert!(!kept.contains(&secret.to_ascii_lowercase()), "{secret} is kept");
    }
}
