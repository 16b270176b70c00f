//! A connection, and who is at its other end.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tonic::transport::server::Connected;

use super::leash::Leash;
use super::registry::{Connections, Tether};
use super::seats::Seat;
use super::term::Term;
use crate::peer::Peer;

/// A connection that has proved who is at its other end, or that nobody is.
pub(crate) struct Connection {
    way: Way,
    peer: Peer,
    /// Of one without a certificate.
    leash: Option<Leash>,
    /// Of one with a certificate.
    term: Option<Term>,
    /// Of one with an identity, once it is known among the others.
    tether: Option<Tether>,
    _seat: Option<Seat>,
}

enum Way {
    Tls(Box<TlsStream<TcpStream>>),
    InProcess(DuplexStream),
}

impl Connection {
    /// Over the network, after the handshake.
    pub(crate) fn tls(
        stream: TlsStream<TcpStream>,
        peer: Peer,
        seat: Seat,
        leash: Option<Leash>,
        term: Option<Term>,
    ) -> Self {
        Self {
            way: Way::Tls(Box::new(stream)),
            peer,
            leash,
            term,
            tether: None,
            _seat: Some(seat),
        }
    }

    /// Inside the process, where the identity is given.
    pub(crate) const fn in_process(pipe: DuplexStream, peer: Peer) -> Self {
        Self {
            way: Way::InProcess(pipe),
            peer,
            leash: None,
            term: None,
            tether: None,
            _seat: None,
        }
    }

    /// One that ends when its owner is taken out.
    pub(super) fn held_by(self, connections: &Arc<Connections>) -> Self {
        let chain = match &self.way {
            Way::Tls(stream) => stream.get_ref().1.peer_certificates().unwrap_or_default().into(),
            Way::InProcess(_) => Arc::default(),
        };
        let tether = self.peer.spiffe.as_ref().map(|id| connections.tether(id, chain));
        Self { tether, ..self }
    }

    /// Whether it has to end.
    fn is_over(&mut self, context: &mut Context<'_>) -> bool {
        self.tether.as_mut().is_some_and(|tether| tether.is_cut(context))
            || self.leash.as_mut().is_some_and(|leash| leash.is_over(context))
            || self.term.as_mut().is_some_and(|term| term.is_over(context))
    }
}

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.is_over(context) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        let Self { way, leash, .. } = this;
        let before = buffer.filled().len();
        let read = match way {
            Way::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
            Way::InProcess(pipe) => Pin::new(pipe).poll_read(context, buffer),
        };
        if let Some(leash) = leash {
            leash.said(buffer.filled().len() - before);
        }
        read
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().way {
            Way::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
            Way::InProcess(pipe) => Pin::new(pipe).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().way {
            Way::Tls(stream) => Pin::new(stream).poll_flush(context),
            Way::InProcess(pipe) => Pin::new(pipe).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().way {
            Way::Tls(stream) => Pin::new(stream).poll_shutdown(context),
            Way::InProcess(pipe) => Pin::new(pipe).poll_shutdown(context),
        }
    }
}
