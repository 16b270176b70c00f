//! STARTTLS, where words in clear may pass for words behind TLS.

use parallax_model::fault::{FaultKind, ImapFault, TlsFault};
use parallax_model::stage::StageName;
use parallax_model::target::Security;

use crate::arena::fight;
use crate::attack::{Attack, Expected};

fn starttls(kind: FaultKind) -> Expected {
    Expected::Failed(StageName::Starttls, kind)
}

/// Says this in answer to STARTTLS, `$` being the tag, and shakes hands.
fn injection(name: &str, outcome: Expected, answer: &'static str) -> Attack {
    Attack::new(name, outcome, move |mut peer| async move {
        let command = peer.behave_until("STARTTLS").await?;
        peer.say(answer.replace('$', &command.tag)).await?;
        peer.secure().await?;
        peer.behave().await
    })
    .over(Security::Starttls)
}

#[test]
fn what_came_in_clear_never_passes_for_what_came_through_tls() {
    let injected = starttls(FaultKind::Imap(ImapFault::StarttlsInjection));
    fight(vec![
        injection(
            "an answer behind the answer",
            injected.clone(),
            "$ OK go\r\n* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n",
        ),
        injection(
            "half a line behind the answer",
            injected.clone(),
            "$ OK go\r\n* CAPABILITY IMAP4rev1 AUTH=",
        ),
        injection("one byte behind the answer", injected.clone(), "$ OK go\r\n*"),
        injection(
            "a literal behind the answer",
            injected,
            "$ OK go\r\n* X {100000}\r\n",
        ),
        injection(
            "no, and TLS all the same",
            starttls(FaultKind::Imap(ImapFault::No)),
            "$ NO not today\r\n",
        ),
        Attack::new(
            "in clear where TLS was agreed",
            starttls(FaultKind::Tls(TlsFault::NotTls)),
            |mut peer| async move {
                let command = peer.behave_until("STARTTLS").await?;
                peer.say(format!("{} OK go\r\n", command.tag)).await?;
                let mut hello = [0; 5];
                tokio::io::AsyncReadExt::read_exact(peer.tcp(), &mut hello).await?;
                peer.flood("* OK in clear\r\n").await
            },
        )
        .over(Security::Starttls),
        Attack::new(
            "silence where TLS was agreed",
            starttls(FaultKind::Tls(TlsFault::TimedOut)),
            |mut peer| async move {
                let command = peer.behave_until("STARTTLS").await?;
                peer.say(format!("{} OK go\r\n", command.tag)).await?;
                peer.stand_still().await
            },
        )
        .over(Security::Starttls),
        Attack::new(
            "a login is let in by a preauth",
            starttls(FaultKind::Imap(ImapFault::StarttlsMissing)),
            |mut peer| async move {
                peer.say("* PREAUTH [CAPABILITY IMAP4rev1 STARTTLS] come in\r\n")
                    .await?;
                peer.behave().await
            },
        )
        .over(Security::Starttls),
        Attack::new(
            "taken from the list",
            starttls(FaultKind::Imap(ImapFault::StarttlsMissing)),
            |mut peer| async move {
                peer.say("* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] hi\r\n").await?;
                let command = peer.go_on_until("CAPABILITY").await?;
                peer.say(format!(
                    "* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n{} OK done\r\n",
                    command.tag
                ))
                .await?;
                peer.behave().await
            },
        )
        .over(Security::Starttls),
    ]);
}
