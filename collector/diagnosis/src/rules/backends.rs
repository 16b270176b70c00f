//! Several servers behind one address, of which one is wrong.

use std::collections::BTreeSet;

use parallax_model::experiment::ExperimentKind;
use parallax_model::finding::{FindingKind, Segment};

use super::certificate::is_certificate;
use crate::candidate::Candidate;
use crate::command;
use crate::extent::Extent;
use crate::fact;
use crate::matrix::{Cell, CellId, Matrix};
use crate::trouble::TroubleId;
use crate::varied;
use crate::words;

/// Claim: one vantage point is shown two servers at one address and port, one of them right and one wrong: a balancer has
/// a backend that is not as the others.
/// Disproved by: one certificate on every connection from there.
pub(crate) fn one_wrong(matrix: &Matrix) -> Vec<Candidate> {
    let cells: Vec<CellId> = matrix
        .cells()
        .filter(|&id| matrix.kinds_of(id).any(is_certificate) && shown_both(matrix, id))
        .collect();
    let Some(&first) = cells.first() else {
        return Vec::new();
    };
    let wrong: BTreeSet<&str> = cells
        .iter()
        .filter_map(|&id| Some(matrix.cell(id).leaf()?.spki_sha256.as_str()))
        .collect();
    let alike = matrix.cells().filter(|&id| {
        let leaf = matrix.cell(id).leaf();
        leaf.is_some_and(|leaf| wrong.contains(leaf.spki_sha256.as_str()))
    });
    let troubles: Vec<TroubleId> = alike
        .flat_map(|id| matrix.troubles_of(id))
        .copied()
        .filter(|&id| matrix.troubles[id].kind().is_some_and(is_certificate))
        .collect();
    let extent = Extent::of(matrix, &troubles);
    let attempt = matrix.cell(first).attempt;
    let found = Candidate::new(
        matrix,
        FindingKind::OneBackendBroken,
        0.93,
        troubles.iter().copied(),
    )
    .segment(Segment::Service)
    .summary(format!(
        "one of the servers behind {} shows another certificate than the others: {} met it",
        matrix.cell(first).socket(),
        words::list(&matrix.names(&extent.affected))
    ))
    .because(fact::first(troubles.iter().map(|&id| fact::trouble(matrix, id))))
    .because(cells.iter().map(|&id| {
        format!(
            "{}: another connection to {} was shown another certificate",
            matrix.name(id.vantage),
            matrix.cell(id).socket()
        )
    }))
    .told_apart_by("several connections from one place: a balancer shows both certificates")
    .or(
        FindingKind::CertificateDiffers,
        0.05,
        "the balancer's list of backends, one by one",
    )
    .next([
        command::on(
            matrix.name(first.vantage),
            &format!(
                "for i in $(seq 8); do {} 2>/dev/null | openssl x509 -noout -fingerprint -enddate; done",
                command::openssl(matrix, attempt.address, attempt.endpoint)
            ),
        ),
        command::on(
            "the balancer",
            "the certificate of each backend, asked by its own address",
        ),
    ]);
    vec![found]
}

/// Whether another connection of the same vantage point to the same place got another key, and a right one.
fn shown_both(matrix: &Matrix, id: CellId) -> bool {
    let Some(leaf) = matrix.cell(id).leaf() else {
        return false;
    };
    let right = |cell: &Cell| {
        cell.verified()
            && cell
                .leaf()
                .is_some_and(|other| other.spki_sha256 != leaf.spki_sha256)
    };
    let again = [
        ExperimentKind::Repeat,
        ExperimentKind::Serial,
        ExperimentKind::Later,
    ];
    again
        .into_iter()
        .any(|kind| varied::attempts(matrix, id, kind).any(right))
}
