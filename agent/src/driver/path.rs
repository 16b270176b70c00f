//! Packets with a small time to live, and what comes of them.
//!
//! Everything here is done with plain sockets and without privileges: the kernel sends the packet, and its error
//! queue tells who answered.

use std::net::SocketAddr;

#[cfg(target_os = "linux")]
mod linux;

/// Whether this system tells enough of ICMP errors.
pub(crate) const SUPPORTED: bool = cfg!(target_os = "linux");

/// What a path is traced with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Carrier {
    /// The first segment of a connection. Whatever opens is reset at once.
    Syn,
    /// A datagram; with a size in bytes of its IP packet, never fragmented.
    Datagram(Option<u16>),
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
    pub(crate) const fn new(peer: SocketAddr, carrier: Carrier) -> Self {
        Self {
            peer,
            local: None,
            carrier,
            #[cfg(target_os = "linux")]
            socket: None,
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
