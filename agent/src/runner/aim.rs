//! What is traced.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use parallax_engine::hello::client_hello;
use parallax_model::experiment::ExperimentKind;
use parallax_model::path::{Path, PathEnd, PathProtocol, Payload};
use parallax_model::target::Host;

use crate::driver::path::Carrier;

/// Where nobody listens, as every traceroute assumes.
const UDP_PORT: u16 = 33_434;

/// A path to trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Aim {
    pub(super) target: SocketAddr,
    pub(super) carrier: Carrier,
    pub(super) payload: Payload,
    pub(super) experiment: Option<ExperimentKind>,
    /// Whether the target is known to answer at this port, and how fast.
    pub(super) answers: bool,
    pub(super) rtt: Option<Duration>,
    /// When it must be over, from the start of the probe.
    pub(super) until: Duration,
}

impl Aim {
    /// The way to a port of which nothing is known.
    pub(super) fn at(target: SocketAddr, until: Duration) -> Self {
        Self {
            target,
            carrier: Carrier::Syn,
            payload: Payload::Syn,
            experiment: None,
            answers: false,
            rtt: None,
            until,
        }
    }

    /// The way of datagrams to a host, of this size in bytes where it matters.
    pub(super) fn of_datagrams(address: IpAddr, bytes: Option<u16>, until: Duration) -> Self {
        let experiment = match bytes {
            None => ExperimentKind::PathUdp,
            Some(_) => ExperimentKind::PathSize,
        };
        Self {
            carrier: Carrier::Datagram(bytes),
            payload: Payload::Udp,
            experiment: Some(experiment),
            ..Self::at(SocketAddr::new(address, UDP_PORT), until)
        }
    }

    /// The way of the first bytes on connections to a port: a ClientHello for this name.
    pub(super) fn of_hello(target: SocketAddr, name: &Host, payload: Payload, until: Duration) -> Self {
        let hello = client_hello(name, rand::random());
        Self {
            carrier: Carrier::Hello(hello.into()),
            payload,
            ..Self::at(target, until)
        }
    }

    /// The same behind STARTTLS.
    pub(super) fn behind_starttls(mut self) -> Self {
        if let Carrier::Hello(hello) = self.carrier {
            self.carrier = Carrier::Starttls(Some(hello));
        }
        self
    }

    /// The way of the command STARTTLS.
    pub(super) fn of_starttls(target: SocketAddr, until: Duration) -> Self {
        Self {
            carrier: Carrier::Starttls(None),
            payload: Payload::Starttls,
            ..Self::at(target, until)
        }
    }

    /// A path that was not traced, and why.
    pub(super) fn not_traced(self, ended: PathEnd, at: Duration) -> Path {
        let (protocol, bytes) = match self.carrier {
            Carrier::Syn | Carrier::Hello(_) | Carrier::Starttls(_) => (PathProtocol::Tcp, None),
            Carrier::Datagram(bytes) => (PathProtocol::Udp, bytes),
        };
        Path {
            address: self.target.ip(),
            port: self.target.port(),
            protocol,
            reached: false,
            hops: Vec::new(),
            source: None,
            experiment: self.experiment,
            payload: self.payload,
            bytes,
            answer_ttl: None,
            ended,
            start: at,
            duration: Duration::ZERO,
        }
    }
}
