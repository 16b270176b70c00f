//! A server that knows the answers beforehand.

use std::net::Ipv4Addr;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// Serves until it is killed. Its first line of output is: where it talks, where it only listens, its root.
pub(crate) fn serve() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let (config, root) = credentials();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let talking = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let (one, other) = (talking.local_addr().unwrap(), silent.local_addr().unwrap());
        println!("{one} {other} {}", hex::encode(root));
        tokio::join!(
            accept(talking, acceptor.clone(), true),
            accept(silent, acceptor, false)
        );
    });
}

fn credentials() -> (ServerConfig, Vec<u8>) {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec!["127.0.0.1".to_owned()])
        .unwrap()
        .signed_by(&key, &root)
        .unwrap();
    let mut config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(
            vec![leaf.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    config.alpn_protocols = vec![b"imap".to_vec()];
    (config, root.der().to_vec())
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, talks: bool) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let acceptor = acceptor.clone();
        tokio::spawn(async move { converse(stream, acceptor, talks).await });
    }
}

async fn converse(stream: TcpStream, acceptor: TlsAcceptor, talks: bool) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let mut stream = BufReader::new(acceptor.accept(stream).await.ok()?);
    if !talks {
        let mut nothing = String::new();
        return stream.read_line(&mut nothing).await.ok().map(drop);
    }
    stream.write_all(b"* OK ready\r\n").await.ok()?;
    let mut line = String::new();
    loop {
        line.clear();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        let (tag, command) = line.trim_end().split_once(' ')?;
        let ended = command == "LOGOUT";
        let answer = format!("{}{tag} OK done\r\n", answer(command));
        stream.write_all(answer.as_bytes()).await.ok()?;
        if ended {
            return stream.shutdown().await.ok();
        }
    }
}

fn answer(command: &str) -> &'static str {
    match command.split(' ').next().unwrap_or_default() {
        "CAPABILITY" => "* CAPABILITY IMAP4rev1 SASL-IR ID NAMESPACE AUTH=PLAIN\r\n",
        "ID" => "* ID (\"name\" \"bench\")\r\n",
        // The list saves the client from asking for it.
        "AUTHENTICATE" => "* CAPABILITY IMAP4rev1 SASL-IR ID NAMESPACE\r\n",
        "NAMESPACE" => "* NAMESPACE ((\"\" \"/\")) NIL NIL\r\n",
        "LIST" if command.ends_with("\"\"") => "* LIST (\\Noselect) \"/\" \"\"\r\n",
        "LIST" => "* LIST (\\Sent) \"/\" Sent\r\n* LIST () \"/\" INBOX\r\n",
        "STATUS" => "* STATUS \"INBOX\" (MESSAGES 1 UIDNEXT 2 UIDVALIDITY 7 UNSEEN 0)\r\n",
        "EXAMINE" => {
            "* FLAGS (\\Seen)\r\n* 1 EXISTS\r\n* 0 RECENT\r\n* OK [UIDVALIDITY 7] .\r\n* OK [UIDNEXT 2] .\r\n"
        }
        "UID" => {
            "* 1 FETCH (UID 1 FLAGS () INTERNALDATE \"01-Jan-2026 00:00:00 +0000\" RFC822.SIZE 100 \
             BODY[HEADER.FIELDS (MESSAGE-ID DATE)]<0> {13}\r\nDate: now\r\n\r\n)\r\n"
        }
        "LOGOUT" => "* BYE bye\r\n",
        _ => "",
    }
}
