//! Handshakes that fail for the name in them, and resets that somebody puts into a session.

use parallax_model::experiment::ExperimentKind;
use parallax_model::finding::{FindingKind, Location, Segment};
use parallax_model::path::Payload;

use super::hello::{self, End, Lost};
use crate::candidate::Candidate;
use crate::command;
use crate::extent::Extent;
use crate::fact;
use crate::matrix::{CellId, Matrix};
use crate::overlay::{self, trace};
use crate::symptom::Reach;
use crate::varied::{self, Varied};
use crate::words;

/// Claim: somebody on the way decides by the server name: with another name, or none, the same server answers.
/// Disproved by: silence or a reset for every name, or the same handshake going on when it is merely repeated.
pub(crate) fn filtered(matrix: &Matrix) -> Vec<Candidate> {
    let by_name = |id: &CellId| {
        Lost::of(matrix, *id).is_some()
            && [ExperimentKind::OtherSni, ExperimentKind::NoSni]
                .iter()
                .any(|&kind| varied::with(matrix, *id, kind) == Varied::Cured)
            && varied::with(matrix, *id, ExperimentKind::SmallMss) != Varied::Cured
            && !varied::heals_by_itself(matrix, *id)
    };
    let cells: Vec<CellId> = matrix.cells().filter(by_name).collect();
    let Some(found) = candidate(matrix, FindingKind::SniFiltered, 0.92, &cells) else {
        return Vec::new();
    };
    let names = matrix.names(&Extent::of(matrix, &matrix.troubles_of_all(&cells)).affected);
    let place = ladder(matrix, &cells);
    vec![
        found
            .next(looks(matrix, &place, &cells))
            .at(place)
            .summary(format!(
                "handshakes of {} with {} fail for the server name in them: with another name the server answers",
                words::list(&names),
                matrix.host()
            ))
            .because(cells.iter().flat_map(|&id| answered_by_name(matrix, id)).take(4))
            .or(
                FindingKind::TlsHandshakeFailed,
                0.06,
                "the server's log: whether the hello with the name arrives",
            ),
    ]
}

/// Claim: a reset within the session was not made by the server: it comes from nearer than the server's SYN-ACK.
/// Disproved by: a reset with the time to live of the server's own packets (a device may copy it, so that equal ones
/// prove nothing).
pub(crate) fn injected(matrix: &Matrix) -> Vec<Candidate> {
    let nearer = |id: &CellId| {
        reset_in_session(matrix, *id)
            && (nearer_by(matrix, *id).is_some() || overlay::hello(matrix, *id).is_some())
    };
    let cells: Vec<CellId> = matrix.cells().filter(nearer).collect();
    let Some(found) = candidate(matrix, FindingKind::ResetInjected, 0.9, &cells) else {
        return Vec::new();
    };
    let names = matrix.names(&Extent::of(matrix, &matrix.troubles_of_all(&cells)).affected);
    let place = hello_place(matrix, &cells);
    vec![
        found
            .next(looks(matrix, &place, &cells))
            .summary(format!(
                "sessions of {} with {} are reset by somebody on the way",
                words::list(&names),
                matrix.host()
            ))
            .at(place)
            .because(cells.iter().filter_map(|&id| {
                let hops = nearer_by(matrix, id)?;
                Some(format!(
                    "{}: the reset comes from {} nearer than the server's SYN-ACK",
                    matrix.name(id.vantage),
                    words::count(usize::from(hops), "hop")
                ))
            }))
            .or(
                FindingKind::SniFiltered,
                0.08,
                "the same handshake with another server name",
            ),
    ]
}

fn candidate(matrix: &Matrix, kind: FindingKind, confidence: f64, cells: &[CellId]) -> Option<Candidate> {
    let troubles = matrix.troubles_of_all(cells);
    let &first = cells.first()?;
    let attempt = matrix.cell(first).attempt;
    let found = Candidate::new(matrix, kind, confidence, troubles.iter().copied())
        .because(fact::first(troubles.iter().map(|&id| fact::trouble(matrix, id))))
        .told_apart_by("the same handshake with another server name")
        .next([
            command::on(
                matrix.name(first.vantage),
                &command::openssl(matrix, attempt.address, attempt.endpoint),
            ),
            command::on(
                &attempt.address.to_string(),
                &command::capture(attempt.address, attempt.endpoint.port),
            ),
        ]);
    Some(found)
}

fn reset_in_session(matrix: &Matrix, id: CellId) -> bool {
    let cell = matrix.cell(id);
    let fault = cell
        .attempt
        .failed_stage()
        .and_then(|stage| stage.outcome.fault());
    cell.reach == Reach::Connected && fault.and_then(|fault| hello::end(fault.kind)) == Some(End::Reset)
}

/// By how many hops nearer the answer to the hello is made than the SYN-ACK.
fn nearer_by(matrix: &Matrix, id: CellId) -> Option<u8> {
    let of = |payload| {
        trace::carrying(matrix, id, payload)
            .filter_map(|path| path.answer_ttl)
            .next()
    };
    let in_session = of(Payload::ClientHello).or_else(|| of(Payload::Starttls))?;
    in_session.checked_sub(of(Payload::Syn)?).filter(|&hops| hops > 0)
}

fn answered_by_name(matrix: &Matrix, id: CellId) -> Vec<String> {
    let said = [
        (ExperimentKind::OtherSni, "with another server name"),
        (ExperimentKind::NoSni, "without a server name"),
    ];
    said.iter()
        .filter_map(|&(kind, how)| {
            let came = match varied::with(matrix, id, kind) {
                Varied::Unknown => return None,
                Varied::Cured => "the server answers",
                Varied::Same => "it fails too",
                Varied::Sometimes => "it works sometimes",
            };
            Some(format!("{}: {how} {came}", matrix.name(id.vantage)))
        })
        .collect()
}

/// What to look for at the hops between which the device is.
pub(super) fn looks(matrix: &Matrix, place: &Location, cells: &[CellId]) -> Vec<String> {
    let address = cells.first().map(|&id| matrix.cell(id).attempt.address);
    address.map_or_else(Vec::new, |address| {
        command::at_the_hops(place, address, command::INSPECTION)
    })
}

/// Where hellos are reset or heard last, as far as they were traced.
pub(super) fn hello_place(matrix: &Matrix, cells: &[CellId]) -> Location {
    let place = cells.iter().find_map(|&id| overlay::hello(matrix, id));
    place.map_or(Location::segment(Segment::Unknown), |place| place.location())
}

/// Where hellos with the name are first treated otherwise than those without.
fn ladder(matrix: &Matrix, cells: &[CellId]) -> Location {
    let places: Vec<_> = cells
        .iter()
        .filter_map(|&id| overlay::ladder(matrix, id))
        .collect();
    places
        .first()
        .map_or_else(|| Location::segment(Segment::Unknown), overlay::Place::location)
}
