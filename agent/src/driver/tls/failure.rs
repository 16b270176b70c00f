//! Why a handshake failed, as a fault.

use std::io;

use parallax_engine::hello::alert;
use parallax_engine::imap::limits::HANDSHAKE;
use parallax_engine::imap::sniff::{Expected, wrong_service};
use parallax_model::fault::{Fault, FaultKind, TcpFault, TlsFault};
use rustls::{AlertDescription, CertificateError};

use crate::driver::errno;
use crate::driver::tls::{Broken, Wire};

/// Classes how a handshake broke off, with the first bytes and the server's wish for a certificate beside.
pub(super) fn fault(broken: &Broken, wire: &Wire, certificate_wanted: bool) -> Fault {
    if let Some(fault) = not_tls(wire.first(), matches!(broken, Broken::Tls(_))) {
        return fault;
    }
    match broken {
        Broken::Silence => of(
            TlsFault::TimedOut,
            format!(
                "the TLS handshake stands still after {} bytes received",
                wire.received()
            ),
        ),
        Broken::Closed => of(
            TlsFault::ConnectionClosed,
            format!(
                "the server closed the connection during the TLS handshake, after {} bytes",
                wire.received()
            ),
        ),
        Broken::TooMuch => of(
            TlsFault::HandshakeFailed,
            format!("more than {HANDSHAKE} bytes came, and the TLS handshake has no end"),
        ),
        Broken::Io(error) => of_io(error),
        Broken::Tls(error) => of_library(error, certificate_wanted),
    }
}

/// Classes an error of an established session. A server with TLS 1.3 asks for a certificate in the handshake and
/// complains of its absence after it (RFC 8446 section 4.4.2.4).
pub(super) fn of_session(error: &rustls::Error) -> Fault {
    of_library(error, false)
}

fn of(kind: TlsFault, message: impl Into<String>) -> Fault {
    Fault::new(FaultKind::Tls(kind), message)
}

/// A record begins with its type, 20 to 23, and a version 3.x (RFC 8446 section 5.1).
fn not_tls(first: &[u8], whole: bool) -> Option<Fault> {
    let record = match first {
        [] => true,
        [kind] => (20..=23).contains(kind),
        [kind, version, ..] => (20..=23).contains(kind) && *version == 3,
    };
    if record || (!whole && wrong_service(first, Expected::Tls).is_none()) {
        return None;
    }
    let who = wrong_service(first, Expected::Tls).map_or("something else", |service| service.description());
    Some(of(TlsFault::NotTls, format!("{who} answers instead of TLS")).with_raw(hex::encode(first)))
}

fn of_io(error: &io::Error) -> Fault {
    let during = "during the TLS handshake";
    match errno::tcp_kind(error) {
        TcpFault::ConnectionReset => of(
            TlsFault::ConnectionReset,
            format!("the connection was reset {during}"),
        ),
        TcpFault::ConnectionClosed => of(
            TlsFault::ConnectionClosed,
            format!("the server closed the connection {during}"),
        ),
        TcpFault::TimedOut => of(TlsFault::TimedOut, format!("the connection timed out {during}")),
        _ => return errno::tcp_fault(error, during),
    }
    .with_raw(errno::name(error))
}

fn of_library(error: &rustls::Error, certificate_wanted: bool) -> Fault {
    match error {
        rustls::Error::AlertReceived(description) => return of_alert(*description, certificate_wanted),
        rustls::Error::PeerIncompatible(reason) => of(
            incompatible(reason),
            format!("no common TLS parameters: {reason:?}"),
        ),
        rustls::Error::InvalidCertificate(reason) => of(
            certificate(reason),
            format!("the server's certificate can't be used: {error}"),
        ),
        rustls::Error::NoCertificatesPresented => {
            of(TlsFault::CertificateInvalid, "the server presents no certificate")
        }
        rustls::Error::InvalidMessage(_)
        | rustls::Error::InappropriateMessage { .. }
        | rustls::Error::InappropriateHandshakeMessage { .. }
        | rustls::Error::PeerMisbehaved(_)
        | rustls::Error::DecryptError
        | rustls::Error::PeerSentOversizedRecord
        | rustls::Error::NoApplicationProtocol => of(
            TlsFault::HandshakeFailed,
            format!("the server breaks the TLS protocol: {error}"),
        ),
        other => of(TlsFault::Other, format!("TLS: {other}")),
    }
    .with_raw(format!("{error:?}"))
}

fn of_alert(description: AlertDescription, certificate_wanted: bool) -> Fault {
    let name = alert::name(u8::from(description));
    let kind = match description {
        AlertDescription::CertificateRequired => TlsFault::ClientCertificateRequired,
        AlertDescription::HandshakeFailure
        | AlertDescription::BadCertificate
        | AlertDescription::AccessDenied
            if certificate_wanted =>
        {
            TlsFault::ClientCertificateRequired
        }
        AlertDescription::ProtocolVersion => TlsFault::ProtocolVersion,
        _ => TlsFault::HandshakeFailed,
    };
    let message = match kind {
        TlsFault::ClientCertificateRequired => {
            format!("the server wants a client certificate (alert {name})")
        }
        TlsFault::ProtocolVersion => format!("no common TLS version (alert {name})"),
        _ => format!("the server ended the TLS handshake with alert {name}"),
    };
    of(kind, message).with_raw(format!("alert {name}"))
}

fn incompatible(reason: &rustls::PeerIncompatible) -> TlsFault {
    use rustls::PeerIncompatible as Peer;
    match reason {
        Peer::ServerDoesNotSupportTls12Or13 | Peer::ServerTlsVersionIsDisabledByOurConfig => {
            TlsFault::ProtocolVersion
        }
        _ => TlsFault::HandshakeFailed,
    }
}

fn certificate(reason: &CertificateError) -> TlsFault {
    match reason {
        CertificateError::UnsupportedSignatureAlgorithmContext { .. }
        | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            TlsFault::CertificateWeak
        }
        _ => TlsFault::CertificateInvalid,
    }
}
