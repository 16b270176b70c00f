//! A collector with nothing but the identity service, over real TLS on loopback.

use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use parallax_model::identity::SpiffeId;
use parallax_model::token::JoinToken;
use parallax_proto::v1;
use parallax_proto::v1::identity_server::IdentityServer;
use rcgen::ExtendedKeyUsagePurpose;
use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use tokio::io::{DuplexStream, copy_bidirectional, duplex};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status};

use crate::authority::{Authority, host_name, leaf_params};
use crate::peer::peer_identity;
use crate::{CollectorAddress, Identity, LEAF_LIFETIME, LocalKey, PeerError, accept, server_config};

pub(crate) const SECRET: [u8; 24] = [7; 24];
const HOUR: Duration = Duration::from_secs(3600);

/// A running collector; it ends when it is dropped.
pub(crate) struct Collector {
    pub(crate) address: CollectorAddress,
    pub(crate) seen: Arc<Seen>,
    hang_up: mpsc::Sender<()>,
    _tasks: JoinSet<()>,
}

/// What reached the collector.
#[derive(Default)]
pub(crate) struct Seen {
    /// Secrets of tokens.
    pub(crate) secrets: Mutex<Vec<Vec<u8>>>,
    /// Who was at the other end of each connection whose handshake went well.
    pub(crate) peers: Mutex<Vec<Result<SpiffeId, PeerError>>>,
}

impl Seen {
    pub(crate) fn secrets(&self) -> Vec<Vec<u8>> {
        self.secrets.lock().unwrap().clone()
    }

    pub(crate) fn peers(&self) -> Vec<Result<SpiffeId, PeerError>> {
        self.peers.lock().unwrap().clone()
    }
}

impl Collector {
    /// A collector that issues from an authority and shows a certificate from it for loopback.
    pub(crate) async fn start(authority: &Arc<Authority>) -> Self {
        let identity = authority
            .issue_server(&collector_id(), &["127.0.0.1".to_owned()])
            .unwrap();
        Self::start_as(authority, &identity).await
    }

    /// A collector that issues from an authority and shows whatever it is given.
    pub(crate) async fn start_as(authority: &Arc<Authority>, identity: &Identity) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string().parse().unwrap();
        let config = server_config(identity, Duration::ZERO).unwrap();
        let seen = Arc::new(Seen::default());
        let (incoming, connections) = mpsc::channel(16);
        let (hang_up, hung_up) = mpsc::channel(1);
        let service = IdentityServer::new(Service {
            authority: authority.clone(),
            seen: seen.clone(),
        });
        let serve = Server::builder()
            .add_service(service)
            .serve_with_incoming(ReceiverStream::new(connections));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { serve.await.unwrap() });
        tasks.spawn(accept_all(listener, config, incoming, hung_up, seen.clone()));
        Self {
            address,
            seen,
            hang_up,
            _tasks: tasks,
        }
    }

    /// Ends every connection there is.
    pub(crate) async fn hang_up(&self) {
        self.hang_up.send(()).await.unwrap();
    }
}

/// An agent of an authority, without having joined.
pub(crate) fn agent(authority: &Authority) -> Identity {
    agent_valid(authority, from_hours(-1, 24))
}

/// An agent whose certificate is valid at these times.
pub(crate) fn agent_valid(authority: &Authority, validity: Range<SystemTime>) -> Identity {
    leaf(
        authority,
        &agent_id(),
        ExtendedKeyUsagePurpose::ClientAuth,
        &[],
        validity,
    )
}

/// The certificate of a collector at loopback that is valid at these times.
pub(crate) fn collector_valid(authority: &Authority, validity: Range<SystemTime>) -> Identity {
    leaf(
        authority,
        &collector_id(),
        ExtendedKeyUsagePurpose::ServerAuth,
        &["127.0.0.1"],
        validity,
    )
}

/// A collector's certificate from one authority, shown with the CA certificate of another beside it.
pub(crate) fn collector_beside(issuer: &Authority, shown: &Authority) -> Identity {
    let key = LocalKey::generate().unwrap();
    let mut params = leaf_params(
        &collector_id(),
        ExtendedKeyUsagePurpose::ServerAuth,
        from_hours(-1, 24),
    )
    .unwrap();
    params.subject_alt_names.push(host_name("127.0.0.1").unwrap());
    let leaf = issuer.sign(params, &key.0).unwrap().remove(0);
    let shown = shown.certificate().to_vec();
    Identity::new(&key, vec![leaf, shown.clone()], vec![shown]).unwrap()
}

/// An agent's certificate, for clients only, that names the collector's host.
pub(crate) fn agent_as_collector(authority: &Authority) -> Identity {
    leaf(
        authority,
        &agent_id(),
        ExtendedKeyUsagePurpose::ClientAuth,
        &["127.0.0.1"],
        from_hours(-1, 24),
    )
}

/// Hours from now.
pub(crate) fn from_hours(from: i32, to: i32) -> Range<SystemTime> {
    let at = |hours: i32| {
        let distance = HOUR * hours.unsigned_abs();
        if hours < 0 {
            SystemTime::now() - distance
        } else {
            SystemTime::now() + distance
        }
    };
    at(from)..at(to)
}

pub(crate) fn token(authority: &Authority) -> JoinToken {
    JoinToken::new(SECRET, authority.fingerprint())
}

pub(crate) fn agent_id() -> SpiffeId {
    "spiffe://parallax.internal/agent/fra-1".parse().unwrap()
}

pub(crate) fn collector_id() -> SpiffeId {
    "spiffe://parallax.internal/collector/main".parse().unwrap()
}

fn leaf(
    authority: &Authority,
    id: &SpiffeId,
    usage: ExtendedKeyUsagePurpose,
    hosts: &[&str],
    validity: Range<SystemTime>,
) -> Identity {
    let key = LocalKey::generate().unwrap();
    let mut params = leaf_params(id, usage, validity).unwrap();
    params
        .subject_alt_names
        .extend(hosts.iter().map(|host| host_name(host).unwrap()));
    let chain = authority.sign(params, &key.0).unwrap();
    Identity::new(&key, chain, vec![authority.certificate().to_vec()]).unwrap()
}

async fn accept_all(
    listener: TcpListener,
    config: Arc<ServerConfig>,
    incoming: mpsc::Sender<io::Result<DuplexStream>>,
    mut hung_up: mpsc::Receiver<()>,
    seen: Arc<Seen>,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (tcp, _) = accepted.unwrap();
                connections.spawn(serve(tcp, config.clone(), incoming.clone(), seen.clone()));
            }
            Some(()) = hung_up.recv() => connections.shutdown().await,
        }
    }
}

async fn serve(
    tcp: TcpStream,
    config: Arc<ServerConfig>,
    incoming: mpsc::Sender<io::Result<DuplexStream>>,
    seen: Arc<Seen>,
) {
    let Ok(mut tls) = accept(config, tcp).await else {
        return;
    };
    let chain: &[CertificateDer<'_>] = tls.get_ref().1.peer_certificates().unwrap_or_default();
    seen.peers.lock().unwrap().push(peer_identity(chain));
    let (mut outside, inside) = duplex(64 * 1024);
    incoming.send(Ok(inside)).await.unwrap();
    // How a connection ends is the caller's claim.
    let _ = copy_bidirectional(&mut tls, &mut outside).await;
}

struct Service {
    authority: Arc<Authority>,
    seen: Arc<Seen>,
}

impl Service {
    fn certificate(&self, csr_der: &[u8]) -> Response<v1::Certificate> {
        Response::new(v1::Certificate {
            chain_der: self.authority.issue(csr_der, &agent_id(), LEAF_LIFETIME).unwrap(),
            anchors_der: vec![self.authority.certificate().to_vec()],
            spiffe_id: agent_id().to_string(),
        })
    }
}

#[tonic::async_trait]
impl v1::identity_server::Identity for Service {
    async fn join(&self, request: Request<v1::JoinRequest>) -> Result<Response<v1::Certificate>, Status> {
        let request = request.into_inner();
        self.seen
            .secrets
            .lock()
            .unwrap()
            .push(request.token_secret.clone());
        if request.token_secret == SECRET {
            Ok(self.certificate(&request.csr_der))
        } else {
            Err(Status::unauthenticated("it is used up"))
        }
    }

    async fn renew(&self, request: Request<v1::RenewRequest>) -> Result<Response<v1::Certificate>, Status> {
        Ok(self.certificate(&request.into_inner().csr_der))
    }
}
