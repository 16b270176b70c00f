//! The first segment of a connection with a time to live of its own.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use parallax_engine::path::{Answer, Shot};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::driver::path::Flow;
use crate::driver::path::linux::{anywhere, header, is_own, options, told};
use crate::driver::{errno, errqueue, tcp};

pub(super) async fn shoot(flow: &mut Flow, shot: Shot) -> Answer {
    match open(flow, shot).await {
        Ok((_, rtt)) => Answer::SynAck { rtt },
        Err(answer) => answer,
    }
}

/// A connection that opened, and how long that took; or what came instead.
pub(super) async fn open(flow: &mut Flow, shot: Shot) -> Result<(TcpStream, Duration), Answer> {
    let sent = Instant::now();
    let begun = begin(flow, shot).map_err(|error| Answer::NotSent(errno::name(&error)));
    let (stream, begun) = begun?;
    if let Ok(local) = stream.local_addr()
        && !local.ip().is_unspecified()
    {
        flow.local = Some(local);
    }
    let settled = tcp::settled(&stream, begun, Instant::now() + shot.wait).await;
    let rtt = sent.elapsed();
    match settled {
        None => Err(Answer::Silence),
        Some(Ok(())) => Ok((stream, rtt)),
        Some(Err(error)) => Err(failed(&stream, &error, rtt)),
    }
}

/// Makes the socket and sends the segment.
fn begin(flow: &Flow, shot: Shot) -> io::Result<(TcpStream, io::Result<()>)> {
    let peer = flow.peer;
    let socket = Socket::new(Domain::for_address(peer), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    errqueue::keep_icmp_errors(socket.as_fd(), true);
    errqueue::keep_ttl(socket.as_fd());
    // What opens is reset and leaves no TIME_WAIT behind: the next segment has the same ports.
    socket.set_linger(Some(Duration::ZERO))?;
    socket.set_reuse_address(true)?;
    options::set_ttl(&socket, peer.is_ipv4(), shot.ttl)?;
    if let Some(least) = shot.least {
        options::set_least(&socket, peer.is_ipv4(), least)?;
    }
    socket.bind(&flow.local.unwrap_or_else(|| anywhere(peer)).into())?;
    tcp::start(socket, peer)
}

pub(super) fn failed(stream: &TcpStream, error: &io::Error, rtt: Duration) -> Answer {
    match errqueue::entries(stream.as_fd()).pop() {
        // Whoever says it of its own packet did not send it.
        Some(entry) if is_own(&entry, &stream.local_addr()) => Answer::NotSent(errno::name(error)),
        Some(entry) => {
            let mss = header::mss(&entry.quoted);
            Answer::Icmp(told(entry, rtt, mss))
        }
        None => match error.raw_os_error() {
            // The last is a reset behind the end of what the other side had to say.
            Some(libc::ECONNREFUSED | libc::ECONNRESET | libc::EPIPE) => Answer::Reset { rtt },
            Some(libc::ETIMEDOUT) => Answer::Silence,
            _ => Answer::NotSent(errno::name(error)),
        },
    }
}
