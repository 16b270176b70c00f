use parallax_model::experiment::ExperimentKind;
use parallax_model::identity::Role;
use parallax_model::spec::{Depth, LONGEST_HOLD, ProbeOptions, ProbeSpec};
use parallax_model::stage::Outcome;
use parallax_proto::v1;
use parallax_proto::v1::agent_message::Message as ToCollector;
use parallax_proto::v1::collector_message::Message as FromCollector;
use tonic::Code;

use super::fake::{Asked, FakeAgent, collector, login_spec, observation, operator, question, spec, vantage};

fn sealed(agents: &[&str]) -> std::collections::HashMap<String, v1::SealedSecret> {
    let secret = v1::SealedSecret {
        encapsulated_key: vec![1],
        ciphertext: vec![2],
    };
    agents
        .iter()
        .map(|agent| ((*agent).to_owned(), secret.clone()))
        .collect()
}

fn writing() -> v1::RunProbeRequest {
    let spec = ProbeSpec {
        depth: Depth::Sync,
        options: ProbeOptions {
            sync_with: Some("nyc-1".parse().unwrap()),
            ..ProbeOptions::default()
        },
        ..login_spec()
    };
    v1::RunProbeRequest {
        from: vec!["fra-1".into()],
        secrets: sealed(&["fra-1", "nyc-1"]),
        client_identities: sealed(&["fra-1"]),
        ..question(spec)
    }
}

fn signal(order: &v1::Order, kind: &str) -> v1::Signal {
    v1::Signal {
        order_id: order.order_id.clone(),
        kind: kind.into(),
        subject: "box".into(),
        detail: "idle".into(),
        at_us: 12_345,
        uncertainty_us: 40,
        attempt: "203.0.113.5:993".into(),
    }
}

async fn heard(agent: &mut FakeAgent) -> v1::Signal {
    match agent.next().await.unwrap() {
        Some(FromCollector::Signal(signal)) => signal,
        other => panic!("{other:?} instead of a word"),
    }
}

#[tokio::test]
async fn one_agent_writes_and_another_watches_and_the_collector_only_passes_on() {
    let (_collector, connector) = collector().await;
    let mut writer = FakeAgent::connect(&connector, "fra-1").await;
    let mut watcher = FakeAgent::connect(&connector, "nyc-1").await;
    let asked = Asked::ask(&connector, writing()).await;
    let (write, watch) = (writer.order().await, watcher.order().await);
    assert_eq!(watch.watches, write.order_id);
    assert_eq!(write.watches, "");
    assert!(write.client_identity.is_some() && watch.client_identity.is_none());
    writer.say(ToCollector::Signal(signal(&write, "mailbox"))).await;
    writer.say(ToCollector::Signal(signal(&write, "tickle"))).await;
    writer.say(ToCollector::Signal(signal(&write, "changed"))).await;
    assert_eq!(heard(&mut watcher).await, signal(&watch, "mailbox"));
    assert_eq!(
        heard(&mut watcher).await,
        signal(&watch, "changed"),
        "a word of an unknown kind is not passed on"
    );
    watcher.say(ToCollector::Signal(signal(&watch, "seen"))).await;
    assert_eq!(heard(&mut writer).await, signal(&write, "seen"));
    writer.done(&write, Outcome::Ok).await;
    assert_eq!(heard(&mut watcher).await.kind, "over");
    let mut seen = observation("nyc-1", Outcome::Ok);
    seen.attempts[0].experiment = Some(ExperimentKind::Watch);
    let done = v1::OrderDone {
        order_id: watch.order_id.clone(),
        observation: Some(seen.into()),
    };
    watcher.say(ToCollector::Done(done)).await;
    let run = asked.answer().await;
    assert_eq!(run.vantages.len(), 1);
    let attempts = &vantage(&run, "fra-1").attempts;
    assert_eq!(
        attempts
            .iter()
            .map(|attempt| attempt.by.as_str())
            .collect::<Vec<_>>(),
        ["", "nyc-1"]
    );
}

#[tokio::test]
async fn a_watcher_that_goes_away_is_told_to_the_writer_at_once() {
    let (_collector, connector) = collector().await;
    let mut writer = FakeAgent::connect(&connector, "fra-1").await;
    let mut watcher = FakeAgent::connect(&connector, "nyc-1").await;
    let _asked = Asked::ask(&connector, writing()).await;
    let write = writer.order().await;
    watcher.order().await;
    drop(watcher);
    let gone = heard(&mut writer).await;
    assert_eq!((gone.kind.as_str(), gone.order_id), ("gone", write.order_id));
    assert_eq!((gone.attempt.as_str(), gone.at_us), ("", 0));
    assert!(
        gone.detail.starts_with("nyc-1: the link was lost"),
        "{}",
        gone.detail
    );
}

#[tokio::test]
async fn nobody_of_the_watchers_name_is_a_refusal_that_names_who_there_is() {
    let (_collector, connector) = collector().await;
    let _one = FakeAgent::connect(&connector, "fra-1").await;
    let _other = FakeAgent::connect(&connector, "ams-1").await;
    let mut client = operator(&connector, Role::Operator);
    for dry_run in [true, false] {
        let request = v1::RunProbeRequest { dry_run, ..writing() };
        let status = client.run_probe(request).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert_eq!(
            status.message(),
            "spec: options: sync_with: there is no agent nyc-1; known are ams-1, fra-1"
        );
    }
}

#[tokio::test]
async fn what_can_not_be_held_or_watched_is_refused() {
    let (_collector, connector) = collector().await;
    let mut client = operator(&connector, Role::Operator);
    let with = |depth, options| {
        question(ProbeSpec {
            depth,
            options,
            ..spec()
        })
    };
    let held = |hold| ProbeOptions {
        hold: Some(hold),
        ..ProbeOptions::default()
    };
    let watched = ProbeOptions {
        sync_with: Some("nyc-1".parse().unwrap()),
        ..ProbeOptions::default()
    };
    let second = std::time::Duration::from_secs(1);
    for (request, problem) in [
        (
            with(Depth::Greeting, held(LONGEST_HOLD + second)),
            "held for 30 minutes at most",
        ),
        (with(Depth::Tls, held(second)), "no session to hold"),
        (with(Depth::Greeting, watched), "writes nothing"),
    ] {
        let status = client.run_probe(request).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(status.message().contains(problem), "{}", status.message());
    }
    let asked = Asked::ask(&connector, with(Depth::Greeting, held(LONGEST_HOLD))).await;
    assert_eq!(asked.started.deadline_ms, 1_825_000);
}
