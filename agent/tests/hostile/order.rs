//! Words at the wrong time: spoofed tags, data nobody asked for, compression, floods behind the end.

use parallax_model::fault::{FaultKind, ImapFault};
use parallax_model::stage::{Outcome, StageName};
use parallax_model::target::Security;

use crate::arena::fight;
use crate::attack::{Attack, Expected};

fn imap(fault: ImapFault) -> FaultKind {
    FaultKind::Imap(fault)
}

/// A stored block of DEFLATE without an end (RFC 1951 section 3.2.4), as COMPRESS has it.
const DEFLATED: &[u8] = b"\x00\x1b\x00\xe4\xff* OK compressed from now on";

#[test]
fn words_at_the_wrong_time_mislead_nobody() {
    fight(vec![
        Attack::new(
            "a spoofed tag",
            Expected::Failed(StageName::Capability, imap(ImapFault::Timeout)),
            |mut peer| async move {
                peer.behave_until("CAPABILITY").await?;
                for tag in ["a001", "A0001", "aaaa0001", "*", "+", "zzzz9999"] {
                    peer.say(format!("{tag} OK done\r\n")).await?;
                }
                peer.ignore().await
            },
        ),
        Attack::new(
            "all answers before the first question",
            Expected::Failed(StageName::Capability, imap(ImapFault::Timeout)),
            |mut peer| async move {
                peer.say("* OK hi\r\n").await?;
                let spoofed: Vec<String> = (0..100).map(|n| format!("a{n:04} OK done\r\n")).collect();
                peer.say(spoofed.concat()).await?;
                peer.ignore().await
            },
        ),
        Attack::new(
            "the answer to the next command too",
            Expected::Well,
            |mut peer| async move {
                let command = peer.behave_until("CAPABILITY").await?;
                let next = format!("{}9 OK", command.tag);
                peer.say(format!(
                    "* CAPABILITY IMAP4rev1 ID\r\n{} OK done\r\n{next} already\r\n",
                    command.tag
                ))
                .await?;
                peer.behave().await
            },
        ),
        Attack::new(
            "data before the greeting",
            Expected::Failed(StageName::Greeting, imap(ImapFault::ProtocolError)),
            |mut peer| async move {
                peer.say("* CAPABILITY IMAP4rev1\r\n* OK hi\r\n").await?;
                peer.behave().await
            },
        ),
        Attack::new(
            "a tagged answer instead of the greeting",
            Expected::Failed(StageName::Greeting, imap(ImapFault::ProtocolError)),
            |mut peer| async move {
                peer.say("a1 OK hi\r\n* OK hi\r\n").await?;
                peer.behave().await
            },
        ),
        Attack::new(
            "a mailbox before the login",
            Expected::Degraded(StageName::Capability, imap(ImapFault::ProtocolError)),
            |mut peer| async move {
                let command = peer.behave_until("CAPABILITY").await?;
                peer.say("* 3 EXISTS\r\n* LIST () \"/\" INBOX\r\n").await?;
                peer.answer(&command).await?;
                peer.behave().await
            },
        ),
        Attack::new("two greetings", Expected::Well, |mut peer| async move {
            peer.say("* OK hi\r\n").await?;
            let logout = peer.behave_until("LOGOUT").await?;
            peer.answer(&logout).await
        }),
        Attack::new(
            "compression that nobody turned on",
            Expected::Failed(StageName::Id, imap(ImapFault::Timeout)),
            |mut peer| async move {
                peer.behave_until("ID").await?;
                peer.say(DEFLATED).await?;
                peer.ignore().await
            },
        )
        .over(Security::Tls),
        Attack::new(
            "a flood behind the logout",
            Expected::Well,
            |mut peer| async move {
                let logout = peer.behave_until("LOGOUT").await?;
                peer.answer(&logout).await?;
                peer.flood("* OK but wait\r\n".repeat(64)).await
            },
        )
        .and(|seen| assert_eq!(*seen.outcome(StageName::Logout), Outcome::Ok)),
        Attack::new(
            "a flood instead of the last answer",
            Expected::Failed(StageName::Logout, imap(ImapFault::LimitExceeded)),
            |mut peer| async move {
                peer.behave_until("LOGOUT").await?;
                peer.flood("* OK but wait\r\n".repeat(64)).await
            },
        ),
        Attack::new(
            "a bye, and on it goes",
            Expected::Failed(StageName::Capability, imap(ImapFault::Bye)),
            |mut peer| async move {
                peer.behave_until("CAPABILITY").await?;
                peer.say("* BYE we are closed\r\n").await?;
                peer.flood("* OK but wait\r\n".repeat(64)).await
            },
        ),
        Attack::new(
            "a login echoed back",
            Expected::Failed(
                StageName::Authenticate,
                FaultKind::Auth(parallax_model::fault::AuthFault::CredentialsRejected),
            ),
            |mut peer| async move {
                let command = peer.behave_until("AUTHENTICATE").await?;
                let said = "AHByb2JlAGNvcnJlY3QtaG9yc2UtYmF0dGVyeQ==";
                peer.say(format!(
                    "{} NO {said} {}\r\n",
                    command.tag,
                    crate::arena::PASSWORD
                ))
                .await?;
                peer.behave().await
            },
        )
        .in_the_mailbox()
        .and(|seen| assert!(!format!("{:?}", seen.observation).contains("Y29ycmVjdC1ob3JzZS1"))),
    ]);
}
