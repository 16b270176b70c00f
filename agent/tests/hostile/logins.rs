//! One name, two addresses, and a server that counts logins: a wrong password must not count twice.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use parallax_agent::{Policy, Prober};
use parallax_model::credential::Secret;
use parallax_model::observation::Observation;
use parallax_model::stage::{Outcome, StageName};
use tokio::net::TcpListener;

use crate::arena::{PASSWORD, budgets, spec};
use crate::attack::{Attack, Expected};
use crate::peer::{Peer, Record};
use crate::pki::Pki;

const ADDRESSES: [Ipv4Addr; 2] = [Ipv4Addr::new(127, 0, 0, 1), Ipv4Addr::new(127, 0, 0, 2)];

/// What the server does when the secret has come.
#[derive(Clone, Copy)]
enum Answer {
    Reset,
    Unavailable,
}

#[tokio::test]
async fn a_login_that_gets_no_answer_is_made_at_no_other_address() {
    let (seen, logins) = probe(Answer::Reset).await;
    assert_eq!(logins, 1, "{seen:?}");
    let withheld: Vec<_> = seen.attempts.iter().filter_map(withheld).collect();
    let [why] = withheld.as_slice() else {
        panic!("{seen:?}")
    };
    assert!(
        why.contains("no answer came") && why.contains("--retry-login"),
        "{why}"
    );
}

#[tokio::test]
async fn an_answer_that_judges_nothing_lets_the_next_address_be_tried() {
    let (seen, logins) = probe(Answer::Unavailable).await;
    assert_eq!(logins, 2, "{seen:?}");
}

fn withheld(attempt: &parallax_model::observation::Attempt) -> Option<String> {
    match &attempt.stage(StageName::Authenticate)?.outcome {
        Outcome::Skipped(why) => Some(why.clone()),
        _ => None,
    }
}

/// What was seen, and how many logins the server counts.
async fn probe(answer: Answer) -> (Observation, usize) {
    let pki = Pki::new();
    let prober = Prober::new("here".parse().unwrap(), Policy::allow_all(), 1).unwrap();
    let prober = prober.with_budgets(budgets());
    let record = Arc::new(Record::default());
    let first = TcpListener::bind(SocketAddr::from((ADDRESSES[0], 0)))
        .await
        .unwrap();
    let server = first.local_addr().unwrap();
    let second = TcpListener::bind(SocketAddr::from((ADDRESSES[1], server.port())))
        .await
        .unwrap();
    let attack = Attack::new("", Expected::Well, |_| async { Ok(()) }).in_the_mailbox();
    for listener in [first, second] {
        let (acceptor, record, security) = (pki.acceptor(), record.clone(), attack.security);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let peer = Peer::new(stream, acceptor.clone(), security, record.clone());
                tokio::spawn(serve(peer, answer));
            }
        });
    }
    let mut spec = spec(&attack, server, &pki);
    spec.addresses = ADDRESSES.map(Into::into).to_vec();
    let sealed = prober.seal(&spec, &Secret::new(PASSWORD.to_owned())).unwrap();
    let seen = prober.probe(spec, Some(sealed)).await.unwrap();
    let logins = record.heard();
    let logins = logins.iter().filter(|line| line.contains("AUTHENTICATE"));
    (seen, logins.count())
}

async fn serve(mut peer: Peer, answer: Answer) -> std::io::Result<()> {
    let command = peer.behave_until("AUTHENTICATE").await?;
    match answer {
        Answer::Reset => peer.reset(),
        Answer::Unavailable => {
            peer.say(format!("{} NO [UNAVAILABLE] later\r\n", command.tag))
                .await?;
            peer.behave().await
        }
    }
}
