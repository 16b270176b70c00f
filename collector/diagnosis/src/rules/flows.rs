//! Faults of some flows only: one of several equal paths, or one of several backends.

use std::net::IpAddr;

use parallax_model::finding::{FindingKind, Segment};
use parallax_model::path::{HopReply, Sweep};
use parallax_model::stage::StageName;

use crate::candidate::Candidate;
use crate::command;
use crate::fact;
use crate::matrix::{CellId, Matrix};
use crate::overlay::{self, trace};
use crate::symptom::Reach;
use crate::trouble::TroubleId;
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
    matrix
        .answered()
        .flat_map(|vantage| {
            let sweeps = &matrix.vantage(vantage).seen.network.sweeps;
            sweeps.iter().filter_map(move |sweep| of(matrix, vantage, sweep))
        })
        .collect()
}

/// Whether it is known that the flow, and not who sends it, decides what becomes of an attempt: a sweep from anywhere shows
/// it, addresses are translated on its way, or neither source nor address says who gets through.
pub(crate) fn decides(matrix: &Matrix, id: CellId) -> bool {
    let attempt = matrix.cell(id).attempt;
    swept_by_flow(matrix, attempt.address, attempt.endpoint.port)
        || overlay::crosswise(matrix, attempt.address)
        || is_translated(matrix, id)
}

/// Whether a sweep shows that the same flows to a port fail each time.
pub(crate) fn swept_by_flow(matrix: &Matrix, address: IpAddr, port: u16) -> bool {
    let seen = matrix.answered().map(|vantage| matrix.vantage(vantage).seen);
    seen.flat_map(|seen| &seen.network.sweeps)
        .any(|sweep| sweep.address == address && sweep.port == port && mixture(sweep) == Mixture::ByFlow)
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

fn of(matrix: &Matrix, vantage: usize, sweep: &Sweep) -> Option<Candidate> {
    let cells = matrix.cells().filter(|&id| {
        let attempt = matrix.cell(id).attempt;
        let swept = id.vantage == vantage && attempt.address == sweep.address;
        attempt.endpoint.port == sweep.port && (swept || is_translated(matrix, id))
    });
    let cells: Vec<CellId> = cells.collect();
    let troubles: Vec<TroubleId> = cells
        .iter()
        .flat_map(|&id| matrix.troubles_of(id))
        .filter(|&&id| matrix.troubles[id].stage == Some(StageName::Connect))
        .copied()
        .collect();
    if troubles.is_empty() {
        return None;
    }
    let balanced = balanced(matrix, sweep.address);
    let (kind, other) = match mixture(sweep) {
        Mixture::None => return None,
        Mixture::AtRandom => (FindingKind::PacketLoss, FindingKind::ServerOverloaded),
        Mixture::ByFlow if balanced => (FindingKind::OneBackendBroken, FindingKind::OnePathBroken),
        Mixture::ByFlow => (FindingKind::OnePathBroken, FindingKind::OneBackendBroken),
    };
    let open = sweep.flows.iter().filter(|flow| opens(&flow.replies)).count();
    let name = matrix.name(vantage);
    let found = Candidate::new(
        matrix,
        kind,
        if balanced { 0.9 } else { 0.86 },
        troubles.iter().copied(),
    )
    .segment(if balanced {
        Segment::Service
    } else {
        Segment::Unknown
    })
    .summary(format!(
        "some connections from {} to {} fail: {}",
        words::list(&matrix.names(&matrix.vantages_of(&troubles))),
        std::net::SocketAddr::new(sweep.address, sweep.port),
        phrase(kind)
    ))
    .because(fact::first(troubles.iter().map(|&id| fact::trouble(matrix, id))))
    .because([format!(
        "{name}: {open} of {} are answered, {}",
        words::count(sweep.flows.len(), "source port"),
        if kind == FindingKind::PacketLoss {
            "others each time"
        } else {
            "the same ones each time"
        }
    )])
    .told_apart_by("the same from many source ports, twice: a fault of one flow stays with its port")
    .or(
        other,
        if balanced { 0.06 } else { 0.1 },
        "the paths of a flow that works and of one that does not, and the certificates of the backends",
    )
    .next([
        command::on(name, &command::trace(sweep.address, sweep.port)),
        command::on(&sweep.address.to_string(), &command::listening(sweep.port)),
    ]);
    Some(found)
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
    if flows.len() < FLOWS || steady == flows.len() && (open == 0 || open == flows.len()) {
        Mixture::None
    } else if steady * 16 >= flows.len() * 15 {
        Mixture::ByFlow
    } else {
        Mixture::AtRandom
    }
}

fn opens(replies: &[HopReply]) -> bool {
    replies.first() == Some(&HopReply::SynAck)
}
