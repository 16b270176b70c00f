//! The answer of a run, from its findings.

use parallax_model::finding::{Severity, Verdict};

use crate::candidate::{Blame, Candidate};
use crate::matrix::Matrix;

/// What one vantage point says about the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Voice {
    /// Clients there can work, wholly or in part.
    Able,
    /// Clients there can't work, and it is not the agent's fault.
    Unable,
    /// Nothing about the target: the fault is the agent's own, or nothing was found out.
    Mute,
}

/// Healthy when everybody answered and nothing above a remark was found; down when everybody who can tell is
/// unable; inconclusive when nobody can tell.
pub(crate) fn of(matrix: &Matrix, chosen: &[Candidate]) -> Verdict {
    if matrix.answered().next().is_none() {
        return Verdict::Inconclusive;
    }
    let all_answered = matrix.answered().count() == matrix.vantages.len();
    let only_remarks = chosen
        .iter()
        .all(|candidate| candidate.bites(matrix) == Severity::Info);
    if all_answered && only_remarks {
        return Verdict::Healthy;
    }
    let voices: Vec<Voice> = matrix
        .answered()
        .map(|vantage| voice(matrix, chosen, vantage))
        .filter(|&voice| voice != Voice::Mute)
        .collect();
    if voices.is_empty() {
        Verdict::Inconclusive
    } else if voices.iter().all(|&voice| voice == Voice::Unable) {
        Verdict::Down
    } else {
        Verdict::Partial
    }
}

fn voice(matrix: &Matrix, chosen: &[Candidate], vantage: usize) -> Voice {
    let nameless = matrix.vantage(vantage).nameless();
    if !nameless && matrix.cells_of(vantage).any(|cell| matrix.usable(cell)) {
        return Voice::Able;
    }
    let stopped_by = chosen.iter().filter(|candidate| {
        candidate
            .explains
            .iter()
            .any(|&id| matrix.troubles[id].vantage == vantage && matrix.troubles[id].blocks())
    });
    let mut blamed = stopped_by
        .filter(|candidate| candidate.blame == Blame::Target)
        .peekable();
    if blamed.peek().is_none() {
        Voice::Mute
    } else if blamed.any(|candidate| candidate.bites(matrix) == Severity::Critical) {
        Voice::Unable
    } else {
        Voice::Able
    }
}
