//! Escape sequences wherever a server can put text. The run document keeps them, as JSON can; what shows it to
//! people escapes it, which the tests of `ctl` hold it to.

use parallax_model::fault::{AuthFault, FaultKind, ImapFault};
use parallax_model::stage::StageName;

use crate::arena::fight;
use crate::attack::{Attack, Expected};

/// Clears a screen, sets a title, hides text: ESC and C1 as bytes and as characters, bidi, zero width, no UTF-8.
const EVIL: &str = "\u{1b}[2J\u{1b}]0;owned\u{7}\u{9b}31m\u{202e}live\u{200b}\u{feff}";

fn fails(stage: StageName, kind: FaultKind) -> Expected {
    Expected::Failed(stage, kind)
}

#[test]
fn a_fault_never_carries_an_escape_sequence_in_its_message() {
    let no = FaultKind::Imap(ImapFault::No);
    let attacks = vec![
        Attack::new(
            "in a greeting that refuses",
            fails(StageName::Greeting, FaultKind::Imap(ImapFault::Bye)),
            |mut peer| async move {
                peer.say(format!("* BYE [X{EVIL}] {EVIL}\r\n")).await?;
                peer.ignore().await
            },
        ),
        Attack::new(
            "in a greeting that is none",
            fails(StageName::Greeting, FaultKind::Imap(ImapFault::ProtocolError)),
            |mut peer| async move {
                peer.say(format!("{EVIL}\r\n")).await?;
                peer.ignore().await
            },
        ),
        Attack::new(
            "in half a line",
            fails(StageName::Capability, FaultKind::Imap(ImapFault::Timeout)),
            |mut peer| async move {
                peer.behave_until("CAPABILITY").await?;
                peer.say(format!("* {EVIL}")).await?;
                peer.ignore().await
            },
        ),
        Attack::new(
            "in a refusal",
            fails(StageName::Capability, no),
            |mut peer| async move {
                let command = peer.behave_until("CAPABILITY").await?;
                peer.say(format!("{} NO [X{EVIL}] {EVIL}\r\n", command.tag))
                    .await?;
                peer.behave().await
            },
        ),
        Attack::new(
            "in a refused login",
            fails(
                StageName::Authenticate,
                FaultKind::Auth(AuthFault::CredentialsRejected),
            ),
            |mut peer| async move {
                let command = peer.behave_until("AUTHENTICATE").await?;
                peer.say(format!("{} NO [AUTHENTICATIONFAILED] {EVIL}\r\n", command.tag))
                    .await?;
                peer.behave().await
            },
        )
        .in_the_mailbox(),
        Attack::new("in everything at once", Expected::Well, |mut peer| async move {
            peer.secure().await?;
            peer.say(format!(
                "* OK [CAPABILITY IMAP4rev1 X{EVIL} ID NAMESPACE AUTH=PLAIN SASL-IR] {EVIL}\r\n"
            ))
            .await?;
            loop {
                let command = peer.command().await?;
                let data = match command.verb.as_str() {
                    "CAPABILITY" => {
                        format!("* CAPABILITY IMAP4rev1 X{EVIL} ID NAMESPACE AUTH=PLAIN SASL-IR\r\n")
                    }
                    "ID" => format!("* ID (\"name\" \"{EVIL}\" \"{EVIL}\" \"{EVIL}\")\r\n"),
                    "NAMESPACE" => format!("* NAMESPACE ((\"{EVIL}\" \"/\")) NIL NIL\r\n"),
                    "LIST" => {
                        format!("* LIST (\\X{EVIL} \\Sent) \"/\" \"{EVIL}\"\r\n* LIST () \"/\" INBOX\r\n")
                    }
                    _ => String::new(),
                };
                peer.say(format!("{data}* OK [X{EVIL}] {EVIL}\r\n")).await?;
                peer.answer(&command).await?;
            }
        })
        .in_the_mailbox(),
    ];
    let printable = |seen: &crate::attack::Seen| {
        let message = seen.message();
        let harmless =
            |character: char| !character.is_control() && !"\u{202e}\u{200b}\u{feff}".contains(character);
        assert!(message.chars().all(harmless), "{message:?}");
    };
    fight(attacks.into_iter().map(|attack| attack.and(printable)).collect());
}
