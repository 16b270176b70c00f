//! Options of a socket that its packets' time to live and size depend on.

use std::io;
use std::os::fd::AsFd;

use nix::sys::socket::{SetSockOpt, setsockopt};
use nix::{setsockopt_impl, sockopt_impl};
use socket2::SockRef;

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
sockopt_impl!(
    /// The least TTL with which a segment is taken in (`IP_MINTTL`).
    Least4,
    SetOnly,
    libc::IPPROTO_IP,
    libc::IP_MINTTL,
    libc::c_int
);
sockopt_impl!(
    /// The same for IPv6 (`IPV6_MINHOPCOUNT`).
    Least6,
    SetOnly,
    libc::IPPROTO_IPV6,
    libc::IPV6_MINHOPCOUNT,
    libc::c_int
);

pub(super) fn dont_fragment(socket: &impl AsFd, v4: bool) -> io::Result<()> {
    if v4 {
        set(socket, DontFragment4, libc::IP_PMTUDISC_PROBE)
    } else {
        set(socket, DontFragment6, libc::IPV6_PMTUDISC_PROBE)
    }
}

/// What is sent from now on gets no further than this.
pub(super) fn set_ttl(socket: &impl AsFd, v4: bool, ttl: u8) -> io::Result<()> {
    let options = SockRef::from(socket);
    if v4 {
        options.set_ttl_v4(ttl.into())
    } else {
        options.set_unicast_hops_v6(ttl.into())
    }
}

/// What arrives from now on with less is dropped.
pub(super) fn set_least(socket: &impl AsFd, v4: bool, least: u8) -> io::Result<()> {
    if v4 {
        set(socket, Least4, least.into())
    } else {
        set(socket, Least6, least.into())
    }
}

fn set(socket: &impl AsFd, option: impl SetSockOpt<Val = i32>, value: i32) -> io::Result<()> {
    Ok(setsockopt(socket, option, &value)?)
}
