//! Errors of the operating system, by name and as faults.

use std::io;

use parallax_model::fault::{Fault, FaultKind, TcpFault};

/// The name of an error number (errno(3)); of an unknown one its number, of none its kind.
pub(crate) fn name(error: &io::Error) -> String {
    let Some(number) = error.raw_os_error() else {
        return format!("{:?}", error.kind());
    };
    let known = NAMES.iter().find(|(known, _)| *known == number);
    known.map_or_else(|| format!("errno {number}"), |(_, name)| (*name).to_owned())
}

/// The class of an error of a TCP connection.
pub(crate) fn tcp_kind(error: &io::Error) -> TcpFault {
    match (error.raw_os_error(), error.kind()) {
        (Some(libc::ECONNREFUSED), _) => TcpFault::ConnectionRefused,
        (Some(libc::ECONNRESET), _) => TcpFault::ConnectionReset,
        (Some(libc::ETIMEDOUT), _) => TcpFault::TimedOut,
        (Some(libc::ENETUNREACH | libc::ENETDOWN), _) => TcpFault::NetworkUnreachable,
        (Some(libc::EHOSTUNREACH | libc::EHOSTDOWN), _) => TcpFault::HostUnreachable,
        (Some(libc::EACCES | libc::EPERM), _) => TcpFault::PermissionDenied,
        (Some(libc::ENOPROTOOPT), _) => TcpFault::ProtocolUnreachable,
        (Some(libc::EADDRNOTAVAIL | libc::EINVAL), _) => TcpFault::LocalAddress,
        (Some(libc::EPIPE), _) | (None, io::ErrorKind::UnexpectedEof) => TcpFault::ConnectionClosed,
        _ => TcpFault::Other,
    }
}

/// An error of a TCP connection as a fault; `doing` is the beginning of its sentence.
pub(crate) fn tcp_fault(error: &io::Error, doing: &str) -> Fault {
    let kind = tcp_kind(error);
    let what = match kind {
        TcpFault::ConnectionRefused => "connection refused",
        TcpFault::ConnectionReset => "connection reset",
        TcpFault::TimedOut => "timed out",
        TcpFault::NetworkUnreachable => "network unreachable",
        TcpFault::HostUnreachable => "host unreachable",
        TcpFault::PermissionDenied => "not permitted",
        TcpFault::ProtocolUnreachable => "protocol unreachable",
        TcpFault::LocalAddress => "this host has no usable way or address for it",
        TcpFault::ConnectionClosed => "connection closed",
        TcpFault::Other => "failed",
    };
    Fault::new(FaultKind::Tcp(kind), format!("{doing}: {what}")).with_raw(name(error))
}

const NAMES: [(i32, &str); 22] = [
    (libc::EACCES, "EACCES"),
    (libc::EADDRINUSE, "EADDRINUSE"),
    (libc::EADDRNOTAVAIL, "EADDRNOTAVAIL"),
    (libc::EAFNOSUPPORT, "EAFNOSUPPORT"),
    (libc::ECONNABORTED, "ECONNABORTED"),
    (libc::ECONNREFUSED, "ECONNREFUSED"),
    (libc::ECONNRESET, "ECONNRESET"),
    (libc::EHOSTDOWN, "EHOSTDOWN"),
    (libc::EHOSTUNREACH, "EHOSTUNREACH"),
    (libc::EINVAL, "EINVAL"),
    (libc::EMFILE, "EMFILE"),
    (libc::EMSGSIZE, "EMSGSIZE"),
    (libc::ENETDOWN, "ENETDOWN"),
    (libc::ENETUNREACH, "ENETUNREACH"),
    (libc::ENFILE, "ENFILE"),
    (libc::ENOBUFS, "ENOBUFS"),
    (libc::ENOMEM, "ENOMEM"),
    (libc::ENOPROTOOPT, "ENOPROTOOPT"),
    (libc::ENOTCONN, "ENOTCONN"),
    (libc::EPERM, "EPERM"),
    (libc::EPIPE, "EPIPE"),
    (libc::ETIMEDOUT, "ETIMEDOUT"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_classed_and_keeps_its_name() {
        let refused = io::Error::from_raw_os_error(libc::ECONNREFUSED);
        let fault = tcp_fault(&refused, "connect to 192.0.2.1:993");
        assert_eq!(fault.kind, FaultKind::Tcp(TcpFault::ConnectionRefused));
        assert_eq!(fault.message, "connect to 192.0.2.1:993: connection refused");
        assert_eq!(fault.raw.as_deref(), Some("ECONNREFUSED"));
    }

    #[test]
    fn a_prohibition_is_told_from_an_absent_route() {
        let kind = |number| tcp_kind(&io::Error::from_raw_os_error(number));
        assert_eq!(kind(libc::EACCES), TcpFault::PermissionDenied);
        assert_eq!(kind(libc::ENETUNREACH), TcpFault::NetworkUnreachable);
        assert_eq!(kind(libc::EINVAL), TcpFault::LocalAddress);
        assert_eq!(name(&io::Error::from_raw_os_error(9999)), "errno 9999");
    }
}
