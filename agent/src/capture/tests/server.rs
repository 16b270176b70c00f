//! Mail servers on this host.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::{KeyLog, ServerConfig, SupportedProtocolVersion};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::capture::lock;

/// Every secret that the server's TLS library had: `LABEL random secret`.
#[derive(Debug, Default)]
struct ServersKeys(Mutex<Vec<String>>);

impl KeyLog for ServersKeys {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        let line = format!("{label} {} {}", hex::encode(client_random), hex::encode(secret));
        lock(&self.0).push(line);
    }
}

/// A mail server with TLS on this host.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    pub(super) anchor: Vec<u8>,
    keys: Arc<ServersKeys>,
}

impl Server {
    pub(super) async fn start(versions: &[&'static SupportedProtocolVersion]) -> Self {
        parallax_identity::install_provider();
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
        let key = PrivatePkcs8KeyDer::from(signing_key.serialize_der());
        let mut config = ServerConfig::builder_with_protocol_versions(versions)
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key.into())
            .unwrap();
        let keys = Arc::new(ServersKeys::default());
        config.key_log = keys.clone();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        talk(stream).await;
                    }
                });
            }
        });
        Self {
            address,
            anchor: cert.der().to_vec(),
            keys,
        }
    }

    /// Every secret that its TLS library had.
    pub(super) fn secrets(&self) -> Vec<String> {
        lock(&self.keys.0).clone()
    }
}

pub(super) async fn plaintext_server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(talk(stream));
        }
    });
    address
}

async fn talk(stream: impl AsyncRead + AsyncWrite + Unpin) {
    let (reader, mut writer) = tokio::io::split(stream);
    let _ = writer
        .write_all(b"* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN] ready\r\n")
        .await;
    let mut lines = BufReader::new(reader).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let (tag, command) = line.split_once(' ').unwrap_or(("*", ""));
        let untagged = match command.split(' ').next() {
            Some("CAPABILITY") => "* CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN\r\n",
            Some("LOGOUT") => "* BYE see you\r\n",
            _ => "",
        };
        let _ = writer
            .write_all(format!("{untagged}{tag} OK done\r\n").as_bytes())
            .await;
    }
}
