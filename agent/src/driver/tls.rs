//! TLS over an open connection, driven by hand: what was seen stays, however the handshake ends.

use std::io;
use std::sync::Arc;
use std::time::SystemTime;

use parallax_engine::action::{Connection, Hello, NameShown};
use parallax_engine::event::{ChannelBinding, HandshakeFacts};
use parallax_engine::imap::limits;
use parallax_model::credential::ClientIdentity;
use parallax_model::fault::{Fault, FaultKind, TlsFault};
use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, InvalidMessage};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use crate::driver::tls::client::Asked;
use crate::driver::tls::keys::Keys;
use crate::driver::tls::recorder::Recorder;
use crate::driver::tls::stream::TlsStream;
use crate::driver::tls::wire::Wire;

mod client;
mod failure;
mod keys;
mod name;
mod recorder;
mod stream;
mod trust;
mod wire;

pub(crate) use keys::Disclosed;
pub(crate) use stream::{Secured, public};
pub(crate) use trust::{AnchorError, Trust, read_anchors};

/// What a handshake is to be.
#[derive(Clone, Copy)]
pub(crate) struct Wish<'a> {
    pub(crate) server_name: &'a str,
    pub(crate) hello: &'a Hello,
    pub(crate) connection: Connection,
    pub(crate) trust: &'a Trust,
    /// To be shown over a strict connection, where the server asks.
    pub(crate) client: Option<&'a ClientIdentity>,
    /// Whether somebody records the packets, who can use what decrypts them.
    pub(crate) recorded: bool,
}

/// A handshake that has ended, and the connection, if there is one left to use.
pub(crate) struct Ended {
    pub(crate) stream: Option<Secured>,
    pub(crate) tcp: Option<TcpStream>,
    pub(crate) seen: Seen,
    /// What may be known of its secrets, where the packets are recorded.
    pub(crate) disclosed: Vec<Disclosed>,
}

/// What a handshake showed, before the chain is judged.
pub(crate) struct Seen {
    facts: HandshakeFacts,
    recorder: Arc<Recorder>,
    server_name: Option<ServerName<'static>>,
}

/// What handshakes have in common that may resume each other.
struct Setting {
    config: Arc<ClientConfig>,
    recorder: Arc<Recorder>,
    asked: Arc<Asked>,
    /// Whom the certificate must name.
    reference: ServerName<'static>,
    /// Whom the ClientHello asks for.
    shown: ServerName<'static>,
    connection: Connection,
    recorded: bool,
}

/// Does the handshake; [`Seen::judge`] says what the presented chain is worth.
pub(crate) async fn handshake(tcp: TcpStream, wish: Wish<'_>, until: Instant) -> Ended {
    // Every handshake is a whole one: a resumed session shows no chain.
    match Setting::new(wish, Resumption::disabled()) {
        Ok(setting) => setting.handshake(tcp, until).await,
        Err(fault) => never_begun(tcp, fault),
    }
}

/// Does a handshake, takes what the server gives to resume it, and does another one with that, over a connection that
/// `again` opens. What is seen is the second one; where it was resumed, the chain is that of the first.
pub(crate) async fn resume<F>(tcp: TcpStream, wish: Wish<'_>, until: Instant, again: F) -> Ended
where
    F: Future<Output = Result<TcpStream, Fault>>,
{
    let setting = match Setting::new(wish, Resumption::in_memory_sessions(4)) {
        Ok(setting) => setting,
        Err(fault) => return never_begun(tcp, fault),
    };
    let first = setting.handshake(tcp, until).await;
    match first.stream {
        None => return first,
        Some(stream) => stream.take_tickets(until).await,
    }
    let mut disclosed = first.disclosed;
    match again.await {
        Ok(tcp) => {
            let second = setting.handshake(tcp, until).await;
            disclosed.extend(second.disclosed);
            Ended { disclosed, ..second }
        }
        Err(fault) => Ended {
            stream: None,
            tcp: None,
            seen: Seen {
                facts: HandshakeFacts {
                    failure: Some(fault),
                    ..first.seen.facts
                },
                ..first.seen
            },
            disclosed,
        },
    }
}

/// How a handshake breaks off.
#[derive(Debug)]
enum Broken {
    /// Its time was over.
    Silence,
    /// End of stream.
    Closed,
    /// More came than a handshake has, see [`limits::HANDSHAKE`].
    TooMuch,
    /// The connection failed.
    Io(io::Error),
    /// One side does not accept the other.
    Tls(rustls::Error),
}

impl Setting {
    fn new(wish: Wish<'_>, resumption: Resumption) -> Result<Self, Fault> {
        let other = |what: String| Fault::new(FaultKind::Tls(TlsFault::Other), what);
        let named = |name: &str| {
            ServerName::try_from(name.to_owned())
                .map_err(|_| other(format!("{name:?} can not be the name of a TLS server")))
        };
        let reference = named(wish.server_name)?;
        let strict = wish.connection == Connection::Strict;
        let shown = match &wish.hello.name {
            // The library judges a chain by the name that it sends.
            NameShown::Other(name) if !strict => named(name)?,
            NameShown::Host | NameShown::Nothing | NameShown::Other(_) => reference.clone(),
        };
        if strict && !wish.trust.has_anchors() {
            return Err(other("this agent has no trust anchor".to_owned()));
        }
        let judge = strict.then(|| wish.trust.clone());
        let asked = match wish.client.filter(|_| strict) {
            Some(identity) => Asked::with(identity, &name::provider()).map_err(other)?,
            None => Asked::default(),
        };
        let (recorder, asked) = (Arc::new(Recorder::new(name::provider(), judge)), Arc::new(asked));
        let offered = if wish.hello.large {
            name::post_quantum_provider()
        } else {
            name::provider()
        };
        let mut config = ClientConfig::builder_with_provider(offered)
            .with_safe_default_protocol_versions()
            .map_err(|error| other(format!("prepare TLS: {error}")))?
            .dangerous()
            .with_custom_certificate_verifier(recorder.clone())
            .with_client_cert_resolver(asked.clone());
        config.alpn_protocols = name::alpn(wish.hello);
        config.enable_sni = wish.hello.name != NameShown::Nothing;
        config.resumption = resumption;
        Ok(Self {
            config: Arc::new(config),
            recorder,
            asked,
            reference,
            shown,
            connection: wish.connection,
            recorded: wish.recorded,
        })
    }

    async fn handshake(&self, tcp: TcpStream, until: Instant) -> Ended {
        let keys = self.recorded.then(|| Arc::new(Keys::default()));
        let config = match &keys {
            // Of each handshake its own, since each leads elsewhere.
            Some(keys) => {
                let mut config = self.config.as_ref().clone();
                config.key_log = keys.clone();
                Arc::new(config)
            }
            None => self.config.clone(),
        };
        let mut tls = match ClientConnection::new(config, self.shown.clone()) {
            Ok(tls) => tls,
            Err(error) => {
                let what = format!("prepare TLS: {error}");
                return never_begun(tcp, Fault::new(FaultKind::Tls(TlsFault::Other), what));
            }
        };
        let mut wire = Wire::new(tcp);
        let result = match timeout_at(until, exchange(&mut wire, &mut tls)).await {
            Ok(result) => result,
            Err(_) => Err(Broken::Silence),
        };
        let usable = result.is_ok();
        let mut facts = negotiated(&tls);
        facts.strict = self.connection == Connection::Strict;
        facts.alert = wire.alert();
        facts.failure = result
            .err()
            // A chain that the strict library refuses is judged by what was presented, with all that is wrong.
            .filter(|broken| !self.refused(broken))
            .map(|broken| failure::fault(&broken, &wire, self.asked.in_vain()));
        if let Some(Fault { raw: Some(raw), .. }) = &facts.failure
            && facts.alert.is_none()
        {
            facts.alert = raw.strip_prefix("alert ").map(str::to_owned);
        }
        facts.bytes_received = wire.received();
        facts.bytes_sent = wire.sent();
        facts.first_bytes = wire.first().to_vec();
        let tcp = wire.into_inner();
        let seen = Seen {
            facts,
            recorder: self.recorder.clone(),
            server_name: Some(self.reference.clone()),
        };
        if !usable {
            return Ended {
                stream: None,
                tcp: Some(tcp),
                seen,
                disclosed: keys.map(|keys| keys.of_failed(tls)).into_iter().collect(),
            };
        }
        let (stream, disclosed) = match self.connection {
            Connection::Evidence => {
                let stream = TlsStream::new(tcp, tls);
                let disclosed = keys.map(|keys| keys.of_evidence(&stream));
                (Secured::Evidence(stream), disclosed)
            }
            Connection::Strict => {
                let stream = TlsStream::new(tcp, tls);
                let disclosed = keys.map(|keys| keys.of_strict(&stream));
                (Secured::Strict(stream), disclosed)
            }
        };
        Ended {
            stream: Some(stream),
            tcp: None,
            seen,
            disclosed: disclosed.into_iter().collect(),
        }
    }

    fn refused(&self, broken: &Broken) -> bool {
        self.connection == Connection::Strict
            && matches!(broken, Broken::Tls(rustls::Error::InvalidCertificate(_)))
            && self.recorder.has_seen()
    }
}

fn never_begun(tcp: TcpStream, fault: Fault) -> Ended {
    let facts = HandshakeFacts {
        failure: Some(fault),
        ..HandshakeFacts::default()
    };
    Ended {
        stream: None,
        tcp: Some(tcp),
        seen: Seen {
            facts,
            recorder: Arc::new(Recorder::new(name::provider(), None)),
            server_name: None,
        },
        disclosed: Vec::new(),
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
        if wire.received() > limits::HANDSHAKE {
            return Err(Broken::TooMuch);
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
        // The one way for this to fail: its buffer is full, and no message has come to an end in it.
        let taken = tls
            .read_tls(&mut bytes)
            .map_err(|_| rustls::Error::InvalidMessage(InvalidMessage::HandshakePayloadTooLarge))?;
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
        kind: tls
            .handshake_kind()
            .map(|kind| name::handshake_kind(kind).to_owned()),
        bindings: bindings(tls),
        ..HandshakeFacts::default()
    }
}

/// What a login can be bound to: of TLS 1.3 the exporter (RFC 9266).
fn bindings(tls: &ClientConnection) -> Vec<ChannelBinding> {
    if tls.protocol_version() != Some(rustls::ProtocolVersion::TLSv1_3) || tls.is_handshaking() {
        return Vec::new();
    }
    let exported = tls.export_keying_material([0; 32], b"EXPORTER-Channel-Binding", Some(&[]));
    exported
        .map(|data| ChannelBinding {
            kind: "tls-exporter",
            data: data.to_vec(),
        })
        .into_iter()
        .collect()
}

impl Seen {
    /// Judges the presented chain, now: which trust stores vouch for it, and whether a strict client goes on.
    pub(crate) fn judge(self, trust: &Trust, now: SystemTime) -> HandshakeFacts {
        let mut facts = self.facts;
        let Some(presented) = self.recorder.take() else {
            return facts;
        };
        facts.ocsp_stapled = !presented.ocsp.is_empty();
        facts.ocsp = presented.ocsp.clone();
        let strictly = || trust.strictly(&presented, self.server_name.as_ref()?, now);
        let accepted = presented.judged.unwrap_or_else(strictly);
        facts.verified = facts.failure.is_none() && accepted.is_some();
        facts.trusted_by = trust.vouching(&presented.chain, accepted);
        facts.chain = presented.bounded();
        facts
    }
}

#[cfg(test)]
mod tests;
