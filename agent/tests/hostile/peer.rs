//! The server's side of one connection.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use parallax_model::target::Security;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::honest;

/// No attack lasts longer than this, nor sends more than [`MOST`].
const LONGEST: Duration = Duration::from_secs(20);
const MOST: u64 = 256 * 1024 * 1024;

/// What the server remembers of all its connections.
#[derive(Default)]
pub(crate) struct Record {
    heard: Mutex<Vec<String>>,
    sent: AtomicU64,
}

impl Record {
    pub(crate) fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }

    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }
}

pub(crate) struct Peer {
    pub(crate) security: Security,
    wire: Wire,
    acceptor: TlsAcceptor,
    unread: Vec<u8>,
    record: Arc<Record>,
}

enum Wire {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    Gone,
}

/// A line of the client's.
#[derive(Debug, Clone)]
pub(crate) struct Command {
    pub(crate) tag: String,
    /// The command's name, `FETCH` for `UID FETCH`.
    pub(crate) verb: String,
}

impl Peer {
    pub(crate) fn new(
        tcp: TcpStream,
        acceptor: TlsAcceptor,
        security: Security,
        record: Arc<Record>,
    ) -> Self {
        Self {
            security,
            wire: Wire::Plain(tcp),
            acceptor,
            unread: Vec::new(),
            record,
        }
    }

    /// The bare connection, before TLS.
    pub(crate) fn tcp(&mut self) -> &mut TcpStream {
        match &mut self.wire {
            Wire::Plain(tcp) => tcp,
            Wire::Tls(tls) => tls.get_mut().0,
            Wire::Gone => panic!("the connection is gone"),
        }
    }

    /// Shakes hands as an honest server does.
    pub(crate) async fn secure(&mut self) -> io::Result<()> {
        let acceptor = self.acceptor.clone();
        self.secure_with(&acceptor).await
    }

    pub(crate) async fn secure_with(&mut self, acceptor: &TlsAcceptor) -> io::Result<()> {
        if let Wire::Plain(tcp) = std::mem::replace(&mut self.wire, Wire::Gone) {
            self.wire = Wire::Tls(Box::new(acceptor.accept(tcp).await?));
        }
        Ok(())
    }

    /// The TLS stream by itself.
    pub(crate) fn into_tls(self) -> TlsStream<TcpStream> {
        match self.wire {
            Wire::Tls(tls) => *tls,
            Wire::Plain(_) | Wire::Gone => panic!("there is no TLS yet"),
        }
    }

    pub(crate) async fn say(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        let bytes = bytes.as_ref();
        let stream = self.stream();
        stream.write_all(bytes).await?;
        stream.flush().await?;
        self.record.sent.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    /// The client's next line.
    pub(crate) async fn command(&mut self) -> io::Result<Command> {
        let line = self.line().await?;
        let mut words = line.split(' ');
        let tag = words.next().unwrap_or_default().to_owned();
        let mut verb = words.next().unwrap_or_default();
        if verb == "UID" {
            verb = words.next().unwrap_or_default();
        }
        Ok(Command {
            tag,
            verb: verb.to_ascii_uppercase(),
        })
    }

    /// The client's last line.
    pub(crate) fn last_line(&self) -> String {
        self.record.heard().pop().unwrap_or_default()
    }

    /// Behaves until this command comes.
    pub(crate) async fn behave_until(&mut self, verb: &str) -> io::Result<Command> {
        if self.security == Security::Tls && matches!(self.wire, Wire::Plain(_)) {
            self.secure().await?;
        }
        self.say(honest::greeting(self.security)).await?;
        self.go_on_until(verb).await
    }

    /// The same behind the greeting.
    pub(crate) async fn go_on_until(&mut self, verb: &str) -> io::Result<Command> {
        loop {
            let command = self.command().await?;
            if command.verb == verb {
                return Ok(command);
            }
            self.answer(&command).await?;
        }
    }

    /// Answers as an honest server does.
    pub(crate) async fn answer(&mut self, command: &Command) -> io::Result<()> {
        self.say(honest::answer(command, self.security)).await?;
        if command.verb == "STARTTLS" {
            self.secure().await?;
        }
        Ok(())
    }

    /// Behaves to the end.
    pub(crate) async fn behave(&mut self) -> io::Result<()> {
        loop {
            let command = self.command().await?;
            self.answer(&command).await?;
        }
    }

    /// Says the same until nobody listens any more.
    pub(crate) async fn flood(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        let bytes = bytes.as_ref();
        let flooding = async {
            while self.record.sent() < MOST {
                self.say(bytes).await?;
            }
            Ok(())
        };
        timeout(LONGEST, flooding).await.unwrap_or(Ok(()))
    }

    /// Says it byte by byte, again and again.
    pub(crate) async fn drip(&mut self, bytes: &[u8], pause: Duration) -> io::Result<()> {
        let end = Instant::now() + LONGEST;
        for byte in bytes.iter().cycle() {
            if Instant::now() > end {
                break;
            }
            self.say([*byte]).await?;
            sleep(pause).await;
        }
        Ok(())
    }

    /// Says nothing, reads nothing.
    pub(crate) async fn stand_still(&mut self) -> io::Result<()> {
        sleep(LONGEST).await;
        Ok(())
    }

    /// Hears everything out and says nothing.
    pub(crate) async fn ignore(&mut self) -> io::Result<()> {
        while !self.line().await?.is_empty() {}
        Ok(())
    }

    /// Says that nothing more will come, and listens on.
    pub(crate) async fn half_close(&mut self) -> io::Result<()> {
        self.stream().shutdown().await?;
        self.ignore().await
    }

    /// Resets the connection.
    pub(crate) fn reset(mut self) -> io::Result<()> {
        SockRef::from(&*self.tcp()).set_linger(Some(Duration::ZERO))
    }

    async fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.unread.drain(..=end).collect();
                let line = String::from_utf8_lossy(&line).trim_end().to_owned();
                self.record.heard.lock().unwrap().push(line.clone());
                return Ok(line);
            }
            let mut bytes = [0; 4096];
            let length = self.stream().read(&mut bytes).await?;
            if length == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.unread.extend_from_slice(&bytes[..length]);
        }
    }

    fn stream(&mut self) -> &mut (dyn Duplex + Unpin + Send) {
        match &mut self.wire {
            Wire::Plain(tcp) => tcp,
            Wire::Tls(tls) => tls,
            Wire::Gone => panic!("the connection is gone"),
        }
    }
}

trait Duplex: AsyncRead + AsyncWrite {}
impl<T: AsyncRead + AsyncWrite> Duplex for T {}
