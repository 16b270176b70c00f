//! The packets of a probe's own connections, recorded where policy, order and host allow it.
//!
//! A packet socket hears everything that passes this host. The kernel leaves out what is not of the addresses probed;
//! of the rest only what belongs to a connection that the probe itself opened is ever looked at again, ICMP messages
//! about it included. What was never claimed goes with the order, unseen.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use parallax_model::capture::Capture;
use parallax_model::observation::AttemptOutcome;
use parallax_model::spec::CaptureChoice;

use crate::capture::shelf::Shelf;
use crate::capture::socket::PacketSocket;
use crate::policy::Policy;

#[cfg(target_os = "linux")]
mod filter;
mod flow;
mod packet;
mod pcapng;
mod shelf;
mod socket;
#[cfg(test)]
mod tests;
mod track;

pub(crate) use track::Track;
use track::Tracked;

/// Whether packets can be recorded here; why not, in words.
pub(crate) fn possible(policy: &Policy) -> Result<(), String> {
    policy
        .admits_capture()
        .map_err(|forbidden| forbidden.to_string())?;
    PacketSocket::open().map(drop).map_err(|error| obstacle(&error))
}

/// What an order does about packets.
#[derive(Debug)]
pub(crate) struct Recorder {
    going_on: Option<Arc<Recording>>,
    /// Why nothing is recorded, where somebody expects it.
    obstacle: Option<String>,
}

impl Recorder {
    /// Begins, if that is asked for and can be.
    pub(crate) fn begin(policy: &Policy, choice: CaptureChoice) -> Self {
        let mut recorder = Self {
            going_on: None,
            obstacle: None,
        };
        match (choice, policy.admits_capture()) {
            (CaptureChoice::Never, _) | (CaptureChoice::Auto, Err(_)) => {}
            (CaptureChoice::Always, Err(forbidden)) => recorder.obstacle = Some(forbidden.to_string()),
            (CaptureChoice::Auto | CaptureChoice::Always, Ok(())) => match PacketSocket::open() {
                Ok(socket) => recorder.going_on = Some(Arc::new(Recording::new(socket, choice))),
                Err(error) => recorder.obstacle = Some(obstacle(&error)),
            },
        }
        recorder
    }

    /// Where attempts say what is theirs.
    pub(crate) fn recording(&self) -> Option<Arc<Recording>> {
        self.going_on.clone()
    }

    /// What the order's answer says of it.
    pub(crate) fn remark(&self) -> Option<String> {
        self.obstacle.as_ref().map(|why| format!("no capture: {why}"))
    }

    /// Takes packets in for as long as the work is going on.
    pub(crate) async fn beside<T>(&self, work: impl Future<Output = T>) -> T {
        let Some(recording) = &self.going_on else {
            return work.await;
        };
        tokio::select! {
            done = work => done,
            never = recording.listen() => match never {},
        }
    }

    /// What was recorded, attempt by attempt.
    pub(crate) fn end(self) -> Vec<Capture> {
        self.going_on.map(|recording| recording.end()).unwrap_or_default()
    }
}

/// A recording on its way.
#[derive(Debug)]
pub(crate) struct Recording {
    socket: Mutex<Option<Arc<PacketSocket>>>,
    choice: CaptureChoice,
    shelf: Mutex<Shelf>,
    tracked: Mutex<Vec<Tracked>>,
}

impl Recording {
    fn new(socket: PacketSocket, choice: CaptureChoice) -> Self {
        Self {
            socket: Mutex::new(Some(Arc::new(socket))),
            choice,
            shelf: Mutex::default(),
            tracked: Mutex::default(),
        }
    }

    async fn listen(&self) -> Infallible {
        if let Some(socket) = self.socket() {
            while socket.readable().await.is_ok() {
                self.take_in(&socket);
            }
        }
        std::future::pending().await
    }

    fn take_in(&self, socket: &PacketSocket) {
        let mut shelf = lock(&self.shelf);
        socket.drain(|packet| shelf.add(packet));
    }

    fn socket(&self) -> Option<Arc<PacketSocket>> {
        lock(&self.socket).clone()
    }

    fn end(&self) -> Vec<Capture> {
        let Some(socket) = lock(&self.socket).take() else {
            return Vec::new();
        };
        self.take_in(&socket);
        let lost = socket.lost();
        // Closing it waits until no processor of the host uses it any more.
        tokio::task::spawn_blocking(move || drop(socket));
        let mut tracked = std::mem::take(&mut *lock(&self.tracked));
        tracked.sort_by_key(Tracked::place);
        let wanted = |tracked: &Tracked| {
            self.choice == CaptureChoice::Always || tracked.outcome != Some(AttemptOutcome::Ok)
        };
        let mut shelf = lock(&self.shelf);
        tracked
            .into_iter()
            .filter(wanted)
            .filter_map(|tracked| tracked.capture(&mut shelf, lost))
            .collect()
    }
}

fn obstacle(error: &io::Error) -> String {
    if error.raw_os_error() == Some(libc::EPERM) {
        return "the agent has no CAP_NET_RAW on this host".to_owned();
    }
    format!("no packet socket: {error}")
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
