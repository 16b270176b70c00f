//! Takes visitors in: few at a time, each with little time.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use parallax_identity::peer_identity_within;
use parallax_model::identity::TrustDomain;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::rustls::ServerConfig;
use tower::ServiceExt as _;
use tracing::{debug, warn};

use super::tls::for_http;
use crate::identity::hash;
use crate::peer::Peer;
use crate::server::{Place, Places};
use crate::source::Source;

/// Connections at the same time.
const CONNECTIONS: usize = 128;

/// For the first byte, and for the headers of a request.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a connection is kept for more requests, and then for the end of the last.
const KEPT: Duration = Duration::from_secs(30);
const FAREWELL: Duration = Duration::from_secs(5);

/// The headers of a request.
const HEADERS: usize = 16 * 1024;

/// How long to wait when the system has no room for another connection.
const NO_ROOM: Duration = Duration::from_millis(100);

/// A TLS handshake begins with this byte (RFC 8446, section 5.1), and no HTTP request does.
const TLS_HANDSHAKE: u8 = 0x16;

/// Who asks, and over what.
#[derive(Clone)]
pub(super) struct Visitor {
    pub(super) over_tls: bool,
    pub(super) peer: Peer,
}

/// Serves until it is aborted. With a proof, whoever begins with TLS gets it.
pub(super) async fn serve(
    listener: TcpListener,
    proof: Option<watch::Receiver<Arc<ServerConfig>>>,
    router: Router,
    domain: TrustDomain,
) {
    let places = Places::new(CONNECTIONS);
    loop {
        let (stream, address) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(problem) => {
                warn!("a visitor of the page could not be accepted: {problem}");
                tokio::time::sleep(NO_ROOM).await;
                continue;
            }
        };
        let address = SocketAddr::new(address.ip().to_canonical(), address.port());
        let place = places.take(Source::of(address.ip()));
        let proof = proof.as_ref().map(|proof| for_http(&proof.borrow()));
        let (router, domain) = (router.clone(), domain.clone());
        tokio::spawn(async move {
            let visit = receive(stream, address, proof, router, &domain);
            if let Err(problem) = until_lost(visit, place).await {
                debug!(peer = %address, "visitor of the page: {problem}");
            }
        });
    }
}

async fn until_lost(visit: impl Future<Output = io::Result<()>>, place: Place) -> io::Result<()> {
    tokio::select! {
        done = visit => done,
        () = place => Err(io::Error::other("gave its place to another")),
    }
}

async fn receive(
    stream: TcpStream,
    address: SocketAddr,
    proof: Option<Arc<ServerConfig>>,
    router: Router,
    domain: &TrustDomain,
) -> io::Result<()> {
    let peer = Peer {
        address: Some(address),
        ..Peer::default()
    };
    let in_clear = Visitor {
        over_tls: false,
        peer,
    };
    let Some(proof) = proof else {
        return answer(stream, in_clear, router).await;
    };
    let mut first = [0];
    tokio::time::timeout(PATIENCE, stream.peek(&mut first)).await??;
    if first[0] != TLS_HANDSHAKE {
        return answer(stream, in_clear, router).await;
    }
    let stream = parallax_identity::accept(proof, stream).await?;
    let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
    let presented = match chain {
        [] => None,
        chain => {
            let presented = peer_identity_within(chain, domain, Duration::ZERO);
            Some(presented.map_err(io::Error::other)?)
        }
    };
    let peer = Peer {
        ends: presented.as_ref().map(|presented| presented.not_after),
        spiffe: presented.map(|presented| presented.spiffe),
        certificate: chain.first().map(|leaf| hash(leaf)),
        ..in_clear.peer
    };
    let visitor = Visitor { over_tls: true, peer };
    answer(stream, visitor, router).await
}

async fn answer<S>(stream: S, visitor: Visitor, router: Router) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(visitor.clone());
        let router = router.clone();
        async move {
            Ok::<_, Infallible>(
                router
                    .oneshot(request)
                    .await
                    .unwrap_or_else(|never| match never {}),
            )
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .max_buf_size(HEADERS)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        done = connection.as_mut() => return done.map_err(io::Error::other),
        () = tokio::time::sleep(KEPT) => connection.as_mut().graceful_shutdown(),
    }
    tokio::time::timeout(FAREWELL, connection)
        .await?
        .map_err(io::Error::other)
}
