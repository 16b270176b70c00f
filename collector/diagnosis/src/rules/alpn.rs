//! Handshakes that fail for the protocol that the hello offers (ALPN, RFC 7301).

use parallax_model::evidence::Evidence;
use parallax_model::experiment::ExperimentKind;
use parallax_model::finding::{FindingKind, Severity};

use super::hello::Lost;
use super::names;
use crate::candidate::Candidate;
use crate::command;
use crate::extent::Extent;
use crate::fact;
use crate::matrix::{Cell, CellId, Matrix};
use crate::varied::{self, Varied};
use crate::words;

/// The alert of a server that speaks none of the protocols offered (RFC 7301 section 3.2).
const NONE_OF_THEM: &str = "no_application_protocol";

const WITHOUT: &str = "the same handshake with no protocol offered";

/// Whether the server ended a handshake for the protocol that was offered.
pub(crate) fn refuses(matrix: &Matrix, id: CellId) -> bool {
    let stage = matrix.cell(id).attempt.failed_stage();
    let evidence = stage.and_then(|stage| stage.evidence.as_ref());
    let facts = evidence.and_then(Evidence::tls);
    facts.is_some_and(|facts| facts.alert.as_deref() == Some(NONE_OF_THEM))
}

/// Claim: the server itself takes no hello that offers `imap` as its protocol. Mail clients that offer none, which are
/// nearly all, get in.
/// Disproved by: the same refusal of a hello that offers nothing.
pub(crate) fn refused(matrix: &Matrix) -> Vec<Candidate> {
    let refusals: Vec<CellId> = matrix.cells().filter(|&id| refuses(matrix, id)).collect();
    let port = |id: CellId| matrix.cell(id).attempt.endpoint.port;
    let takes = |&id: &CellId| varied::attempts(matrix, id, ExperimentKind::NoAlpn).any(completes);
    // The one that was tried speaks for all that are refused alike and were not tried.
    let Some(tried) = refusals.iter().copied().find(takes) else {
        return Vec::new();
    };
    let others = refusals
        .into_iter()
        .filter(|&id| id != tried && port(id) == port(tried))
        .filter(|id| takes(id) || varied::with(matrix, *id, ExperimentKind::NoAlpn) == Varied::Unknown);
    let cells: Vec<CellId> = std::iter::once(tried).chain(others).collect();
    let found = candidate(matrix, FindingKind::TlsHandshakeFailed, 0.97, &cells);
    let found = found.map(|(found, extent)| {
        found
            .severity(Severity::Warning)
            .segment(extent.segment())
            .summary(format!(
                "{} refuses a hello that offers the protocol imap (ALPN), and takes one that offers none: few mail \
                 clients offer it",
                matrix.host()
            ))
    });
    found.into_iter().collect()
}

/// Claim: somebody on the way decides by the protocol that the hello offers: without it the same server answers, under the
/// same name.
/// Disproved by: silence or a reset whatever is offered, or the same handshake going on when it is merely repeated.
pub(crate) fn filtered(matrix: &Matrix) -> Vec<Candidate> {
    let by_protocol = |id: &CellId| {
        let with = |kind| varied::with(matrix, *id, kind);
        Lost::of(matrix, *id).is_some()
            && with(ExperimentKind::NoAlpn) == Varied::Cured
            && with(ExperimentKind::OtherSni) != Varied::Cured
            && with(ExperimentKind::SmallMss) != Varied::Cured
            && !varied::heals_by_itself(matrix, *id)
    };
    let cells: Vec<CellId> = matrix.cells().filter(by_protocol).collect();
    let found = candidate(matrix, FindingKind::ContentFiltered, 0.9, &cells);
    let found = found.map(|(found, extent)| {
        let place = names::hello_place(matrix, &cells);
        found
            .next(names::looks(matrix, &place, &cells))
            .at(place)
            .summary(format!(
                "handshakes of {} with {} fail for the protocol imap that they offer (ALPN): without it the server answers",
                words::list(&matrix.names(&extent.affected)),
                matrix.host()
            ))
            .or(
                FindingKind::TlsHandshakeFailed,
                0.06,
                "the server's log: whether the hello with the protocol arrives",
            )
    });
    found.into_iter().collect()
}

fn candidate(
    matrix: &Matrix,
    kind: FindingKind,
    confidence: f64,
    cells: &[CellId],
) -> Option<(Candidate, Extent)> {
    let troubles = matrix.troubles_of_all(cells);
    let &first = cells.first()?;
    let extent = Extent::of(matrix, &troubles);
    let attempt = matrix.cell(first).attempt;
    let by_hand = command::openssl(matrix, attempt.address, attempt.endpoint);
    let found = Candidate::new(matrix, kind, confidence, troubles.iter().copied())
        .because(fact::first(troubles.iter().map(|&id| fact::trouble(matrix, id))))
        .because([format!(
            "{}: with no protocol offered the server answers",
            matrix.name(first.vantage)
        )])
        .told_apart_by(WITHOUT)
        .next([
            command::on(
                matrix.name(first.vantage),
                &by_hand.replacen(" -showcerts", " -alpn imap", 1),
            ),
            command::on(matrix.name(first.vantage), &by_hand),
        ]);
    Some((found, extent))
}

/// Whether a handshake came to its end, whatever the certificate.
fn completes(cell: &Cell) -> bool {
    cell.verified() || cell.leaf().is_some()
}
