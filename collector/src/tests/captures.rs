use parallax_model::capture::{Capture, CaptureFacts, CapturedSecrets};
use parallax_model::identity::Role;
use parallax_model::spec::{CaptureChoice, ProbeOptions, ProbeSpec};
use parallax_model::stage::Outcome;
use parallax_model::target::Target;
use parallax_proto::v1;
use parallax_proto::v1::agent_message::Message as ToCollector;
use tonic::Code;

use super::fake::{Asked, FakeAgent, collector, operator, question, spec};
use crate::Connector;

fn capture(port: u16, bytes: usize) -> Capture {
    Capture {
        facts: CaptureFacts {
            address: "203.0.113.5".parse().unwrap(),
            endpoint: spec().target.endpoints[0],
            experiment: None,
            local: ([10, 1, 0, 2], port).into(),
            packets: 9,
            packets_dropped: 2,
            secrets: CapturedSecrets::Session,
        },
        pcapng: vec![7; bytes],
    }
}

/// Asks one agent, which records these.
async fn run(connector: &Connector, spec: ProbeSpec, captures: &[Capture]) -> v1::Run {
    let mut agent = FakeAgent::connect(connector, "fra-1").await;
    let asked = Asked::ask(connector, question(spec)).await;
    let order = agent.order().await;
    agent.accept(&order).await;
    for capture in captures {
        let made = v1::CaptureMade {
            order_id: order.order_id.clone(),
            capture: Some(capture.into()),
        };
        agent.say(ToCollector::Capture(made)).await;
    }
    agent.done(&order, Outcome::Ok).await;
    asked.answer().await
}

async fn kept(connector: &Connector, run_id: &str) -> Vec<v1::RunCapture> {
    let request = v1::GetRunRequest {
        run_id: run_id.to_owned(),
    };
    let mut operator = operator(connector, Role::Operator);
    let mut stream = operator.get_captures(request).await.unwrap().into_inner();
    let mut captures = Vec::new();
    while let Some(capture) = stream.message().await.unwrap() {
        captures.push(capture);
    }
    captures
}

fn asking() -> ProbeSpec {
    let options = ProbeOptions {
        capture: CaptureChoice::Auto,
        ..ProbeOptions::default()
    };
    ProbeSpec { options, ..spec() }
}

#[tokio::test]
async fn packets_are_listed_in_the_run_and_given_to_operators_alone() {
    let (collector, connector) = collector().await;
    let recorded = [capture(40_000, 300), capture(40_001, 500 << 10)];
    let run = run(&connector, asking(), &recorded).await;
    let listed: Vec<_> = run
        .captures
        .iter()
        .map(|record| (record.agent.as_str(), record.bytes))
        .collect();
    assert_eq!(listed, [("fra-1", 300), ("fra-1", 500 << 10)]);
    let expected = recorded.map(|capture| v1::RunCapture {
        agent: "fra-1".into(),
        capture: Some(capture.into()),
    });
    assert_eq!(kept(&connector, &run.run_id).await, expected);
    let mut viewer = operator(&connector, Role::Viewer);
    let request = v1::GetRunRequest { run_id: run.run_id };
    let refused = viewer.get_captures(request).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    collector.shutdown().await;
}

#[tokio::test]
async fn packets_that_nobody_asked_for_are_neither_listed_nor_kept() {
    let (collector, connector) = collector().await;
    let run = run(&connector, spec(), &[capture(40_000, 300)]).await;
    assert!(run.captures.is_empty());
    assert!(kept(&connector, &run.run_id).await.is_empty());
    collector.shutdown().await;
}

#[tokio::test]
async fn runs_of_one_target_are_listed_however_it_was_typed() {
    let (collector, connector) = collector().await;
    let typed = |target: &str| ProbeSpec {
        target: Target::parse(target, None).unwrap(),
        ..spec()
    };
    let mut ids = Vec::new();
    for target in ["imap.example.org", "imap.example.net", "imaps://IMAP.example.org"] {
        ids.push(run(&connector, typed(target), &[]).await.run_id);
    }
    let mut viewer = operator(&connector, Role::Viewer);
    let request = v1::ListRunsRequest {
        target: Some(typed("imap.example.org:993").target.into()),
        verdict: "healthy".into(),
        ..v1::ListRunsRequest::default()
    };
    let runs = viewer.list_runs(request.clone()).await.unwrap().into_inner().runs;
    let listed: Vec<_> = runs.iter().map(|run| &run.run_id).collect();
    assert_eq!(listed, [&ids[2], &ids[0]]);
    let unknown = v1::ListRunsRequest {
        verdict: "splendid".into(),
        ..request
    };
    let refused = viewer.list_runs(unknown).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    collector.shutdown().await;
}
