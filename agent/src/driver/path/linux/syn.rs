//! The first segment of a connection with a time to live of its own.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use parallax_engine::path::{Answer, Shot};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use crate::driver::path::Flow;
use crate::driver::path::linux::{anywhere, header, is_own, told};
use crate::driver::{errno, errqueue};

pub(super) async fn shoot(flow: &mut Flow, shot: Shot) -> Answer {
    let sent = Instant::now();
    let (stream, begun) = match begin(flow, shot.ttl) {
        Ok(begun) => begun,
        Err(error) => return Answer::NotSent(errno::name(&error)),
    };
    if let Ok(local) = stream.local_addr()
        && !local.ip().is_unspecified()
    {
        flow.local = Some(local);
    }
    let error = match begun {
        Err(error) => Some(error),
        Ok(()) => match timeout(shot.wait, stream.writable()).await {
            Err(_) => return Answer::Silence,
            Ok(Err(error)) => Some(error),
            // Before the queue is read: reading it clears the error (measured).
            Ok(Ok(())) => stream.take_error().unwrap_or_else(Some),
        },
    };
    let rtt = sent.elapsed();
    match error {
        None => Answer::SynAck { rtt },
        Some(error) => failed(&stream, &error, rtt),
    }
}

/// Makes the socket and sends the segment. The answer may be there before `connect` returns; its error comes second.
fn begin(flow: &Flow, ttl: u8) -> io::Result<(TcpStream, io::Result<()>)> {
    let peer = flow.peer;
    let socket = Socket::new(Domain::for_address(peer), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    errqueue::keep_icmp_errors(socket.as_fd(), true);
    errqueue::keep_ttl(socket.as_fd());
    // What opens is reset and leaves no TIME_WAIT behind: the next segment has the same ports.
    socket.set_linger(Some(Duration::ZERO))?;
    socket.set_reuse_address(true)?;
    if peer.is_ipv4() {
        socket.set_ttl_v4(ttl.into())?;
    } else {
        socket.set_unicast_hops_v6(ttl.into())?;
    }
    socket.bind(&flow.local.unwrap_or_else(|| anywhere(peer)).into())?;
    let begun = match socket.connect(&peer.into()) {
        Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => Ok(()),
        other => other,
    };
    Ok((TcpStream::from_std(socket.into())?, begun))
}

fn failed(stream: &TcpStream, error: &io::Error, rtt: Duration) -> Answer {
    match errqueue::entries(stream.as_fd()).pop() {
        // Whoever says it of its own packet did not send it.
        Some(entry) if is_own(&entry, &stream.local_addr()) => Answer::NotSent(errno::name(error)),
        Some(entry) => {
            let mss = header::mss(&entry.quoted);
            Answer::Icmp(told(entry, rtt, mss))
        }
        None => match error.raw_os_error() {
            Some(libc::ECONNREFUSED | libc::ECONNRESET) => Answer::Reset { rtt },
            Some(libc::ETIMEDOUT) => Answer::Silence,
            _ => Answer::NotSent(errno::name(error)),
        },
    }
}
