//! Literals that are not what they say.

use parallax_model::fault::{FaultKind, ImapFault};
use parallax_model::stage::StageName;

use crate::arena::fight;
use crate::attack::{Attack, Expected};

fn fetch(kind: FaultKind) -> Expected {
    Expected::Failed(StageName::Fetch, kind)
}

fn imap(fault: ImapFault) -> FaultKind {
    FaultKind::Imap(fault)
}

/// The answer to FETCH is these bytes and a tagged OK.
fn answer(name: &str, outcome: Expected, bytes: &'static [u8]) -> Attack {
    Attack::new(name, outcome, move |mut peer| async move {
        let command = peer.behave_until("FETCH").await?;
        peer.say(bytes).await?;
        peer.say(format!("{} OK done\r\n", command.tag)).await?;
        peer.behave().await
    })
    .in_the_mailbox()
}

#[test]
fn a_literal_that_lies_misleads_nobody() {
    fight(vec![
        answer(
            "less than it says",
            Expected::Stopped(StageName::Fetch),
            b"* 1 FETCH (UID 17 BODY[HEADER] {5000}\r\nDate: now\r\n\r\n)\r\n",
        ),
        answer(
            "more than it says",
            Expected::Degraded(StageName::Fetch, imap(ImapFault::ProtocolError)),
            b"* 1 FETCH (UID 17 BODY[HEADER] {3}\r\nDate: now\r\n\r\n)\r\n",
        ),
        answer(
            "four gibibytes",
            fetch(imap(ImapFault::LimitExceeded)),
            b"* 1 FETCH (BODY[] {4294967295}\r\n",
        ),
        answer(
            "ten digits and one",
            fetch(imap(ImapFault::LimitExceeded)),
            b"* 1 FETCH (BODY[] {00000000001}\r\n",
        ),
        answer(
            "beyond 64 bits",
            fetch(imap(ImapFault::LimitExceeded)),
            b"* 1 FETCH (BODY[] {18446744073709551616}\r\n",
        ),
        answer(
            "a literal8 of four gibibytes",
            fetch(imap(ImapFault::LimitExceeded)),
            b"* 1 FETCH (BINARY[] ~{4294967295+}\r\n",
        ),
        answer("nine in one line", fetch(imap(ImapFault::LimitExceeded)), &NINE),
        Attack::new(
            "big ones without an end",
            Expected::Stopped(StageName::Fetch),
            |mut peer| async move {
                peer.behave_until("FETCH").await?;
                let one = [
                    b"* 1 FETCH (BODY[] {200000}\r\n".to_vec(),
                    vec![b'x'; 200_000],
                    b")\r\n".to_vec(),
                ];
                peer.flood(one.concat()).await
            },
        )
        .in_the_mailbox(),
        Attack::new(
            "in answer to a command before the login",
            Expected::Failed(StageName::Capability, imap(ImapFault::LimitExceeded)),
            |mut peer| async move {
                peer.behave_until("CAPABILITY").await?;
                peer.say("* CAPABILITY {4294967295}\r\n").await?;
                peer.flood([b'x'; 4096]).await
            },
        ),
    ]);
}

const NINE: [u8; 54] = *b"{1}\r\na{1}\r\na{1}\r\na{1}\r\na{1}\r\na{1}\r\na{1}\r\na{1}\r\na{1}\r\na";
