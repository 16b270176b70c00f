//! TLS handshakes that do not come to an end, whatever the certificate.

use std::collections::{BTreeMap, BTreeSet};

use parallax_model::evidence::{Evidence, RawHelloFacts};
use parallax_model::experiment::ExperimentKind;
use parallax_model::fault::{FaultKind, TcpFault, TlsFault};
use parallax_model::finding::{FindingKind, Segment};
use parallax_model::stage::{Stage, StageName};

use super::raw_hello::{RawHello, learnt, raw_hellos};
use crate::candidate::Candidate;
use crate::extent::Extent;
use crate::fact;
use crate::matrix::{CellId, Matrix};
use crate::product::Look;
use crate::symptom::{self, Stall};
use crate::trouble::{Trouble, TroubleId};
use crate::varied::{self, Varied};
use crate::words;

/// How a handshake ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    /// An alert, or nothing in common.
    Refused,
    Version,
    ClientCertificate,
    /// Closed before the peer's kernel had the hello.
    ClosedAtOnce,
    ClosedAfterHello,
    ResetAtOnce,
    ResetAfterHello,
    /// Nothing came; the hello was not acknowledged.
    HelloLost,
    /// Nothing came; the peer opened no window.
    ZeroWindow,
    /// Later segments came, the first did not.
    OutOfOrder,
    /// The hello arrived, and nothing came.
    Silent,
    /// Some came, then no more.
    Stalled,
    /// Nothing is known but that time ran out.
    TimedOut,
}

/// Claim: the connection is made and the handshake fails; the counters say who lost what, but not why.
/// A hello made by hand decides whether the server is too old, or refuses for another reason.
/// Disproved by: a completed handshake.
pub(crate) fn failed(matrix: &Matrix) -> Vec<Candidate> {
    let mut groups: BTreeMap<(End, StageName), Vec<TroubleId>> = BTreeMap::new();
    for (id, trouble) in matrix.troubles.iter().enumerate() {
        let stage = fact::stage(matrix, trouble);
        if let (Some(end), Some(stage)) = (stage.and_then(|stage| end(trouble, stage)), trouble.stage) {
            groups.entry((end, stage)).or_default().push(id);
        }
    }
    groups
        .into_iter()
        .map(|((end, stage), troubles)| candidate(matrix, end, stage, &troubles))
        .collect()
}

fn end(trouble: &Trouble, stage: &Stage) -> Option<End> {
    let kind = trouble.failure()?.kind;
    if !matches!(stage.name, StageName::Tls | StageName::Starttls) {
        return said_later(kind);
    }
    let tcp = stage.tcp.as_ref();
    let at_once = tcp.is_some_and(|tcp| tcp.bytes_acked <= 1);
    let received = stage
        .evidence
        .as_ref()
        .and_then(Evidence::tls)
        .map_or(0, |facts| facts.bytes_received);
    match kind {
        FaultKind::Tls(TlsFault::HandshakeFailed | TlsFault::Other) => Some(End::Refused),
        FaultKind::Tls(TlsFault::ProtocolVersion) => Some(End::Version),
        FaultKind::Tls(TlsFault::ClientCertificateRequired) => Some(End::ClientCertificate),
        FaultKind::Tls(TlsFault::ConnectionClosed) | FaultKind::Tcp(TcpFault::ConnectionClosed) => {
            Some(if at_once {
                End::ClosedAtOnce
            } else {
                End::ClosedAfterHello
            })
        }
        FaultKind::Tls(TlsFault::ConnectionReset) | FaultKind::Tcp(TcpFault::ConnectionReset) => {
            Some(if at_once {
                End::ResetAtOnce
            } else {
                End::ResetAfterHello
            })
        }
        FaultKind::Tls(TlsFault::TimedOut) | FaultKind::Tcp(TcpFault::TimedOut) => {
            Some(match symptom::stall(tcp) {
                Stall::OutOfOrder => End::OutOfOrder,
                _ if received > 0 => End::Stalled,
                Stall::Unacknowledged => End::HelloLost,
                Stall::ZeroWindow => End::ZeroWindow,
                Stall::Acknowledged => End::Silent,
                Stall::Unknown => End::TimedOut,
            })
        }
        _ => None,
    }
}

/// Under TLS 1.3 the server's last word on the handshake comes after the client's side has ended (RFC 8446 section
/// 4.4.2.4), where the greeting is due.
const fn said_later(kind: FaultKind) -> Option<End> {
    match kind {
        FaultKind::Tls(TlsFault::ClientCertificateRequired) => Some(End::ClientCertificate),
        FaultKind::Tls(TlsFault::HandshakeFailed | TlsFault::Other) => Some(End::Refused),
        _ => None,
    }
}

fn candidate(matrix: &Matrix, end: End, stage: StageName, troubles: &[TroubleId]) -> Candidate {
    let extent = Extent::of(matrix, troubles);
    let hellos = raw_hellos(matrix, troubles);
    let raw = hellos
        .iter()
        .map(|&(_, facts)| RawHello::of(facts))
        .find(|&raw| raw != RawHello::Unknown)
        .unwrap_or(RawHello::Unknown);
    let kind = match end {
        End::ClientCertificate => FindingKind::ClientCertificateRequired,
        _ if raw == RawHello::Old => FindingKind::TlsVersionTooOld,
        End::Version if raw == RawHello::Modern => FindingKind::TlsHandshakeFailed,
        End::Version => FindingKind::TlsVersionTooOld,
        _ if stage == StageName::Starttls && end != End::Refused => FindingKind::StarttlsFailed,
        _ => FindingKind::TlsHandshakeFailed,
    };
    let confidence = match raw {
        RawHello::Old => extent.stated().max(0.9),
        RawHello::Modern => confidence(end, &extent).max(0.75),
        RawHello::Refused if end == End::Version => 0.6,
        RawHello::Refused | RawHello::Unknown => confidence(end, &extent),
    };
    let found = Candidate::new(matrix, kind, confidence, troubles.iter().copied())
        .segment(segment(end, &extent))
        .summary(format!(
            "{}: {}",
            super::session::who_fails(matrix, &extent, stage, troubles),
            phrase_with(end, raw, &hellos)
        ))
        .because(fact::first(troubles.iter().map(|&id| fact::trouble(matrix, id))))
        .because(fact::first(
            troubles.iter().filter_map(|&id| counters(matrix, id)),
        ))
        .because(
            hellos
                .iter()
                .map(|&(vantage, facts)| learnt(matrix, vantage, facts)),
        )
        .because(super::session::spared(matrix, &extent, stage))
        .told_apart_by("whether the handshake completes with the suspected difference taken away")
        .next(super::session::by_hand(matrix, troubles));
    if raw == RawHello::Old {
        return found.next(upgrade(matrix, troubles));
    }
    disproved(matrix, look_alikes(found, end, &extent), troubles)
}

/// Look-alikes that a variation of the same handshake has ruled out are named no more.
fn disproved(matrix: &Matrix, mut found: Candidate, troubles: &[TroubleId]) -> Candidate {
    let cells: BTreeSet<CellId> = troubles
        .iter()
        .filter_map(|&id| matrix.troubles[id].cell)
        .collect();
    let same = |kind| {
        cells
            .iter()
            .any(|&id| varied::with(matrix, id, kind) == Varied::Same)
    };
    found.alternatives.retain(|other| match other.kind {
        FindingKind::MtuBlackHole => !same(ExperimentKind::SmallMss),
        FindingKind::SniFiltered => !same(ExperimentKind::OtherSni),
        FindingKind::SourceBanned => !same(ExperimentKind::OtherSource),
        _ => true,
    });
    found
}

/// Lost segments are lost anywhere; only what the server says is the server's.
fn segment(end: End, extent: &Extent) -> Segment {
    match end {
        // Only the peer's own kernel acknowledges.
        End::Refused
        | End::Version
        | End::ClientCertificate
        | End::ClosedAtOnce
        | End::ClosedAfterHello
        | End::Silent => extent.segment(),
        End::ResetAtOnce
        | End::ResetAfterHello
        | End::HelloLost
        | End::ZeroWindow
        | End::OutOfOrder
        | End::Stalled
        | End::TimedOut => Segment::Unknown,
    }
}

fn confidence(end: End, extent: &Extent) -> f64 {
    match end {
        End::Refused | End::Version | End::ClientCertificate => extent.stated(),
        End::ClosedAtOnce | End::ResetAtOnce if extent.partly() => 0.45,
        End::ClosedAfterHello | End::ResetAfterHello if extent.partly() => 0.5,
        End::ClosedAtOnce | End::ClosedAfterHello | End::ResetAtOnce | End::ResetAfterHello => 0.7,
        End::OutOfOrder => 0.45,
        End::HelloLost | End::ZeroWindow | End::Silent | End::Stalled | End::TimedOut => 0.5,
    }
}

fn phrase_with(end: End, raw: RawHello, hellos: &[(usize, &RawHelloFacts)]) -> String {
    let chosen = hellos.iter().find_map(|(_, facts)| facts.version.as_deref());
    let suite = hellos
        .iter()
        .find_map(|(_, facts)| facts.cipher_suite.as_deref())
        .map(|suite| format!(" with {}", words::quote(suite)))
        .unwrap_or_default();
    match (raw, chosen) {
        (RawHello::Old, Some(version)) => {
            format!(
                "the server speaks nothing newer than {}{suite}",
                words::quote(version)
            )
        }
        (RawHello::Modern, Some(version)) => format!(
            "{}; to a hello made by hand it answers {}{suite}",
            phrase(end),
            words::quote(version)
        ),
        _ => phrase(end).to_owned(),
    }
}

fn upgrade(matrix: &Matrix, troubles: &[TroubleId]) -> Option<String> {
    let cell = troubles.iter().find_map(|&id| matrix.troubles[id].cell)?;
    let look = Look::new("doveconf -a | grep -E 'ssl_min_protocol|ssl_cipher_list'; openssl version")
        .courier("grep -E '^TLS_' /etc/courier/imapd-ssl; openssl version")
        .cyrus("cyr_info conf | grep '^tls_'; openssl version");
    Some(look.on(matrix, matrix.cell(cell).attempt.address))
}

const fn phrase(end: End) -> &'static str {
    match end {
        End::Refused => "the handshake is refused",
        End::Version => "no TLS version in common, the server's are too old",
        End::ClientCertificate => "the server wants a client certificate",
        End::ClosedAtOnce => "the connection is closed before the hello was read",
        End::ClosedAfterHello => "the connection is closed after the hello",
        End::ResetAtOnce => "the connection is reset before the hello was read",
        End::ResetAfterHello => "the connection is reset after the hello",
        End::HelloLost => "the hello is never acknowledged",
        End::ZeroWindow => "something accepts the connection for a server that it does not reach",
        End::OutOfOrder => "the server's large segments do not arrive, its small ones do",
        End::Silent => "the hello arrives and nothing comes back",
        End::Stalled => "the server's answer begins and does not end",
        End::TimedOut => "the handshake does not end in time",
    }
}

fn look_alikes(found: Candidate, end: End, extent: &Extent) -> Candidate {
    const SMALL: &str = "the same handshake with small segments (MSS 536)";
    const NAME: &str = "the same handshake with another server name";
    const SOURCE: &str = "another source address at the same place, or the ban list on the mail host";
    match end {
        End::Refused | End::Version | End::ClientCertificate => found,
        End::ClosedAtOnce if extent.partly() => found.or(FindingKind::SourceBanned, 0.4, SOURCE),
        End::ClosedAtOnce | End::ClosedAfterHello => {
            let found = found.or(
                FindingKind::ProxyProtocolMismatch,
                0.15,
                "whether the server expects a PROXY header: its configuration, and a close after a round number of seconds",
            );
            if extent.alone() && end == End::ClosedAtOnce {
                found.or(FindingKind::SourceBanned, 0.15, SOURCE)
            } else {
                found
            }
        }
        End::ResetAtOnce | End::ResetAfterHello => {
            let found = found.or(FindingKind::SniFiltered, 0.15, NAME).or(
                FindingKind::ResetInjected,
                0.15,
                "the TTL of the reset beside that of the SYN-ACK",
            );
            if extent.partly() {
                found.or(FindingKind::SourceBanned, 0.15, SOURCE)
            } else {
                found
            }
        }
        End::HelloLost => found
            .or(FindingKind::SniFiltered, 0.25, NAME)
            .or(
                FindingKind::AsymmetricPath,
                0.15,
                "whether connections to every port stall the same way",
            )
            .or(
                FindingKind::ContentFiltered,
                0.1,
                "whether another port of the host carries a dialogue",
            )
            .or(FindingKind::MtuBlackHole, 0.1, SMALL),
        End::OutOfOrder => found.or(FindingKind::MtuBlackHole, 0.45, SMALL),
        End::Stalled => found.or(FindingKind::MtuBlackHole, 0.35, SMALL),
        End::ZeroWindow => found
            .or(
                FindingKind::PacketsDropped,
                0.25,
                "whether the server behind the proxy is reached from its own network",
            )
            .or(
                FindingKind::HostDown,
                0.2,
                "whether the server behind the proxy is up",
            ),
        End::Silent => {
            let found = found
                .or(
                    FindingKind::NoGreeting,
                    0.15,
                    "the login processes on the mail host: whether they are stuck",
                )
                .or(
                    FindingKind::ServerOverloaded,
                    0.1,
                    "repeating over minutes: an overloaded server lets some through",
                )
                .or(FindingKind::MtuBlackHole, 0.1, SMALL);
            if extent.partly() {
                found.or(FindingKind::SourceBanned, 0.15, SOURCE)
            } else {
                found
            }
        }
        End::TimedOut => {
            found
                .or(FindingKind::MtuBlackHole, 0.2, SMALL)
                .or(FindingKind::SniFiltered, 0.15, NAME)
        }
    }
}

fn counters(matrix: &Matrix, id: TroubleId) -> Option<String> {
    let trouble = &matrix.troubles[id];
    let tcp = fact::stage(matrix, trouble)?.tcp.as_ref()?;
    Some(format!(
        "{}: TCP says {} in flight, {}, {} acknowledged, {} received, {} out of order",
        matrix.name(trouble.vantage),
        words::count(tcp.unacked as usize, "segment"),
        words::count(tcp.total_retransmits as usize, "retransmission"),
        bytes(tcp.bytes_acked),
        bytes(tcp.bytes_received),
        tcp.rcv_ooopack
    ))
}

fn bytes(number: u64) -> String {
    words::count(usize::try_from(number).unwrap_or(usize::MAX), "byte")
}
