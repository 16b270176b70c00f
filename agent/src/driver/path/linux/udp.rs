//! A datagram with a time to live of its own, and perhaps a size.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;

use nix::sys::socket::{SetSockOpt, setsockopt};
use nix::{setsockopt_impl, sockopt_impl};
use parallax_engine::path::{Answer, Shot};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout};

use crate::driver::errno;
use crate::driver::errqueue::{self, Entry};
use crate::driver::path::linux::{anywhere, is_own, told};

/// Of a datagram whose size does not matter: longer than what every router quotes anyway.
const USUAL: usize = 32;
/// IP and UDP headers (RFC 791 section 3.1, RFC 8200 section 3, RFC 768).
const HEADERS: (usize, usize) = (20 + 8, 40 + 8);
/// The error of an earlier packet is told to whoever sends the next one, which then does not leave.
const SENDS: usize = 4;

sockopt_impl!(
    /// Don't-fragment on every packet, whatever is remembered of the path's MTU (`IP_MTU_DISCOVER` of ip(7)).
    DontFragment4,
    SetOnly,
    libc::IPPROTO_IP,
    libc::IP_MTU_DISCOVER,
    libc::c_int
);
sockopt_impl!(
    /// The same for IPv6 (`IPV6_MTU_DISCOVER` of ipv6(7)).
    DontFragment6,
    SetOnly,
    libc::IPPROTO_IPV6,
    libc::IPV6_MTU_DISCOVER,
    libc::c_int
);

/// Opens a socket for datagrams to `peer`; with a size their packets are never fragmented.
pub(super) fn open(peer: SocketAddr, bytes: Option<u16>) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(peer), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    errqueue::keep_icmp_errors(socket.as_fd(), true);
    errqueue::keep_ttl(socket.as_fd());
    if bytes.is_some() {
        match peer {
            SocketAddr::V4(_) => set(&socket, DontFragment4, libc::IP_PMTUDISC_PROBE)?,
            SocketAddr::V6(_) => set(&socket, DontFragment6, libc::IPV6_PMTUDISC_PROBE)?,
        }
    }
    socket.bind(&anywhere(peer).into())?;
    socket.connect(&peer.into())?;
    UdpSocket::from_std(socket.into())
}

fn set(socket: &Socket, option: impl SetSockOpt<Val = i32>, value: i32) -> io::Result<()> {
    Ok(setsockopt(socket, option, &value)?)
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
    let options = SockRef::from(socket);
    if socket.local_addr()?.is_ipv4() {
        options.set_ttl_v4(ttl.into())?;
    } else {
        options.set_unicast_hops_v6(ttl.into())?;
    }
    let mut ended = Ok(());
    for _ in 0..SENDS {
        ended = options.send(payload).map(drop);
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
