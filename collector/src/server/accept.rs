//! Takes connections in: all that come, few handshakes at a time, each with an end.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parallax_identity::{Clients, Identity, IdentityError, OwnFiles, Served, peer_identity_within};
use parallax_model::identity::TrustDomain;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio_rustls::rustls::ServerConfig;
use tracing::{debug, error, info, warn};

use super::leash::Leash;
use super::places::{Place, Places};
use super::seats::Seats;
use super::term::{LAST_WORD, Term};
use super::{Connection, Connections};
use crate::config::Limits;
use crate::identity::{Admission, hash};
use crate::metrics::Metrics;
use crate::peer::Peer;
use crate::source::Source;

/// Handshakes at the same time. A socket that says nothing costs its source a place, and nobody else one.
const HANDSHAKES: usize = 256;

/// How long to wait when the system has no room for another connection.
const NO_ROOM: Duration = Duration::from_millis(100);

/// How often to try again to renew the server's certificate.
const RENEWAL_RETRY: Duration = Duration::from_secs(60);

/// Turns TCP connections into proven ones.
pub(crate) struct Acceptor {
    listener: TcpListener,
    config: watch::Receiver<Arc<ServerConfig>>,
    hall: Hall,
}

/// Where connections wait until it is known who they are.
#[derive(Clone)]
struct Hall {
    handshakes: Arc<Places>,
    strangers: Arc<Places>,
    seats: Arc<Seats>,
    /// How long after its end a certificate can be renewed.
    grace: Duration,
    /// Of whoever may come in.
    domain: TrustDomain,
    metrics: Arc<Metrics>,
}

/// How many connections there may be.
pub(crate) struct Room {
    strangers: Arc<Places>,
    seats: Arc<Seats>,
}

impl Room {
    /// So many from now on; nobody who proved who they are is cut.
    pub(crate) fn change(&self, limits: &Limits) {
        self.strangers.change(limits.without_certificate);
        self.seats.change(limits.connections, limits.per_identity);
    }
}

impl Acceptor {
    pub(crate) fn new(
        listener: TcpListener,
        config: watch::Receiver<Arc<ServerConfig>>,
        metrics: Arc<Metrics>,
        limits: Limits,
        admission: &Admission,
    ) -> Self {
        let hall = Hall {
            handshakes: Places::new(HANDSHAKES),
            strangers: Places::new(limits.without_certificate),
            seats: Seats::new(limits.connections, limits.per_identity),
            grace: admission.terms().grace,
            domain: admission.domain(),
            metrics,
        };
        Self {
            listener,
            config,
            hall,
        }
    }

    /// What can be changed of it while it runs.
    pub(crate) fn room(&self) -> Room {
        Room {
            strangers: Arc::clone(&self.hall.strangers),
            seats: Arc::clone(&self.hall.seats),
        }
    }

    /// Accepts until nobody takes the connections any more.
    pub(crate) async fn run(self, connections: mpsc::Sender<Connection>) {
        loop {
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
            let address = canonical(address);
            let place = self.hall.handshakes.take(Source::of(address.ip()));
            let config = Arc::clone(&self.config.borrow());
            let (connections, hall) = (connections.clone(), self.hall.clone());
            tokio::spawn(async move {
                let connection = hall.let_in(config, stream, address, place).await;
                if let Some(connection) = connection {
                    // The server that would take it has stopped.
                    let _ = connections.send(connection).await;
                }
            });
        }
    }
}

impl Hall {
    /// The connection, once it is known who is at its other end. Its place among the handshakes is free then.
    async fn let_in(
        &self,
        config: Arc<ServerConfig>,
        stream: TcpStream,
        address: SocketAddr,
        place: Place,
    ) -> Option<Connection> {
        let proved = tokio::select! {
            proved = self.prove(config, stream, address) => proved,
            () = place => {
                self.metrics.connection_refused("handshakes");
                return None;
            }
        };
        match proved {
            Ok(connection) => {
                self.metrics.handshake("ok");
                connection
            }
            Err(problem) => {
                let late = problem.kind() == io::ErrorKind::TimedOut;
                self.metrics.handshake(if late { "timeout" } else { "failed" });
                debug!(peer = %address, "TLS handshake: {problem}");
                None
            }
        }
    }

    async fn prove(
        &self,
        config: Arc<ServerConfig>,
        stream: TcpStream,
        address: SocketAddr,
    ) -> io::Result<Option<Connection>> {
        stream.set_nodelay(true)?;
        let stream = parallax_identity::accept(config, stream).await?;
        let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
        let presented = match chain {
            [] => None,
            chain => {
                let presented = peer_identity_within(chain, &self.domain, self.grace);
                Some(presented.map_err(io::Error::other)?)
            }
        };
        let peer = Peer {
            ends: presented.as_ref().map(|presented| presented.not_after),
            spiffe: presented.map(|presented| presented.spiffe),
            address: Some(address),
            certificate: chain.first().map(|leaf| hash(leaf)),
        };
        let seat = match self.seats.take(peer.spiffe.as_ref()) {
            Ok(seat) => seat,
            Err(full) => {
                self.metrics.connection_refused(full.as_str());
                warn!(peer = %address, identity = ?peer.spiffe, "connection refused: limit {}", full.as_str());
                return Ok(None);
            }
        };
        let leash = peer.spiffe.is_none().then(|| {
            let place = self.strangers.take(Source::of(address.ip()));
            Leash::new(place, Arc::clone(&self.metrics))
        });
        let term = peer.ends.map(|ends| {
            let until = if peer.is_over(SystemTime::now()) {
                ends + self.grace
            } else {
                ends + LAST_WORD
            };
            Term::until(until)
        });
        Ok(Some(Connection::tls(stream, peer, seat, leash, term)))
    }
}

/// An IPv4 peer of a socket for both families, in its own form.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// How the collector proves who it is with files that others renew: they are read again when they change, and what
/// can't be used leaves the old in force. Whoever the new ones do not vouch for is cut off.
pub(crate) fn certified_by_others(
    files: OwnFiles,
    connections: Arc<Connections>,
) -> Result<watch::Receiver<Arc<ServerConfig>>, IdentityError> {
    let mut stamp = files.stamp();
    let (renewed, config) = watch::channel(files.served()?.config);
    tokio::spawn(async move {
        loop {
            tokio::select! {
                () = renewed.closed() => return,
                () = files.changed(&mut stamp) => {}
            }
            match files.served() {
                Ok(Served { config, clients }) => {
                    info!("the collector's certificate and the CAs of its callers were read again");
                    renewed.send_replace(config);
                    connections.cut_unless(clients).await;
                }
                Err(problem) => error!("the collector keeps its old certificate and CAs: {problem}"),
            }
        }
    });
    Ok(config)
}

/// How the collector proves who it is under `names`: with a certificate of its own, which a task renews for as long
/// as somebody uses it.
pub(crate) fn certified(
    admission: Arc<Admission>,
    names: Vec<String>,
    connections: Arc<Connections>,
) -> Result<watch::Receiver<Arc<ServerConfig>>, IdentityError> {
    let identity = admission.server(&names)?;
    let (renewed, config) = watch::channel(parallax_identity::server_config(
        &identity,
        admission.terms().grace,
    )?);
    tokio::spawn(renew(identity, admission, names, renewed, connections));
    Ok(config)
}

async fn renew(
    mut identity: Identity,
    admission: Arc<Admission>,
    names: Vec<String>,
    renewed: watch::Sender<Arc<ServerConfig>>,
    connections: Arc<Connections>,
) {
    let Some(mut rollover) = admission.rollover() else {
        return;
    };
    loop {
        let wait = identity
            .renew_at()
            .duration_since(SystemTime::now())
            .unwrap_or(RENEWAL_RETRY);
        tokio::select! {
            () = renewed.closed() => return,
            () = tokio::time::sleep(wait) => {}
            // The sender is in `admission`.
            _ = rollover.changed() => {}
        }
        let grace = admission.terms().grace;
        let next = admission.server(&names).and_then(|identity| {
            Ok((
                parallax_identity::server_config(&identity, grace)?,
                Clients::of(identity.anchors(), grace)?,
                identity,
            ))
        });
        match next {
            Ok((config, clients, next)) => {
                info!("the collector's own certificate was renewed");
                let trusts_less = identity.anchors().iter().any(|old| !next.anchors().contains(old));
                identity = next;
                renewed.send_replace(config);
                if trusts_less {
                    connections.cut_unless(clients).await;
                }
            }
            Err(problem) => {
                error!("the collector's own certificate could not be renewed: {problem}");
                tokio::time::sleep(RENEWAL_RETRY).await;
            }
        }
    }
}
