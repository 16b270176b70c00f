//! A session's connection, from the first segment to the last words.

use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::time::{Duration, SystemTime};

use parallax_engine::action::{Connection, Dial, Hello};
use parallax_engine::event::Event;
use parallax_engine::imap::Outgoing;
use parallax_model::evidence::{ConnectEvidence, TcpInfo};
use parallax_model::fault::{Fault, FaultKind, TcpFault};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};

use crate::capture::Track;
use crate::driver::tcp::{NotOpen, Open, Opening};
use crate::driver::tls::{Secured, Seen, Wish};
use crate::driver::{Surroundings, errno, tcp, tls};
use crate::partner::{Partner, Word};

/// For the last words on a connection; nobody waits for their answer.
const FAREWELL: Duration = Duration::from_millis(200);

/// The state of a connection that an error has ended.
const CLOSED: &str = "CLOSE";

/// A session's connection.
pub(super) struct Line<'a> {
    peer: SocketAddr,
    /// How its connections are opened.
    pub(super) dial: Dial,
    around: &'a Surroundings,
    channel: Channel,
    /// The account of a connection that never opened.
    tcp: Option<TcpInfo>,
    /// What an ICMP message said since anything was last received, by name.
    soft_error: Option<String>,
    /// A handshake that has ended and is to be judged; its time is taken before, for judging costs time.
    seen: Option<Seen>,
    /// Whether the handshake is done twice, the second time with what the first one left.
    pub(super) resumes: bool,
    /// What is said of it to whoever records its packets.
    pub(super) track: Option<Track>,
}

/// How far the connection is.
enum Channel {
    None,
    Plain(TcpStream),
    Secured(Box<Secured>),
    /// A handshake failed; the connection is kept for the kernel's account of it.
    Spoilt(TcpStream),
}

impl<'a> Line<'a> {
    pub(super) fn new(peer: SocketAddr, around: &'a Surroundings, track: Option<Track>) -> Self {
        Self {
            peer,
            dial: Dial::default(),
            around,
            channel: Channel::None,
            tcp: None,
            soft_error: None,
            seen: None,
            resumes: false,
            track,
        }
    }

    /// Sends the first segment of a connection, and says whose it will be.
    pub(super) fn begin(&self) -> Result<Opening, Box<NotOpen>> {
        let Some(track) = &self.track else {
            return tcp::open(self.peer, self.dial);
        };
        track.expect();
        tcp::open(self.peer, self.dial).inspect_err(|not| track.connected(not.evidence.local))
    }

    async fn open(&self, opening: Opening, until: Instant) -> Result<Open, Box<NotOpen>> {
        let opened = opening.settled(until).await;
        if let Some(track) = &self.track {
            let evidence = match &opened {
                Ok(open) => &open.evidence,
                Err(not) => &not.evidence,
            };
            track.connected(evidence.local);
        }
        opened
    }

    pub(super) async fn connect(&mut self, opening: Opening, until: Instant) -> Event {
        match self.open(opening, until).await {
            Ok(open) => {
                self.channel = Channel::Plain(open.stream);
                Event::Connected(open.evidence)
            }
            Err(not) => self.not_open(*not),
        }
    }

    pub(super) fn not_open(&mut self, not: NotOpen) -> Event {
        self.tcp = not.info;
        Event::ConnectFailed {
            fault: not.fault,
            evidence: not.evidence,
        }
    }

    pub(super) async fn handshake(
        &mut self,
        (server_name, hello): (&str, &Hello),
        connection: Connection,
        until: Instant,
    ) -> Event {
        let Channel::Plain(stream) = std::mem::replace(&mut self.channel, Channel::None) else {
            return Event::Failed(no_connection());
        };
        let wish = Wish {
            server_name,
            hello,
            connection,
            trust: &self.around.trust,
            client: self.around.client.as_ref(),
            recorded: self.track.is_some(),
        };
        let mut ended = if self.resumes {
            let again = async {
                let open = match self.begin() {
                    Ok(opening) => self.open(opening, until).await,
                    Err(not) => Err(not),
                };
                open.map(|open| open.stream).map_err(|not| not.fault)
            };
            tls::resume(stream, wish, until, again).await
        } else {
            tls::handshake(stream, wish, until).await
        };
        if let Some(track) = &self.track {
            ended
                .disclosed
                .drain(..)
                .for_each(|disclosed| track.disclose(disclosed));
        }
        self.channel = match (ended.stream, ended.tcp) {
            (Some(stream), _) => Channel::Secured(Box::new(stream)),
            (None, Some(tcp)) => Channel::Spoilt(tcp),
            (None, None) => Channel::None,
        };
        self.seen = Some(ended.seen);
        Event::Handshake(Box::default())
    }

    /// Fills in what costs time to find out and is not the server's: where a connection left this host, and what a
    /// handshake showed.
    pub(super) fn judged(&mut self, event: Event) -> Event {
        match (event, self.seen.take()) {
            (Event::Connected(evidence), _) => Event::Connected(with_interface(evidence)),
            (Event::ConnectFailed { fault, evidence }, _) => Event::ConnectFailed {
                fault,
                evidence: with_interface(evidence),
            },
            (Event::Handshake(_), Some(seen)) => {
                let facts = seen.judge(&self.around.trust, SystemTime::now());
                Event::Handshake(Box::new(facts))
            }
            (event, _) => event,
        }
    }

    pub(super) async fn send(&mut self, outgoing: &Outgoing, until: Instant) -> Event {
        let sending = async {
            match &mut self.channel {
                Channel::Plain(stream) => {
                    let written = stream.write_all(tls::public(outgoing)?).await;
                    written.map_err(|error| errno::tcp_fault(&error, "write"))
                }
                Channel::Secured(stream) => stream.write(outgoing).await,
                Channel::None | Channel::Spoilt(_) => Err(no_connection()),
            }
        };
        match timeout_at(until, sending).await {
            Ok(Ok(())) => Event::Sent,
            Ok(Err(fault)) => Event::Failed(fault),
            Err(_) => Event::TimedOut,
        }
    }

    /// What comes first: bytes, or a word of the other session. Words wait while anything else is done.
    pub(super) async fn receive_or_hear(&mut self, until: Instant, partner: Option<&mut Partner>) -> Event {
        let Some(partner) = partner else {
            return self.receive(until).await;
        };
        let began = self.around.began;
        tokio::select! {
            biased;
            word = partner.hear() => told(word, began),
            event = self.receive(until) => event,
        }
    }

    async fn receive(&mut self, until: Instant) -> Event {
        let receiving = async {
            match &mut self.channel {
                Channel::Plain(stream) => {
                    let read = tcp::read(stream).await;
                    read.map_err(|error| errno::tcp_fault(&error, "read"))
                }
                Channel::Secured(stream) => stream.read().await,
                Channel::None | Channel::Spoilt(_) => Err(no_connection()),
            }
        };
        match timeout_at(until, receiving).await {
            Ok(Ok(bytes)) if bytes.is_empty() => Event::Closed,
            Ok(Ok(bytes)) => Event::Received(bytes),
            Ok(Err(fault)) => Event::Failed(fault),
            Err(_) => Event::TimedOut,
        }
    }

    pub(super) async fn close(&mut self) {
        match std::mem::replace(&mut self.channel, Channel::None) {
            Channel::Secured(stream) => {
                let _ = timeout(FAREWELL, stream.close()).await;
            }
            Channel::None | Channel::Plain(_) | Channel::Spoilt(_) => {}
        }
    }

    /// The kernel's account of the connection now.
    pub(super) fn account(&mut self) -> Option<TcpInfo> {
        let Some(stream) = self.stream() else {
            return self.tcp.take();
        };
        let tcp = tcp::info(stream.as_fd())?;
        Some(TcpInfo {
            soft_error: self.soft_error.clone(),
            ..tcp
        })
    }

    /// Asks what the kernel knows of a wait that was in vain. An error that it got over explains the silence; one that
    /// ended the connection just now is the answer.
    pub(super) fn explained(&mut self, event: Event) -> Event {
        match event {
            Event::Received(_) => self.soft_error = None,
            Event::TimedOut | Event::Handshake(_) => {
                let Some(stream) = self.stream() else {
                    return event;
                };
                let Some(error) = stream.take_error().ok().flatten() else {
                    return event;
                };
                let over = tcp::info(stream.as_fd()).is_some_and(|tcp| tcp.state == CLOSED);
                if over && matches!(event, Event::TimedOut) {
                    return Event::Failed(errno::tcp_fault(&error, "wait"));
                }
                self.soft_error = Some(errno::name(&error));
            }
            _ => {}
        }
        event
    }

    pub(super) const fn stream(&self) -> Option<&TcpStream> {
        match &self.channel {
            Channel::Plain(stream) | Channel::Spoilt(stream) => Some(stream),
            Channel::Secured(stream) => Some(stream.tcp()),
            Channel::None => None,
        }
    }
}

fn with_interface(evidence: ConnectEvidence) -> ConnectEvidence {
    let holder = evidence.local.and_then(|local| tcp::holder(local.ip()));
    ConnectEvidence {
        on_link: holder
            .as_ref()
            .and_then(|holder| holder.on_link(evidence.peer.ip())),
        interface: holder.map(|holder| holder.name),
        ..evidence
    }
}

fn told(word: Word, began: Instant) -> Event {
    Event::Told {
        signal: word.signal,
        at: word.at.saturating_duration_since(began),
        uncertainty: word.uncertainty,
    }
}

fn no_connection() -> Fault {
    Fault::new(
        FaultKind::Tcp(TcpFault::ConnectionClosed),
        "the connection is closed",
    )
}
