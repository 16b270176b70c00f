//! The least that a client can do for the same exchanges: a strict handshake, a line out, lines in.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// A client of one server.
pub(crate) struct Minimal {
    server: SocketAddr,
    connector: TlsConnector,
    commands: Vec<&'static str>,
}

impl Minimal {
    pub(crate) fn new(server: SocketAddr, root: &[u8], mailbox: bool) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(root.to_vec())).unwrap();
        let mut config = ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.resumption = rustls::client::Resumption::disabled();
        config.alpn_protocols = vec![b"imap".to_vec()];
        let mut commands = vec!["CAPABILITY", "ID (\"name\" \"minimal\" \"version\" \"0\")"];
        if mailbox {
            commands.extend([
                "AUTHENTICATE PLAIN AHByb2JlAGNvcnJlY3QgaG9yc2U=",
                "ID (\"name\" \"minimal\" \"version\" \"0\")",
                "NAMESPACE",
                "LIST \"\" \"\"",
                "LIST \"\" \"*\"",
                "STATUS \"INBOX\" (MESSAGES UIDNEXT UIDVALIDITY UNSEEN)",
                "EXAMINE \"INBOX\"",
                "UID FETCH * (UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[HEADER.FIELDS (MESSAGE-ID DATE)]<0.4096>)",
            ]);
        }
        commands.push("LOGOUT");
        Self {
            server,
            connector: TlsConnector::from(Arc::new(config)),
            commands,
        }
    }

    /// One connection from its SYN to its end.
    pub(crate) async fn probe(&self) {
        let tcp = TcpStream::connect(self.server).await.unwrap();
        tcp.set_nodelay(true).unwrap();
        let name = ServerName::from(self.server.ip());
        let tls = self.connector.connect(name, tcp).await.unwrap();
        let mut stream = BufReader::new(tls);
        let mut line = String::new();
        stream.read_line(&mut line).await.unwrap();
        for (number, command) in self.commands.iter().enumerate() {
            let tag = format!("a{number:04}");
            stream
                .write_all(format!("{tag} {command}\r\n").as_bytes())
                .await
                .unwrap();
            loop {
                line.clear();
                assert!(stream.read_line(&mut line).await.unwrap() > 0, "{command}");
                if line.starts_with(&tag) {
                    assert!(line[tag.len()..].starts_with(" OK"), "{command}: {line}");
                    break;
                }
            }
        }
        let _ = stream.read_to_string(&mut line).await;
    }
}
