//! A TCP connection, and the kernel's own account of it.
//!
//! The only place that calls the kernel without a safe wrapper: `TCP_INFO` has none.

#![allow(unsafe_code)]

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};

use parallax_engine::action::Dial;
use parallax_model::evidence::{ConnectEvidence, TcpInfo};
use parallax_model::fault::{Fault, FaultKind, TcpFault};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use crate::driver::errno;

mod interface;

pub(crate) use interface::{beside, holder};

/// An open connection.
pub(crate) struct Open {
    pub(crate) stream: TcpStream,
    pub(crate) evidence: ConnectEvidence,
}

/// A connection that could not be opened.
#[derive(Debug)]
pub(crate) struct NotOpen {
    pub(crate) fault: Fault,
    pub(crate) evidence: ConnectEvidence,
    pub(crate) info: Option<TcpInfo>,
}

/// One read; a TLS record is at most this and a little more.
const READ: usize = 16 * 1024;

/// The next bytes; none at the end of the stream. Memory is taken when there are bytes to put into it: most of a probe
/// is waiting.
pub(crate) async fn read(stream: &TcpStream) -> io::Result<Vec<u8>> {
    loop {
        stream.readable().await?;
        let mut bytes = Vec::with_capacity(READ);
        match stream.try_read_buf(&mut bytes) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
            Ok(_) => return Ok(bytes),
        }
    }
}

/// Opens a connection. Whatever comes of it, what the kernel knows is kept.
pub(crate) async fn connect(peer: SocketAddr, dial: Dial, until: Instant) -> Result<Open, Box<NotOpen>> {
    open(peer, dial)?.settled(until).await
}

/// A connection whose first segment is sent.
pub(crate) struct Opening {
    stream: TcpStream,
    begun: io::Result<()>,
    evidence: ConnectEvidence,
}

/// Begins to open a connection.
pub(crate) fn open(peer: SocketAddr, dial: Dial) -> Result<Opening, Box<NotOpen>> {
    let mut evidence = ConnectEvidence {
        interface: None,
        syn_retransmits: None,
        mss: dial.mss,
        on_link: None,
        peer,
        local: None,
        errno: None,
        icmp: None,
    };
    match begin(peer, dial) {
        Ok((stream, begun)) => {
            evidence.local = local(&stream);
            Ok(Opening {
                stream,
                begun,
                evidence,
            })
        }
        Err(error) => Err(no_socket(&error, evidence)),
    }
}

impl Opening {
    pub(crate) const fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Waits for what comes of it.
    pub(crate) async fn settled(self, until: Instant) -> Result<Open, Box<NotOpen>> {
        let Self {
            stream,
            begun,
            evidence,
        } = self;
        match settled(&stream, begun, until).await {
            None => Err(silent(&stream, evidence)),
            Some(Ok(())) => opened(stream, evidence),
            Some(Err(error)) => Err(refused(&stream, &error, evidence)),
        }
    }
}

/// Sends the first segment. Between two hosts without a way between them the answer may be there before `connect`
/// returns; its error comes second.
pub(crate) fn start(socket: Socket, peer: SocketAddr) -> io::Result<(TcpStream, io::Result<()>)> {
    let begun = match socket.connect(&peer.into()) {
        Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => Ok(()),
        other => other,
    };
    Ok((TcpStream::from_std(socket.into())?, begun))
}

/// What comes of a connection that was begun; nothing, if it is neither open nor refused by then.
pub(crate) async fn settled(
    stream: &TcpStream,
    begun: io::Result<()>,
    until: Instant,
) -> Option<io::Result<()>> {
    if begun.is_err() {
        return Some(begun);
    }
    let writable = timeout_at(until, stream.writable()).await.ok()?;
    // Before the queue is read: reading it clears the error (measured).
    Some(writable.and_then(|()| stream.take_error()?.map_or(Ok(()), Err)))
}

/// Makes the socket and sends the first segment.
fn begin(peer: SocketAddr, dial: Dial) -> io::Result<(TcpStream, io::Result<()>)> {
    let socket = Socket::new(Domain::for_address(peer), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    keep_icmp_errors(socket.as_fd(), true);
    // A dialogue waits for every answer; holding small segments back would only lengthen it.
    let _ = socket.set_tcp_nodelay(true);
    if let Some(source) = dial.source {
        socket.bind(&SocketAddr::new(source, 0).into())?;
    }
    if let Some(mss) = dial.mss {
        socket.set_tcp_mss(mss.into())?;
    }
    start(socket, peer)
}

fn opened(stream: TcpStream, mut evidence: ConnectEvidence) -> Result<Open, Box<NotOpen>> {
    if let Err(error) = stream.peer_addr() {
        return Err(refused(&stream, &error, evidence));
    }
    // An established connection outlives an ICMP error that TCP can get over.
    keep_icmp_errors(stream.as_fd(), false);
    evidence.local = local(&stream);
    evidence.syn_retransmits = info(stream.as_fd()).as_ref().map(sent_again);
    Ok(Open { stream, evidence })
}

fn refused(stream: &TcpStream, error: &io::Error, mut evidence: ConnectEvidence) -> Box<NotOpen> {
    evidence.errno = Some(errno::name(error));
    evidence.icmp = icmp_error(stream.as_fd());
    let doing = format!("connect to {}", evidence.peer);
    let mut fault = errno::tcp_fault(error, &doing);
    if let Some(icmp) = &evidence.icmp {
        fault.message = format!("{doing}: ICMP {} from {}", icmp.name, icmp.from);
    }
    let info = info(stream.as_fd());
    evidence.syn_retransmits = info.as_ref().map(sent_again);
    Box::new(NotOpen {
        fault,
        evidence,
        info,
    })
}

fn silent(stream: &TcpStream, mut evidence: ConnectEvidence) -> Box<NotOpen> {
    // Before the queue is read: reading it clears the error.
    let soft_error = stream.take_error().ok().flatten();
    evidence.icmp = icmp_error(stream.as_fd());
    let info = info(stream.as_fd()).map(|info| TcpInfo {
        soft_error: soft_error.as_ref().map(errno::name),
        ..info
    });
    evidence.syn_retransmits = info.as_ref().map(sent_again);
    let fault = Fault::new(
        FaultKind::Tcp(TcpFault::TimedOut),
        format!("connect to {}: no answer", evidence.peer),
    );
    Box::new(NotOpen {
        fault,
        evidence,
        info,
    })
}

/// Without a socket nothing was tried: that is this host's trouble, or a family it does not have.
fn no_socket(error: &io::Error, mut evidence: ConnectEvidence) -> Box<NotOpen> {
    evidence.errno = Some(errno::name(error));
    let mut fault = errno::tcp_fault(error, "open a socket");
    if error.raw_os_error() == Some(libc::EAFNOSUPPORT) {
        fault.kind = FaultKind::Tcp(TcpFault::NetworkUnreachable);
    }
    let info = None;
    Box::new(NotOpen {
        fault,
        evidence,
        info,
    })
}

/// Before a connection is open, whatever is sent again is its SYN.
fn sent_again(info: &TcpInfo) -> u32 {
    info.total_retransmits.max(info.retransmits)
}

/// Where a connection leaves this host, once that is known.
pub(crate) fn local(stream: &TcpStream) -> Option<SocketAddr> {
    let local = stream.local_addr().ok()?;
    (!local.ip().is_unspecified()).then_some(local)
}

#[cfg(not(target_os = "linux"))]
mod kernel {
    use super::{BorrowedFd, TcpInfo};

    pub(crate) fn info(_: BorrowedFd<'_>) -> Option<TcpInfo> {
        None
    }
}

#[cfg(target_os = "linux")]
mod kernel {
    use std::mem::size_of;
    use std::os::fd::AsRawFd;
    use std::time::Duration;

    use super::{BorrowedFd, TcpInfo};

    /// `struct tcp_info` of linux/tcp.h as far as it is read here; older kernels fill less of it.
    #[repr(C)]
    #[derive(Default)]
    struct Raw {
        state: u8,
        ca_state: u8,
        retransmits: u8,
        probes: u8,
        backoff: u8,
        options: u8,
        wscale: u8,
        flags: u8,
        rto: u32,
        ato: u32,
        snd_mss: u32,
        rcv_mss: u32,
        unacked: u32,
        sacked: u32,
        lost: u32,
        retrans: u32,
        fackets: u32,
        last_data_sent: u32,
        last_ack_sent: u32,
        last_data_recv: u32,
        last_ack_recv: u32,
        pmtu: u32,
        rcv_ssthresh: u32,
        rtt: u32,
        rttvar: u32,
        snd_ssthresh: u32,
        snd_cwnd: u32,
        advmss: u32,
        reordering: u32,
        rcv_rtt: u32,
        rcv_space: u32,
        total_retrans: u32,
        pacing_rate: u64,
        max_pacing_rate: u64,
        bytes_acked: u64,
        bytes_received: u64,
        segs_out: u32,
        segs_in: u32,
        notsent_bytes: u32,
        min_rtt: u32,
        data_segs_in: u32,
        data_segs_out: u32,
        delivery_rate: u64,
        busy_time: u64,
        rwnd_limited: u64,
        sndbuf_limited: u64,
        delivered: u32,
        delivered_ce: u32,
        bytes_sent: u64,
        bytes_retrans: u64,
        dsack_dups: u32,
        reord_seen: u32,
        rcv_ooopack: u32,
        snd_wnd: u32,
    }

    /// The kernel's account of a connection now (`TCP_INFO` of tcp(7)).
    pub(crate) fn info(socket: BorrowedFd<'_>) -> Option<TcpInfo> {
        let mut raw = Raw::default();
        let mut length = size_of::<Raw>() as libc::socklen_t;
        // SAFETY: the descriptor is open; the kernel writes at most `length` bytes, the size of `raw`, and every
        // bit pattern is a value of its integer fields.
        let answer = unsafe {
            libc::getsockopt(
                socket.as_raw_fd(),
                libc::IPPROTO_TCP,
                libc::TCP_INFO,
                (&raw mut raw).cast(),
                &raw mut length,
            )
        };
        let whole = length as usize == size_of::<Raw>();
        (answer == 0).then(|| TcpInfo {
            state: state(raw.state).to_owned(),
            rtt: Duration::from_micros(raw.rtt.into()),
            total_retransmits: raw.total_retrans,
            retransmits: raw.retransmits.into(),
            unacked: raw.unacked,
            segs_out: raw.segs_out,
            segs_in: raw.segs_in,
            bytes_acked: raw.bytes_acked,
            bytes_received: raw.bytes_received,
            rcv_ooopack: raw.rcv_ooopack,
            snd_mss: raw.snd_mss,
            pmtu: raw.pmtu,
            snd_wnd: whole.then_some(raw.snd_wnd),
            soft_error: None,
        })
    }

    const fn state(number: u8) -> &'static str {
        match number {
            1 => "ESTABLISHED",
            2 => "SYN_SENT",
            3 => "SYN_RECV",
            4 => "FIN_WAIT1",
            5 => "FIN_WAIT2",
            6 => "TIME_WAIT",
            7 => "CLOSE",
            8 => "CLOSE_WAIT",
            9 => "LAST_ACK",
            10 => "LISTEN",
            11 => "CLOSING",
            _ => "UNKNOWN",
        }
    }
}

pub(crate) use crate::driver::errqueue::{icmp_error, keep_icmp_errors};
pub(crate) use kernel::info;

#[cfg(test)]
mod tests;
