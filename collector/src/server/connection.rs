//! A connection, and who is at its other end.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tonic::transport::server::Connected;

use crate::peer::Peer;

/// A connection that has proved who is at its other end.
pub(crate) struct Connection {
    way: Way,
    peer: Peer,
}

enum Way {
    Tls(Box<TlsStream<TcpStream>>),
    InProcess(DuplexStream),
}

impl Connection {
    /// Over the network, after the handshake.
    pub(crate) fn tls(stream: TlsStream<TcpStream>, peer: Peer) -> Self {
        Self {
            way: Way::Tls(Box::new(stream)),
            peer,
        }
    }

    /// Inside the process, where the identity is given.
    pub(crate) const fn in_process(pipe: DuplexStream, peer: Peer) -> Self {
        Self {
            way: Way::InProcess(pipe),
            peer,
        }
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
        match &mut self.get_mut().way {
            Way::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
            Way::InProcess(pipe) => Pin::new(pipe).poll_read(context, buffer),
        }
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
