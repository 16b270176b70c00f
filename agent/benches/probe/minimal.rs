//! The least that a client can do for the same exchanges: a strict handshake, a line out, lines in.

use std::net::SocketAddr;
use std::sync::Arc;

use parallax_model::observation::{Observation, Speaker};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::place::Place;

/// `probe` and its password, as PLAIN wants them (RFC 4616).
const PLAIN: &str = "AHByb2JlAGNvcnJlY3QgaG9yc2U=";

/// A client of one server.
pub(crate) struct Minimal {
    server: SocketAddr,
    connector: TlsConnector,
    /// Each with its tag and line end.
    commands: Vec<String>,
}

impl Minimal {
    /// A client that says, word for word, what a probe said whose dialogue was kept.
    pub(crate) fn like(seen: &Observation, place: &Place) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(place.root.clone())).unwrap();
        let mut config = ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.resumption = rustls::client::Resumption::disabled();
        config.alpn_protocols = vec![b"imap".to_vec()];
        let lines = seen.attempts[0].transcript.iter();
        let commands: Vec<String> = lines
            .filter(|line| line.speaker == Speaker::Client)
            .map(|line| match line.text.split_once("AUTHENTICATE PLAIN ") {
                Some((tag, _)) => format!("{tag}AUTHENTICATE PLAIN {PLAIN}\r\n"),
                None => format!("{}\r\n", line.text),
            })
            .collect();
        assert!(!commands.is_empty(), "{seen:?}");
        Self {
            server: place.address,
            connector: TlsConnector::from(Arc::new(config)),
            commands,
        }
    }

    /// The same at another server.
    pub(crate) fn at(self, other: &Place) -> Self {
        Self {
            server: other.address,
            ..self
        }
    }

    /// How many commands it gives.
    pub(crate) fn commands(&self) -> usize {
        self.commands.len()
    }

    /// One connection from its SYN to its end.
    pub(crate) async fn probe(&self) {
        let mut stream = self.connect().await;
        let mut line = String::new();
        stream.read_line(&mut line).await.unwrap();
        for command in &self.commands {
            stream.write_all(command.as_bytes()).await.unwrap();
            let (tag, _) = command.split_once(' ').unwrap();
            loop {
                line.clear();
                assert!(stream.read_line(&mut line).await.unwrap() > 0, "{command}");
                if let Some(status) = line.strip_prefix(tag) {
                    assert!(status.starts_with(" OK"), "{command}: {line}");
                    break;
                }
            }
        }
        let _ = stream.read_to_string(&mut line).await;
    }

    /// A connection that waits for a greeting.
    pub(crate) async fn wait(&self) {
        let mut line = String::new();
        let _ = self.connect().await.read_line(&mut line).await;
    }

    async fn connect(&self) -> BufReader<tokio_rustls::client::TlsStream<TcpStream>> {
        let tcp = TcpStream::connect(self.server).await.unwrap();
        tcp.set_nodelay(true).unwrap();
        let name = ServerName::from(self.server.ip());
        BufReader::new(self.connector.connect(name, tcp).await.unwrap())
    }
}
