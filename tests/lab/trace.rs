//! The routers on a path, asked for with UDP and small hop limits.

use std::io::IoSliceMut;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt, sockopt};
use parallax_tests::namespace::Namespace;
use parallax_tests::wait;

const LONGEST_PATH: u8 = 8;

/// Who answers at each hop limit on the way from `namespace` to `target`, up to the target itself.
pub(crate) fn hops(namespace: &Namespace, target: IpAddr) -> Vec<IpAddr> {
    namespace.run(move || {
        let mut hops = Vec::new();
        for limit in 1..=LONGEST_PATH {
            hops.push(who_answers(target, limit).unwrap());
            if hops.last() == Some(&target) {
                break;
            }
        }
        hops
    })
}

fn who_answers(target: IpAddr, limit: u8) -> Result<IpAddr> {
    let socket = match target {
        IpAddr::V4(_) => {
            let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
            setsockopt(&socket, sockopt::Ipv4RecvErr, &true)?;
            setsockopt(&socket, sockopt::Ipv4Ttl, &i32::from(limit))?;
            socket
        }
        IpAddr::V6(_) => {
            let socket = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0))?;
            setsockopt(&socket, sockopt::Ipv6RecvErr, &true)?;
            setsockopt(&socket, sockopt::Ipv6Ttl, &i32::from(limit))?;
            socket
        }
    };
    socket.send_to(b"who is there", SocketAddr::new(target, 33_434))?;
    wait::until("an ICMP error", Duration::from_secs(5), || {
        sender_of_error(&socket)
    })
}

fn sender_of_error(socket: &UdpSocket) -> Result<Option<IpAddr>> {
    let mut payload = [0; 64];
    let mut payload = [IoSliceMut::new(&mut payload)];
    let mut control = vec![0; 512];
    let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
    let message = match recvmsg::<()>(socket.as_raw_fd(), &mut payload, Some(&mut control), flags) {
        Err(Errno::EAGAIN) => return Ok(None),
        message => message?,
    };
    let sender = message.cmsgs()?.find_map(|control| match control {
        ControlMessageOwned::Ipv4RecvErr(_, Some(from)) => {
            Some(Ipv4Addr::from(u32::from_be(from.sin_addr.s_addr)).into())
        }
        ControlMessageOwned::Ipv6RecvErr(_, Some(from)) => {
            Some(Ipv6Addr::from(from.sin6_addr.s6_addr).into())
        }
        _ => None,
    });
    sender.map(Some).context("an error without a sender")
}
