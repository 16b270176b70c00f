//! The first segment of a connection with a time to live of its own.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsFd;
use std::time::Duration;

use parallax_engine::path::{Answer, IcmpAnswer, Shot};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use crate::driver::errno;
use crate::driver::errqueue::{self, Entry};
use crate::driver::path::Flow;

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
    if let Some(local) = flow.local {
        socket.bind(&local.into())?;
    } else {
        let any: IpAddr = match peer {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        socket.bind(&SocketAddr::new(any, 0).into())?;
    }
    let begun = match socket.connect(&peer.into()) {
        Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => Ok(()),
        other => other,
    };
    Ok((TcpStream::from_std(socket.into())?, begun))
}

fn failed(stream: &TcpStream, error: &io::Error, rtt: Duration) -> Answer {
    match errqueue::entries(stream.as_fd()).pop() {
        // Whoever says it of its own packet did not send it.
        Some(entry) if is_own(stream, &entry) => Answer::NotSent(errno::name(error)),
        Some(entry) => Answer::Icmp(told(entry, rtt)),
        None => match error.raw_os_error() {
            Some(libc::ECONNREFUSED | libc::ECONNRESET) => Answer::Reset { rtt },
            Some(libc::ETIMEDOUT) => Answer::Silence,
            _ => Answer::NotSent(errno::name(error)),
        },
    }
}

fn is_own(stream: &TcpStream, entry: &Entry) -> bool {
    stream
        .local_addr()
        .is_ok_and(|local| local.ip().to_canonical() == entry.error.from)
}

fn told(entry: Entry, rtt: Duration) -> IcmpAnswer {
    let mut answer = IcmpAnswer {
        error: entry.error,
        rtt,
        reply_ttl: entry.ttl,
        mss: mss(&entry.quoted),
        mtu: None,
    };
    answer.mtu = answer.is_too_big().then_some(entry.info);
    answer
}

/// The maximum segment size of a TCP header (RFC 9293 sections 3.1 and 3.2); routers that quote eight bytes show none.
fn mss(header: &[u8]) -> Option<u16> {
    let words = usize::from(header.get(12)? >> 4);
    let mut options = header.get(20..words * 4)?;
    loop {
        match options {
            [2, 4, high, low, ..] => return Some(u16::from_be_bytes([*high, *low])),
            [1, rest @ ..] => options = rest,
            [0, ..] => return None,
            [_, length, ..] if *length >= 2 => options = options.get(usize::from(*length)..)?,
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_segment_size_is_read_where_the_header_is_quoted_whole() {
        let mut header = vec![0; 20];
        header[12] = 0xa0;
        header.extend_from_slice(&[1, 4, 2, 8, 10, 0, 0, 0, 0, 0, 0, 0, 0, 2, 4, 0x04, 0x57, 1, 1, 0]);
        assert_eq!(mss(&header), Some(1_111));
        assert_eq!(mss(&header[..8]), None);
        header[12] = 0x50;
        assert_eq!(mss(&header), None);
    }

    #[test]
    fn options_that_are_no_options_end_the_search() {
        let mut header = vec![0; 24];
        header[12] = 0x60;
        for options in [[9, 0, 0, 0], [9, 1, 2, 4], [2, 4, 0, 0], [9, 200, 0, 0]] {
            header[20..].copy_from_slice(&options);
            assert_eq!(mss(&header), (options[0] == 2).then_some(0));
        }
    }
}
