//! A mail server that repeats the line with the secret to whoever sent it, over TLS and with a good certificate.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Result;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use crate::background::{self, Background};
use crate::namespace::Namespace;
use crate::pki::Credentials;

const PORT: u16 = 993;
const CAPABILITIES: &str = "IMAP4rev1 AUTH=PLAIN SASL-IR";

/// How it ends a login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Echo {
    /// With NO.
    Refusing,
    /// With BAD.
    Scolding,
    /// In the middle, with the end of the connection.
    Cutting,
}

/// A running one.
pub struct EchoServer {
    logins: Arc<AtomicUsize>,
    _server: Background,
}

impl EchoServer {
    /// Serves IMAP over TLS at a host where nobody else does.
    pub(crate) fn start(host: &Namespace, credentials: &Credentials, echo: Echo) -> Result<Self> {
        let acceptor = credentials.acceptor()?;
        let logins = Arc::new(AtomicUsize::new(0));
        let count = logins.clone();
        let server = Background::start(host, move || {
            background::accept(&[PORT], move |stream| {
                serve(stream, acceptor.clone(), echo, count.clone())
            })
        })?;
        Ok(Self {
            logins,
            _server: server,
        })
    }

    /// How many secrets it was sent.
    pub fn logins(&self) -> usize {
        self.logins.load(Ordering::Relaxed)
    }
}

async fn serve(
    stream: TcpStream,
    acceptor: TlsAcceptor,
    echo: Echo,
    logins: Arc<AtomicUsize>,
) -> std::io::Result<()> {
    let mut stream = BufReader::new(acceptor.accept(stream).await?);
    stream
        .write_all(format!("* OK [CAPABILITY {CAPABILITIES}] ready\r\n").as_bytes())
        .await?;
    stream.flush().await?;
    let mut line = String::new();
    loop {
        line.clear();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let said = line.trim_end();
        let (tag, command) = said.split_once(' ').unwrap_or((said, ""));
        let is_login = command.starts_with("AUTHENTICATE") || command.starts_with("LOGIN ");
        if is_login {
            logins.fetch_add(1, Ordering::Relaxed);
        }
        let answer = match echo {
            _ if command == "CAPABILITY" => format!("* CAPABILITY {CAPABILITIES}\r\n{tag} OK done\r\n"),
            _ if !is_login => format!("{tag} OK done\r\n"),
            Echo::Refusing => format!(
                "* OK [ALERT] {said}\r\n* CAPABILITY IMAP4rev1 {command}\r\n{tag} NO [AUTHENTICATIONFAILED] {said}\r\n"
            ),
            Echo::Scolding => format!("* OK {said}\r\n{tag} BAD [X{command}] {said}\r\n"),
            Echo::Cutting => format!("* OK {said}\r\n* {said}"),
        };
        stream.write_all(answer.as_bytes()).await?;
        stream.flush().await?;
        if is_login && echo == Echo::Cutting {
            return stream.shutdown().await;
        }
    }
}
