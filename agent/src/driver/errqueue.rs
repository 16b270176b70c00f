//! The error queue of a socket: ICMP errors with their senders, and what they say beside their code.

#[cfg(not(target_os = "linux"))]
mod queue {
    use std::os::fd::BorrowedFd;

    use parallax_model::evidence::IcmpError;

    pub(crate) fn keep_icmp_errors(_: BorrowedFd<'_>, _: bool) {}

    pub(crate) fn icmp_error(_: BorrowedFd<'_>) -> Option<IcmpError> {
        None
    }
}

#[cfg(target_os = "linux")]
mod queue {
    use std::io::IoSliceMut;
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
    use std::os::fd::{AsRawFd, BorrowedFd};

    use nix::libc::{sock_extended_err, sockaddr_in, sockaddr_in6};
    use nix::sys::socket::{
        ControlMessageOwned, MsgFlags, RecvMsg, SetSockOpt, recvmsg, setsockopt, sockopt,
    };
    use parallax_model::evidence::IcmpError;

    use crate::driver::icmp;

    /// More entries than one connection attempt can bring.
    const ENTRIES: usize = 16;
    /// A quoted TCP header is 60 bytes at most (RFC 9293 section 3.1).
    const QUOTED: usize = 128;
    /// An error, its sender and a TTL, and room for what a newer kernel adds.
    const CONTROL: usize = 512;
    /// Origins of an entry (ip(7)).
    const ICMP: u8 = 2;
    const ICMP6: u8 = 3;

    /// One ICMP error.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub(crate) struct Entry {
        pub(crate) error: IcmpError,
        /// With which TTL or hop limit the error itself arrived; where [`keep_ttl`] asked for it.
        pub(crate) ttl: Option<u8>,
        /// What its sender says beside the code: of a packet that is too big the size that is not.
        pub(crate) info: u32,
        /// Our packet as the sender quotes it, from the transport's header on.
        pub(crate) quoted: Vec<u8>,
        /// How long the quoted part is.
        pub(crate) length: usize,
    }

    /// Whether ICMP errors are kept in the socket's error queue (`IP_RECVERR` of ip(7), `IPV6_RECVERR` of ipv6(7)).
    /// A socket of the other family refuses the option, which changes nothing.
    pub(crate) fn keep_icmp_errors(socket: BorrowedFd<'_>, keep: bool) {
        set(socket, sockopt::Ipv4RecvErr, keep);
        set(socket, sockopt::Ipv6RecvErr, keep);
    }

    /// The TTL of each answer, in the error queue too (`IP_RECVTTL`, `IPV6_RECVHOPLIMIT`).
    pub(crate) fn keep_ttl(socket: BorrowedFd<'_>) {
        set(socket, sockopt::Ipv4RecvTtl, true);
        set(socket, sockopt::Ipv6RecvHopLimit, true);
    }

    fn set(socket: BorrowedFd<'_>, option: impl SetSockOpt<Val = bool>, value: bool) {
        let _ = setsockopt(&socket, option, &value);
    }

    /// The last ICMP error in the socket's error queue, which is empty afterwards. Reading it clears the socket's own
    /// error: that one is asked for before (measured).
    pub(crate) fn icmp_error(socket: BorrowedFd<'_>) -> Option<IcmpError> {
        entries(socket).pop().map(|entry| entry.error)
    }

    /// Every ICMP error in the socket's error queue, oldest first; it is empty afterwards.
    pub(crate) fn entries(socket: BorrowedFd<'_>) -> Vec<Entry> {
        let read = std::iter::repeat_with(|| entry(socket)).take(ENTRIES);
        read.map_while(|entry| entry).flatten().collect()
    }

    /// The next entry; the inner one is none where it is no ICMP error, the outer one where the queue is empty.
    fn entry(socket: BorrowedFd<'_>) -> Option<Option<Entry>> {
        let mut data = [0_u8; QUOTED];
        let mut control = vec![0_u8; CONTROL];
        let mut parts = [IoSliceMut::new(&mut data)];
        let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
        let message = recvmsg::<()>(socket.as_raw_fd(), &mut parts, Some(&mut control), flags).ok()?;
        let length = message.bytes;
        let read = read(&message);
        Some(read.map(|entry| Entry {
            length,
            quoted: data.get(..length.min(QUOTED)).unwrap_or_default().to_vec(),
            ..entry
        }))
    }

    fn read(message: &RecvMsg<'_, '_, ()>) -> Option<Entry> {
        let (mut error, mut ttl) = (None, None);
        for control in message.cmsgs().ok()? {
            match control {
                ControlMessageOwned::Ipv4RecvErr(what, from) => error = v4(&what, from?),
                ControlMessageOwned::Ipv6RecvErr(what, from) => error = v6(&what, from?),
                ControlMessageOwned::Ipv4Ttl(value) | ControlMessageOwned::Ipv6HopLimit(value) => {
                    ttl = u8::try_from(value).ok();
                }
                _ => {}
            }
        }
        let (error, info) = error?;
        Some(Entry {
            error,
            ttl,
            info,
            quoted: Vec::new(),
            length: 0,
        })
    }

    fn v4(what: &sock_extended_err, from: sockaddr_in) -> Option<(IcmpError, u32)> {
        let from = Ipv4Addr::from_bits(u32::from_be(from.sin_addr.s_addr));
        of_network(what, ICMP, from.into())
    }

    fn v6(what: &sock_extended_err, from: sockaddr_in6) -> Option<(IcmpError, u32)> {
        let from = Ipv6Addr::from(from.sin6_addr.s6_addr);
        of_network(what, ICMP6, from.into())
    }

    /// An error of this host alone has another origin, and is none of the network.
    fn of_network(what: &sock_extended_err, origin: u8, from: IpAddr) -> Option<(IcmpError, u32)> {
        (what.ee_origin == origin).then(|| (icmp::error(what.ee_type, what.ee_code, from), what.ee_info))
    }
}

#[cfg(target_os = "linux")]
pub(crate) use queue::{Entry, entries, keep_ttl};
pub(crate) use queue::{icmp_error, keep_icmp_errors};
