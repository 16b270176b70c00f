//! What the outside world does in dialogues: connections and handshakes, made by hand.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use parallax_engine::event::{Event, HandshakeFacts};
use parallax_engine::imap::CarriesSecrets;
use parallax_model::evidence::{ConnectEvidence, TcpInfo};
use parallax_model::fault::{Fault, FaultKind, TcpFault, TlsFault};

use crate::forge::Forged;

/// Sees what goes over the wire, secrets included.
pub(crate) struct Eavesdropper;

impl CarriesSecrets for Eavesdropper {}

pub(crate) const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 10));
pub(crate) const HOST: &str = "imap.example.org";
/// All dialogues take place at this time.
pub(crate) const WALL: &str = "2026-06-01T00:00:00Z";

pub(crate) fn connection(port: u16) -> ConnectEvidence {
    ConnectEvidence {
        peer: SocketAddr::new(ADDRESS, port),
        local: Some(SocketAddr::from(([192, 0, 2, 1], 40_000))),
        errno: None,
        icmp: None,
        interface: None,
        syn_retransmits: None,
        mss: None,
        on_link: None,
    }
}

pub(crate) fn account(segs_in: u32) -> TcpInfo {
    TcpInfo {
        state: "ESTABLISHED".to_owned(),
        segs_in,
        bytes_acked: u64::from(segs_in) * 100,
        ..TcpInfo::default()
    }
}

/// `refused`, `timed_out` and the other kinds of TCP.
pub(crate) fn not_connected(kind: &str, port: u16) -> Event {
    let kind = TcpFault::known(kind).unwrap_or(TcpFault::ConnectionRefused);
    Event::ConnectFailed {
        fault: Fault::new(
            FaultKind::Tcp(kind),
            format!("connect to {ADDRESS}:{port}: {kind}"),
        ),
        evidence: connection(port),
    }
}

/// A handshake by the name of what is wrong with it; `None` for a name that is not known.
pub(crate) fn handshake(kind: &str) -> Option<HandshakeFacts> {
    let good = vec![Forged::leaf(), Forged::authority("Intermediate", "Root")];
    Some(match kind {
        "verified" => presented(&good, true),
        "untrusted" => presented(&good, false),
        "expired" => changed(Forged {
            not_after: "20260501000000Z",
            ..Forged::leaf()
        }),
        "not_yet_valid" => changed(Forged {
            not_before: "20260701000000Z",
            ..Forged::leaf()
        }),
        "wrong_name" => changed(Forged {
            dns: vec!["mail.elsewhere.example"],
            ..Forged::leaf()
        }),
        "expiring" => HandshakeFacts {
            verified: true,
            strict: true,
            trusted_by: vec!["system".to_owned()],
            ..changed(Forged {
                not_after: "20260604120000Z",
                ..Forged::leaf()
            })
        },
        "self_signed" => presented(
            &[Forged {
                issuer: "imap.example.org",
                issuer_url: None,
                ..Forged::leaf()
            }],
            false,
        ),
        "incomplete" => presented(&[Forged::leaf()], false),
        "library_refuses" => HandshakeFacts {
            verified: false,
            ..presented(&good, true)
        },
        "plain_imap" => failed(TlsFault::NotTls, b"* OK Dovecot ready.\r\n"),
        "silent" => failed(TlsFault::TimedOut, b""),
        "closed" => failed(TlsFault::ConnectionClosed, b""),
        "alert" => failed(TlsFault::HandshakeFailed, b"\x15\x03\x03\x00\x02\x02\x28"),
        "smtp" => failed(TlsFault::Other, b"220 mx.example.org ESMTP\r\n"),
        _ => return None,
    })
}

fn changed(leaf: Forged) -> HandshakeFacts {
    HandshakeFacts {
        verified: false,
        ..presented(&[leaf, Forged::authority("Intermediate", "Root")], true)
    }
}

fn presented(chain: &[Forged], trusted: bool) -> HandshakeFacts {
    HandshakeFacts {
        version: Some("TLSv1.3".to_owned()),
        bytes_received: 3_000,
        bytes_sent: 600,
        chain: chain.iter().map(Forged::der).collect(),
        trusted_by: if trusted {
            vec!["system".to_owned()]
        } else {
            Vec::new()
        },
        verified: trusted,
        strict: true,
        ..HandshakeFacts::default()
    }
}

fn failed(kind: TlsFault, first: &[u8]) -> HandshakeFacts {
    HandshakeFacts {
        failure: Some(Fault::new(FaultKind::Tls(kind), format!("handshake: {kind}"))),
        first_bytes: first.to_vec(),
        bytes_received: first.len() as u64,
        ..HandshakeFacts::default()
    }
}
