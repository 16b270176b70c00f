//! Connections that are made and not greeted as they should be.

use std::collections::BTreeMap;

use parallax_model::evidence::{Evidence, Nudge};
use parallax_model::fault::{FaultKind, ImapFault, TcpFault};
use parallax_model::finding::{FindingKind, Segment};
use parallax_model::stage::StageName;

use crate::candidate::Candidate;
use crate::extent::Extent;
use crate::fact;
use crate::matrix::Matrix;
use crate::trouble::{Trouble, TroubleId};
use crate::words;

/// Claim: what answers on the port does not greet like an IMAP server that takes customers.
/// Disproved by: `* OK` or `* PREAUTH` as the first line.
pub(crate) fn unwelcome(matrix: &Matrix) -> Vec<Candidate> {
    let mut groups: BTreeMap<(FindingKind, Option<Nudge>), Vec<TroubleId>> = BTreeMap::new();
    for (id, trouble) in matrix.troubles.iter().enumerate() {
        let fault = trouble
            .failure()
            .filter(|_| trouble.stage == Some(StageName::Greeting));
        if let Some(kind) = fault.and_then(|fault| kind(fault.kind)) {
            let nudge = nudge(matrix, trouble).filter(|_| kind == FindingKind::NoGreeting);
            groups.entry((kind, nudge)).or_default().push(id);
        }
    }
    groups
        .into_iter()
        .map(|((kind, nudge), troubles)| candidate(matrix, kind, nudge, &troubles))
        .collect()
}

/// What became of a command that was sent into the silence.
fn nudge(matrix: &Matrix, trouble: &Trouble) -> Option<Nudge> {
    match fact::stage(matrix, trouble)?.evidence.as_ref()? {
        Evidence::Greeting(facts) => facts.nudge,
        _ => None,
    }
}

const fn kind(kind: FaultKind) -> Option<FindingKind> {
    match kind {
        FaultKind::Imap(ImapFault::Timeout) | FaultKind::Tcp(TcpFault::TimedOut) => {
            Some(FindingKind::NoGreeting)
        }
        FaultKind::Imap(ImapFault::ConnectionClosed | ImapFault::ConnectionReset)
        | FaultKind::Tcp(TcpFault::ConnectionClosed | TcpFault::ConnectionReset) => {
            Some(FindingKind::ClosedBeforeGreeting)
        }
        FaultKind::Imap(ImapFault::Bye | ImapFault::No) => Some(FindingKind::ServerSaidBye),
        FaultKind::Imap(ImapFault::WrongService) => Some(FindingKind::WrongService),
        FaultKind::Imap(ImapFault::TlsExpected) => Some(FindingKind::TlsExpected),
        FaultKind::Imap(ImapFault::ProtocolError | ImapFault::LimitExceeded | ImapFault::Bad) => {
            Some(FindingKind::ProtocolViolation)
        }
        _ => None,
    }
}

fn candidate(matrix: &Matrix, kind: FindingKind, nudge: Option<Nudge>, troubles: &[TroubleId]) -> Candidate {
    let extent = Extent::of(matrix, troubles);
    let unheard = nudge == Some(Nudge::Unacknowledged);
    let phrase = match kind {
        FindingKind::NoGreeting if unheard => {
            "connected, and nothing that is sent is taken: the connection exists on this side only".to_owned()
        }
        FindingKind::NoGreeting if nudge == Some(Nudge::Acknowledged) => {
            "connected, but no greeting comes: the host takes what is sent, and its program says nothing"
                .to_owned()
        }
        FindingKind::NoGreeting => "connected, but no greeting comes".to_owned(),
        FindingKind::ClosedBeforeGreeting => "the connection ends before the greeting".to_owned(),
        FindingKind::ServerSaidBye => "the server says BYE instead of a greeting".to_owned(),
        FindingKind::WrongService => format!("{} answers instead of IMAP", service(matrix, troubles)),
        FindingKind::TlsExpected => "TLS answers where a greeting in clear was expected".to_owned(),
        _ => "the greeting breaks the protocol".to_owned(),
    };
    let sure = if unheard { 0.45 } else { confidence(kind, &extent) };
    let found = Candidate::new(matrix, kind, sure, troubles.iter().copied())
        .segment(if unheard {
            Segment::Unknown
        } else {
            extent.segment()
        })
        .summary(format!(
            "{}: {phrase}",
            super::session::who_fails(matrix, &extent, StageName::Greeting, troubles)
        ))
        .because(fact::first(troubles.iter().map(|&id| fact::trouble(matrix, id))))
        .because(super::session::spared(matrix, &extent, StageName::Greeting))
        .told_apart_by("who else is greeted at the same address")
        .next(super::session::by_hand(matrix, troubles));
    if unheard {
        return not_heard(found);
    }
    look_alikes(found, &extent)
}

fn not_heard(found: Candidate) -> Candidate {
    found
        .or(
            FindingKind::AsymmetricPath,
            0.25,
            "whether connections to every port stall the same way",
        )
        .or(
            FindingKind::ServerOverloaded,
            0.2,
            "repeating over minutes: a full accept queue leaves some connections half made",
        )
        .or(
            FindingKind::PacketsDropped,
            0.1,
            "a packet capture on the mail host: whether what is sent arrives",
        )
}

fn confidence(kind: FindingKind, extent: &Extent) -> f64 {
    match kind {
        FindingKind::NoGreeting | FindingKind::ClosedBeforeGreeting if extent.partly() => 0.5,
        FindingKind::NoGreeting | FindingKind::ClosedBeforeGreeting => extent.stated() - 0.1,
        FindingKind::ServerSaidBye | FindingKind::WrongService if extent.partly() => 0.6,
        _ => extent.stated(),
    }
}

fn look_alikes(found: Candidate, extent: &Extent) -> Candidate {
    const SOURCE: &str = "another source address at the same place, or the ban list on the mail host";
    const LOAD: &str = "repeating over minutes, and the login processes on the mail host";
    let found = match found.kind {
        FindingKind::NoGreeting => found
            .or(FindingKind::ServerOverloaded, 0.2, LOAD)
            .or(FindingKind::ContentFiltered, 0.05, "a packet capture on the mail host: whether a greeting leaves it"),
        FindingKind::ClosedBeforeGreeting => found
            .or(
                FindingKind::ProxyProtocolMismatch,
                0.15,
                "whether the server expects a PROXY header: its configuration, and a close after a round number of seconds",
            )
            .or(FindingKind::ConnectionLimit, 0.15, LOAD),
        FindingKind::ServerSaidBye => found.or(FindingKind::ConnectionLimit, 0.1, LOAD),
        FindingKind::WrongService if !extent.partly() => found.or(
            FindingKind::Redirected,
            0.1,
            "the path to the port beside the path to another port of the host",
        ),
        _ => found,
    };
    let refuses = matches!(
        found.kind,
        FindingKind::NoGreeting | FindingKind::ClosedBeforeGreeting | FindingKind::ServerSaidBye
    );
    if extent.partly() && refuses {
        found.or(FindingKind::SourceBanned, 0.3, SOURCE)
    } else {
        found
    }
}

fn service(matrix: &Matrix, troubles: &[TroubleId]) -> String {
    troubles
        .iter()
        .filter_map(|&id| fact::stage(matrix, &matrix.troubles[id]))
        .find_map(|stage| match stage.evidence.as_ref()? {
            Evidence::Greeting(facts) => facts.service.clone(),
            _ => None,
        })
        .map_or_else(|| "another protocol".to_owned(), |service| words::quote(&service))
}
