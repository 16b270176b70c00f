//! Over a real port: join, mutual TLS, a run, and two collectors in each other's way.

use std::path::Path;

use parallax_identity::{CollectorAddress, Dialer, Identity, JoinError, Joiner, LocalKey, join, renew};
use parallax_model::audit::AuditEntry;
use parallax_model::identity::Role;
use parallax_model::stage::Outcome;
use parallax_model::token::{JoinToken, TokenNames};
use parallax_model::vantage::Labels;
use parallax_proto::v1;
use parallax_proto::v1::access_client::AccessClient;
use parallax_proto::v1::control_client::ControlClient;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tonic::Code;

use super::fake::{FakeAgent, question, spec};
use crate::Collector;
use crate::config::{Alerting, Config, Limits, Page, Retention, Terms, TraceRatio};
use crate::identity::DEFAULT_TTL;
use crate::token::{TokenOptions, create};
use parallax_telemetry::logs::LogFormat;

pub(super) fn config(directory: &Path) -> Config {
    Config {
        data_dir: directory.to_owned(),
        listen: "127.0.0.1:0".parse().unwrap(),
        http: "127.0.0.1:0".parse().unwrap(),
        advertise: vec!["127.0.0.1".into()],
        otlp_endpoint: None,
        trace_ratio: TraceRatio::default(),
        log_format: LogFormat::Text,
        log_filter: None,
        terms: Terms::default(),
        page: Page::default(),
        own_pki: None,
        alerting: Alerting::default(),
        limits: Limits::default(),
        retention: Retention::default(),
    }
}

pub(super) async fn token(directory: &Path, role: Role) -> JoinToken {
    let options = TokenOptions {
        role,
        names: TokenNames::Any,
        labels: Labels::new(),
        takes_over: false,
        ttl: DEFAULT_TTL,
        uses: 1,
    };
    create(directory, options).await.unwrap()
}

pub(super) fn address(collector: &Collector) -> CollectorAddress {
    collector.listen_addr().unwrap().to_string().parse().unwrap()
}

pub(super) async fn joined(
    collector: &Collector,
    token: &JoinToken,
    name: &str,
) -> Result<Identity, JoinError> {
    join(
        &address(collector),
        token,
        Joiner::anybody(&name.parse().unwrap()),
        &LocalKey::generate().unwrap(),
    )
    .await
}

pub(super) async fn get(collector: &Collector, path: &str) -> String {
    let mut stream = tokio::net::TcpStream::connect(collector.http_addr().unwrap())
        .await
        .unwrap();
    let request = format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_an_empty_directory_to_a_verdict_over_mutual_tls() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let early = token(&data, Role::Agent).await;
    let collector = Collector::start(&config(&data)).await.unwrap();
    assert!(get(&collector, "/readyz").await.starts_with("HTTP/1.0 200"));
    let agent = joined(&collector, &early, "fra-1").await.unwrap();
    assert_eq!(
        agent.spiffe().to_string(),
        "spiffe://parallax.internal/agent/fra-1"
    );
    assert!(joined(&collector, &early, "fra-2").await.is_err(), "once is once");
    let person = joined(&collector, &token(&data, Role::Operator).await, "ada")
        .await
        .unwrap();

    let link = Dialer::new(address(&collector), &agent)
        .unwrap()
        .connect()
        .await
        .unwrap();
    let mut fake = FakeAgent::over(link.clone(), "fra-1").await;
    let channel = Dialer::new(address(&collector), &person)
        .unwrap()
        .connect()
        .await
        .unwrap();
    let mut control = ControlClient::new(channel);
    let mut events = control.run_probe(question(spec())).await.unwrap().into_inner();
    let order = fake.order().await;
    fake.done(&order, Outcome::Ok).await;
    let mut verdict = String::new();
    while let Some(event) = events.message().await.unwrap() {
        if let Some(v1::run_event::Event::Concluded(run)) = event.event {
            verdict = run.verdict;
        }
    }
    assert_eq!(verdict, "healthy");

    let key = LocalKey::generate().unwrap();
    let renewed = renew(link, &agent, &key).await.unwrap();
    assert_eq!(renewed.spiffe(), agent.spiffe());
    let listed = control
        .list_agents(v1::ListAgentsRequest {})
        .await
        .unwrap()
        .into_inner();
    assert!(
        listed.agents[0].peer.starts_with("127.0.0.1:"),
        "{}",
        listed.agents[0].peer
    );
    let metrics = get(&collector, "/metrics").await;
    assert!(
        metrics.contains("parallax_agent_connected{probe=\"fra-1\"} 1"),
        "{metrics}"
    );
    assert!(get(&collector, "/").await.contains("fra-1"));
    assert!(get(&collector, "/healthz").await.starts_with("HTTP/1.0 200"));
    collector.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_agent_stays_out_with_its_certificate_and_comes_back_with_a_token() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path();
    let collector = Collector::start(&config(data)).await.unwrap();
    let old = joined(&collector, &token(data, Role::Agent).await, "fra-1")
        .await
        .unwrap();
    let admin = joined(&collector, &token(data, Role::Admin).await, "ada")
        .await
        .unwrap();
    let channel = |identity: &Identity| Dialer::new(address(&collector), identity).unwrap().lazy();
    let request = v1::RemoveAgentRequest { name: "fra-1".into() };
    ControlClient::new(channel(&admin))
        .remove_agent(request)
        .await
        .unwrap();
    let open = |identity: &Identity| {
        let mut client = v1::agent_link_client::AgentLinkClient::new(channel(identity));
        async move { client.open(tokio_stream::empty()).await.map(|_| ()) }
    };
    let refused = open(&old).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    assert!(refused.message().contains("was removed"), "{}", refused.message());
    let renewing = renew(channel(&old), &old, &LocalKey::generate().unwrap()).await;
    assert!(renewing.is_err(), "nor is it renewed");
    let new = joined(&collector, &token(data, Role::Agent).await, "fra-1")
        .await
        .unwrap();
    open(&new).await.unwrap();
    collector.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn removal_cuts_a_live_stream_of_a_person() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path();
    let collector = Collector::start(&config(data)).await.unwrap();
    let agent = joined(&collector, &token(data, Role::Agent).await, "fra-1")
        .await
        .unwrap();
    let person = joined(&collector, &token(data, Role::Operator).await, "ada")
        .await
        .unwrap();
    let dial = |identity: &Identity| Dialer::new(address(&collector), identity).unwrap();
    let mut fake = FakeAgent::over(dial(&agent).connect().await.unwrap(), "fra-1").await;
    let mut control = ControlClient::new(dial(&person).connect().await.unwrap());
    let mut events = control.run_probe(question(spec())).await.unwrap().into_inner();
    let order = fake.order().await;
    let admin = joined(&collector, &token(data, Role::Admin).await, "eve")
        .await
        .unwrap();
    let mut access = AccessClient::new(dial(&admin).lazy());
    let spiffe_id = person.spiffe().to_string();
    let removed = access
        .remove_identity(v1::RemoveIdentityRequest { spiffe_id })
        .await
        .unwrap()
        .into_inner();
    assert_eq!(removed.connections_cut, 1);
    let ended = loop {
        match events.message().await {
            Ok(Some(_)) => {}
            other => break other,
        }
    };
    assert!(ended.is_err(), "{ended:?}");
    let cancelled = fake.next().await.unwrap();
    assert!(
        matches!(&cancelled, Some(v1::collector_message::Message::Cancel(cancel)) if cancel.order_id == order.order_id),
        "{cancelled:?}"
    );
    let again = ControlClient::new(dial(&person).lazy())
        .list_agents(v1::ListAgentsRequest {})
        .await;
    assert_eq!(again.unwrap_err().code(), Code::PermissionDenied);
    let log = access
        .list_audit(v1::ListAuditRequest::default())
        .await
        .unwrap()
        .into_inner();
    let mut entries: Vec<AuditEntry> = log
        .entries
        .into_iter()
        .map(|entry| AuditEntry::try_from(entry).unwrap())
        .collect();
    entries.reverse();
    AuditEntry::verify(&entries, Some(&[])).unwrap();
    let told: Vec<_> = entries
        .iter()
        .map(|entry| (entry.actor.as_str(), entry.call.as_str(), entry.result.as_str()))
        .collect();
    for expected in [
        ("", "Join", "done"),
        ("ada", "RunProbe", "begun"),
        ("eve", "RemoveIdentity", "begun"),
        ("eve", "RemoveIdentity", "done"),
        ("ada", "ListAgents", "refused"),
    ] {
        assert!(told.contains(&expected), "{expected:?} in {told:?}");
    }
    collector.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_in_use_is_sold_only_for_a_token_of_that_name_and_who_is_connected_keeps_it() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path();
    let collector = Collector::start(&config(data)).await.unwrap();
    let first = joined(&collector, &token(data, Role::Agent).await, "fra-1")
        .await
        .unwrap();
    let link = Dialer::new(address(&collector), &first)
        .unwrap()
        .connect()
        .await
        .unwrap();
    let mut fake = FakeAgent::over(link, "fra-1").await;
    let refused = joined(&collector, &token(data, Role::Agent).await, "fra-1")
        .await
        .unwrap_err()
        .to_string();
    assert!(
        refused.contains("the agent fra-1 has a valid certificate here"),
        "{refused}"
    );
    let own = |takes_over| TokenOptions {
        role: Role::Agent,
        names: TokenNames::Only("fra-1".parse().unwrap()),
        labels: Labels::new(),
        takes_over,
        ttl: DEFAULT_TTL,
        uses: 1,
    };
    let polite = create(data, own(false)).await.unwrap();
    let refused = joined(&collector, &polite, "fra-1")
        .await
        .unwrap_err()
        .to_string();
    assert!(refused.contains("the agent fra-1 is connected"), "{refused}");
    let rude = create(data, own(true)).await.unwrap();
    let second = joined(&collector, &rude, "fra-1").await.unwrap();
    assert!(fake.next().await.is_err(), "the first is cut off");
    let open = |identity: &Identity| {
        let channel = Dialer::new(address(&collector), identity).unwrap().lazy();
        async move {
            let mut client = v1::agent_link_client::AgentLinkClient::new(channel);
            client.open(tokio_stream::empty()).await.map(|_| ())
        }
    };
    assert_eq!(open(&first).await.unwrap_err().code(), Code::PermissionDenied);
    open(&second).await.unwrap();
    collector.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_collector_is_told_what_is_in_its_way() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let collector = Collector::start(&config(one.path())).await.unwrap();
    let same_data = Collector::start(&config(one.path())).await.err().unwrap();
    assert!(
        same_data
            .to_string()
            .starts_with("another collector is running on")
    );
    let taken = Config {
        listen: collector.listen_addr().unwrap(),
        ..config(other.path())
    };
    let same_port = Collector::start(&taken).await.err().unwrap().to_string();
    assert!(
        same_port.starts_with("listen on 127.0.0.1:") && same_port.contains("--listen"),
        "{same_port}"
    );
    collector.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_restart_agents_runs_and_the_authority_are_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path();
    let collector = Collector::start(&config(data)).await.unwrap();
    let agent = joined(&collector, &token(data, Role::Agent).await, "fra-1")
        .await
        .unwrap();
    let viewer = joined(&collector, &token(data, Role::Viewer).await, "ada")
        .await
        .unwrap();
    let link = Dialer::new(address(&collector), &agent)
        .unwrap()
        .connect()
        .await
        .unwrap();
    let fake = FakeAgent::over(link, "fra-1").await;
    collector.shutdown().await;
    drop(fake);
    let collector = Collector::start(&config(data)).await.unwrap();
    let channel = Dialer::new(address(&collector), &viewer)
        .unwrap()
        .connect()
        .await
        .unwrap();
    let listed = ControlClient::new(channel)
        .list_agents(v1::ListAgentsRequest {})
        .await
        .unwrap()
        .into_inner();
    assert_eq!(listed.agents[0].name, "fra-1");
    assert!(!listed.agents[0].connected && listed.agents[0].last_seen_us > 0);
    collector.shutdown().await;
}
