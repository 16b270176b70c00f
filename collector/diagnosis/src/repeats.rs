//! What a repeated attempt says about a claim: a fault that stays is surer, one that went is no more than that.

use parallax_model::finding::{FindingKind, Severity};
use parallax_model::observation::AttemptOutcome;

use crate::candidate::Candidate;
use crate::matrix::{CellId, Matrix};

/// How much surer a claim is when the same attempt failed the same way again.
const CONFIRMED: f64 = 0.1;

/// What is left of the confidence in a claim when the same attempt worked the second time.
const HEALED: f64 = 0.6;

/// Weighs a candidate by the repeats of the attempts that it explains.
pub(crate) fn weigh(matrix: &Matrix, candidate: &mut Candidate) {
    if comes_and_goes(candidate.kind) {
        return;
    }
    let cells: Vec<CellId> = candidate
        .explains
        .iter()
        .filter_map(|&id| matrix.troubles[id].cell)
        .collect();
    let mut healed: Vec<&str> = Vec::new();
    let mut confirmed: Vec<&str> = Vec::new();
    for id in cells {
        let (Some(again), Some(before)) = (matrix.repeat_of(id), matrix.cell(id).attempt.failed_stage())
        else {
            continue;
        };
        if again.attempt.outcome() != AttemptOutcome::Failed {
            healed.push(matrix.name(id.vantage));
        } else if again
            .attempt
            .failed_stage()
            .is_some_and(|stage| stage.name == before.name)
        {
            confirmed.push(matrix.name(id.vantage));
        }
    }
    healed.dedup();
    confirmed.dedup();
    if let Some(name) = healed.first() {
        candidate.confidence *= HEALED;
        candidate.severity = Some(Severity::Warning);
        candidate
            .because
            .push(format!("{name}: the same attempt worked when it was repeated"));
        *candidate = candidate
            .clone()
            .or(
                FindingKind::PacketLoss,
                0.2,
                "repeating over minutes: loss comes and goes, and hits other targets too",
            )
            .or(
                FindingKind::OnePathBroken,
                0.1,
                "the same from many source ports, twice: a fault of one flow stays with its port",
            );
    } else if let Some(name) = confirmed.first() {
        candidate.confidence = (candidate.confidence + CONFIRMED).min(0.95);
        candidate.because.push(format!(
            "{name}: the same attempt failed the same way when it was repeated"
        ));
    }
}

/// Whether it is the very claim that attempts fail one time and work another, on another source port perhaps.
const fn comes_and_goes(kind: FindingKind) -> bool {
    matches!(
        kind,
        FindingKind::PacketLoss
            | FindingKind::RateLimited
            | FindingKind::ConnectionLimit
            | FindingKind::ServerOverloaded
            | FindingKind::OnePathBroken
            | FindingKind::OneBackendBroken
    )
}
