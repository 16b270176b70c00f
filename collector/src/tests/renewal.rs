//! Certificates that end, and agents that have a new one in time.

use std::time::{Duration, SystemTime};

use parallax_identity::{Dialer, Identity, LocalKey, renew};
use parallax_model::identity::Role;
use parallax_model::stage::Outcome;
use parallax_proto::v1;
use parallax_proto::v1::agent_link_client::AgentLinkClient;
use parallax_proto::v1::control_client::ControlClient;
use tonic::{Code, Status};

use super::fake::{Asked, FakeAgent, collector, identity, question, spec, vantage};
use super::tls::{address, config, joined, token};
use crate::Collector;
use crate::config::{Config, Terms};

const LIFE: Duration = Duration::from_secs(2);

#[tokio::test]
async fn an_agent_goes_on_over_a_newer_link_and_no_order_is_lost() {
    let (collector, connector) = collector().await;
    let mut older = FakeAgent::connect(&connector, "fra-1").await;
    let asked = Asked::ask(&connector, question(spec())).await;
    let begun = older.order().await;
    older.accept(&begun).await;
    older.beat().await;
    let newer = FakeAgent::continued(connector.channel(identity(Role::Agent, "fra-1")), "fra-1").await;
    let last = older.next().await.unwrap_err();
    assert_eq!(last.code(), Code::Aborted);
    newer.done(&begun, Outcome::Ok).await;
    let run = asked.answer().await;
    assert_eq!(vantage(&run, "fra-1").outcome, "ok", "{run:?}");
    collector.shutdown().await;
}

#[tokio::test]
async fn what_was_sent_over_the_older_link_before_is_read_there_to_its_end() {
    let (collector, connector) = collector().await;
    let mut older = FakeAgent::connect(&connector, "fra-1").await;
    let asked = Asked::ask(&connector, question(spec())).await;
    // The order is under way over the older link while the newer is made.
    let newer = FakeAgent::continued(connector.channel(identity(Role::Agent, "fra-1")), "fra-1").await;
    let begun = older.order().await;
    assert!(older.next().await.is_err());
    newer.done(&begun, Outcome::Ok).await;
    assert_eq!(vantage(&asked.answer().await, "fra-1").outcome, "ok");
    collector.shutdown().await;
}

#[tokio::test]
async fn a_process_that_comes_back_without_its_orders_has_lost_them() {
    let (collector, connector) = collector().await;
    let mut older = FakeAgent::connect(&connector, "fra-1").await;
    let asked = Asked::ask(&connector, question(spec())).await;
    older.order().await;
    let _newer = FakeAgent::connect(&connector, "fra-1").await;
    assert_eq!(vantage(&asked.answer().await, "fra-1").outcome, "missing");
    collector.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_and_a_call_end_with_their_certificate_and_say_why() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path();
    let collector = Collector::start(&brief(data)).await.unwrap();
    let agent = joined(&collector, &token(data, Role::Agent).await, "fra-1")
        .await
        .unwrap();
    let mut fake = FakeAgent::over(channel(&collector, &agent).await, "fra-1").await;
    let person = joined(&collector, &token(data, Role::Operator).await, "ada")
        .await
        .unwrap();
    let calls = channel(&collector, &person).await;
    let mut control = ControlClient::new(calls.clone());
    let mut events = control.run_probe(question(spec())).await.unwrap().into_inner();
    fake.order().await;

    let ended = loop {
        match events.message().await {
            Ok(Some(_)) => {}
            other => break other.unwrap_err(),
        }
    };
    says_why(&ended, &person);
    assert!(SystemTime::now() >= person.not_after());
    let ended = loop {
        match fake.next().await {
            Ok(Some(_)) => {}
            other => break other.unwrap_err(),
        }
    };
    says_why(&ended, &agent);
    // And then the connection itself, which would be of use to nobody.
    let deadline = tokio::time::Instant::now() + Duration::from_secs(5);
    while !matches!(asked_again(&mut control).await, Code::Unknown | Code::Unavailable) {
        assert!(tokio::time::Instant::now() < deadline, "the connection stays");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    collector.shutdown().await;
}

/// Whatever was written and whatever was not when the process ended, one of the two certificates lets it in again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_killed_between_renewal_and_use_needs_no_token_nor_does_its_collector() {
    let directory = tempfile::tempdir().unwrap();
    let (data, state) = (directory.path().join("data"), directory.path().join("state"));
    let collector = Collector::start(&config(&data)).await.unwrap();
    let bought = joined(&collector, &token(&data, Role::Agent).await, "fra-1")
        .await
        .unwrap();
    bought.save(&state).unwrap();
    let renewed = || async {
        let key = LocalKey::generate().unwrap();
        renew(channel(&collector, &bought).await, &bought, &key).await
    };
    // Killed before the answer was kept: the first is still good.
    renewed().await.unwrap();
    let kept = Identity::load(&state).unwrap().unwrap();
    assert_eq!(kept.chain(), bought.chain());
    opens(&collector, &kept).await.unwrap();
    // Killed after: the second is, although it was never used.
    renewed().await.unwrap().save(&state).unwrap();
    collector.shutdown().await;

    let collector = Collector::start(&config(&data)).await.unwrap();
    let kept = Identity::load(&state).unwrap().unwrap();
    assert_ne!(kept.chain(), bought.chain());
    opens(&collector, &kept).await.unwrap();
    opens(&collector, &bought).await.unwrap();
    collector.shutdown().await;
}

fn brief(data: &std::path::Path) -> Config {
    Config {
        terms: Terms {
            lifetime: LIFE,
            ..Terms::default()
        },
        ..config(data)
    }
}

async fn channel(collector: &Collector, identity: &Identity) -> tonic::transport::Channel {
    let dialer = Dialer::new(address(collector), identity).unwrap();
    dialer.connect().await.unwrap()
}

async fn opens(collector: &Collector, identity: &Identity) -> Result<(), Status> {
    let mut client = AgentLinkClient::new(channel(collector, identity).await);
    client.open(tokio_stream::empty()).await.map(|_| ())
}

async fn asked_again(control: &mut ControlClient<tonic::transport::Channel>) -> Code {
    let asked = control.list_agents(v1::ListAgentsRequest {}).await;
    asked.map_or_else(|status| status.code(), |_| Code::Ok)
}

fn says_why(ended: &Status, whose: &Identity) {
    assert_eq!(ended.code(), Code::Unauthenticated, "{ended}");
    let name = &whose.spiffe().name;
    let said = ended.message();
    assert!(
        said.starts_with(&format!("the certificate of {name} has expired")),
        "{said}"
    );
}
