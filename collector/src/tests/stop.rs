use std::time::Instant;

use parallax_proto::v1::collector_message::Message as FromCollector;
use tonic::Code;

use super::fake::{Asked, FakeAgent, collector, question, spec};

#[tokio::test]
async fn a_stop_is_told_to_agents_and_callers_and_is_quick() {
    let (collector, connector) = collector().await;
    let mut agent = FakeAgent::connect(&connector, "fra-1").await;
    let mut asked = Asked::ask(&connector, question(spec())).await;
    agent.order().await;
    let begun = Instant::now();
    collector.shutdown().await;
    assert!(begun.elapsed().as_secs() < 5);
    let told = loop {
        match agent.next().await {
            Ok(Some(FromCollector::Cancel(_))) => {}
            other => break other,
        }
    };
    assert!(
        matches!(told, Ok(Some(FromCollector::Draining(ref word))) if word.reconnect_after_ms >= 500),
        "{told:?}"
    );
    let status = loop {
        match asked.next().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("an end without an answer must be an error"),
            Err(status) => break status,
        }
    };
    assert_eq!(status.code(), Code::Unavailable);
}
