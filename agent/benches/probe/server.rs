//! A server that knows the answers beforehand, in a process of its own.

use std::io::{BufRead, BufReader as Lines};
use std::net::Ipv4Addr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use rcgen::{BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::place::Place;

/// What a connection meets.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Manner {
    /// Answers.
    Talking,
    /// Does the handshake, and greets nobody.
    Silent,
    /// Greets, and answers the first command without end, in the longest pieces that a client may take.
    Flooding,
}

const MANNERS: [Manner; 3] = [Manner::Talking, Manner::Silent, Manner::Flooding];

/// The server's process, and where it meets clients in which manner.
pub(crate) struct Server {
    process: Child,
    pub(crate) talking: Place,
    pub(crate) silent: Place,
    pub(crate) flooding: Place,
}

impl Server {
    pub(crate) fn start() -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .arg("serve")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        Lines::new(process.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let mut words = line.split_whitespace();
        let root = hex::decode(words.next().unwrap()).unwrap();
        let mut place = || Place {
            address: words.next().unwrap().parse().unwrap(),
            root: root.clone(),
        };
        Self {
            talking: place(),
            silent: place(),
            flooding: place(),
            process,
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Serves until it is killed. Its first line of output is its root, and where each manner is met.
pub(crate) fn serve() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let issued = issue();
        let acceptor = acceptor(&issued);
        let mut line = hex::encode(&issued.root);
        for manner in MANNERS {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
            line = format!("{line} {}", listener.local_addr().unwrap());
            tokio::spawn(accept(listener, acceptor.clone(), manner));
        }
        println!("{line}");
        std::future::pending::<()>().await;
    });
}

/// A certificate for loopback, and the root that it leads to.
pub(crate) struct Issued {
    pub(crate) leaf: Certificate,
    pub(crate) key: KeyPair,
    /// DER.
    pub(crate) root: Vec<u8>,
}

pub(crate) fn issue() -> Issued {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority
        .distinguished_name
        .push(DnType::CommonName, "root of the benchmark");
    let root = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec!["127.0.0.1".to_owned()])
        .unwrap()
        .signed_by(&key, &root)
        .unwrap();
    Issued {
        leaf,
        key,
        root: root.der().to_vec(),
    }
}

fn acceptor(issued: &Issued) -> TlsAcceptor {
    let mut config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(
            vec![issued.leaf.der().clone()],
            PrivateKeyDer::try_from(issued.key.serialize_der()).unwrap(),
        )
        .unwrap();
    config.alpn_protocols = vec![b"imap".to_vec()];
    TlsAcceptor::from(Arc::new(config))
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, manner: Manner) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        tokio::spawn(converse(stream, acceptor.clone(), manner));
    }
}

async fn converse(stream: TcpStream, acceptor: TlsAcceptor, manner: Manner) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let mut stream = BufReader::new(acceptor.accept(stream).await.ok()?);
    let mut line = String::new();
    if manner == Manner::Silent {
        return stream.read_line(&mut line).await.ok().map(drop);
    }
    stream.write_all(b"* OK ready\r\n").await.ok()?;
    loop {
        line.clear();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        if manner == Manner::Flooding {
            return flood(stream).await;
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

async fn flood(mut stream: impl AsyncWriteExt + Unpin) -> Option<()> {
    let line = format!("* OK {}\r\n", "x".repeat(60_000));
    let literal = format!("* 1 FETCH (BODY[] {{262144}}\r\n{})\r\n", "y".repeat(262_144));
    loop {
        stream.write_all(line.as_bytes()).await.ok()?;
        stream.write_all(literal.as_bytes()).await.ok()?;
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
