//! TLS over an open connection, driven by hand: what was seen stays, however the handshake ends.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::SystemTime;

use parallax_engine::event::HandshakeFacts;
use parallax_model::fault::{Fault, FaultKind, TlsFault};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use crate::driver::errno;
use crate::driver::tls::recorder::{Asked, Recorder};
use crate::driver::tls::wire::Wire;

mod alert;
mod failure;
mod name;
mod recorder;
mod trust;
mod wire;

pub(crate) use trust::{AnchorError, Trust, read_anchors};

/// One read from the socket; a TLS record is at most this and a little more.
const READ: usize = 16 * 1024;

/// A connection with TLS on it.
pub(crate) struct TlsStream {
    tcp: TcpStream,
    tls: ClientConnection,
}

/// A handshake that has ended, and the connection, if there is one left to use.
pub(crate) struct Ended {
    pub(crate) stream: Option<TlsStream>,
    pub(crate) tcp: Option<TcpStream>,
    pub(crate) seen: Seen,
}

/// What a handshake showed, before the chain is judged.
pub(crate) struct Seen {
    facts: HandshakeFacts,
    recorder: Arc<Recorder>,
    server_name: Option<ServerName<'static>>,
}

/// Does the handshake: whatever chain is presented, it goes on, and [`Seen::judge`] says what the chain is worth.
pub(crate) async fn handshake(tcp: TcpStream, server_name: &str, until: Instant) -> Ended {
    let recorder = Arc::new(Recorder::new(name::provider()));
    let asked = Arc::new(Asked::default());
    let (mut tls, reference) = match begin(server_name, &recorder, &asked) {
        Ok(begun) => begun,
        Err(fault) => return never_begun(tcp, fault, recorder),
    };
    let mut wire = Wire::new(tcp);
    let result = match timeout_at(until, exchange(&mut wire, &mut tls)).await {
        Ok(result) => result,
        Err(_) => Err(Broken::Silence),
    };
    let failure = result
        .err()
        .map(|broken| failure::fault(&broken, &wire, asked.certificate()));
    let mut facts = negotiated(&tls);
    facts.alert = wire.alert();
    if let Some(Fault { raw: Some(raw), .. }) = &failure
        && facts.alert.is_none()
    {
        facts.alert = raw.strip_prefix("alert ").map(str::to_owned);
    }
    facts.bytes_received = wire.received();
    facts.bytes_sent = wire.sent();
    facts.first_bytes = wire.first().to_vec();
    let usable = failure.is_none();
    facts.failure = failure;
    let tcp = wire.into_inner();
    let seen = Seen {
        facts,
        recorder,
        server_name: Some(reference),
    };
    let (stream, tcp) = if usable {
        (Some(TlsStream { tcp, tls }), None)
    } else {
        (None, Some(tcp))
    };
    Ended { stream, tcp, seen }
}

/// How a handshake breaks off.
#[derive(Debug)]
enum Broken {
    /// Its time was over.
    Silence,
    /// End of stream.
    Closed,
    /// The connection failed.
    Io(io::Error),
    /// One side does not accept the other.
    Tls(rustls::Error),
}

fn begin(
    server_name: &str,
    recorder: &Arc<Recorder>,
    asked: &Arc<Asked>,
) -> Result<(ClientConnection, ServerName<'static>), Fault> {
    let other = |what: String| Fault::new(FaultKind::Tls(TlsFault::Other), what);
    let reference = ServerName::try_from(server_name.to_owned())
        .map_err(|_| other(format!("{server_name:?} can not be the name of a TLS server")))?;
    let mut config = ClientConfig::builder_with_provider(name::provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| other(format!("prepare TLS: {error}")))?
        .dangerous()
        .with_custom_certificate_verifier(recorder.clone())
        .with_client_cert_resolver(asked.clone());
    config.alpn_protocols = vec![b"imap".to_vec()];
    // Every handshake is a whole one: a resumed session shows no chain.
    config.resumption = rustls::client::Resumption::disabled();
    let tls = ClientConnection::new(Arc::new(config), reference.clone())
        .map_err(|error| other(format!("prepare TLS: {error}")))?;
    Ok((tls, reference))
}

fn never_begun(tcp: TcpStream, fault: Fault, recorder: Arc<Recorder>) -> Ended {
    let facts = HandshakeFacts {
        failure: Some(fault),
        ..HandshakeFacts::default()
    };
    Ended {
        stream: None,
        tcp: Some(tcp),
        seen: Seen {
            facts,
            recorder,
            server_name: None,
        },
    }
}

async fn exchange(wire: &mut Wire, tls: &mut ClientConnection) -> Result<(), Broken> {
    loop {
        send_pending(wire, tls).await?;
        if !tls.is_handshaking() {
            return Ok(());
        }
        let bytes = wire.read().await.map_err(Broken::Io)?;
        if bytes.is_empty() {
            return Err(Broken::Closed);
        }
        if let Err(error) = take_in(tls, &bytes) {
            // The alert that says why; nobody may be there to read it.
            let _ = send_pending(wire, tls).await;
            return Err(Broken::Tls(error));
        }
    }
}

async fn send_pending(wire: &mut Wire, tls: &mut ClientConnection) -> Result<(), Broken> {
    let mut pending = Vec::new();
    while tls.wants_write() {
        tls.write_tls(&mut pending).map_err(Broken::Io)?;
    }
    wire.write(&pending).await.map_err(Broken::Io)
}

fn take_in(tls: &mut ClientConnection, mut bytes: &[u8]) -> Result<(), rustls::Error> {
    while !bytes.is_empty() {
        let taken = tls
            .read_tls(&mut bytes)
            .map_err(|error| rustls::Error::General(error.to_string()))?;
        tls.process_new_packets()?;
        if taken == 0 {
            break;
        }
    }
    Ok(())
}

fn negotiated(tls: &ClientConnection) -> HandshakeFacts {
    HandshakeFacts {
        version: tls.protocol_version().and_then(name::version).map(str::to_owned),
        cipher_suite: tls
            .negotiated_cipher_suite()
            .map(|suite| name::cipher_suite(suite.suite())),
        group: tls
            .negotiated_key_exchange_group()
            .map(|group| name::group(group.name())),
        alpn: tls
            .alpn_protocol()
            .map(|protocol| parallax_model::text::escape(protocol, 255)),
        ..HandshakeFacts::default()
    }
}

impl Seen {
    /// Judges the presented chain, now: which trust stores vouch for it, and whether a strict client goes on.
    pub(crate) fn judge(self, trust: &Trust, now: SystemTime) -> HandshakeFacts {
        let mut facts = self.facts;
        let Some(presented) = self.recorder.take() else {
            return facts;
        };
        facts.ocsp_stapled = !presented.ocsp.is_empty();
        facts.trusted_by = trust.vouching(&presented.chain);
        facts.verified = facts.failure.is_none()
            && self
                .server_name
                .is_some_and(|name| trust.strictly(&presented, &name, now));
        facts.chain = presented.bounded();
        facts
    }
}

impl TlsStream {
    pub(crate) const fn tcp(&self) -> &TcpStream {
        &self.tcp
    }

    /// Writes everything.
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.tls
            .writer()
            .write_all(bytes)
            .map_err(|error| errno::tcp_fault(&error, "write"))?;
        self.flush().await
    }

    /// The next bytes in clear; none at the end of the stream.
    pub(crate) async fn read(&mut self) -> Result<Vec<u8>, Fault> {
        let mut clear = vec![0; READ];
        loop {
            match self.tls.reader().read(&mut clear) {
                Ok(length) => {
                    clear.truncate(length);
                    return Ok(clear);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // Without close_notify; the engine knows from the dialogue whether something is missing.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(Vec::new()),
                Err(error) => return Err(errno::tcp_fault(&error, "read")),
            }
            let mut raw = vec![0; READ];
            let length = self
                .tcp
                .read(&mut raw)
                .await
                .map_err(|error| errno::tcp_fault(&error, "read"))?;
            if length == 0 {
                // Told to the library, whose reader then returns the end.
                let _ = self.tls.read_tls(&mut io::empty());
                continue;
            }
            if let Err(error) = take_in(&mut self.tls, &raw[..length]) {
                let _ = self.flush().await;
                return Err(failure::of_session(&error));
            }
            self.flush().await?;
        }
    }

    /// Says that nothing more will come, and closes.
    pub(crate) async fn close(mut self) {
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

#[cfg(test)]
mod tests;
