//! Packets with a small time to live, and what comes of them.
//!
//! Everything here is done with plain sockets and without privileges: the kernel sends the packet, and its error
//! queue tells who answered.

#[cfg(target_os = "linux")]
mod syn;

use std::net::SocketAddr;

use parallax_engine::path::{Answer, Shot};

/// Whether this system tells enough of ICMP errors.
pub(crate) const SUPPORTED: bool = cfg!(target_os = "linux");

/// One flow: the packets of a path leave from one port, or routers that balance show the hops of several ways as one.
#[derive(Debug)]
pub(crate) struct Flow {
    peer: SocketAddr,
    local: Option<SocketAddr>,
}

impl Flow {
    /// A flow that has sent nothing yet.
    pub(crate) const fn to(peer: SocketAddr) -> Self {
        Self { peer, local: None }
    }

    pub(crate) const fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Where its packets leave from, once one has.
    pub(crate) const fn local(&self) -> Option<SocketAddr> {
        self.local
    }

    /// Sends the first segment of a connection and closes whatever opens at once.
    #[cfg(target_os = "linux")]
    pub(crate) async fn shoot(&mut self, shot: Shot) -> Answer {
        syn::shoot(self, shot).await
    }

    /// Sends nothing: see [`SUPPORTED`].
    #[cfg(not(target_os = "linux"))]
    pub(crate) async fn shoot(&mut self, _: Shot) -> Answer {
        Answer::NotSent("ENOSYS".to_owned())
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests;
