//! What works, and takes longer than an operator should accept.

use std::collections::{BTreeMap, BTreeSet};

use parallax_model::evidence::Evidence;
use parallax_model::fault::{FaultKind, ImapFault};
use parallax_model::finding::{FindingKind, Segment, Severity};
use parallax_model::stage::StageName;

use crate::candidate::Candidate;
use crate::extent::Extent;
use crate::fact;
use crate::matrix::{CellId, Matrix};
use crate::product::Look;
use crate::trouble::TroubleId;
use crate::words;

const PENALTY: Look = Look::new(
    "doveadm penalty; doveconf auth_failure_delay; journalctl -u dovecot -n 100 | grep -i 'auth failed'",
);

/// Claim: the server takes long over one step. From everywhere it is the server; from one place it is how the
/// server treats that place (a reverse lookup, a penalty) or the way there.
/// Disproved by: a quick answer to the same step.
pub(crate) fn slow(matrix: &Matrix) -> Vec<Candidate> {
    let mut groups: BTreeMap<StageName, Vec<TroubleId>> = BTreeMap::new();
    for (id, trouble) in matrix.troubles.iter().enumerate() {
        let penalty = trouble.stage == Some(StageName::Authenticate)
            && trouble.cell.is_some_and(|cell| suspected(matrix, cell));
        if let (Some(FaultKind::Imap(ImapFault::Slow)), Some(stage), false) =
            (trouble.kind(), trouble.stage, penalty)
        {
            groups.entry(stage).or_default().push(id);
        }
    }
    groups
        .into_iter()
        .map(|(stage, troubles)| candidate(matrix, stage, &troubles))
        .collect()
}

/// Claim: the server makes this source wait before it answers a login, as servers do with those who failed before.
/// Disproved by: a quick answer to the same login from the same address, or slow answers to everybody.
pub(crate) fn penalised(matrix: &Matrix) -> Vec<Candidate> {
    let cells: Vec<CellId> = matrix.cells().filter(|&id| suspected(matrix, id)).collect();
    let Some(&first) = cells.first() else {
        return Vec::new();
    };
    let slow = matrix.troubles_where(|trouble| {
        trouble.kind() == Some(FaultKind::Imap(ImapFault::Slow))
            && trouble.stage == Some(StageName::Authenticate)
            && trouble.cell.is_some_and(|cell| cells.contains(&cell))
    });
    let affected: BTreeSet<usize> = cells.iter().map(|id| id.vantage).collect();
    let names = matrix.names(&affected);
    let quick: Vec<CellId> = matrix
        .cells()
        .filter(|id| !affected.contains(&id.vantage) && matrix.cell(*id).passed(StageName::Authenticate))
        .collect();
    let lines = cells.iter().chain(quick.iter().take(2)).filter_map(|&id| {
        let stage = matrix.cell(id).attempt.stage(StageName::Authenticate)?;
        Some(format!(
            "{}: the login at {} was answered after {}",
            matrix.name(id.vantage),
            matrix.cell(id).socket(),
            words::time(stage.duration)
        ))
    });
    let confidence = if quick.is_empty() { 0.55 } else { 0.75 };
    let found = Candidate::new(matrix, FindingKind::AuthPenalty, confidence, slow)
        .severity(Severity::Warning)
        .also(affected.iter().copied())
        .sockets(cells.iter().map(|&id| matrix.cell(id).socket()))
        .stage(StageName::Authenticate)
        .segment(Segment::Service)
        .summary(format!(
            "{} makes {} wait for the answer to a login, as after failed ones",
            matrix.host(),
            words::list(&names)
        ))
        .because(fact::first(lines))
        .told_apart_by("the same login from an address that has not failed before")
        .or(
            FindingKind::AuthBackendUnavailable,
            0.2,
            "whether everybody waits: the user database is slow then",
        )
        .next([PENALTY.on(matrix, matrix.cell(first).attempt.address)]);
    vec![found]
}

fn suspected(matrix: &Matrix, id: CellId) -> bool {
    let stage = matrix.cell(id).attempt.stage(StageName::Authenticate);
    matches!(
        stage.and_then(|stage| stage.evidence.as_ref()),
        Some(Evidence::Authenticate(facts)) if facts.penalty_suspected
    )
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
