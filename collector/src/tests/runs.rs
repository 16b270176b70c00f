use parallax_model::fault::{Fault, FaultKind, TcpFault};
use parallax_model::identity::Role;
use parallax_model::stage::{Outcome, StageName};
use parallax_proto::v1;
use parallax_proto::v1::agent_message::Message as ToCollector;
use parallax_proto::v1::collector_message::Message as FromCollector;
use parallax_proto::v1::run_event::Event;
use tonic::Code;

use super::fake::{Asked, FakeAgent, collector, observation, operator, question, spec, stage, vantage};

fn dropped() -> Outcome {
    Outcome::Failed(Fault::new(FaultKind::Tcp(TcpFault::TimedOut), "no answer"))
}

#[tokio::test]
async fn an_order_that_is_accepted_and_done_gives_a_verdict() {
    let (collector, connector) = collector().await;
    let mut agent = FakeAgent::connect(&connector, "fra-1").await;
    let mut asked = Asked::ask(&connector, question(spec())).await;
    assert_eq!(asked.started.asked[0].agent, "fra-1");
    assert_eq!(asked.started.asked[0].why, "matches all");
    assert_eq!(asked.started.deadline_ms, 25_000);
    let order = agent.order().await;
    assert_eq!(order.budget_ms, 25_000);
    assert_eq!(order.start_at_us, 0, "one agent alone begins at once");
    agent.accept(&order).await;
    agent.stage(&order, stage(StageName::Connect, Outcome::Ok)).await;
    agent.done(&order, Outcome::Ok).await;
    let Some(Event::Stage(live)) = asked.next().await.unwrap() else {
        panic!("the stage is told as it ends")
    };
    assert_eq!(
        (live.agent.as_str(), live.address.as_str()),
        ("fra-1", "203.0.113.5")
    );
    let run = asked.answer().await;
    assert_eq!(run.verdict, "healthy");
    assert_eq!(
        vantage(&run, "fra-1").labels["site"],
        "fra-1",
        "labels are the hello's"
    );
    let mut viewer = operator(&connector, Role::Viewer);
    let request = v1::GetRunRequest {
        run_id: run.run_id[..18].to_owned(),
    };
    let kept = viewer.get_run(request).await.unwrap().into_inner();
    assert_eq!(kept, run, "it is kept before it is told");
    let listed = viewer
        .list_runs(v1::ListRunsRequest::default())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(listed.runs[0].run_id, run.run_id);
    collector.shutdown().await;
}

#[tokio::test]
async fn agents_begin_together_on_the_collectors_clock() {
    let (_collector, connector) = collector().await;
    let mut one = FakeAgent::connect(&connector, "ams-1").await;
    let mut other = FakeAgent::connect(&connector, "fra-1").await;
    let before = one.beat().await.collector_monotonic_us;
    let _asked = Asked::ask(&connector, question(spec())).await;
    let (first, second) = (one.order().await, other.order().await);
    assert_eq!(first.start_at_us, second.start_at_us);
    assert!(
        first.start_at_us > before + 20_000,
        "the slowest round trip and 20 ms"
    );
    assert!(first.start_at_us < before + 5_000_000);
    assert_ne!(first.order_id, second.order_id);
}

#[tokio::test]
async fn a_refusal_is_shown_with_its_reason() {
    let (_collector, connector) = collector().await;
    let mut agent = FakeAgent::connect(&connector, "fra-1").await;
    let asked = Asked::ask(&connector, question(spec())).await;
    let order_id = agent.order().await.order_id;
    let note = "policy denies 203.0.113.0/24".to_owned();
    let rule = v1::PolicyRefusal {
        what: "address".into(),
        rule: "deny 203.0.113.0/24".into(),
        value: "203.0.113.5".into(),
        address: "203.0.113.5".into(),
        port: 993,
    };
    let refused = v1::OrderRefused {
        order_id,
        reason: "policy".into(),
        note: note.clone(),
        refusal: Some(rule.clone()),
    };
    agent.say(ToCollector::Refused(refused)).await;
    let run = asked.answer().await;
    let seen = vantage(&run, "fra-1");
    assert_eq!(seen.refusal, Some(rule));
    assert!(run.summary.contains("deny 203.0.113.0/24"), "{}", run.summary);
    assert_eq!(
        (seen.outcome.as_str(), seen.reason.as_str(), &seen.note),
        ("refused", "policy", &note)
    );
    assert_eq!(run.verdict, "inconclusive");
}

#[tokio::test]
async fn a_link_lost_during_a_run_is_missing_at_once() {
    let (_collector, connector) = collector().await;
    let mut staying = FakeAgent::connect(&connector, "ams-1").await;
    let mut leaving = FakeAgent::connect(&connector, "fra-1").await;
    let asked = Asked::ask(&connector, question(spec())).await;
    let order = staying.order().await;
    leaving.order().await;
    staying.done(&order, Outcome::Ok).await;
    let begun = std::time::Instant::now();
    drop(leaving);
    let run = asked.answer().await;
    assert!(begun.elapsed().as_secs() < 10, "not at the deadline");
    let seen = vantage(&run, "fra-1");
    assert_eq!(
        (seen.outcome.as_str(), seen.reason.as_str()),
        ("missing", "offline")
    );
    assert!(
        seen.note.starts_with("the link was lost during the run"),
        "{}",
        seen.note
    );
}

#[tokio::test]
async fn an_agent_that_is_silent_is_missing_at_the_deadline() {
    let (_collector, connector) = collector().await;
    let mut silent = FakeAgent::connect(&connector, "fra-1").await;
    let begun = tokio::time::Instant::now();
    let mut asked = Asked::ask(&connector, question(spec())).await;
    let order = silent.order().await;
    silent.accept(&order).await;
    // Not before: the database answers in the time of the world.
    tokio::time::pause();
    let Some(Event::Observation(seen)) = asked.next().await.unwrap() else {
        panic!("the missing agent is told")
    };
    assert_eq!(begun.elapsed().as_secs(), 25);
    assert_eq!(
        (seen.outcome.as_str(), seen.reason.as_str()),
        ("missing", "deadline")
    );
    assert_eq!(asked.answer().await.verdict, "inconclusive");
    let Some(FromCollector::Cancel(cancel)) = silent.next().await.unwrap() else {
        panic!("the order is taken back")
    };
    assert_eq!(cancel.order_id, order.order_id);
}

#[tokio::test]
async fn a_name_that_is_not_there_is_missing_and_the_run_still_ends() {
    let (_collector, connector) = collector().await;
    drop(FakeAgent::connect(&connector, "ams-1").await);
    let mut viewer = operator(&connector, Role::Viewer);
    while viewer
        .get_status(v1::GetStatusRequest {})
        .await
        .unwrap()
        .into_inner()
        .agents_connected
        > 0
    {
        tokio::task::yield_now().await;
    }
    let request = v1::RunProbeRequest {
        from: vec!["ams-1".into(), "nyc-9".into()],
        ..question(spec())
    };
    let asked = Asked::ask(&connector, request).await;
    assert!(asked.started.asked.is_empty());
    let run = asked.answer().await;
    assert_eq!(run.verdict, "inconclusive");
    assert!(vantage(&run, "ams-1").note.starts_with("not connected since"));
    assert_eq!(
        vantage(&run, "nyc-9").note,
        "no agent of this name has ever connected"
    );
}

#[tokio::test]
async fn a_caller_that_goes_away_cancels_its_orders() {
    let (_collector, connector) = collector().await;
    let mut agent = FakeAgent::connect(&connector, "fra-1").await;
    let asked = Asked::ask(&connector, question(spec())).await;
    let order = agent.order().await;
    drop(asked);
    let Some(FromCollector::Cancel(cancel)) = agent.next().await.unwrap() else {
        panic!("the order is taken back")
    };
    assert_eq!(cancel.order_id, order.order_id);
}

#[tokio::test]
async fn a_newer_connection_of_the_same_agent_takes_over() {
    let (_collector, connector) = collector().await;
    let mut older = FakeAgent::connect(&connector, "fra-1").await;
    let mut newer = FakeAgent::connect(&connector, "fra-1").await;
    let told = older.next().await.unwrap_err();
    assert_eq!(told.code(), Code::Aborted);
    let asked = Asked::ask(&connector, question(spec())).await;
    let order = newer.order().await;
    newer.done(&order, Outcome::Ok).await;
    assert_eq!(asked.answer().await.verdict, "healthy");
}

#[tokio::test]
async fn an_answer_to_another_agents_order_is_not_taken() {
    let (_collector, connector) = collector().await;
    let mut honest = FakeAgent::connect(&connector, "ams-1").await;
    let mut liar = FakeAgent::connect(&connector, "fra-1").await;
    let asked = Asked::ask(&connector, question(spec())).await;
    let (order, own) = (honest.order().await, liar.order().await);
    let done = v1::OrderDone {
        order_id: order.order_id.clone(),
        observation: Some(observation("ams-1", dropped()).into()),
    };
    liar.say(ToCollector::Done(done)).await;
    liar.beat().await;
    liar.done(&own, Outcome::Ok).await;
    honest.done(&order, Outcome::Ok).await;
    let run = asked.answer().await;
    assert_eq!(run.verdict, "healthy");
}

#[tokio::test]
async fn one_that_fails_alone_is_followed_up_before_the_verdict() {
    let (_collector, connector) = collector().await;
    let mut well = FakeAgent::connect(&connector, "ams-1").await;
    let mut ill = FakeAgent::connect(&connector, "fra-1").await;
    let request = v1::RunProbeRequest {
        follow_up: true,
        ..question(spec())
    };
    let mut asked = Asked::ask(&connector, request).await;
    let (first, second) = (well.order().await, ill.order().await);
    well.done(&first, Outcome::Ok).await;
    ill.done(&second, dropped()).await;
    let follow_up = loop {
        match asked.next().await.unwrap() {
            Some(Event::FollowUp(follow_up)) => break follow_up,
            Some(Event::Observation(_) | Event::Stage(_)) => {}
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(follow_up.round, 1);
    let order = ill.order().await;
    assert!(!order.experiments.is_empty());
    assert!(order.budget_ms <= 8_000);
}

#[tokio::test]
async fn a_run_is_compared_with_the_last_good_one_of_its_target() {
    let (_collector, connector) = collector().await;
    let mut agent = FakeAgent::connect(&connector, "fra-1").await;
    let mut runs = Vec::new();
    for outcome in [Outcome::Ok, dropped(), dropped()] {
        let asked = Asked::ask(&connector, question(spec())).await;
        let order = agent.order().await;
        agent.done(&order, outcome).await;
        runs.push(asked.answer().await);
    }
    assert_eq!(runs[0].compared_with, None, "there was none before");
    for run in &runs[1..] {
        assert_eq!(run.compared_with.as_ref().unwrap().run_id, runs[0].run_id);
        assert_eq!(run.changes[0].before, "993/tls ok");
    }
}

#[tokio::test]
async fn a_trace_of_what_fails_is_a_follow_up() {
    use parallax_model::spec::{PathChoice, ProbeOptions, ProbeSpec};
    let (_collector, connector) = collector().await;
    let mut agent = FakeAgent::connect(&connector, "fra-1").await;
    for (path, follow_up, ordered) in [
        (PathChoice::Auto, true, "auto"),
        (PathChoice::Auto, false, "never"),
        (PathChoice::Always, false, "always"),
    ] {
        let spec = ProbeSpec {
            options: ProbeOptions {
                path,
                ..ProbeOptions::default()
            },
            ..spec()
        };
        let request = v1::RunProbeRequest {
            follow_up,
            ..question(spec)
        };
        let asked = Asked::ask(&connector, request).await;
        let order = agent.order().await;
        let options = order.spec.as_ref().unwrap().options.clone().unwrap_or_default();
        let path = PathChoice::from_name(&options.path);
        assert_eq!(path.as_str(), ordered, "{options:?}");
        agent.done(&order, Outcome::Ok).await;
        asked.answer().await;
    }
}

#[tokio::test]
async fn a_question_that_makes_no_sense_is_refused_in_one_line() {
    let (_collector, connector) = collector().await;
    let mut client = operator(&connector, Role::Operator);
    let bad_selector = v1::RunProbeRequest {
        from: vec!["a b".into()],
        ..question(spec())
    };
    let no_login = question(parallax_model::spec::ProbeSpec {
        depth: parallax_model::spec::Depth::Login,
        ..spec()
    });
    for request in [bad_selector, no_login, v1::RunProbeRequest::default()] {
        let status = client.run_probe(request).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
        assert!(!status.message().contains('\n'));
    }
}

#[tokio::test]
async fn a_dry_run_says_who_and_why_and_asks_nobody() {
    let (_collector, connector) = collector().await;
    let mut agent = FakeAgent::connect(&connector, "fra-1").await;
    let _other = FakeAgent::connect(&connector, "ams-1").await;
    let request = v1::RunProbeRequest {
        dry_run: true,
        from: vec!["fra-*".into()],
        ..question(spec())
    };
    let mut asked = Asked::ask(&connector, request).await;
    assert_eq!(asked.started.asked[0].why, "matches fra-*");
    assert_eq!(asked.started.passed_over[0].why, "does not match fra-*");
    assert!(asked.next().await.unwrap().is_none());
    agent.beat().await;
}

#[tokio::test]
async fn a_removed_agent_is_told_and_forgotten() {
    let (_collector, connector) = collector().await;
    let mut agent = FakeAgent::connect(&connector, "fra-1").await;
    let mut admin = operator(&connector, Role::Admin);
    let remove = || v1::RemoveAgentRequest { name: "fra-1".into() };
    // What the hub knows of an agent reaches the database a moment later.
    while let Err(status) = admin.remove_agent(remove()).await {
        assert_eq!(status.code(), Code::NotFound);
        tokio::task::yield_now().await;
    }
    assert_eq!(agent.next().await.unwrap_err().code(), Code::PermissionDenied);
    let listed = admin
        .list_agents(v1::ListAgentsRequest {})
        .await
        .unwrap()
        .into_inner();
    assert!(listed.agents.is_empty());
}

#[tokio::test]
async fn an_agent_does_not_ask_and_an_operator_does_not_stand_at_a_vantage_point() {
    let (_collector, connector) = collector().await;
    let status = operator(&connector, Role::Agent)
        .run_probe(question(spec()))
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    let channel = connector.channel(super::fake::identity(Role::Admin, "ada"));
    let opened = v1::agent_link_client::AgentLinkClient::new(channel)
        .open(tokio_stream::empty())
        .await;
    assert_eq!(opened.unwrap_err().code(), Code::PermissionDenied);
}
