//! Large packets that vanish while small ones arrive.

use parallax_model::experiment::ExperimentKind;
use parallax_model::finding::{FindingKind, Location, Segment};
use parallax_model::path::{Path, PathEnd};

use crate::candidate::Candidate;
use crate::command;
use crate::extent::Extent;
use crate::fact;
use crate::matrix::{Cell, CellId, Matrix};
use crate::overlay::{self, trace};
use crate::symptom::{self, Reach, Stall};
use crate::varied::{self, Varied};
use crate::words;

/// A packet of this size and more is large.
const LARGE: u16 = 1300;

/// Claim: a session stands still because its large packets vanish: with small segments the same session goes on, or a
/// hello of more than one packet stands still where the ordinary one does not.
/// Disproved by: small segments that stand still as well, the same session going on when it is merely repeated, or a
/// certificate that comes in segments of the usual size.
pub(crate) fn black_hole(matrix: &Matrix) -> Vec<Candidate> {
    let by_small = cells(matrix, cured_by_small_segments);
    let by_large = cells(matrix, |matrix, id| {
        !by_small.contains(&id) && stalls_with_a_large_hello(matrix, id)
    });
    candidate(
        matrix,
        &by_small,
        0.93,
        "with small segments the same session goes on",
    )
    .into_iter()
    .chain(candidate(
        matrix,
        &by_large,
        0.85,
        "a hello of more than one packet is lost, an ordinary one is not",
    ))
    .collect()
}

fn cells(matrix: &Matrix, fits: impl Fn(&Matrix, CellId) -> bool) -> Vec<CellId> {
    matrix
        .cells()
        .filter(|&id| matrix.cell(id).reach == Reach::Connected && fits(matrix, id))
        .collect()
}

fn cured_by_small_segments(matrix: &Matrix, id: CellId) -> bool {
    varied::with(matrix, id, ExperimentKind::SmallMss) == Varied::Cured
        && !varied::heals_by_itself(matrix, id)
        && !large_ones_arrive(matrix, id)
}

/// Whether a certificate arrived where nothing but the name was varied: it takes packets as large as those of the first.
fn large_ones_arrive(matrix: &Matrix, id: CellId) -> bool {
    let arrived = |cell: &Cell| cell.handshake().is_some_and(|(_, facts)| !facts.chain.is_empty());
    [ExperimentKind::OtherSni, ExperimentKind::NoSni]
        .into_iter()
        .all(|kind| varied::attempts(matrix, id, kind).any(arrived))
}

fn stalls_with_a_large_hello(matrix: &Matrix, id: CellId) -> bool {
    let outgoing = matrix.cell(id).attempt.failed_stage().is_some_and(|stage| {
        symptom::stall(stage.tcp.as_ref()) == Stall::Unacknowledged && matrix.cell(id).handshake().is_some()
    });
    let lost = varied::attempts(matrix, id, ExperimentKind::LargeHello).any(|cell| {
        cell.reach == Reach::Connected
            && cell
                .handshake()
                .is_some_and(|(stage, _)| symptom::stall(stage.tcp.as_ref()) == Stall::Unacknowledged)
    });
    outgoing && lost && !varied::heals_by_itself(matrix, id)
}

fn candidate(matrix: &Matrix, cells: &[CellId], confidence: f64, phrase: &str) -> Option<Candidate> {
    let troubles = matrix.troubles_of_all(cells);
    let &first = cells.first()?;
    let extent = Extent::of(matrix, &troubles);
    let names = matrix.names(&extent.affected);
    let stage = matrix.troubles[*troubles.first()?].stage?;
    let attempt = matrix.cell(first).attempt;
    let sizes: Vec<&Path> = cells.iter().filter_map(|&id| lost_by_size(matrix, id)).collect();
    let place = place(matrix, cells);
    let small = varied::attempts(matrix, first, ExperimentKind::SmallMss)
        .next()
        .map(|cell| {
            format!(
                "{}: {stage} with {} worked with small segments",
                matrix.name(first.vantage),
                cell.socket()
            )
        });
    let found = Candidate::new(
        matrix,
        FindingKind::MtuBlackHole,
        confidence,
        troubles.iter().copied(),
    )
    .at(place.clone())
    .summary(format!(
        "large packets between {} and {} vanish: {phrase}",
        words::list(&names),
        matrix.host()
    ))
    .because(fact::first(troubles.iter().map(|&id| fact::trouble(matrix, id))))
    .because(small)
    .because(sizes.iter().map(|path| {
        format!(
            "{} of {} bytes",
            trace::spelled(matrix.name(first.vantage), path),
            path.bytes.unwrap_or_default()
        )
    }))
    .told_apart_by("the same handshake with small segments (MSS 536)")
    .or(
        FindingKind::FlowCut,
        0.04,
        "whether it always ends after the same number of bytes",
    )
    .next(command::at_the_hops(&place, attempt.address, command::SIZES))
    .next([
        command::on(
            matrix.name(first.vantage),
            &format!(
                "tracepath -n {}; ping -M do -s 1472 -c 3 {}",
                attempt.address, attempt.address
            ),
        ),
        command::on(
            &attempt.address.to_string(),
            "sysctl net.ipv4.tcp_mtu_probing; ip link; nft list ruleset | grep -nE 'icmp|maxseg'",
        ),
    ]);
    Some(found)
}

/// The path of large packets, where it ends earlier than that of small ones.
fn lost_by_size<'a>(matrix: &Matrix<'a>, id: CellId) -> Option<&'a Path> {
    let address = matrix.cell(id).attempt.address;
    let network = &matrix.vantage(id.vantage).seen.network;
    let small = trace::to(matrix, id.vantage, address)
        .filter_map(|path| trace::answered_at(path).or_else(|| Some(trace::last_router(path)?.0)))
        .max()?;
    network
        .paths
        .iter()
        .filter(|path| path.address == address && path.bytes.is_some_and(|bytes| bytes >= LARGE))
        .filter(|path| path.ended == PathEnd::Silent)
        .find(|path| trace::last_router(path).is_some_and(|(ttl, _)| ttl < small))
}

fn place(matrix: &Matrix, cells: &[CellId]) -> Location {
    cells
        .iter()
        .find_map(|&id| overlay::past(matrix, id, lost_by_size(matrix, id)?))
        .map_or(Location::segment(Segment::Unknown), |place| place.location())
}
