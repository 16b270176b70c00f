//! Streams without an end, and streams that hardly flow.

use std::time::Duration;

use parallax_model::fault::{FaultKind, ImapFault};
use parallax_model::stage::StageName;

use crate::arena::fight;
use crate::attack::{Attack, Expected};

const TOO_MUCH: FaultKind = FaultKind::Imap(ImapFault::LimitExceeded);
const TOO_LATE: FaultKind = FaultKind::Imap(ImapFault::Timeout);

fn greeting(kind: FaultKind) -> Expected {
    Expected::Failed(StageName::Greeting, kind)
}

fn capability(kind: FaultKind) -> Expected {
    Expected::Failed(StageName::Capability, kind)
}

#[test]
fn nothing_without_an_end_is_heard_to_the_end() {
    fight(vec![
        Attack::new(
            "a greeting without a line end",
            greeting(TOO_MUCH),
            |mut peer| async move {
                peer.say("* OK ").await?;
                peer.flood([b'x'; 1024]).await
            },
        ),
        Attack::new(
            "a line without an end",
            capability(TOO_MUCH),
            |mut peer| async move {
                peer.behave_until("CAPABILITY").await?;
                peer.say("* CAPABILITY ").await?;
                peer.flood([b'A'; 1024]).await
            },
        ),
        Attack::new(
            "parentheses without an end",
            capability(TOO_MUCH),
            |mut peer| async move {
                peer.behave_until("CAPABILITY").await?;
                peer.say("* X ").await?;
                peer.flood([b'('; 1024]).await
            },
        ),
        Attack::new(
            "parentheses deeper than a stack",
            capability(TOO_MUCH),
            |mut peer| async move {
                peer.behave_until("CAPABILITY").await?;
                peer.say(format!("* 1 FETCH (BODYSTRUCTURE {}\r\n", "(".repeat(50_000)))
                    .await?;
                peer.ignore().await
            },
        ),
        Attack::new(
            "untagged data without an end",
            Expected::Stopped(StageName::Capability),
            |mut peer| async move {
                peer.behave_until("CAPABILITY").await?;
                peer.flood("* OK Still here\r\n".repeat(64)).await
            },
        ),
        Attack::new(
            "continuations without an end",
            capability(TOO_MUCH),
            |mut peer| async move {
                peer.behave_until("CAPABILITY").await?;
                peer.flood("+ go on\r\n".repeat(64)).await
            },
        ),
        Attack::new(
            "empty lines without an end",
            capability(TOO_MUCH),
            |mut peer| async move {
                peer.behave_until("CAPABILITY").await?;
                peer.flood("\r\n".repeat(512)).await
            },
        ),
        Attack::new(
            "big lines without an end",
            Expected::Stopped(StageName::Capability),
            |mut peer| async move {
                peer.behave_until("CAPABILITY").await?;
                peer.flood(format!("* X {}\r\n", "y".repeat(60_000))).await
            },
        ),
        Attack::new(
            "capabilities without an end",
            Expected::Well,
            |mut peer| async move {
                let command = peer.behave_until("CAPABILITY").await?;
                let list = "A=B ".repeat(10_000);
                peer.say(format!("* CAPABILITY IMAP4rev1 {list}\r\n")).await?;
                peer.say(format!("{} OK done\r\n", command.tag)).await?;
                peer.behave().await
            },
        ),
        Attack::new(
            "mailboxes without an end",
            Expected::Stopped(StageName::List),
            |mut peer| async move {
                peer.behave_until("LIST").await?;
                peer.flood("* LIST () \"/\" box\r\n".repeat(64)).await
            },
        )
        .in_the_mailbox(),
        Attack::new(
            "messages without an end",
            Expected::Stopped(StageName::Fetch),
            |mut peer| async move {
                peer.behave_until("FETCH").await?;
                peer.flood("* 1 FETCH (UID 1 FLAGS (\\Seen))\r\n".repeat(64))
                    .await
            },
        )
        .in_the_mailbox(),
    ]);
}

#[test]
fn nobody_waits_for_a_stream_that_hardly_flows() {
    let pause = Duration::from_millis(50);
    fight(vec![
        Attack::new(
            "a greeting that drips",
            greeting(TOO_MUCH),
            move |mut peer| async move { peer.drip(b"* OK ", pause).await },
        ),
        Attack::new(
            "an answer that drips",
            capability(TOO_MUCH),
            move |mut peer| async move {
                peer.behave_until("CAPABILITY").await?;
                peer.drip(b"* CAPABILITY ", pause).await
            },
        ),
        Attack::new(
            "a literal that drips",
            capability(TOO_MUCH),
            move |mut peer| async move {
                peer.behave_until("CAPABILITY").await?;
                peer.say("* X {200000}\r\n").await?;
                peer.drip(b"x", pause).await
            },
        ),
        Attack::new(
            "whole lines that drip and answer nothing",
            capability(TOO_LATE),
            move |mut peer| async move {
                peer.behave_until("CAPABILITY").await?;
                for _ in 0..400 {
                    peer.say("* OK [INPROGRESS] Still here\r\n").await?;
                    tokio::time::sleep(pause).await;
                }
                Ok(())
            },
        ),
        Attack::new(
            "a server that says nothing",
            greeting(TOO_LATE),
            |mut peer| async move { peer.stand_still().await },
        ),
        Attack::new(
            "a server that never answers",
            capability(TOO_LATE),
            |mut peer| async move {
                peer.behave_until("CAPABILITY").await?;
                peer.stand_still().await
            },
        ),
        Attack::new(
            "a login that drips",
            Expected::Failed(StageName::Authenticate, TOO_MUCH),
            move |mut peer| async move {
                peer.behave_until("AUTHENTICATE").await?;
                peer.drip(b"* OK hold the line ", pause).await
            },
        )
        .in_the_mailbox(),
    ]);
}
