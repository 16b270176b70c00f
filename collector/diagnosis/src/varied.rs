//! What became of the same attempt with one thing varied: whatever cures it was the matter.

use parallax_model::experiment::ExperimentKind;
use parallax_model::observation::AttemptOutcome;
use parallax_model::stage::StageName;

use crate::matrix::{Cell, CellId, Matrix};
use crate::symptom::Reach;

/// What became of an attempt with one thing varied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Varied {
    /// It was not made, or says nothing.
    Unknown,
    /// It came past what stopped the first.
    Cured,
    /// It stopped where the first did, or before.
    Same,
    /// Made several times, it stopped some of them.
    Sometimes,
}

/// The attempts that were made with something varied where this one went.
pub(crate) fn attempts<'m, 'a>(
    matrix: &'m Matrix<'a>,
    id: CellId,
    kind: ExperimentKind,
) -> impl Iterator<Item = &'m Cell<'a>> {
    let attempt = matrix.cell(id).attempt;
    matrix.vantage(id.vantage).experiments(kind).filter(move |cell| {
        cell.attempt.address == attempt.address && cell.attempt.endpoint == attempt.endpoint
    })
}

/// What became of an attempt with this varied.
pub(crate) fn with(matrix: &Matrix, id: CellId, kind: ExperimentKind) -> Varied {
    let Some(stopped_at) = matrix.cell(id).attempt.failed_stage().map(|stage| stage.name) else {
        return Varied::Unknown;
    };
    let told: Vec<bool> = attempts(matrix, id, kind)
        .filter_map(|cell| came_past(cell, kind, stopped_at))
        .collect();
    let cured = told.iter().filter(|&&cured| cured).count();
    match (told.len(), cured) {
        (0, _) => Varied::Unknown,
        (all, cured) if cured == all => Varied::Cured,
        (_, 0) => Varied::Same,
        (_, _) => Varied::Sometimes,
    }
}

fn came_past(cell: &Cell, kind: ExperimentKind, stopped_at: StageName) -> Option<bool> {
    if matches!(cell.reach, Reach::Local(_) | Reach::Unclear | Reach::Untried) {
        return None;
    }
    if kind.varies_tls() && stopped_at > StageName::Connect {
        return Some(answered(cell));
    }
    let failed_at = cell.attempt.failed_stage().map(|stage| stage.name);
    Some(match failed_at {
        Some(stage) => stage > stopped_at,
        None => cell.attempt.outcome() != AttemptOutcome::Failed,
    })
}

/// Whether the server said anything to the hello: what it said is not judged.
fn answered(cell: &Cell) -> bool {
    cell.passed(StageName::Tls)
        || cell.passed(StageName::Starttls)
        || cell.handshake().is_some_and(|(_, facts)| {
            facts.bytes_received > 0 || !facts.chain.is_empty() || facts.alert.is_some()
        })
}

/// Whether the same attempt worked when it was merely made again: then nothing that was varied cured it.
pub(crate) fn heals_by_itself(matrix: &Matrix, id: CellId) -> bool {
    [
        ExperimentKind::Repeat,
        ExperimentKind::Serial,
        ExperimentKind::Later,
    ]
    .into_iter()
    .any(|kind| matches!(with(matrix, id, kind), Varied::Cured | Varied::Sometimes))
}
