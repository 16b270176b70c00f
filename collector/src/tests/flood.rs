//! Whoever has got in and does too much of something.

use std::path::Path;
use std::time::{Duration, Instant};

use parallax_identity::{Dialer, Identity};
use parallax_model::identity::Role;
use parallax_model::stage::{Outcome, StageName};
use parallax_proto::v1;
use parallax_proto::v1::agent_message::Message as ToCollector;
use parallax_proto::v1::control_client::ControlClient;
use parallax_proto::v1::run_event::Event;
use tonic::Code;
use tonic::transport::Channel;
use uuid::Uuid;

use super::fake::{FakeAgent, question, spec, stage};
use super::tls::{address, config, joined, token};
use crate::Collector;
use crate::config::{Config, Limits};

/// For what must not be kept waiting by somebody else.
const AT_ONCE: Duration = Duration::from_secs(1);

async fn identity(collector: &Collector, data: &Path, role: Role, name: &str) -> Identity {
    joined(collector, &token(data, role).await, name).await.unwrap()
}

fn channel(collector: &Collector, identity: &Identity) -> Channel {
    Dialer::new(address(collector), identity).unwrap().lazy()
}

async fn agent(collector: &Collector, data: &Path, name: &str) -> FakeAgent {
    let identity = identity(collector, data, Role::Agent, name).await;
    FakeAgent::over(channel(collector, &identity), name).await
}

/// Reports of an order that is nobody's, without end.
async fn flood(agent: FakeAgent) {
    let report = v1::StageReport {
        order_id: Uuid::nil().to_string(),
        address: "203.0.113.5".into(),
        endpoint: None,
        stage: Some(stage(StageName::Connect, Outcome::Ok).into()),
    };
    loop {
        agent.say(ToCollector::Stage(report.clone())).await;
    }
}

/// A question to one agent, which answers at once.
fn only(name: &str) -> v1::RunProbeRequest {
    v1::RunProbeRequest {
        from: vec![name.into()],
        ..question(spec())
    }
}

async fn probe(operator: &mut ControlClient<Channel>, calm: &mut FakeAgent) -> String {
    let mut events = operator.run_probe(only("calm")).await.unwrap().into_inner();
    let order = calm.order().await;
    calm.done(&order, Outcome::Ok).await;
    while let Some(event) = events.message().await.unwrap() {
        if let Some(Event::Concluded(run)) = event.event {
            return run.verdict;
        }
    }
    panic!("a run without an answer")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_floods_and_a_person_who_reads_nothing_cost_others_nothing() {
    let data = tempfile::tempdir().unwrap();
    let data = data.path();
    let collector = Collector::start(&config(data)).await.unwrap();
    let mut calm = agent(&collector, data, "calm").await;
    let loud = agent(&collector, data, "loud").await;
    let operator = identity(&collector, data, Role::Operator, "ada").await;
    let mut control = ControlClient::new(channel(&collector, &operator));
    // Of a person who asks and never reads, over a connection of their own.
    let mut deaf = Vec::new();
    for _ in 0..8 {
        let mut client = ControlClient::new(channel(&collector, &operator));
        deaf.push(client.run_probe(only("loud")).await.unwrap());
    }
    let flooding = tokio::spawn(flood(loud));
    let huge = v1::RunProbeRequest {
        from: vec!["x".repeat(15 << 20)],
        ..question(spec())
    };
    let mut client = ControlClient::new(channel(&collector, &operator));
    let shouting = tokio::spawn(async move {
        loop {
            let refused = client.run_probe(huge.clone()).await.err();
            assert_eq!(refused.map(|status| status.code()), Some(Code::InvalidArgument));
        }
    });
    let mut took = Vec::new();
    for _ in 0..10 {
        let began = Instant::now();
        assert_eq!(probe(&mut control, &mut calm).await, "healthy");
        took.push(began.elapsed());
    }
    took.sort_unstable();
    // The flood's own work is on the same two processors: one probe may meet all of it.
    assert!(took[took.len() / 2] < AT_ONCE, "{took:?}");
    let deadline = Instant::now() + Duration::from_secs(20);
    let delayed = |drops: &[v1::Drop]| drops.iter().any(|drop| drop.what == "agent_messages_delayed");
    loop {
        let status = control
            .get_status(v1::GetStatusRequest {})
            .await
            .unwrap()
            .into_inner();
        if delayed(&status.drops) {
            break;
        }
        assert!(Instant::now() < deadline, "{:?}", status.drops);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(!shouting.is_finished(), "{:?}", shouting.await);
    shouting.abort();
    flooding.abort();
    collector.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_live_agent_is_out_in_less_than_a_second_once_it_is_removed() {
    let data = tempfile::tempdir().unwrap();
    let data = data.path();
    let collector = Collector::start(&config(data)).await.unwrap();
    let identity = identity(&collector, data, Role::Agent, "loud").await;
    let mut link = FakeAgent::over(channel(&collector, &identity), "loud").await;
    let admin = self::identity(&collector, data, Role::Admin, "ada").await;
    let mut control = ControlClient::new(channel(&collector, &admin));
    let request = v1::RemoveAgentRequest { name: "loud".into() };
    let began = Instant::now();
    control.remove_agent(request).await.unwrap();
    while let Ok(Some(_)) = link.next().await {}
    let took = began.elapsed();
    assert!(took < AT_ONCE, "{took:?}");
    collector.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_asks_too_often_is_told_when_to_come_back_and_it_is_counted() {
    let data = tempfile::tempdir().unwrap();
    let limits = Limits {
        runs_per_target: 1,
        ..Limits::default()
    };
    let config = Config {
        limits,
        ..config(data.path())
    };
    let collector = Collector::start(&config).await.unwrap();
    let operator = identity(&collector, data.path(), Role::Operator, "ada").await;
    let mut control = ControlClient::new(channel(&collector, &operator));
    for _ in 0..2 {
        control.run_probe(question(spec())).await.unwrap();
    }
    let refused = control.run_probe(question(spec())).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert!(
        refused
            .message()
            .starts_with("imap.example.org is asked more often"),
        "{refused}"
    );
    let wait = refused
        .metadata()
        .get("retry-after-ms")
        .unwrap()
        .to_str()
        .unwrap();
    assert!((1..=60_000).contains(&wait.parse().unwrap()), "{wait}");
    let dry = v1::RunProbeRequest {
        dry_run: true,
        ..question(spec())
    };
    control.run_probe(dry).await.unwrap();
    let drops = control
        .get_status(v1::GetStatusRequest {})
        .await
        .unwrap()
        .into_inner()
        .drops;
    let counted: Vec<_> = drops
        .iter()
        .map(|drop| (drop.what.as_str(), drop.count))
        .collect();
    assert_eq!(counted, [("runs_refused_target", 1)]);
    collector.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_guesses_tokens_waits_before_anything_is_looked_up() {
    let data = tempfile::tempdir().unwrap();
    let limits = Limits {
        failed_joins: 1,
        ..Limits::default()
    };
    let config = Config {
        limits,
        ..config(data.path())
    };
    let collector = Collector::start(&config).await.unwrap();
    let spent = token(data.path(), Role::Viewer).await;
    joined(&collector, &spent, "ada").await.unwrap();
    for _ in 0..3 {
        let failed = joined(&collector, &spent, "bob").await.err().unwrap().to_string();
        assert!(!failed.contains("too many attempts"), "{failed}");
    }
    let kept_out = joined(&collector, &spent, "bob").await.err().unwrap().to_string();
    assert!(
        kept_out.contains("too many attempts to join from 127.0.0.1"),
        "{kept_out}"
    );
    collector.shutdown().await;
}
