//! Does what the engine decides, on real sockets with real clocks.

use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parallax_engine::action::{Action, Connection, Dial, Hello};
use parallax_engine::event::Event;
use parallax_engine::imap::Outgoing;
use parallax_engine::session::Session;
use parallax_model::credential::ClientIdentity;
use parallax_model::evidence::{ConnectEvidence, TcpInfo};
use parallax_model::experiment::ExperimentKind;
use parallax_model::fault::{Fault, FaultKind, TcpFault};
use parallax_model::observation::Attempt;
use parallax_model::stage::{Stage, StageName};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};

use crate::capture::{Recording, Track};
use crate::driver::tcp::{NotOpen, Open};
use crate::driver::tls::{Secured, Seen, Trust, Wish};
use crate::login_gate::{LoginGate, Turn};
use crate::partner::{Partner, Word};

pub(crate) mod dns;
mod errno;
mod errqueue;
#[cfg(any(target_os = "linux", test))]
mod icmp;
pub(crate) mod path;
pub(crate) mod tcp;
pub(crate) mod tls;

/// For the last words on a connection; nobody waits for their answer.
const FAREWELL: Duration = Duration::from_millis(200);

/// The state of a connection that an error has ended.
const CLOSED: &str = "CLOSE";

/// What the sessions of one probe share.
pub(crate) struct Surroundings {
    /// When the probe began; all of the engine's times count from here.
    pub(crate) began: Instant,
    /// Who may vouch for certificates.
    pub(crate) trust: Trust,
    /// Whose turn it is to log in.
    pub(crate) gate: Arc<LoginGate>,
    /// What this side shows of itself where it has verified the other.
    pub(crate) client: Option<ClientIdentity>,
    /// Where packets are recorded, if they are.
    pub(crate) recording: Option<Arc<Recording>>,
}

impl Surroundings {
    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    fn moment(&self, since_began: Duration) -> Instant {
        self.began + since_began
    }
}

/// Runs a session to its end, beside its partner in a synchronisation. `report` hears of every stage as it ends.
pub(crate) async fn drive(
    mut session: Session,
    peer: SocketAddr,
    around: &Surroundings,
    mut partner: Option<Partner>,
    report: impl Fn(Stage) + Send,
) -> Attempt {
    let track = around.recording.clone().map(|recording| {
        let place = (peer.ip(), session.endpoint());
        Track::new(recording, place, session.experiment())
    });
    let mut line = Line {
        peer,
        dial: Dial::default(),
        around,
        channel: Channel::None,
        tcp: None,
        soft_error: None,
        seen: None,
        resumes: session.experiment() == Some(ExperimentKind::Resumption),
        track,
    };
    let mut turn: Option<Turn> = None;
    loop {
        let event = match session.next(around.now()) {
            Action::Connect { dial, until } => line.connect(dial, around.moment(until)).await,
            Action::Handshake {
                server_name,
                hello,
                connection,
                until,
            } => {
                let until = around.moment(until);
                // Apart, so that a session that waits does not keep room for it.
                Box::pin(line.handshake((&server_name, &hello), connection, until)).await
            }
            Action::Send { bytes, until } => line.send(&bytes, around.moment(until)).await,
            Action::Receive { until } => line.receive_or_hear(around.moment(until), partner.as_mut()).await,
            Action::AskLogin { until } => match around.gate.turn(around.moment(until)).await {
                Ok(ours) => {
                    turn = Some(ours);
                    Event::LoginGranted
                }
                Err(reason) => Event::LoginWithheld(reason),
            },
            Action::Tell(signal) => {
                if let Some(partner) = &partner {
                    partner.tell(signal);
                }
                continue;
            }
            Action::Report(stage) => {
                if stage.name == StageName::Authenticate
                    && let Some(ours) = turn.take()
                {
                    ours.settle(peer.ip(), &stage.outcome);
                }
                report(stage);
                continue;
            }
            Action::Close => {
                line.close().await;
                continue;
            }
            Action::Finish(attempt) => {
                if let Some(track) = &line.track {
                    track.ended(attempt.outcome());
                }
                return attempt;
            }
        };
        let at = around.now();
        let event = line.explained(event);
        if let Some(tcp) = line.account() {
            session.handle(Event::Tcp(tcp), at);
        }
        session.handle(line.judged(event), at);
    }
}

/// A session's connection.
struct Line<'a> {
    peer: SocketAddr,
    /// How its connections are opened.
    dial: Dial,
    around: &'a Surroundings,
    channel: Channel,
    /// The account of a connection that never opened.
    tcp: Option<TcpInfo>,
    /// What an ICMP message said since anything was last received, by name.
    soft_error: Option<String>,
    /// A handshake that has ended and is to be judged; its time is taken before, for judging costs time.
    seen: Option<Seen>,
    /// Whether the handshake is done twice, the second time with what the first one left.
    resumes: bool,
    /// What is said of it to whoever records its packets.
    track: Option<Track>,
}

/// How far the connection is.
enum Channel {
    None,
    Plain(TcpStream),
    Secured(Box<Secured>),
    /// A handshake failed; the connection is kept for the kernel's account of it.
    Spoilt(TcpStream),
}

impl Line<'_> {
    async fn connect(&mut self, dial: Dial, until: Instant) -> Event {
        self.dial = dial;
        match self.open(until).await {
            Ok(open) => {
                self.channel = Channel::Plain(open.stream);
                Event::Connected(open.evidence)
            }
            Err(not) => {
                self.tcp = not.info;
                Event::ConnectFailed {
                    fault: not.fault,
                    evidence: not.evidence,
                }
            }
        }
    }

    /// Opens a connection, and says whose it is.
    async fn open(&self, until: Instant) -> Result<Open, Box<NotOpen>> {
        let Some(track) = &self.track else {
            return tcp::connect(self.peer, self.dial, until).await;
        };
        track.expect();
        let opened = tcp::connect(self.peer, self.dial, until).await;
        let evidence = match &opened {
            Ok(open) => &open.evidence,
            Err(not) => &not.evidence,
        };
        track.connected(evidence.local);
        opened
    }

    async fn handshake(
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
                let open = self.open(until).await;
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
    fn judged(&mut self, event: Event) -> Event {
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

    async fn send(&mut self, outgoing: &Outgoing, until: Instant) -> Event {
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
    async fn receive_or_hear(&mut self, until: Instant, partner: Option<&mut Partner>) -> Event {
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

    async fn close(&mut self) {
        match std::mem::replace(&mut self.channel, Channel::None) {
            Channel::Secured(stream) => {
                let _ = timeout(FAREWELL, stream.close()).await;
            }
            Channel::None | Channel::Plain(_) | Channel::Spoilt(_) => {}
        }
    }

    /// The kernel's account of the connection now.
    fn account(&mut self) -> Option<TcpInfo> {
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
    fn explained(&mut self, event: Event) -> Event {
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

    const fn stream(&self) -> Option<&TcpStream> {
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
