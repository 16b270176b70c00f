//! Somebody in front of the server who answers in its name, for everybody perhaps.

use std::collections::BTreeMap;

use parallax_model::fault::{FaultKind, ImapFault, TcpFault, TlsFault};
use parallax_model::finding::{FindingKind, Location, Segment};
use parallax_model::stage::StageName;

use super::certificate::is_trust;
use crate::candidate::Candidate;
use crate::command;
use crate::extent::Extent;
use crate::fact;
use crate::matrix::{CellId, Matrix};
use crate::overlay::{self, Answerer, Place};
use crate::symptom::{self, Reach, Stall};
use crate::trouble::TroubleId;
use crate::words;

/// Two facts at once, of which each alone has another explanation; surer than what is said of a certificate alone.
const SURE: f64 = 0.96;

/// Claim: connections to this port are answered from nearer than the host, and what answers is not as the server should
/// be: a certificate that nobody vouches for, STARTTLS left out, another service. A proxy that changes nothing is no
/// fault.
/// Disproved by: a SYN-ACK from as far away as the host's other answers.
pub(crate) fn in_front(matrix: &Matrix) -> Vec<Candidate> {
    let mut groups: BTreeMap<FindingKind, Vec<(CellId, Place)>> = BTreeMap::new();
    for id in matrix.cells() {
        let Some(kind) = matrix.kinds_of(id).find_map(does) else {
            continue;
        };
        if let Answerer::Nearer(place) = overlay::answerer(matrix, id) {
            groups.entry(kind).or_default().push((id, place));
        }
    }
    groups
        .into_iter()
        .filter_map(|(kind, cells)| candidate(matrix, kind, &cells))
        .collect()
}

/// What somebody in front would do, that the server seems to.
fn does(fault: FaultKind) -> Option<FindingKind> {
    match fault {
        FaultKind::Imap(ImapFault::StarttlsMissing) => Some(FindingKind::StarttlsStripped),
        FaultKind::Imap(ImapFault::WrongService) | FaultKind::Tls(TlsFault::NotTls) => {
            Some(FindingKind::Redirected)
        }
        fault if is_trust(fault) => Some(FindingKind::TlsIntercepted),
        _ => None,
    }
}

fn candidate(matrix: &Matrix, kind: FindingKind, cells: &[(CellId, Place)]) -> Option<Candidate> {
    let troubles: Vec<TroubleId> = cells
        .iter()
        .flat_map(|&(id, _)| matrix.troubles_of(id))
        .copied()
        .collect();
    let (first, place) = cells.first()?;
    let extent = Extent::of(matrix, &troubles);
    let names = matrix.names(&extent.affected);
    let (phrase, server) = match kind {
        FindingKind::StarttlsStripped => ("takes STARTTLS out", FindingKind::StarttlsMissing),
        FindingKind::Redirected => ("is another service", FindingKind::WrongService),
        _ => (
            "shows a certificate of its own",
            FindingKind::CertificateUntrusted,
        ),
    };
    let attempt = matrix.cell(*first).attempt;
    let look_at = place.after.map(|after| {
        command::on(
            &after.to_string(),
            "nft list ruleset | grep -nE 'redirect|dnat|tproxy'; ss -ltnp",
        )
    });
    let found = Candidate::new(matrix, kind, SURE, troubles.iter().copied())
        .at(place.location())
        .summary(format!(
            "what answers {} in the place of {} {phrase}, and is nearer than the server",
            words::list(&names),
            matrix.host()
        ))
        .because(fact::first(troubles.iter().map(|&id| fact::trouble(matrix, id))))
        .because(fact::first(
            cells.iter().flat_map(|(_, place)| place.lines.clone()),
        ))
        .told_apart_by("how far away the SYN-ACK is made, beside the host's other answers")
        .or(
            server,
            0.04,
            "whether the host has a proxy of its own in front, and how that is set up",
        )
        .next(look_at)
        .next([command::on(
            matrix.name(first.vantage),
            &command::openssl(matrix, attempt.address, attempt.endpoint),
        )]);
    Some(found)
}

/// Claim: something in front accepts connections for a server that it does not reach: it opens no window, or answers from
/// nearer than the host and then says nothing.
/// Disproved by: a word of the server on such a connection.
pub(crate) fn dead_behind(matrix: &Matrix) -> Vec<Candidate> {
    let cells: Vec<CellId> = matrix
        .cells()
        .filter(|&id| accepted_for_nobody(matrix, id))
        .collect();
    let troubles = matrix.troubles_of_all(&cells);
    let Some(&first) = cells.first() else {
        return Vec::new();
    };
    let extent = Extent::of(matrix, &troubles);
    let names = matrix.names(&extent.affected);
    let location = overlay::in_front(matrix, &cells);
    let segment = if location.after.is_some() {
        location.segment
    } else {
        Segment::SiteEdge
    };
    let attempt = matrix.cell(first).attempt;
    let found = Candidate::new(
        matrix,
        FindingKind::PacketsDropped,
        0.55,
        troubles.iter().copied(),
    )
    .at(Location { segment, ..location })
    .summary(format!(
        "what accepts the connections of {} in front of {} does not reach the server behind it",
        words::list(&names),
        matrix.host()
    ))
    .because(fact::first(troubles.iter().map(|&id| fact::trouble(matrix, id))))
    .told_apart_by("whether the server behind the proxy is reached from its own network")
    .or(
        FindingKind::HostDown,
        0.25,
        "whether the server behind the proxy is up",
    )
    .or(
        FindingKind::TlsHandshakeFailed,
        0.1,
        "the server's log: whether the connection arrives",
    )
    .next([command::on(
        &attempt.address.to_string(),
        &command::listening(attempt.endpoint.port),
    )]);
    vec![found]
}

fn accepted_for_nobody(matrix: &Matrix, id: CellId) -> bool {
    let cell = matrix.cell(id);
    let Some(stage) = cell.attempt.failed_stage() else {
        return false;
    };
    let early = matches!(
        stage.name,
        StageName::Tls | StageName::Starttls | StageName::Greeting
    );
    let nothing_came = stage.tcp.as_ref().is_some_and(|tcp| tcp.bytes_received == 0);
    let no_window = symptom::stall(stage.tcp.as_ref()) == Stall::ZeroWindow;
    let timed_out = stage.outcome.fault().is_some_and(|fault| {
        matches!(
            fault.kind,
            FaultKind::Tls(TlsFault::TimedOut)
                | FaultKind::Imap(ImapFault::Timeout)
                | FaultKind::Tcp(TcpFault::TimedOut)
        )
    });
    let nearer = || matches!(overlay::answerer(matrix, id), Answerer::Nearer(_));
    cell.reach == Reach::Connected && early && timed_out && nothing_came && (no_window || nearer())
}
