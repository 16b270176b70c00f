//! Packets of a path, on Linux.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use parallax_engine::path::{Answer, IcmpAnswer, Shot};

use crate::driver::errno;
use crate::driver::errqueue::Entry;
use crate::driver::path::{Carrier, Flow};
use starttls::Until;

mod header;
mod hello;
mod options;
mod starttls;
mod syn;
mod udp;

impl Flow {
    /// Sends one packet and waits for what comes of it.
    pub(crate) async fn shoot(&mut self, shot: Shot) -> Answer {
        let bytes = match &self.carrier {
            Carrier::Syn => return syn::shoot(self, shot).await,
            Carrier::Hello(hello) => {
                let hello = Arc::clone(hello);
                return hello::shoot(self, &hello, None, shot).await;
            }
            Carrier::Starttls(None) => {
                return hello::shoot(self, starttls::COMMAND, Some(Until::Greeting), shot).await;
            }
            Carrier::Starttls(Some(hello)) => {
                let hello = Arc::clone(hello);
                return hello::shoot(self, &hello, Some(Until::GoAhead), shot).await;
            }
            Carrier::Datagram(bytes) => *bytes,
        };
        if self.socket.is_none() {
            match udp::open(self.peer, bytes) {
                Ok(socket) => self.socket = Some(socket),
                Err(error) => return Answer::NotSent(errno::name(&error)),
            }
        }
        let Some(socket) = &self.socket else {
            return Answer::Silence;
        };
        self.local = socket.local_addr().ok();
        udp::shoot(socket, bytes, shot).await
    }
}

/// Whether this host itself says it, of a packet that it did not send.
fn is_own(entry: &Entry, local: &io::Result<SocketAddr>) -> bool {
    local
        .as_ref()
        .is_ok_and(|local| local.ip().to_canonical() == entry.error.from)
}

fn told(entry: Entry, rtt: Duration, mss: Option<u16>) -> IcmpAnswer {
    let mut answer = IcmpAnswer {
        error: entry.error,
        rtt,
        reply_ttl: entry.ttl,
        mss,
        mtu: None,
    };
    answer.mtu = answer.is_too_big().then_some(entry.info);
    answer
}

/// Any address of the other side's family, and any port.
fn anywhere(peer: SocketAddr) -> SocketAddr {
    let any: IpAddr = match peer {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    SocketAddr::new(any, 0)
}
