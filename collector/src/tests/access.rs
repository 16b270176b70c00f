//! Every call by every kind of caller, over a real port.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hyper_util::rt::TokioIo;
use parallax_identity::{Authority, Dialer, Identity, LocalKey, renew};
use parallax_model::identity::{Role, SpiffeId};
use parallax_proto::v1;
use parallax_proto::v1::access_client::AccessClient;
use parallax_proto::v1::agent_link_client::AgentLinkClient;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use tokio_stream::StreamExt as _;
use tonic::Code;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint, Uri};
use tonic_prost::ProstCodec;
use tower::service_fn;

use super::fake::{FakeAgent, collector, identity, operator};
use super::tls::{address, config, joined, token};
use crate::Collector;
use crate::config::{Config, Terms};
use crate::service::roles::CALLS;

const HOUR: Duration = Duration::from_secs(3600);
/// For any answer. A client whose connection is refused behind its own handshake may wait for ever.
const TO_ANSWER: Duration = Duration::from_secs(20);

/// Who calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Caller {
    Agent,
    Viewer,
    Operator,
    Admin,
    /// No certificate.
    Nobody,
    /// An admin's, that is over, where no grace is given.
    Expired,
    /// An admin's, of another authority.
    Foreign,
    /// An admin's, whose owner was taken out.
    Removed,
    /// The collector's own.
    Collector,
}

/// What became of a call.
#[derive(Debug, PartialEq, Eq)]
enum Met {
    /// Its handler.
    Service,
    /// The door, which knows the caller.
    Denied,
    /// The door, which does not.
    Unknown,
    /// No connection came of it.
    Nothing,
}

/// The outside contract, spelled out: who meets what where.
fn expected(path: &str, caller: Caller) -> Met {
    use Caller::{Admin, Agent, Collector, Expired, Foreign, Nobody, Operator, Removed, Viewer};
    let (service, call) = path.rsplit_once('/').unwrap();
    let open_to: &[Caller] = match call {
        "Join" => &[Agent, Viewer, Operator, Admin, Nobody],
        "Open" => &[Agent],
        "Export" if service.ends_with(".MetricsService") => &[Agent],
        "Renew" | "Export" => &[Agent, Viewer, Operator, Admin],
        "GetStatus" | "ListAgents" | "ListRuns" | "GetRun" | "ListCredentials" | "ListChecks"
        | "CheckHistory" | "CheckResults" | "ListAlerts" | "ListSilences" => &[Viewer, Operator, Admin],
        "RunProbe" | "GetCaptures" | "SetCredential" | "RemoveCredential" | "CloseCircuit"
        | "ApplyChecks" | "PauseCheck" | "RemoveCheck" | "AddSilence" | "EndSilence" | "TestReceivers" => {
            &[Operator, Admin]
        }
        "RemoveAgent" | "CreateToken" | "ListTokens" | "RevokeToken" | "ListIdentities"
        | "RemoveIdentity" | "RestoreIdentity" | "SetAgentLabels" | "ListAudit" => &[Admin],
        other => panic!("say here who may call {other}"),
    };
    match caller {
        Expired | Foreign | Collector => Met::Nothing,
        _ if open_to.contains(&caller) => Met::Service,
        Nobody => Met::Unknown,
        Agent | Viewer | Operator | Admin | Removed => Met::Denied,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_call_meets_every_caller_as_the_contract_says() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path();
    let collector = Collector::start(&terms(data, Duration::ZERO)).await.unwrap();
    let authority = Authority::load_or_create(data).unwrap();
    let removed = joined(&collector, &token(data, Role::Admin).await, "gone")
        .await
        .unwrap();
    let admin = issued(&authority, Role::Admin, HOUR);
    remove(&collector, &admin, &removed).await;
    let expired = issued(&authority, Role::Admin, Duration::ZERO);
    is_over(&expired).await;
    let own = authority
        .issue_server(&id(Role::Collector), &["127.0.0.1".to_owned()])
        .unwrap();
    let foreign = issued(&Authority::ephemeral().unwrap(), Role::Admin, HOUR);
    let agent = issued(&authority, Role::Agent, HOUR);
    let viewer = issued(&authority, Role::Viewer, HOUR);
    let operator = issued(&authority, Role::Operator, HOUR);
    let callers = [
        (Caller::Agent, Some(&agent)),
        (Caller::Viewer, Some(&viewer)),
        (Caller::Operator, Some(&operator)),
        (Caller::Admin, Some(&admin)),
        (Caller::Nobody, None),
        (Caller::Expired, Some(&expired)),
        (Caller::Foreign, Some(&foreign)),
        (Caller::Removed, Some(&removed)),
        (Caller::Collector, Some(&own)),
    ];
    for (caller, identity) in callers {
        let tls = tls(identity, &authority);
        for &(path, ..) in CALLS {
            let met = call(&collector, Arc::clone(&tls), path).await;
            assert_eq!(met, expected(path, caller), "{path} by {caller:?}");
        }
    }
    collector.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_is_over_is_renewed_within_the_grace_and_opens_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path();
    let brief = Config {
        terms: Terms {
            lifetime: Duration::from_secs(1),
            grace: HOUR,
        },
        ..config(data)
    };
    let collector = Collector::start(&brief).await.unwrap();
    let authority = Authority::load_or_create(data).unwrap();
    let admin = issued(&authority, Role::Admin, HOUR);
    // Only one that the collector remembers is renewed: this one it does not.
    let invented = issued(&authority, Role::Admin, Duration::ZERO);
    is_over(&invented).await;
    let channel = |identity: &Identity| {
        let dialer = Dialer::new(address(&collector), identity).unwrap();
        async move { dialer.connect_to_renew().await.unwrap() }
    };
    let refused = renew(
        channel(&invented).await,
        &invented,
        &LocalKey::generate().unwrap(),
    )
    .await;
    assert!(
        refused
            .unwrap_err()
            .to_string()
            .contains("worth nothing any more")
    );
    let other = tls(Some(&invented), &authority);
    let listed = call(&collector, other, "/parallax.v1.Control/ListAgents").await;
    assert_eq!(listed, Met::Unknown);

    let known = joined(&collector, &token(data, Role::Viewer).await, "ada")
        .await
        .unwrap();
    is_over(&known).await;
    let renewed = renew(channel(&known).await, &known, &LocalKey::generate().unwrap())
        .await
        .unwrap();
    assert!(renewed.not_after() > known.not_after());

    let gone = joined(&collector, &token(data, Role::Viewer).await, "gone")
        .await
        .unwrap();
    remove(&collector, &admin, &gone).await;
    let refused = renew(channel(&gone).await, &gone, &LocalKey::generate().unwrap()).await;
    assert!(refused.is_err(), "who was taken out is not brought back by it");
    collector.shutdown().await;
}

fn terms(data: &std::path::Path, grace: Duration) -> Config {
    Config {
        terms: Terms {
            grace,
            ..Terms::default()
        },
        ..config(data)
    }
}

fn id(role: Role) -> SpiffeId {
    SpiffeId::built_in(role, "somebody".parse().unwrap())
}

fn issued(authority: &Authority, role: Role, lifetime: Duration) -> Identity {
    let (id, key) = (id(role), LocalKey::generate().unwrap());
    let chain = authority
        .issue(&key.csr(&id.name).unwrap(), &id, lifetime)
        .unwrap();
    Identity::new(&key, chain, vec![authority.certificate().to_vec()]).unwrap()
}

/// A certificate is good to the end of its last second, and nothing shows that but the clock.
async fn is_over(identity: &Identity) {
    let over = identity.not_after() + Duration::from_secs(1);
    while let Ok(left) = over.duration_since(SystemTime::now()) {
        tokio::time::sleep(left + Duration::from_millis(1)).await;
    }
}

async fn remove(collector: &Collector, admin: &Identity, gone: &Identity) {
    let channel = Dialer::new(address(collector), admin).unwrap().lazy();
    let spiffe_id = gone.spiffe().to_string();
    let request = v1::RemoveIdentityRequest { spiffe_id };
    AccessClient::new(channel).remove_identity(request).await.unwrap();
}

/// TLS as an identity, without any look at it of our own.
fn tls(identity: Option<&Identity>, authority: &Authority) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from(authority.certificate().to_vec()))
        .unwrap();
    let builder = ClientConfig::builder().with_root_certificates(roots);
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let shown = identity.client_config().unwrap();
            builder.with_client_cert_resolver(Arc::clone(&shown.client_auth_cert_resolver))
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    Arc::new(config)
}

async fn connect(collector: &Collector, tls: Arc<ClientConfig>) -> Option<Channel> {
    let to = collector.listen_addr().unwrap();
    let connector = service_fn(move |_: Uri| {
        let tls = TlsConnector::from(Arc::clone(&tls));
        async move {
            let tcp = TcpStream::connect(to).await?;
            let name = ServerName::try_from("127.0.0.1").map_err(std::io::Error::other)?;
            Ok::<_, std::io::Error>(TokioIo::new(tls.connect(name, tcp).await?))
        }
    });
    let endpoint = Endpoint::from_static("http://collector");
    endpoint.connect_with_connector(connector).await.ok()
}

/// Makes a call with an empty message. What is neither answered nor refused in time came to nothing.
async fn call(collector: &Collector, tls: Arc<ClientConfig>, path: &'static str) -> Met {
    let answered = unhurried_call(collector, tls, path);
    timeout(TO_ANSWER, answered).await.unwrap_or(Met::Nothing)
}

async fn unhurried_call(collector: &Collector, tls: Arc<ClientConfig>, path: &'static str) -> Met {
    let Some(channel) = connect(collector, tls).await else {
        return Met::Nothing;
    };
    let mut client = Grpc::new(channel);
    if client.ready().await.is_err() {
        return Met::Nothing;
    }
    let (path, codec) = (PathAndQuery::from_static(path), ProstCodec::<(), ()>::default());
    let answer = client.unary(tonic::Request::new(()), path, codec).await;
    let Err(status) = answer else {
        return Met::Service;
    };
    match status.code() {
        Code::PermissionDenied => Met::Denied,
        Code::Unauthenticated => Met::Unknown,
        // TLS 1.3 tells a caller that it is refused after its own handshake is over.
        Code::Unknown | Code::Unavailable | Code::Cancelled if status.metadata().is_empty() => Met::Nothing,
        _ => Met::Service,
    }
}

#[tokio::test]
async fn an_identity_that_two_processes_use_shows_as_a_conflict() {
    let (collector, connector) = collector().await;
    let mut older = FakeAgent::connect(&connector, "fra-1").await;
    let hello = v1::Hello {
        instance_id: "another process".into(),
        ..v1::Hello::default()
    };
    let message = v1::AgentMessage {
        message: Some(v1::agent_message::Message::Hello(hello)),
    };
    let channel = connector.channel(identity(Role::Agent, "fra-1"));
    let words = tokio_stream::iter([message]).chain(tokio_stream::pending());
    let mut newer = AgentLinkClient::new(channel)
        .open(words)
        .await
        .unwrap()
        .into_inner();
    newer.message().await.unwrap();
    assert_eq!(older.next().await.unwrap_err().code(), Code::Aborted);
    let request = v1::ListAgentsRequest {};
    let listed = operator(&connector, Role::Viewer)
        .list_agents(request)
        .await
        .unwrap();
    let agent = &listed.into_inner().agents[0];
    let rejected = agent.rejected.as_ref().unwrap();
    assert_eq!(
        (agent.state.as_str(), rejected.count),
        ("conflict", 1),
        "{agent:?}"
    );
    collector.shutdown().await;
}
