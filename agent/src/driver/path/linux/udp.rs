//! A datagram with a time to live of its own, and perhaps a size.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;

use parallax_engine::path::{Answer, Shot};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout};

use crate::driver::errno;
use crate::driver::errqueue::{self, Entry};
use crate::driver::path::linux::{anywhere, is_own, options, told};

/// Of a datagram whose size does not matter: longer than what every router quotes anyway.
const USUAL: usize = 32;
/// IP and UDP headers (RFC 791 section 3.1, RFC 8200 section 3, RFC 768).
const HEADERS: (usize, usize) = (20 + 8, 40 + 8);
/// The error of an earlier packet is told to whoever sends the next one, which then does not leave.
const SENDS: usize = 4;

/// Opens a socket for datagrams to `peer`; with a size their packets are never fragmented.
pub(super) fn open(peer: SocketAddr, bytes: Option<u16>) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(peer), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    errqueue::keep_icmp_errors(socket.as_fd(), true);
    errqueue::keep_ttl(socket.as_fd());
    if bytes.is_some() {
        options::dont_fragment(&socket, peer.is_ipv4())?;
    }
    socket.bind(&anywhere(peer).into())?;
    socket.connect(&peer.into())?;
    UdpSocket::from_std(socket.into())
}

/// Sends one datagram and waits for what comes of it.
pub(super) async fn shoot(socket: &UdpSocket, bytes: Option<u16>, shot: Shot) -> Answer {
    let payload = payload(socket, bytes, shot.ttl);
    // What came too late for an earlier one.
    let _ = errqueue::entries(socket.as_fd());
    let sent = Instant::now();
    if let Err(error) = send(socket, shot.ttl, &payload) {
        return match errqueue::entries(socket.as_fd()).pop() {
            Some(entry) => said(entry, &socket.local_addr(), sent),
            None => Answer::NotSent(errno::name(&error)),
        };
    }
    let answer = timeout(shot.wait, answer(socket, shot.ttl, sent)).await;
    answer.unwrap_or(Answer::Silence)
}

/// Filled with its TTL, which routers quote: an answer that comes late is told from the one that is waited for.
fn payload(socket: &UdpSocket, bytes: Option<u16>, ttl: u8) -> Vec<u8> {
    let v4 = socket.local_addr().is_ok_and(|local| local.is_ipv4());
    let headers = if v4 { HEADERS.0 } else { HEADERS.1 };
    let length = bytes.map_or(USUAL, |bytes| usize::from(bytes).saturating_sub(headers));
    vec![ttl; length]
}

fn send(socket: &UdpSocket, ttl: u8, payload: &[u8]) -> io::Result<()> {
    options::set_ttl(socket, socket.local_addr()?.is_ipv4(), ttl)?;
    let mut ended = Ok(());
    for _ in 0..SENDS {
        ended = SockRef::from(socket).send(payload).map(drop);
        if ended.is_ok() {
            break;
        }
    }
    ended
}

async fn answer(socket: &UdpSocket, ttl: u8, sent: Instant) -> Answer {
    let about = |entry: &Entry| entry.quoted.first().is_none_or(|first| *first == ttl);
    let mut data = [0_u8; USUAL];
    loop {
        let heard = socket.async_io(Interest::READABLE | Interest::ERROR, || {
            let entries = errqueue::entries(socket.as_fd());
            match entries.into_iter().rfind(about) {
                Some(entry) => Ok(Some(entry)),
                None => socket.try_recv(&mut data).map(|_| None),
            }
        });
        match heard.await {
            Ok(Some(entry)) => return said(entry, &socket.local_addr(), sent),
            Ok(None) => return Answer::Answered { rtt: sent.elapsed() },
            // Of an error that was told to an earlier packet.
            Err(_) => {}
        }
    }
}

/// An error of this host itself, but for a port of its own that is closed, is of a packet that did not leave.
fn said(entry: Entry, local: &io::Result<SocketAddr>, sent: Instant) -> Answer {
    let own = is_own(&entry, local);
    let icmp = told(entry, sent.elapsed(), None);
    if own && !icmp.is_port_unreachable() {
        Answer::NotSent(icmp.error.name)
    } else {
        Answer::Icmp(icmp)
    }
}
