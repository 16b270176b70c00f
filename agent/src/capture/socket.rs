//! The socket that hears packets, in both directions.

#[cfg(not(target_os = "linux"))]
mod packets {
    use std::io;
    use std::net::IpAddr;

    use crate::capture::packet::Packet;

    /// Packets are recorded on Linux only.
    #[derive(Debug)]
    pub(crate) enum PacketSocket {}

    impl PacketSocket {
        pub(crate) fn open() -> io::Result<Self> {
            Err(io::ErrorKind::Unsupported.into())
        }

        pub(crate) fn hear_of(&self, _: IpAddr) {
            match *self {}
        }

        pub(crate) async fn readable(&self) -> io::Result<()> {
            match *self {}
        }

        pub(crate) fn drain(&self, _: impl FnMut(Packet)) {
            match *self {}
        }

        pub(crate) fn lost(&self) -> u64 {
            match *self {}
        }
    }
}

#[cfg(target_os = "linux")]
mod packets {
    use std::collections::BTreeSet;
    use std::io::{self, IoSliceMut};
    use std::net::IpAddr;
    use std::os::fd::AsRawFd;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    use nix::sys::socket::{ControlMessageOwned, LinkAddr, MsgFlags, recvmsg, setsockopt, sockopt};
    use nix::sys::time::TimeSpec;
    use socket2::{Domain, Protocol, SockRef, Socket, Type};
    use tokio::io::Interest;
    use tokio::net::UdpSocket;

    use crate::capture::packet::Packet;
    use crate::capture::{filter, lock};

    /// What the kernel may hold until it is read; it gives less where the host's limit is lower.
    const BACKLOG: usize = 2 << 20;
    /// The largest packet: with segmentation left to the device, one is as large as IP allows.
    const LARGEST: usize = 64 << 10;

    /// A socket of packet(7).
    #[derive(Debug)]
    pub(crate) struct PacketSocket {
        /// The runtime has no word for a packet socket. All that it does with this one is to wait for it.
        socket: UdpSocket,
        addresses: Mutex<BTreeSet<IpAddr>>,
        /// Packets for which the kernel had no room.
        lost: AtomicU64,
    }

    impl PacketSocket {
        /// Opens one that hears of nobody yet. It takes CAP_NET_RAW.
        pub(crate) fn open() -> io::Result<Self> {
            let everything = i32::from((libc::ETH_P_ALL as u16).to_be());
            // Without the link's header: what matters begins with IP.
            let socket = Socket::new(Domain::PACKET, Type::DGRAM, Some(Protocol::from(everything)))?;
            socket.attach_filter(&filter::program(&BTreeSet::new()))?;
            socket.set_nonblocking(true)?;
            // Less room and coarser times are no reason to hear nothing.
            let _ = socket.set_recv_buffer_size(BACKLOG);
            let _ = setsockopt(&socket, sockopt::ReceiveTimestampns, &true);
            let _ = setsockopt(&socket, sockopt::RxqOvfl, &1);
            Ok(Self {
                socket: UdpSocket::from_std(socket.into())?,
                addresses: Mutex::default(),
                lost: AtomicU64::new(0),
            })
        }

        /// Hears of this address too, from now on.
        pub(crate) fn hear_of(&self, address: IpAddr) {
            let mut addresses = lock(&self.addresses);
            if addresses.insert(address)
                && let Err(error) = SockRef::from(&self.socket).attach_filter(&filter::program(&addresses))
            {
                tracing::warn!(%address, "packets are not recorded: {error}");
            }
        }

        /// Waits for packets.
        pub(crate) async fn readable(&self) -> io::Result<()> {
            self.socket.readable().await
        }

        /// Takes every packet that waits, those too of which the runtime has not heard yet.
        pub(crate) fn drain(&self, mut take: impl FnMut(Packet)) {
            let mut room = vec![0; LARGEST];
            // What `readable` says holds until a read through the runtime was in vain.
            while let Ok(heard) = self
                .socket
                .try_io(Interest::READABLE, || self.next(&mut room))
                .or_else(|_| self.next(&mut room))
            {
                heard.map(&mut take);
            }
        }

        /// How many packets the kernel had no room for, of whatever it let through.
        pub(crate) fn lost(&self) -> u64 {
            self.lost.load(Ordering::Relaxed)
        }

        /// The next packet; none where it is heard a second time.
        fn next(&self, room: &mut [u8]) -> io::Result<Option<Packet>> {
            let mut control = nix::cmsg_space!(TimeSpec, u32);
            let mut parts = [IoSliceMut::new(room)];
            let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_TRUNC;
            let heard = recvmsg::<LinkAddr>(self.socket.as_raw_fd(), &mut parts, Some(&mut control), flags)?;
            let mut at = Duration::ZERO;
            for said in heard.cmsgs()? {
                match said {
                    ControlMessageOwned::ScmTimestampns(time) => at = time.into(),
                    ControlMessageOwned::RxqOvfl(lost) => self.lost.store(lost.into(), Ordering::Relaxed),
                    _ => {}
                }
            }
            let (link, length) = (heard.address, heard.bytes);
            let outgoing = link.is_some_and(|link| link.pkttype() == libc::PACKET_OUTGOING);
            // What goes to this host itself is heard as it leaves and as it arrives.
            if outgoing && link.is_some_and(|link| link.hatype() == libc::ARPHRD_LOOPBACK) {
                return Ok(None);
            }
            Ok(Some(Packet {
                at,
                outgoing,
                bytes: room[..length.min(LARGEST)].to_vec(),
                length,
            }))
        }
    }
}

pub(crate) use packets::PacketSocket;
