//! What works, and takes longer than an operator should accept.

use std::collections::BTreeMap;

use parallax_model::fault::{FaultKind, ImapFault};
use parallax_model::finding::{FindingKind, Severity};
use parallax_model::stage::StageName;

use crate::candidate::Candidate;
use crate::extent::Extent;
use crate::fact;
use crate::matrix::Matrix;
use crate::trouble::TroubleId;

/// Claim: the server takes long over one step. From everywhere it is the server; from one place it is how the
/// server treats that place (a reverse lookup, a penalty) or the way there.
/// Disproved by: a quick answer to the same step.
pub(crate) fn slow(matrix: &Matrix) -> Vec<Candidate> {
    let mut groups: BTreeMap<StageName, Vec<TroubleId>> = BTreeMap::new();
    for (id, trouble) in matrix.troubles.iter().enumerate() {
        if let (Some(FaultKind::Imap(ImapFault::Slow)), Some(stage)) = (trouble.kind(), trouble.stage) {
            groups.entry(stage).or_default().push(id);
        }
    }
    groups
        .into_iter()
        .map(|(stage, troubles)| candidate(matrix, stage, &troubles))
        .collect()
}

fn candidate(matrix: &Matrix, stage: StageName, troubles: &[TroubleId]) -> Candidate {
    let extent = Extent::of(matrix, troubles);
    let kind = match stage {
        StageName::Greeting => FindingKind::SlowGreeting,
        StageName::Authenticate if extent.partly() => FindingKind::AuthPenalty,
        _ => FindingKind::LatencyHigh,
    };
    let confidence = match kind {
        FindingKind::AuthPenalty => 0.5,
        _ => extent.stated(),
    };
    let found = Candidate::new(matrix, kind, confidence, troubles.iter().copied())
        .severity(Severity::Warning)
        .segment(extent.segment())
        .summary(format!(
            "{}: it works, but slowly",
            super::session::who_fails(matrix, &extent, stage, troubles).replacen("fails", "drags", 1)
        ))
        .because(fact::first(troubles.iter().map(|&id| fact::trouble(matrix, id))))
        .because(super::session::spared(matrix, &extent, stage))
        .told_apart_by("the time of the same step from other vantage points")
        .next(super::session::by_hand(matrix, troubles));
    match kind {
        FindingKind::AuthPenalty => found.or(
            FindingKind::LatencyHigh,
            0.3,
            "whether every step is slow from there, or the login alone",
        ),
        _ => found,
    }
}
