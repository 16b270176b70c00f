use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parallax_model::credential::{Credential, Secret};
use parallax_model::evidence::{AuthenticateEvidence, ImapReply};
use parallax_model::fault::{AuthFault, ImapFault};
use parallax_model::stage::StageName;

use super::*;
use crate::circuit::{Asker, Circuit};

const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

const ELSEWHERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7));

fn gate(answer: Result<(), NoTurn>) -> (Arc<LoginGate>, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let ask: AskLeave = Box::new(move || {
        count.fetch_add(1, Ordering::Relaxed);
        let answer = answer.clone();
        Box::pin(async move { answer })
    });
    (Arc::new(LoginGate::new(ask, None)), asked)
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(5)
}

fn login(outcome: Outcome) -> Stage {
    Stage::new(StageName::Authenticate, outcome, Duration::ZERO, Duration::ZERO)
}

fn failed(kind: AuthFault) -> Stage {
    login(Outcome::Failed(Fault::new(FaultKind::Auth(kind), "no")))
}

/// A login that ended like this, after the server said so much.
fn cut(kind: ImapFault, status: Option<&str>) -> Stage {
    let reply = status.map(|status| ImapReply {
        status: status.to_owned(),
        ..ImapReply::default()
    });
    Stage {
        evidence: Some(Evidence::Authenticate(AuthenticateEvidence {
            reply,
            ..AuthenticateEvidence::default()
        })),
        ..login(Outcome::Failed(Fault::new(FaultKind::Imap(kind), "cut")))
    }
}

fn withheld(turn: Result<Turn, NoTurn>) -> String {
    match turn {
        Err(NoTurn::Withheld(reason)) => reason,
        Err(NoTurn::Known(fault)) => panic!("{fault:?}"),
        Ok(_) => panic!("it has a turn"),
    }
}

#[tokio::test]
async fn a_rejected_secret_is_not_tried_by_the_next_session() {
    let (gate, asked) = gate(Ok(()));
    let first = gate.turn(HERE, soon()).await.unwrap();
    let next = tokio::spawn({
        let gate = gate.clone();
        async move { gate.turn(HERE, soon()).await.err() }
    });
    first.settle(&failed(AuthFault::CredentialsRejected)).await;
    let Some(NoTurn::Withheld(reason)) = next.await.unwrap() else {
        panic!("there is no turn")
    };
    assert!(reason.contains("rejected at 127.0.0.1"), "{reason}");
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_secret_that_is_good_for_another_account_is_not_tried_again_either() {
    let (gate, _) = gate(Ok(()));
    let turn = gate.turn(HERE, soon()).await.unwrap();
    turn.settle(&failed(AuthFault::AuthorizationFailed)).await;
    assert!(gate.turn(HERE, soon()).await.is_err());
}

#[tokio::test]
async fn trouble_that_is_not_the_secrets_passes_the_turn_on() {
    let (gate, asked) = gate(Ok(()));
    gate.turn(HERE, soon())
        .await
        .unwrap()
        .settle(&failed(AuthFault::BackendUnavailable))
        .await;
    gate.turn(HERE, soon())
        .await
        .unwrap()
        .settle(&login(Outcome::Ok))
        .await;
    assert!(gate.turn(HERE, soon()).await.is_ok());
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn what_is_withheld_is_withheld_from_all() {
    let (gate, asked) = gate(Err(NoTurn::Withheld("rejected at another vantage point".into())));
    for _ in 0..2 {
        let Err(NoTurn::Withheld(reason)) = gate.turn(HERE, soon()).await else {
            panic!("there is no turn")
        };
        assert!(reason.contains("another vantage point"), "{reason}");
    }
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_login_without_an_answer_is_not_made_at_the_next_address() {
    let endings = [
        Some(cut(ImapFault::ConnectionReset, None)),
        Some(cut(ImapFault::Timeout, None)),
        Some(cut(ImapFault::Bye, Some("BYE"))),
        None,
    ];
    for ending in endings {
        let (gate, _) = gate(Ok(()));
        let turn = gate.turn(HERE, soon()).await.unwrap();
        match &ending {
            Some(stage) => turn.settle(stage).await,
            None => drop(turn),
        }
        let why = withheld(gate.turn(ELSEWHERE, soon()).await);
        let said = why.contains("sent to 127.0.0.1") && why.contains("--retry-login");
        assert!(said, "{ending:?}: {why}");
    }
}

#[tokio::test]
async fn an_answer_or_the_operator_lets_the_next_address_be_tried() {
    for (kind, status) in [
        (ImapFault::ConnectionReset, "OK"),
        (ImapFault::ProtocolError, "BAD"),
    ] {
        let (gate, _) = gate(Ok(()));
        let turn = gate.turn(HERE, soon()).await.unwrap();
        turn.settle(&cut(kind, Some(status))).await;
        assert!(gate.turn(ELSEWHERE, soon()).await.is_ok(), "{status}");
    }
    let (gate_after_ok, _) = gate(Ok(()));
    let turn = gate_after_ok.turn(HERE, soon()).await.unwrap();
    turn.settle(&login(Outcome::Ok)).await;
    drop(gate_after_ok.turn(HERE, soon()).await.unwrap());
    assert!(
        gate_after_ok.turn(ELSEWHERE, soon()).await.is_ok(),
        "it is known to be good"
    );
    for insists in [true, false] {
        let credential = Credential {
            user: "probe".into(),
            secret: Secret::new("hunter2".into()),
        };
        let circuit = Arc::new(Circuit::in_memory());
        let guarded = circuit.guard("imap.example.org", &credential, None, Asker::Person { insists });
        let ask: AskLeave = Box::new(|| Box::pin(async { Ok(()) }));
        let gate = LoginGate::new(ask, Some(guarded));
        drop(gate.turn(HERE, soon()).await.unwrap());
        assert_eq!(gate.turn(ELSEWHERE, soon()).await.is_ok(), insists);
    }
}

/// The gate of one round of a check, at an agent that remembers the last.
fn round(circuit: &Arc<Circuit>) -> LoginGate {
    let credential = Credential {
        user: "probe".into(),
        secret: Secret::new("hunter2".into()),
    };
    let guarded = circuit.guard(
        "imap.example.org",
        &credential,
        None,
        Asker::Routine { once: None },
    );
    LoginGate::new(Box::new(|| Box::pin(async { Ok(()) })), Some(guarded))
}

/// A server that delays its refusal is slower than the probe: each round would send the secret again.
#[tokio::test]
async fn a_login_of_a_check_without_an_answer_is_not_made_again_in_its_next_round() {
    let (slow, lost) = (Arc::new(Circuit::in_memory()), Arc::new(Circuit::in_memory()));
    let turn = round(&slow).turn(HERE, soon()).await.unwrap();
    turn.settle(&cut(ImapFault::ConnectionClosed, None)).await;
    drop(round(&lost).turn(HERE, soon()).await.unwrap());
    for (circuit, kind) in [(slow, ImapFault::ConnectionClosed), (lost, ImapFault::Timeout)] {
        for _ in 0..3 {
            let gate = round(&circuit);
            let Err(NoTurn::Known(fault)) = gate.turn(HERE, soon()).await else {
                panic!("{kind:?}: the secret is sent again")
            };
            assert_eq!(fault.kind, FaultKind::Imap(kind), "{fault:?}");
            let why = withheld(gate.turn(ELSEWHERE, soon()).await);
            assert!(why.contains("no answer came to the login at 127.0.0.1"), "{why}");
        }
    }
}

#[tokio::test]
async fn a_check_whose_login_was_answered_makes_it_in_each_round() {
    let circuit = Arc::new(Circuit::in_memory());
    for stage in [
        login(Outcome::Ok),
        failed(AuthFault::LimitReached),
        failed(AuthFault::BackendUnavailable),
        cut(ImapFault::ProtocolError, Some("BAD")),
        login(Outcome::Ok),
    ] {
        let turn = round(&circuit).turn(HERE, soon()).await.unwrap();
        turn.settle(&stage).await;
    }
}
