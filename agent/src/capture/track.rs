//! What of the packets belongs to one attempt, and what of it may be decrypted.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

use parallax_model::capture::{Capture, CaptureFacts, CapturedSecrets};
use parallax_model::experiment::ExperimentKind;
use parallax_model::observation::AttemptOutcome;
use parallax_model::target::Endpoint;

use crate::capture::flow::Flow;
use crate::capture::pcapng::{self, Losses};
use crate::capture::shelf::Shelf;
use crate::capture::{Recording, lock};
use crate::driver::tls::Disclosed;

/// An attempt that is recorded. However it ends, what is known of it by then is kept.
#[derive(Debug)]
pub(crate) struct Track {
    recording: Arc<Recording>,
    tracked: Mutex<Tracked>,
}

/// What is known of an attempt.
#[derive(Debug, Clone)]
pub(super) struct Tracked {
    address: IpAddr,
    endpoint: Endpoint,
    experiment: Option<ExperimentKind>,
    connections: Vec<Connection>,
    disclosed: Vec<Disclosed>,
    /// How it ended, if it did.
    pub(super) outcome: Option<AttemptOutcome>,
}

#[derive(Debug, Clone, Copy)]
struct Connection {
    local: SocketAddr,
    flow: Flow,
}

impl Track {
    pub(crate) fn new(
        recording: Arc<Recording>,
        (address, endpoint): (IpAddr, Endpoint),
        experiment: Option<ExperimentKind>,
    ) -> Self {
        let tracked = Tracked {
            address,
            endpoint,
            experiment,
            connections: Vec::new(),
            disclosed: Vec::new(),
            outcome: None,
        };
        Self {
            recording,
            tracked: Mutex::new(tracked),
        }
    }

    /// A connection is about to be opened to the attempt's address.
    pub(crate) fn expect(&self) {
        if let Some(socket) = self.recording.socket() {
            socket.hear_of(lock(&self.tracked).address);
        }
    }

    /// It was opened, or was to be, from here. One that never had a place sent nothing.
    pub(crate) fn connected(&self, local: Option<SocketAddr>) {
        let Some(local) = local else { return };
        let mut tracked = lock(&self.tracked);
        let peer = SocketAddr::new(tracked.address, tracked.endpoint.port);
        let flow = Flow::between(local, peer);
        tracked.connections.push(Connection { local, flow });
        lock(&self.recording.shelf).claim(flow);
    }

    /// A handshake on it gave this away.
    pub(crate) fn disclose(&self, disclosed: Disclosed) {
        lock(&self.tracked).disclosed.push(disclosed);
    }

    pub(crate) fn ended(&self, outcome: AttemptOutcome) {
        lock(&self.tracked).outcome = Some(outcome);
    }
}

impl Drop for Track {
    fn drop(&mut self) {
        let tracked = lock(&self.tracked).clone();
        lock(&self.recording.tracked).push(tracked);
    }
}

impl Tracked {
    /// By what attempts are ordered.
    pub(super) fn place(&self) -> (IpAddr, u16, Option<ExperimentKind>, Option<SocketAddr>) {
        let local = self.connections.first().map(|connection| connection.local);
        (self.address, self.endpoint.port, self.experiment, local)
    }

    /// Its packets, off the shelf; nothing where there are none. `lost` is what the kernel had no room for, whoever's.
    pub(super) fn capture(self, shelf: &mut Shelf, lost: u64) -> Option<Capture> {
        let local = self.connections.first()?.local;
        let (mut packets, mut dropped) = (Vec::new(), 0);
        for connection in &self.connections {
            let taken = shelf.take(connection.flow);
            packets.extend(taken.packets);
            dropped += taken.dropped;
        }
        packets.sort_by_key(|packet| packet.at);
        dropped += pcapng::keep_within_bounds(&mut packets);
        if packets.is_empty() {
            return None;
        }
        let secrets = self.disclosed.iter().map(Disclosed::secrets);
        Some(Capture {
            facts: CaptureFacts {
                address: self.address,
                endpoint: self.endpoint,
                experiment: self.experiment,
                local,
                packets: packets.len() as u64,
                packets_dropped: dropped,
                secrets: secrets.min().unwrap_or(CapturedSecrets::None),
            },
            pcapng: pcapng::file(&packets, &self.disclosed, Losses { dropped, lost }),
        })
    }
}
