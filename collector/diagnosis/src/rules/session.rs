//! Dialogues that break off, and how all rules above TCP say whom that hits.

use std::collections::BTreeMap;

use parallax_model::fault::{FaultKind, ImapFault, TcpFault};
use parallax_model::finding::{FindingKind, Segment, Severity};
use parallax_model::stage::StageName;

use crate::candidate::Candidate;
use crate::command;
use crate::extent::{self, Extent};
use crate::fact;
use crate::matrix::Matrix;
use crate::product::Look;
use crate::symptom::{self, Stall};
use crate::trouble::{TroubleId, blocks_clients};
use crate::words;

/// Claim: the server, or something in between, ends or spoils the dialogue after the greeting.
/// Disproved by: the same exchange carried to its end.
pub(crate) fn broken(matrix: &Matrix) -> Vec<Candidate> {
    let mut groups: BTreeMap<(FindingKind, StageName), Vec<TroubleId>> = BTreeMap::new();
    for (id, trouble) in matrix.troubles.iter().enumerate() {
        if let (Some(fault), Some(stage)) = (trouble.fault(), trouble.stage)
            && let Some(kind) = kind(stage, fault.kind)
        {
            groups.entry((kind, stage)).or_default().push(id);
        }
    }
    groups
        .into_iter()
        .map(|((kind, stage), troubles)| candidate(matrix, kind, stage, &troubles))
        .collect()
}

fn candidate(matrix: &Matrix, kind: FindingKind, stage: StageName, troubles: &[TroubleId]) -> Candidate {
    let extent = Extent::of(matrix, troubles);
    let stall = stalled(matrix, troubles);
    let confidence = match kind {
        _ if stall.is_some() => 0.5,
        FindingKind::ServerSaidBye | FindingKind::ProtocolViolation | FindingKind::ClientIncompatible => {
            extent.stated()
        }
        _ => extent.stated() - 0.2,
    };
    let found = Candidate::new(matrix, kind, confidence, troubles.iter().copied())
        .segment(if stall.is_some() {
            Segment::Unknown
        } else {
            extent.segment()
        })
        .summary(format!(
            "{}: {}{}",
            who_fails(matrix, &extent, stage, troubles),
            phrase(kind),
            match stall {
                Some(Stall::Unacknowledged) => ", what is sent is not acknowledged any more",
                Some(_) => ", large segments do not arrive and small ones do",
                None => "",
            }
        ))
        .because(fact::first(troubles.iter().map(|&id| fact::trouble(matrix, id))))
        .because(spared(matrix, &extent, stage))
        .told_apart_by("the server's log at the time of the probe")
        .next(by_hand(matrix, troubles));
    let found = if blocks_clients(stage) {
        found
    } else {
        found.severity(Severity::Warning)
    };
    if stall.is_some() {
        return stands_still(found);
    }
    match kind {
        FindingKind::SessionDropped => found
            .or(
                FindingKind::FlowCut,
                0.15,
                "whether it always ends after the same number of bytes",
            )
            .or(
                FindingKind::ServerOverloaded,
                0.1,
                "the server's log, and repeating over minutes",
            ),
        FindingKind::AuthBackendUnavailable => found.or(
            FindingKind::AuthPenalty,
            0.15,
            "the same login from an address that has not failed before",
        ),
        _ => found,
    }
}

/// How the connection stands still, where its packets are lost and the server is not to blame for it.
fn stalled(matrix: &Matrix, troubles: &[TroubleId]) -> Option<Stall> {
    troubles.iter().find_map(|&id| {
        let trouble = &matrix.troubles[id];
        let silent = matches!(
            trouble.failure()?.kind,
            FaultKind::Imap(ImapFault::Timeout) | FaultKind::Tcp(TcpFault::TimedOut)
        );
        let stall = symptom::stall(fact::stage(matrix, trouble)?.tcp.as_ref());
        (silent && matches!(stall, Stall::Unacknowledged | Stall::OutOfOrder)).then_some(stall)
    })
}

fn stands_still(found: Candidate) -> Candidate {
    found
        .or(
            FindingKind::MtuBlackHole,
            0.25,
            "the same with small segments (MSS 536), and a hello of more than one packet",
        )
        .or(
            FindingKind::FlowCut,
            0.15,
            "whether it always ends after the same number of bytes",
        )
        .or(
            FindingKind::PacketLoss,
            0.05,
            "repeating over minutes: loss comes and goes, and hits other targets too",
        )
}

const fn kind(stage: StageName, kind: FaultKind) -> Option<FindingKind> {
    use ImapFault as Imap;
    if matches!(
        stage,
        StageName::Resolve | StageName::Connect | StageName::Tls | StageName::Greeting | StageName::Starttls
    ) {
        return None;
    }
    match kind {
        FaultKind::Imap(Imap::Bye) => Some(FindingKind::ServerSaidBye),
        FaultKind::Imap(Imap::CapabilityMissing) => Some(FindingKind::ClientIncompatible),
        FaultKind::Imap(Imap::ProtocolError | Imap::LimitExceeded) => Some(FindingKind::ProtocolViolation),
        FaultKind::Imap(Imap::No | Imap::Bad) => Some(refused(stage)),
        FaultKind::Imap(Imap::Timeout | Imap::ConnectionClosed | Imap::ConnectionReset)
        | FaultKind::Tcp(TcpFault::TimedOut | TcpFault::ConnectionClosed | TcpFault::ConnectionReset) => {
            Some(ended(stage, kind))
        }
        _ => None,
    }
}

const fn refused(stage: StageName) -> FindingKind {
    match stage {
        StageName::Authenticate => FindingKind::MechanismUnavailable,
        StageName::List | StageName::Select | StageName::Fetch => FindingKind::FetchFailed,
        StageName::Append => FindingKind::AppendFailed,
        StageName::Idle => FindingKind::IdleBroken,
        StageName::Sync => FindingKind::SyncBroken,
        _ => FindingKind::ProtocolViolation,
    }
}

const fn ended(stage: StageName, kind: FaultKind) -> FindingKind {
    let silent = matches!(
        kind,
        FaultKind::Imap(ImapFault::Timeout) | FaultKind::Tcp(TcpFault::TimedOut)
    );
    match stage {
        StageName::Authenticate if silent => FindingKind::AuthBackendUnavailable,
        StageName::Fetch => FindingKind::FetchFailed,
        StageName::Append => FindingKind::AppendFailed,
        StageName::Idle => FindingKind::IdleBroken,
        StageName::Sync => FindingKind::SyncBroken,
        _ => FindingKind::SessionDropped,
    }
}

const fn phrase(kind: FindingKind) -> &'static str {
    match kind {
        FindingKind::ServerSaidBye => "the server says BYE",
        FindingKind::ClientIncompatible => "a capability that clients need is not offered",
        FindingKind::ProtocolViolation => "the answer breaks the protocol",
        FindingKind::MechanismUnavailable => "the server does not take the login command",
        FindingKind::AuthBackendUnavailable => "the login is not answered in time",
        FindingKind::FetchFailed => "messages can't be read",
        FindingKind::AppendFailed => "messages can't be stored",
        FindingKind::IdleBroken => "IDLE does not work",
        FindingKind::SyncBroken => "changes do not arrive at another session",
        _ => "the session ends in the middle",
    }
}

/// "tls fails at every vantage point (10.9.0.10:993)"
pub(crate) fn who_fails(
    matrix: &Matrix,
    extent: &Extent,
    stage: StageName,
    troubles: &[TroubleId],
) -> String {
    let names = matrix.names(&extent.affected);
    let who = if extent.everywhere() && names.len() == matrix.answered().count() {
        "every vantage point".to_owned()
    } else {
        words::list(&names)
    };
    let sockets: Vec<String> = extent::sockets(matrix, troubles)
        .iter()
        .map(ToString::to_string)
        .collect();
    format!("{stage} with {} fails at {who}", words::list(&sockets))
}

/// A few of those who came past the stage, as facts.
pub(crate) fn spared(matrix: &Matrix, extent: &Extent, stage: StageName) -> Vec<String> {
    let spared = extent.spared.iter().take(3);
    spared
        .filter_map(|&vantage| {
            let cell = matrix
                .vantage(vantage)
                .cells
                .iter()
                .find(|cell| cell.passed(stage))?;
            let took = cell.attempt.stage(stage)?.duration;
            Some(format!(
                "{}: {stage} with {} worked in {}",
                matrix.name(vantage),
                cell.socket(),
                words::time(took)
            ))
        })
        .collect()
}

/// The same by hand: the handshake, and what the mail host has to say.
pub(crate) fn by_hand(matrix: &Matrix, troubles: &[TroubleId]) -> Vec<String> {
    let Some(id) = troubles.iter().find_map(|&id| matrix.troubles[id].cell) else {
        return Vec::new();
    };
    let attempt = matrix.cell(id).attempt;
    vec![
        command::on(
            matrix.name(id.vantage),
            &command::openssl(matrix, attempt.address, attempt.endpoint),
        ),
        Look::new("journalctl -u dovecot -n 100; doveconf -n").on(matrix, attempt.address),
    ]
}
