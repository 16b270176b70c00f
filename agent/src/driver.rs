//! Does what the engine decides, on real sockets with real clocks.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parallax_engine::action::Action;
use parallax_engine::event::Event;
use parallax_engine::session::Session;
use parallax_model::credential::ClientIdentity;
use parallax_model::experiment::ExperimentKind;
use parallax_model::observation::Attempt;
use parallax_model::stage::StageName;
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::capture::{Recording, Track};
use crate::driver::line::Line;
use crate::driver::overdue::Watch;
use crate::driver::tls::Trust;
use crate::login_gate::{LoginGate, NoTurn, Turn};
use crate::partner::Partner;
use crate::report::OfAttempt;

pub(crate) mod dns;
mod errno;
mod errqueue;
#[cfg(any(target_os = "linux", test))]
mod icmp;
mod line;
mod overdue;
pub(crate) mod path;
pub(crate) mod tcp;
pub(crate) mod tls;

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

/// Runs a session to its end, beside its partner in a synchronisation. `report` hears of every stage as it ends, and of
/// one that is overdue.
pub(crate) async fn drive(
    mut session: Session,
    peer: SocketAddr,
    around: &Surroundings,
    mut partner: Option<Partner>,
    report: impl Fn(OfAttempt) + Send + Sync,
) -> Attempt {
    let track = around.recording.clone().map(|recording| {
        let place = (peer.ip(), session.endpoint());
        Track::new(recording, place, session.experiment())
    });
    let mut line = Line::new(peer, around, track);
    line.resumes = session.experiment() == Some(ExperimentKind::Resumption);
    let mut turn: Option<Turn> = None;
    loop {
        let action = session.next(around.now());
        let watch = |stream: Option<&TcpStream>| Watch::new(&session, around, stream, &report);
        let event = match action {
            Action::Connect { dial, until } => {
                line.dial = dial;
                match line.begin() {
                    Ok(opening) => {
                        let watch = watch(Some(opening.stream()));
                        watch.over(line.connect(opening, around.moment(until))).await
                    }
                    Err(not) => line.not_open(*not),
                }
            }
            Action::Handshake {
                server_name,
                hello,
                connection,
                until,
            } => {
                let until = around.moment(until);
                // Apart, so that a session that waits does not keep room for it.
                let watch = watch(line.stream());
                let handshake = line.handshake((&server_name, &hello), connection, until);
                Box::pin(watch.over(handshake)).await
            }
            Action::Send { bytes, until } => line.send(&bytes, around.moment(until)).await,
            Action::Receive { until } => {
                let watch = watch(line.stream());
                let received = line.receive_or_hear(around.moment(until), partner.as_mut());
                watch.over(received).await
            }
            Action::AskLogin { until } => match around.gate.turn(peer.ip(), around.moment(until)).await {
                Ok(ours) => {
                    turn = Some(ours);
                    Event::LoginGranted
                }
                Err(NoTurn::Withheld(reason)) => Event::LoginWithheld(reason),
                Err(NoTurn::Known(fault)) => Event::LoginKnown(fault),
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
                    ours.settle(&stage).await;
                }
                report(OfAttempt::Ended(Box::new(stage)));
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
