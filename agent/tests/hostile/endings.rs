//! BYE, a half-close and a reset, at each stage.

use std::time::Duration;

use parallax_model::fault::{FaultKind, ImapFault, TlsFault};
use parallax_model::stage::StageName;
use parallax_model::target::Security;

use crate::arena::fight;
use crate::attack::{Attack, Expected};

/// Where an ending strikes: the stage, and the command whose answer it takes the place of.
const STAGES: [(StageName, &str); 8] = [
    (StageName::Capability, "CAPABILITY"),
    (StageName::Id, "ID"),
    (StageName::Authenticate, "AUTHENTICATE"),
    (StageName::Namespace, "NAMESPACE"),
    (StageName::List, "LIST"),
    (StageName::Select, "EXAMINE"),
    (StageName::Fetch, "FETCH"),
    (StageName::Logout, "LOGOUT"),
];

const A_MOMENT: Duration = Duration::from_millis(100);

#[derive(Debug, Clone, Copy)]
enum Ending {
    Bye,
    HalfClose,
    Reset,
}

const ENDINGS: [Ending; 3] = [Ending::Bye, Ending::HalfClose, Ending::Reset];

impl Ending {
    const fn fault(self) -> FaultKind {
        FaultKind::Imap(match self {
            Self::Bye => ImapFault::Bye,
            Self::HalfClose => ImapFault::ConnectionClosed,
            Self::Reset => ImapFault::ConnectionReset,
        })
    }

    async fn play(self, mut peer: crate::peer::Peer) -> std::io::Result<()> {
        match self {
            Self::Bye => {
                peer.say("* BYE that is enough\r\n").await?;
                peer.half_close().await
            }
            Self::HalfClose => peer.half_close().await,
            Self::Reset => {
                // At once it would be the end of the connect.
                tokio::time::sleep(A_MOMENT).await;
                peer.reset()
            }
        }
    }
}

#[test]
fn every_ending_is_named_at_every_stage() {
    let mut attacks = Vec::new();
    for ending in ENDINGS {
        for (stage, verb) in STAGES {
            // Whoever says BYE to a LOGOUT does what is asked.
            let outcome = match (ending, stage) {
                (Ending::Bye, StageName::Logout) => Expected::Well,
                _ => Expected::Failed(stage, ending.fault()),
            };
            let attack = Attack::new(
                format!("{ending:?} at {stage}"),
                outcome,
                move |mut peer| async move {
                    peer.behave_until(verb).await?;
                    ending.play(peer).await
                },
            );
            attacks.push(attack.in_the_mailbox());
        }
        for security in [Security::Plaintext, Security::Tls] {
            let outcome = Expected::Failed(StageName::Greeting, ending.fault());
            let attack = Attack::new(
                format!("{ending:?} instead of a greeting, {security}"),
                outcome,
                move |mut peer| async move {
                    if security == Security::Tls {
                        peer.secure().await?;
                    }
                    ending.play(peer).await
                },
            );
            attacks.push(attack.over(security));
        }
        let outcome = Expected::Failed(StageName::Starttls, ending.fault());
        let attack = Attack::new(
            format!("{ending:?} instead of STARTTLS"),
            outcome,
            move |mut peer| async move {
                peer.behave_until("STARTTLS").await?;
                ending.play(peer).await
            },
        );
        attacks.push(attack.over(Security::Starttls));
    }
    fight(attacks);
}

#[test]
fn every_ending_of_a_handshake_is_named() {
    let tls = |fault| Expected::Failed(StageName::Tls, FaultKind::Tls(fault));
    let attack = |name: &str, outcome, ending: Ending| {
        Attack::new(name, outcome, move |mut peer| async move {
            let mut hello = [0; 5];
            tokio::io::AsyncReadExt::read_exact(peer.tcp(), &mut hello).await?;
            ending.play(peer).await
        })
        .over(Security::Tls)
    };
    fight(vec![
        attack("a bye in clear", tls(TlsFault::NotTls), Ending::Bye),
        attack("a half-close", tls(TlsFault::ConnectionClosed), Ending::HalfClose),
        attack("a reset", tls(TlsFault::ConnectionReset), Ending::Reset),
    ]);
}
