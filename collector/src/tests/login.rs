use parallax_model::fault::{AuthFault, Fault, FaultKind};
use parallax_model::stage::{Outcome, StageName};
use parallax_proto::v1;
use parallax_proto::v1::agent_message::Message as ToCollector;
use parallax_proto::v1::collector_message::Message as FromCollector;

use super::fake::{Asked, FakeAgent, collector, login_spec, question, stage, vantage};

fn sealed() -> v1::SealedSecret {
    v1::SealedSecret {
        encapsulated_key: vec![1],
        ciphertext: vec![2],
    }
}

async fn ask_login(agent: &FakeAgent, order: &v1::Order) {
    let order_id = order.order_id.clone();
    agent
        .say(ToCollector::LoginAsked(v1::LoginAsked { order_id }))
        .await;
}

async fn login_answer(agent: &mut FakeAgent) -> v1::LoginAnswer {
    match agent.next().await.unwrap() {
        Some(FromCollector::LoginAnswer(answer)) => answer,
        other => panic!("{other:?} instead of an answer"),
    }
}

#[tokio::test]
async fn one_wrong_password_is_tried_once_by_one_agent() {
    let (_collector, connector) = collector().await;
    let mut first = FakeAgent::connect(&connector, "ams-1").await;
    let mut second = FakeAgent::connect(&connector, "fra-1").await;
    let request = v1::RunProbeRequest {
        secrets: [("ams-1".to_owned(), sealed()), ("fra-1".to_owned(), sealed())].into(),
        ..question(login_spec())
    };
    let asked = Asked::ask(&connector, request).await;
    let (one, two) = (first.order().await, second.order().await);
    assert_eq!(one.secret, Some(sealed()));
    ask_login(&first, &one).await;
    assert!(login_answer(&mut first).await.granted);
    ask_login(&second, &two).await;
    second.beat().await;
    let fault = Fault::new(FaultKind::Auth(AuthFault::CredentialsRejected), "NO");
    first
        .stage(
            &one,
            stage(StageName::Authenticate, Outcome::Failed(fault.clone())),
        )
        .await;
    let answer = login_answer(&mut second).await;
    assert!(!answer.granted);
    assert_eq!(
        answer.reason,
        "the same secret was rejected for ams-1 a moment ago"
    );
    first.done(&one, Outcome::Failed(fault)).await;
    second.done(&two, Outcome::Ok).await;
    assert_eq!(asked.answer().await.vantages.len(), 2);
}

#[tokio::test]
async fn a_holder_that_dies_passes_the_turn_on() {
    let (_collector, connector) = collector().await;
    let mut first = FakeAgent::connect(&connector, "ams-1").await;
    let mut second = FakeAgent::connect(&connector, "fra-1").await;
    let request = v1::RunProbeRequest {
        secrets: [("ams-1".to_owned(), sealed()), ("fra-1".to_owned(), sealed())].into(),
        ..question(login_spec())
    };
    let _asked = Asked::ask(&connector, request).await;
    let (one, two) = (first.order().await, second.order().await);
    ask_login(&first, &one).await;
    assert!(login_answer(&mut first).await.granted);
    ask_login(&second, &two).await;
    drop(first);
    assert!(login_answer(&mut second).await.granted);
}

#[tokio::test]
async fn an_agent_without_the_secret_is_refused_and_not_asked() {
    let (_collector, connector) = collector().await;
    let _agent = FakeAgent::connect(&connector, "ams-1").await;
    let run = Asked::ask(&connector, question(login_spec()))
        .await
        .answer()
        .await;
    let seen = vantage(&run, "ams-1");
    assert_eq!(
        (seen.outcome.as_str(), seen.reason.as_str()),
        ("refused", "unsupported")
    );
}
