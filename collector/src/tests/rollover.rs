//! Another CA in the place of the present one, while a fleet is up.

use std::path::Path;
use std::time::Duration;

use parallax_identity::{Dialer, Identity, LocalKey, renew};
use parallax_model::identity::Role;
use parallax_model::token::TokenNames;
use parallax_model::vantage::Labels;
use parallax_proto::v1;
use parallax_proto::v1::control_client::ControlClient;
use tokio::time::Instant;
use tonic::transport::Channel;

use super::fake::FakeAgent;
use super::tls::{address, config, joined, token};
use crate::Collector;
use crate::ca::{self, Step};
use crate::token::{TokenOptions, create};

/// For a step to be taken over.
const TAKEN_OVER: Duration = Duration::from_secs(10);

async fn channel(collector: &Collector, identity: &Identity) -> Channel {
    let dialer = Dialer::new(address(collector), identity).unwrap();
    dialer.connect().await.unwrap()
}

async fn renewed(collector: &Collector, identity: &Identity) -> Identity {
    let key = LocalKey::generate().unwrap();
    renew(channel(collector, identity).await, identity, &key)
        .await
        .unwrap()
}

/// Waits until the agent hears over its link that its certificate is of the past.
async fn hears(link: &mut FakeAgent, identity: &Identity) {
    let deadline = Instant::now() + TAKEN_OVER;
    while link.beat().await.trust_sha256 == identity.trust_digest() {
        assert!(Instant::now() < deadline, "nothing is heard of the step");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn step(data: &Path, step: Step) -> Result<String, String> {
    ca::step(data, step).await.map_err(|error| error.to_string())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fleet_its_operator_and_one_who_slept_live_through_a_rollover() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path();
    let collector = Collector::start(&config(data)).await.unwrap();
    let mut awake = joined(&collector, &token(data, Role::Agent).await, "awake")
        .await
        .unwrap();
    let asleep = joined(&collector, &token(data, Role::Agent).await, "asleep")
        .await
        .unwrap();
    let admin = joined(&collector, &token(data, Role::Admin).await, "ada")
        .await
        .unwrap();
    let early = token(data, Role::Agent).await;
    let mut link = FakeAgent::over(channel(&collector, &awake).await, "awake").await;
    assert_eq!(link.beat().await.trust_sha256, awake.trust_digest());

    step(data, Step::Prepare).await.unwrap();
    hears(&mut link, &awake).await;
    awake = renewed(&collector, &awake).await;
    link = FakeAgent::continued(channel(&collector, &awake).await, "awake").await;
    assert_eq!(
        (awake.anchors().len(), link.beat().await.trust_sha256.as_slice()),
        (2, &awake.trust_digest()[..])
    );
    let said = step(data, Step::Switch).await.unwrap();
    for name in ["agent/awake", "agent/asleep", "admin/ada"] {
        assert!(said.contains(name), "{said}");
    }
    hears(&mut link, &awake).await;
    awake = renewed(&collector, &awake).await;
    link = FakeAgent::continued(channel(&collector, &awake).await, "awake").await;
    let refused = step(data, Step::Retire { force: false }).await.unwrap_err();
    assert!(
        refused.contains("admin/ada, agent/asleep are known by the old CA alone"),
        "{refused}"
    );

    // Who slept, and who works with `ctl` now and then, know the collector by the old CA, and find out at once.
    let mut new = Vec::new();
    for old in [&asleep, &admin] {
        assert_eq!(old.anchors().len(), 1);
        let dialer = Dialer::new(address(&collector), old).unwrap();
        let way = dialer.connect().await.unwrap();
        assert!(dialer.trust_has_moved());
        new.push(renew(way, old, &LocalKey::generate().unwrap()).await.unwrap());
    }
    let late = joined(&collector, &early, "late").await.unwrap();
    assert_eq!(late.trust_digest(), awake.trust_digest());
    let mut stays_old = FakeAgent::over(channel(&collector, &asleep).await, "asleep").await;

    let said = step(data, Step::Retire { force: false }).await.unwrap();
    assert!(said.contains("no rollover is under way"), "{said}");
    let cut = async { while let Ok(Some(_)) = stays_old.next().await {} };
    tokio::time::timeout(TAKEN_OVER, cut)
        .await
        .expect("a certificate of the old CA is worth nothing now");
    hears(&mut link, &awake).await;
    let awake = renewed(&collector, &awake).await;
    assert_eq!(awake.anchors().len(), 1);
    FakeAgent::over(channel(&collector, &new[0]).await, "asleep").await;
    let mut control = ControlClient::new(channel(&collector, &new[1]).await);
    control.get_status(v1::GetStatusRequest {}).await.unwrap();
    let token = token(data, Role::Agent).await;
    joined(&collector, &token, "newcomer").await.unwrap();
    collector.shutdown().await;

    let collector = Collector::start(&config(data)).await.unwrap();
    FakeAgent::over(channel(&collector, &awake).await, "awake").await;
    collector.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_left_behind_by_force_is_told_and_comes_back_with_a_token() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path();
    let collector = Collector::start(&config(data)).await.unwrap();
    let left = joined(&collector, &token(data, Role::Agent).await, "left")
        .await
        .unwrap();
    for each in [Step::Prepare, Step::Switch, Step::Retire { force: true }] {
        step(data, each).await.unwrap();
    }
    let again = token(data, Role::Agent).await;
    let dialer = Dialer::new(address(&collector), &left).unwrap();
    let deadline = Instant::now() + TAKEN_OVER;
    let refused = loop {
        match dialer.connect().await {
            Err(refused) => break refused.to_string(),
            Ok(_) => assert!(Instant::now() < deadline, "the old CA is still trusted"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert!(refused.contains("join again with a new token"), "{refused}");
    let refused = joined(&collector, &again, "left").await.unwrap_err().to_string();
    assert!(refused.contains("has a valid certificate here"), "{refused}");
    let of_its_name = TokenOptions {
        role: Role::Agent,
        names: TokenNames::Only("left".parse().unwrap()),
        labels: Labels::new(),
        takes_over: false,
        ttl: Duration::from_secs(60),
        uses: 1,
    };
    let of_its_name = create(data, of_its_name).await.unwrap();
    let back = joined(&collector, &of_its_name, "left").await.unwrap();
    FakeAgent::over(channel(&collector, &back).await, "left").await;
    collector.shutdown().await;
}
