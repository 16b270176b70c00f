//! Takes connections in: few handshakes at a time, each with an end.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parallax_identity::{Identity, IdentityError, peer_identity};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tracing::{debug, error, info, warn};

use super::Connection;
use crate::identity::{Admission, hash};
use crate::metrics::Metrics;
use crate::peer::Peer;

/// Handshakes at the same time; more would time out behind each other.
const HANDSHAKES: usize = 64;

/// How long one may take.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// How long to wait when the system has no room for another connection.
const NO_ROOM: Duration = Duration::from_millis(100);

/// How often to try again to renew the server's certificate.
const RENEWAL_RETRY: Duration = Duration::from_secs(60);

/// Turns TCP connections into proven ones.
pub(crate) struct Acceptor {
    listener: TcpListener,
    config: watch::Receiver<Arc<ServerConfig>>,
    metrics: Arc<Metrics>,
}

impl Acceptor {
    /// With a certificate for `names`, which a task of its own renews for as long as the acceptor lives.
    pub(crate) fn new(
        listener: TcpListener,
        admission: Arc<Admission>,
        names: Vec<String>,
        metrics: Arc<Metrics>,
    ) -> Result<Self, IdentityError> {
        let identity = admission.server(&names)?;
        let (renewed, config) = watch::channel(parallax_identity::server_config(&identity)?);
        tokio::spawn(renew(identity, admission, names, renewed));
        Ok(Self {
            listener,
            config,
            metrics,
        })
    }

    /// Accepts until nobody takes the connections any more.
    pub(crate) async fn run(self, connections: mpsc::Sender<Connection>) {
        let room = Arc::new(Semaphore::new(HANDSHAKES));
        loop {
            let Ok(permit) = Arc::clone(&room).acquire_owned().await else {
                return;
            };
            let (stream, address) = tokio::select! {
                () = connections.closed() => return,
                accepted = self.listener.accept() => match accepted {
                    Ok(accepted) => accepted,
                    Err(problem) => {
                        warn!("a connection could not be accepted: {problem}");
                        tokio::time::sleep(NO_ROOM).await;
                        continue;
                    }
                },
            };
            let acceptor = TlsAcceptor::from(Arc::clone(&self.config.borrow()));
            let (connections, metrics) = (connections.clone(), Arc::clone(&self.metrics));
            tokio::spawn(async move {
                let connection = handshake(acceptor, stream, address, &metrics).await;
                drop(permit);
                if let Some(connection) = connection {
                    // The server that would take it has stopped.
                    let _ = connections.send(connection).await;
                }
            });
        }
    }
}

async fn handshake(
    acceptor: TlsAcceptor,
    stream: TcpStream,
    address: SocketAddr,
    metrics: &Metrics,
) -> Option<Connection> {
    match tokio::time::timeout(HANDSHAKE, prove(acceptor, stream, address)).await {
        Ok(Ok(connection)) => {
            metrics.handshake("ok");
            Some(connection)
        }
        Ok(Err(problem)) => {
            metrics.handshake("failed");
            debug!(peer = %address, "TLS handshake: {problem}");
            None
        }
        Err(_) => {
            metrics.handshake("timeout");
            debug!(peer = %address, "TLS handshake: not done within {} s", HANDSHAKE.as_secs());
            None
        }
    }
}

async fn prove(acceptor: TlsAcceptor, stream: TcpStream, address: SocketAddr) -> io::Result<Connection> {
    stream.set_nodelay(true)?;
    let stream = acceptor.accept(stream).await?;
    let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
    let spiffe = match chain {
        [] => None,
        chain => Some(peer_identity(chain).map_err(io::Error::other)?),
    };
    let peer = Peer {
        spiffe,
        address: Some(canonical(address)),
        certificate: chain.first().map(|leaf| hash(leaf)),
    };
    Ok(Connection::tls(stream, peer))
}

/// An IPv4 peer of a socket for both families, in its own form.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

async fn renew(
    mut identity: Identity,
    admission: Arc<Admission>,
    names: Vec<String>,
    renewed: watch::Sender<Arc<ServerConfig>>,
) {
    loop {
        let wait = identity
            .renew_at()
            .duration_since(SystemTime::now())
            .unwrap_or(RENEWAL_RETRY);
        tokio::select! {
            () = renewed.closed() => return,
            () = tokio::time::sleep(wait) => {}
        }
        let next = admission
            .server(&names)
            .and_then(|identity| Ok((parallax_identity::server_config(&identity)?, identity)));
        match next {
            Ok((config, next)) => {
                info!("the collector's own certificate was renewed");
                identity = next;
                renewed.send_replace(config);
            }
            Err(problem) => error!("the collector's own certificate could not be renewed: {problem}"),
        }
    }
}
