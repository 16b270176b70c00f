//! Faults of some flows only: one of several equal paths, or one of several backends.

use std::collections::BTreeMap;
use std::net::IpAddr;

use parallax_model::experiment::ExperimentKind;
use parallax_model::finding::{FindingKind, Location, Segment};
use parallax_model::path::{Flow, HopReply, Sweep};
use parallax_model::stage::StageName;

use crate::candidate::Candidate;
use crate::command;
use crate::fact;
use crate::matrix::{CellId, Matrix};
use crate::overlay::{self, trace};
use crate::symptom::Reach;
use crate::trouble::TroubleId;
use crate::varied::{self, Varied};
use crate::words;

/// Fewer flows than this say nothing.
const FLOWS: usize = 6;

/// What a sweep shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mixture {
    /// All alike, or too few.
    None,
    /// The same flows fail each time.
    ByFlow,
    /// Others fail each time.
    AtRandom,
}

/// Claim: some flows always fail and others always work, so that it is one of several equal paths or backends; where
/// other flows fail each time, packets are lost at random.
/// Disproved by: every flow answering alike.
pub(crate) fn some_broken(matrix: &Matrix) -> Vec<Candidate> {
    let mut groups: BTreeMap<(u16, FindingKind), Vec<(usize, &Sweep)>> = BTreeMap::new();
    for vantage in matrix.answered() {
        for sweep in &matrix.vantage(vantage).seen.network.sweeps {
            if let Some(kind) = shows(matrix, sweep) {
                groups
                    .entry((sweep.port, kind))
                    .or_default()
                    .push((vantage, sweep));
            }
        }
    }
    groups
        .iter()
        .filter_map(|(&(port, kind), sweeps)| candidate(matrix, port, kind, sweeps))
        .collect()
}

fn shows(matrix: &Matrix, sweep: &Sweep) -> Option<FindingKind> {
    match mixture(sweep) {
        Mixture::None => None,
        Mixture::AtRandom => Some(FindingKind::PacketLoss),
        Mixture::ByFlow if balanced(matrix, sweep.address) => Some(FindingKind::OneBackendBroken),
        Mixture::ByFlow => Some(FindingKind::OnePathBroken),
    }
}

/// Whether it is known that the flow, and not who sends it, decides what becomes of an attempt: a sweep from anywhere shows
/// it, addresses are translated on its way, or neither source nor address says who gets through.
pub(crate) fn decides(matrix: &Matrix, id: CellId) -> bool {
    let attempt = matrix.cell(id).attempt;
    known(matrix, attempt.endpoint.port)
        || overlay::crosswise(matrix, attempt.address)
        || is_translated(matrix, id)
}

/// Whether it is known of a port that the flow decides, at any of the target's addresses: a sweep shows it, or refusals do.
pub(crate) fn known(matrix: &Matrix, port: u16) -> bool {
    let seen = matrix.answered().map(|vantage| matrix.vantage(vantage).seen);
    let mut sweeps = seen.flat_map(|seen| &seen.network.sweeps);
    sweeps.any(|sweep| sweep.port == port && mixture(sweep) == Mixture::ByFlow)
        || refused_by_flow(matrix, port)
}

/// Whether a sweep of the same vantage point shows that no flow at all gets through: then it is not the flow.
pub(crate) fn none_opens(matrix: &Matrix, id: CellId) -> bool {
    let opens_some = |flow: &Flow| flow.replies.contains(&HopReply::SynAck);
    sweeps(matrix, id).any(|sweep| !sweep.flows.iter().any(opens_some))
}

/// Whether every source port of a sweep got through, each time.
fn all_open(matrix: &Matrix, id: CellId) -> bool {
    let always_opens = |flow: &Flow| flow.replies.iter().all(|reply| *reply == HopReply::SynAck);
    sweeps(matrix, id).any(|sweep| sweep.flows.iter().all(always_opens))
}

/// The sweeps of enough flows that a vantage point made of the place where an attempt went.
fn sweeps<'a>(matrix: &Matrix<'a>, id: CellId) -> impl Iterator<Item = &'a Sweep> {
    let attempt = matrix.cell(id).attempt;
    let made = matrix.vantage(id.vantage).seen.network.sweeps.iter();
    made.filter(move |sweep| {
        sweep.address == attempt.address && sweep.port == attempt.endpoint.port && sweep.flows.len() >= FLOWS
    })
}

/// Whether of those who were refused at one address some were answered when their way was traced, alone and later, and
/// others were refused again: no limit does that, and no source is told from another by it.
fn refused_by_flow(matrix: &Matrix, port: u16) -> bool {
    let columns = matrix.columns().into_iter();
    columns
        .filter(|column| column.endpoint.port == port)
        .any(|column| {
            let refused = |id: &&CellId| matrix.cell(**id).reach == Reach::Reset;
            let again = |id: &CellId| {
                trace::of(matrix, *id)
                    .is_some_and(|path| path.hops.iter().any(|hop| hop.reply == HopReply::Rst))
            };
            let mut refused_cells = column.cells.iter().filter(refused);
            let answered = refused_cells.clone().any(|&id| overlay::answers_now(matrix, id));
            // A series, or a sweep, that always succeeds speaks for a limit: the rest of the run was what it met.
            let limited = refused_cells.clone().any(|&id| {
                varied::with(matrix, id, ExperimentKind::Serial) == Varied::Cured || all_open(matrix, id)
            });
            answered && !limited && refused_cells.any(|&id| !overlay::answers_now(matrix, id) && again(&id))
        })
}

/// Whether a router answers anybody in the name of an address.
fn balanced(matrix: &Matrix, address: IpAddr) -> bool {
    matrix
        .answered()
        .flat_map(|vantage| trace::to(matrix, vantage, address))
        .any(|path| trace::router_of(path, address))
}

/// Whether an attempt is lost behind a hop that answers in the target's name: it was given a backend.
fn is_translated(matrix: &Matrix, id: CellId) -> bool {
    matrix.cell(id).reach == Reach::Silent
        && overlay::silence(matrix, id).is_some_and(|place| place.translated)
}

fn candidate(matrix: &Matrix, port: u16, kind: FindingKind, sweeps: &[(usize, &Sweep)]) -> Option<Candidate> {
    let by_flow = kind != FindingKind::PacketLoss;
    let cells = matrix.cells().filter(|&id| {
        let attempt = matrix.cell(id).attempt;
        let swept = sweeps
            .iter()
            .any(|&(vantage, sweep)| id.vantage == vantage && attempt.address == sweep.address);
        attempt.endpoint.port == port && (swept || by_flow && lost_where_others_pass(matrix, id))
    });
    let cells: Vec<CellId> = cells.collect();
    let troubles: Vec<TroubleId> = cells
        .iter()
        .flat_map(|&id| matrix.troubles_of(id))
        .filter(|&&id| matrix.troubles[id].stage == Some(StageName::Connect))
        .copied()
        .collect();
    let &(vantage, sweep) = sweeps.first().filter(|_| !troubles.is_empty())?;
    let balanced = kind == FindingKind::OneBackendBroken;
    let other = match kind {
        FindingKind::PacketLoss => FindingKind::ServerOverloaded,
        FindingKind::OneBackendBroken => FindingKind::OnePathBroken,
        _ => FindingKind::OneBackendBroken,
    };
    let found = Candidate::new(
        matrix,
        kind,
        if balanced { 0.9 } else { 0.86 },
        troubles.iter().copied(),
    )
    .at(place(matrix, &cells, balanced))
    .summary(format!(
        "some connections from {} to port {port} of {} fail: {}",
        words::list(&matrix.names(&matrix.vantages_of(&troubles))),
        matrix.host(),
        phrase(kind)
    ))
    .because(fact::first(troubles.iter().map(|&id| fact::trouble(matrix, id))))
    .because(sweeps.iter().map(|&(vantage, sweep)| {
        let open = sweep.flows.iter().filter(|flow| opens(&flow.replies)).count();
        format!(
            "{}: {open} of {} to {} are answered, {}",
            matrix.name(vantage),
            words::count(sweep.flows.len(), "source port"),
            std::net::SocketAddr::new(sweep.address, port),
            if by_flow {
                "the same ones each time"
            } else {
                "others each time"
            }
        )
    }))
    .told_apart_by("the same from many source ports, twice: a fault of one flow stays with its port")
    .or(
        other,
        if balanced { 0.06 } else { 0.1 },
        "the paths of a flow that works and of one that does not, and the certificates of the backends",
    )
    .next([
        command::on(matrix.name(vantage), &command::trace(sweep.address, port)),
        command::on(&sweep.address.to_string(), &command::listening(port)),
    ]);
    Some(found)
}

/// Whether an attempt is lost where the flows of others pass, or behind a hop that gave it a backend.
fn lost_where_others_pass(matrix: &Matrix, id: CellId) -> bool {
    matrix.cell(id).reach == Reach::Silent
        && overlay::silence(matrix, id).is_some_and(|place| place.translated || place.others_pass)
}

/// Behind the last hop that still answers for a flow that fails.
fn place(matrix: &Matrix, cells: &[CellId], balanced: bool) -> Location {
    let lost = cells
        .iter()
        .find_map(|&id| overlay::silence(matrix, id))
        .map(|place| place.location());
    match lost {
        Some(place) if balanced => Location {
            segment: Segment::Service,
            ..place
        },
        Some(place) => place,
        None if balanced => Location::segment(Segment::Service),
        None => Location::segment(Segment::Unknown),
    }
}

const fn phrase(kind: FindingKind) -> &'static str {
    match kind {
        FindingKind::PacketLoss => "packets are lost at random",
        FindingKind::OneBackendBroken => "one of the backends behind the address does not answer",
        _ => "one of several equal paths does not let them through",
    }
}

fn mixture(sweep: &Sweep) -> Mixture {
    let flows: Vec<_> = sweep.flows.iter().filter(|flow| flow.replies.len() > 1).collect();
    let open = flows.iter().filter(|flow| opens(&flow.replies)).count();
    let steady = flows
        .iter()
        .filter(|flow| flow.replies.windows(2).all(|pair| pair[0] == pair[1]))
        .count();
    let closed = flows
        .iter()
        .filter(|flow| !flow.replies.contains(&HopReply::SynAck))
        .count();
    if flows.len() < FLOWS || steady == flows.len() && (open == 0 || open == flows.len()) {
        Mixture::None
    } else if closed > 0 && steady * 16 >= flows.len() * 15 {
        Mixture::ByFlow
    } else {
        Mixture::AtRandom
    }
}

fn opens(replies: &[HopReply]) -> bool {
    replies.first() == Some(&HopReply::SynAck)
}
