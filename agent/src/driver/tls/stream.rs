//! A connection with TLS on it, of one of two kinds.

use std::io::{Read, Write};
use std::marker::PhantomData;
use std::time::Duration;

use parallax_engine::imap::{CarriesSecrets, Outgoing, limits};
use parallax_model::fault::{AgentFault, Fault, FaultKind, ImapFault};
use rustls::ClientConnection;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use super::{failure, take_in};
use crate::driver::{errno, tcp};

/// Tickets follow a handshake at once, or not at all.
const TICKETS: Duration = Duration::from_millis(500);

/// A connection that goes on whatever chain is presented. It can never carry a secret.
pub(crate) struct Evidence;

/// A connection whose chain the TLS library itself has accepted; it may carry a secret.
pub(crate) struct Strict;

/// A connection with TLS on it, of one of the two kinds.
pub(crate) struct TlsStream<Kind> {
    tcp: TcpStream,
    tls: ClientConnection,
    kind: PhantomData<Kind>,
    /// Bytes of records behind the handshake.
    received: u64,
}

impl CarriesSecrets for TlsStream<Strict> {}

/// A handshake that succeeded.
pub(crate) enum Secured {
    Evidence(TlsStream<Evidence>),
    Strict(TlsStream<Strict>),
}

impl Secured {
    /// Writes everything. A secret goes over a strict connection or not at all: only that one opens it.
    pub(crate) async fn write(&mut self, outgoing: &Outgoing) -> Result<(), Fault> {
        match self {
            Self::Evidence(stream) => stream.write(public(outgoing)?).await,
            Self::Strict(stream) => {
                let bytes = outgoing.wire(stream);
                stream.write(bytes).await
            }
        }
    }

    /// The next bytes in clear; none at the end of the stream.
    pub(crate) async fn read(&mut self) -> Result<Vec<u8>, Fault> {
        match self {
            Self::Evidence(stream) => stream.read().await,
            Self::Strict(stream) => stream.read().await,
        }
    }

    /// Says that nothing more will come, and closes.
    pub(crate) async fn close(self) {
        match self {
            Self::Evidence(stream) => stream.close().await,
            Self::Strict(stream) => stream.close().await,
        }
    }

    pub(crate) const fn tcp(&self) -> &TcpStream {
        match self {
            Self::Evidence(stream) => &stream.tcp,
            Self::Strict(stream) => &stream.tcp,
        }
    }

    /// Reads until the server has had its say: with TLS 1.3 tickets come behind the handshake. It does not matter what
    /// else comes.
    pub(super) async fn take_tickets(mut self, until: Instant) {
        let _ = timeout_at(until.min(Instant::now() + TICKETS), self.read()).await;
        self.close().await;
    }
}

/// The bytes of what holds no secret.
pub(crate) fn public(outgoing: &Outgoing) -> Result<&[u8], Fault> {
    outgoing.public().ok_or_else(|| {
        Fault::new(
            FaultKind::Agent(AgentFault::Internal),
            "a secret is not sent over a connection that was not made for it",
        )
    })
}

impl<Kind> TlsStream<Kind> {
    pub(super) const fn new(tcp: TcpStream, tls: ClientConnection) -> Self {
        Self {
            tcp,
            tls,
            kind: PhantomData,
            received: 0,
        }
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.tls
            .writer()
            .write_all(bytes)
            .map_err(|error| errno::tcp_fault(&error, "write"))?;
        self.flush().await
    }

    async fn read(&mut self) -> Result<Vec<u8>, Fault> {
        loop {
            let state = self.tls.process_new_packets();
            let state = match state {
                Ok(state) => state,
                Err(error) => {
                    let _ = self.flush().await;
                    return Err(failure::of_session(&error));
                }
            };
            let ready = state.plaintext_bytes_to_read();
            if ready > 0 {
                return self.clear(ready);
            }
            if state.peer_has_closed() {
                return Ok(Vec::new());
            }
            let raw = tcp::read(&self.tcp)
                .await
                .map_err(|error| errno::tcp_fault(&error, "read"))?;
            if raw.is_empty() {
                // Without close_notify; the engine knows from the dialogue whether something is missing.
                return Ok(raw);
            }
            // Tickets, new keys and empty records have no end by themselves, and no frame has them in it.
            self.received += raw.len() as u64;
            if self.received > limits::NETWORK {
                let too_much = format!("more than {} bytes of TLS in one session", limits::NETWORK);
                return Err(Fault::new(FaultKind::Imap(ImapFault::LimitExceeded), too_much));
            }
            if let Err(error) = take_in(&mut self.tls, &raw) {
                let _ = self.flush().await;
                return Err(failure::of_session(&error));
            }
            self.flush().await?;
        }
    }

    /// Takes out what the library has deciphered.
    fn clear(&mut self, ready: usize) -> Result<Vec<u8>, Fault> {
        let mut clear = vec![0; ready];
        self.tls
            .reader()
            .read_exact(&mut clear)
            .map_err(|error| errno::tcp_fault(&error, "read"))?;
        Ok(clear)
    }

    async fn close(mut self) {
        self.tls.send_close_notify();
        let _ = self.flush().await;
        let _ = self.tcp.shutdown().await;
    }

    async fn flush(&mut self) -> Result<(), Fault> {
        let mut pending = Vec::new();
        while self.tls.wants_write() {
            self.tls
                .write_tls(&mut pending)
                .map_err(|error| errno::tcp_fault(&error, "write"))?;
        }
        self.tcp
            .write_all(&pending)
            .await
            .map_err(|error| errno::tcp_fault(&error, "write"))
    }
}
