//! Somebody in front of the server who answers in its name, for everybody perhaps.

use std::collections::{BTreeMap, BTreeSet};

use parallax_model::evidence::Evidence;
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
use crate::words;

/// Two facts at once, of which each alone has another explanation; surer than what is said of a certificate alone.
const SURE: f64 = 0.96;

/// Claim: connections to this port are answered from nearer than the host, and what answers is not as the server should
/// be: a certificate that nobody vouches for, STARTTLS left out, another service. Who is shown the very same from a
/// distance that is not known has the same device before him. A proxy that changes nothing is no fault.
/// Disproved by: a SYN-ACK from as far away as the host's other answers, with the very same behind it.
pub(crate) fn in_front(matrix: &Matrix) -> Vec<Candidate> {
    let mut groups: BTreeMap<(FindingKind, String), Shown> = BTreeMap::new();
    for id in matrix.cells() {
        let Some(kind) = matrix.kinds_of(id).find_map(does) else {
            continue;
        };
        let shown = groups.entry((kind, mark(matrix, id))).or_default();
        match overlay::answerer(matrix, id) {
            Answerer::Nearer(place) => shown.nearer.push((id, place)),
            Answerer::Host { .. } => shown.by_the_host = true,
            Answerer::Unknown => shown.alike.push(id),
        }
    }
    groups
        .iter()
        .filter(|(_, shown)| !shown.by_the_host)
        .filter_map(|((kind, _), shown)| candidate(matrix, *kind, shown))
        .collect()
}

/// Where the very same is shown, by how far away whoever shows it is.
#[derive(Debug, Default)]
struct Shown {
    nearer: Vec<(CellId, Place)>,
    alike: Vec<CellId>,
    by_the_host: bool,
}

/// What makes two answers one and the same: the key, the first words, or what is offered.
fn mark(matrix: &Matrix, id: CellId) -> String {
    let cell = matrix.cell(id);
    if let Some(leaf) = cell.leaf() {
        return leaf.spki_sha256.clone();
    }
    let mut words = cell
        .attempt
        .stages
        .iter()
        .filter_map(|stage| match stage.evidence.as_ref()? {
            Evidence::Tls(facts) => facts.first_bytes.as_deref().map(beginning),
            Evidence::Greeting(facts) => facts.service.clone(),
            Evidence::Capability(facts) => Some(facts.capabilities.join(" ")),
            _ => None,
        });
    words.next_back().unwrap_or_default()
}

/// Behind its first word a server may name the time or the connection.
fn beginning(bytes: &str) -> String {
    bytes.chars().filter(|digit| *digit != ' ').take(8).collect()
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

fn candidate(matrix: &Matrix, kind: FindingKind, shown: &Shown) -> Option<Candidate> {
    let (first, place) = shown.nearer.first()?;
    let nearer = shown.nearer.iter().map(|&(id, _)| id);
    let cells: Vec<CellId> = nearer.chain(shown.alike.iter().copied()).collect();
    let troubles = matrix.troubles_of_all(&cells);
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
    let look_at = command::at_the_hops(&place.location(), attempt.address, command::INSPECTION);
    let found = Candidate::new(matrix, kind, SURE, troubles.iter().copied())
        .at(place.location())
        .summary(format!(
            "what answers {} in the place of {} {phrase}, and is nearer than the server",
            words::list(&names),
            matrix.host()
        ))
        .because(fact::first(troubles.iter().map(|&id| fact::trouble(matrix, id))))
        .because(fact::first(
            shown.nearer.iter().flat_map(|(_, place)| place.lines.clone()),
        ))
        .because((!shown.alike.is_empty()).then(|| {
            let alike: BTreeSet<usize> = shown.alike.iter().map(|id| id.vantage).collect();
            format!("the very same is shown to {}", words::list(&matrix.names(&alike)))
        }))
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
    let served = |id: &CellId| matrix.beside(*id).any(|other| matrix.served(other));
    let (swallowed, dead): (Vec<CellId>, Vec<CellId>) = matrix
        .cells()
        .filter(|&id| accepted_for_nobody(matrix, id))
        .partition(served);
    let dead = with_the_silent(matrix, dead);
    unreached(matrix, &dead)
        .into_iter()
        .chain(swallower(matrix, &swallowed))
        .collect()
}

/// Where nobody gets a word out of a port at all, those who are not even connected have met the same.
fn with_the_silent(matrix: &Matrix, dead: Vec<CellId>) -> Vec<CellId> {
    let Some(endpoint) = dead.first().map(|&id| matrix.cell(id).attempt.endpoint) else {
        return dead;
    };
    let mut silent: Vec<CellId> = Vec::new();
    for id in matrix.cells().filter(|id| !dead.contains(id)) {
        let cell = matrix.cell(id);
        match cell.reach {
            Reach::Silent if cell.attempt.endpoint == endpoint => silent.push(id),
            Reach::Connected | Reach::Reset | Reach::Icmp(_) if cell.attempt.endpoint == endpoint => {
                return dead;
            }
            _ => {}
        }
    }
    dead.into_iter().chain(silent).collect()
}

fn unreached(matrix: &Matrix, cells: &[CellId]) -> Option<Candidate> {
    let troubles = matrix.troubles_of_all(cells);
    let &first = cells.first()?;
    let extent = Extent::of(matrix, &troubles);
    let names = matrix.names(&extent.affected);
    let location = overlay::in_front(matrix, cells);
    let inside = cells.iter().any(|&id| overlay::silent_inside(matrix, id));
    let segment = match location.after {
        _ if inside => Segment::Service,
        Some(_) => location.segment,
        None => Segment::SiteEdge,
    };
    let attempt = matrix.cell(first).attempt;
    let all = cells.iter().any(|&id| matrix.cell(id).reach == Reach::Silent);
    let found = Candidate::new(
        matrix,
        FindingKind::PacketsDropped,
        if all { 0.74 } else { 0.55 },
        troubles.iter().copied(),
    )
    .next(command::at_the_hops(
        &location,
        attempt.address,
        command::INSPECTION,
    ))
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
        if all { 0.1 } else { 0.25 },
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
    Some(found)
}

/// Others are served by the host itself: whoever accepts here, nearer, and says nothing, is not the way to it.
fn swallower(matrix: &Matrix, cells: &[CellId]) -> Option<Candidate> {
    let troubles = matrix.troubles_of_all(cells);
    let &first = cells.first()?;
    let extent = Extent::of(matrix, &troubles);
    let names = matrix.names(&extent.affected);
    let location = overlay::in_front(matrix, cells);
    let attempt = matrix.cell(first).attempt;
    let stage = matrix.troubles[*troubles.first()?].stage?;
    let found = Candidate::new(matrix, FindingKind::Redirected, 0.62, troubles.iter().copied())
        .summary(format!(
            "something nearer than {} accepts the connections of {} and says nothing, others are served",
            matrix.host(),
            words::list(&names)
        ))
        .next(command::at_the_hops(
            &location,
            attempt.address,
            command::INSPECTION,
        ))
        .at(location)
        .because(fact::first(troubles.iter().map(|&id| fact::trouble(matrix, id))))
        .because(super::session::spared(matrix, &extent, stage))
        .told_apart_by("how far away the SYN-ACK is made, beside the host's other answers")
        .or(
            FindingKind::TlsHandshakeFailed,
            0.15,
            "a packet capture on the mail host: whether the hello arrives",
        )
        .or(
            FindingKind::PacketsDropped,
            0.12,
            "whether what accepts the connection reaches the server",
        );
    Some(found)
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
