//! Tokens taken back on the collector's own host, beside one that runs.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use parallax_identity::Dialer;
use parallax_model::identity::Role;
use parallax_proto::v1;
use parallax_proto::v1::control_client::ControlClient;

use super::fake::FakeAgent;
use super::tls::{address, config, joined, token};
use crate::Collector;
use crate::token::{list, revoke};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_revoked_on_the_host_cuts_off_who_joined_with_it() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path();
    let collector = Collector::start(&config(data)).await.unwrap();
    let agent = joined(&collector, &token(data, Role::Agent).await, "fra-1")
        .await
        .unwrap();
    let viewer = joined(&collector, &token(data, Role::Viewer).await, "ada")
        .await
        .unwrap();
    let dial = |identity| Dialer::new(address(&collector), identity).unwrap();
    let mut fake = FakeAgent::over(dial(&agent).connect().await.unwrap(), "fra-1").await;

    let listed: serde_json::Value = serde_json::from_str(&list(data).await.unwrap().json().unwrap()).unwrap();
    let of_agent = listed
        .as_array()
        .unwrap()
        .iter()
        .find(|token| token["role"] == "agent");
    let id = of_agent.unwrap()["id"].as_str().unwrap();
    let begun = Instant::now();
    let revoked = revoke(data, id, false).await.unwrap();
    assert_eq!(
        revoked.to_string(),
        format!("revoked {id}; agent/fra-1, which joined with it, is out")
    );
    while let Ok(Some(_)) = fake.next().await {}
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    let agents = ControlClient::new(dial(&viewer).lazy())
        .list_agents(v1::ListAgentsRequest {})
        .await
        .unwrap()
        .into_inner()
        .agents;
    assert!(agents.is_empty(), "{agents:?}");
    let table = list(data).await.unwrap().table(Timestamp::now());
    assert!(table.contains("revoked"), "{table}");
    collector.shutdown().await;
}

#[tokio::test]
async fn nothing_is_made_where_no_collector_has_worked_and_a_wrong_id_is_said() {
    let directory = tempfile::tempdir().unwrap();
    let nowhere = directory.path().join("nowhere");
    let refused = list(&nowhere).await.unwrap_err().to_string();
    assert!(refused.contains("holds no collector's database"), "{refused}");
    assert!(!nowhere.exists());
    token(directory.path(), Role::Viewer).await;
    let refused = revoke(directory.path(), "nothing", false).await.unwrap_err();
    assert_eq!(refused.to_string(), "there is no token nothing");
}
