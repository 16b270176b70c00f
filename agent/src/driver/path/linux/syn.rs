//! The first segment of a connection with a time to live of its own.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use parallax_engine::path::{Answer, Shot};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use crate::driver::path::Flow;
use crate::driver::path::linux::{anywhere, header, is_own, options, told};
use crate::driver::{errno, errqueue};

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
    let error = match begun {
        Err(error) => Some(error),
        Ok(()) => match timeout(shot.wait, stream.writable()).await {
            Err(_) => return Err(Answer::Silence),
            Ok(Err(error)) => Some(error),
            // Before the queue is read: reading it clears the error (measured).
            Ok(Ok(())) => stream.take_error().unwrap_or_else(Some),
        },
    };
    let rtt = sent.elapsed();
    match error {
        None => Ok((stream, rtt)),
        Some(error) => Err(failed(&stream, &error, rtt)),
    }
}

/// Makes the socket and sends the segment. The answer may be there before `connect` returns; its error comes second.
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
    let begun = match socket.connect(&peer.into()) {
        Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => Ok(()),
        other => other,
    };
    Ok((TcpStream::from_std(socket.into())?, begun))
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
