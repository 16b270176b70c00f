//! Packets with a small time to live, and what comes of them.
//!
//! Everything here is done with plain sockets and without privileges: the kernel sends the packet, and its error
//! queue tells who answered.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

#[cfg(target_os = "linux")]
mod linux;

/// Whether this system tells enough of ICMP errors.
pub(crate) const SUPPORTED: bool = cfg!(target_os = "linux");

/// What a path is traced with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Carrier {
    /// The first segment of a connection. Whatever opens is reset at once.
    Syn,
    /// A datagram; with a size in bytes of its IP packet, never fragmented.
    Datagram(Option<u16>),
    /// The first bytes on a connection that opens as usual.
    Hello(Arc<[u8]>),
    /// The first bytes behind STARTTLS; without any, the command itself.
    Starttls(Option<Arc<[u8]>>),
}

/// One flow: the packets of a path leave from one port, or routers that balance show the hops of several ways as one.
#[derive(Debug)]
pub(crate) struct Flow {
    peer: SocketAddr,
    local: Option<SocketAddr>,
    carrier: Carrier,
    #[cfg(target_os = "linux")]
    socket: Option<tokio::net::UdpSocket>,
}

impl Flow {
    /// A flow that has sent nothing yet.
    pub(crate) fn new(peer: SocketAddr, carrier: Carrier) -> Self {
        Self {
            peer,
            local: None,
            carrier,
            #[cfg(target_os = "linux")]
            socket: None,
        }
    }

    /// A flow that leaves from this port.
    pub(crate) fn leaving_from(self, port: u16) -> Self {
        let any: IpAddr = match self.peer {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        Self {
            local: Some(SocketAddr::new(any, port)),
            ..self
        }
    }

    pub(crate) const fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Where its packets leave from, once one has.
    pub(crate) const fn local(&self) -> Option<SocketAddr> {
        self.local
    }

    /// Sends nothing: see [`SUPPORTED`].
    #[cfg(not(target_os = "linux"))]
    pub(crate) async fn shoot(&mut self, _: parallax_engine::path::Shot) -> parallax_engine::path::Answer {
        parallax_engine::path::Answer::NotSent("ENOSYS".to_owned())
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests;
