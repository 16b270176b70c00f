//! From candidates to findings: the fewest explanations that cover everything that was seen.

use std::collections::BTreeSet;

use parallax_model::finding::{Alternative, Conclusion, Finding, Severity};

use crate::candidate::Candidate;
use crate::clients;
use crate::command;
use crate::experiment;
use crate::fit::{self, Witnesses};
use crate::matrix::Matrix;
use crate::repeats;
use crate::rule::RULES;
use crate::rules::unexplained;
use crate::summary;
use crate::trouble::TroubleId;
use crate::verdict;

/// What one witness alone can be trusted with: where nothing can be compared, and where several vantage points share a way.
const ALONE_AT_MOST: f64 = 0.9;

/// Judges everything that was seen, by what [`explain`] found.
pub(crate) fn conclude(matrix: &Matrix, mut chosen: Vec<Candidate>) -> Conclusion {
    let standings = clients::standings(matrix);
    chosen.extend(clients::incompatible(matrix, &chosen, &standings));
    let verdict = verdict::of(matrix, &chosen);
    let mut findings: Vec<Finding> = chosen
        .into_iter()
        .map(|candidate| finish(matrix, candidate))
        .collect();
    findings.sort_by(|one, other| rank(one).cmp(&rank(other)));
    Conclusion {
        clients: standings.iter().map(|standing| standing.report(matrix)).collect(),
        verdict,
        summary: summary::of(matrix, verdict, &findings),
        findings,
    }
}

/// The candidates that together explain every trouble: the best explanation of what is still open, one after another, so
/// that several faults at once are several findings.
pub(crate) fn explain(matrix: &Matrix) -> Vec<Candidate> {
    let witnesses = Witnesses::new(matrix);
    let weighed = RULES
        .iter()
        .flat_map(|rule| rule(matrix))
        .map(|candidate| weighed(matrix, &witnesses, candidate));
    let (remarks, mut rivals): (Vec<_>, Vec<_>) =
        weighed.partition(|candidate| candidate.explains.is_empty());
    fit::put_likelier_first(matrix, &mut rivals);
    let mut open: BTreeSet<TroubleId> = (0..matrix.troubles.len()).collect();
    let mut chosen: Vec<Candidate> = Vec::new();
    while let Some(mut best) = take_best(matrix, &witnesses, &mut rivals, &open) {
        let explains: BTreeSet<TroubleId> = best.explains.intersection(&open).copied().collect();
        if explains.is_empty() {
            concede(&mut chosen, &best);
        } else {
            open.retain(|id| !explains.contains(id));
            best.explains = explains;
            chosen.push(best);
        }
    }
    for candidate in &mut chosen {
        fit::part(matrix, candidate);
    }
    chosen.extend(unexplained::remaining(matrix, &open));
    chosen.extend(remarks);
    chosen
}

/// A candidate, held against everything that was seen.
fn weighed(matrix: &Matrix, witnesses: &Witnesses, mut candidate: Candidate) -> Candidate {
    repeats::weigh(matrix, &mut candidate);
    fit::weigh(matrix, witnesses, &mut candidate);
    let (seen_by, of_all) = (
        witnesses.among(candidate.affected(matrix)),
        witnesses.among(matrix.answered()),
    );
    let several = candidate.affected(matrix).len() > 1;
    if of_all < 2 || several && seen_by < 2 {
        candidate.confidence = candidate.confidence.min(ALONE_AT_MOST);
    }
    candidate
}

/// The best explanation of what is still open; of those that explain nothing more the surest.
fn take_best(
    matrix: &Matrix,
    witnesses: &Witnesses,
    rivals: &mut Vec<Candidate>,
    open: &BTreeSet<TroubleId>,
) -> Option<Candidate> {
    let best = (0..rivals.len()).rev().max_by(|&one, &other| {
        let of = |index: usize| {
            let rival: &Candidate = &rivals[index];
            let explains = rival.explains.intersection(open).next().is_some();
            (explains, fit::score(matrix, witnesses, rival, open))
        };
        let (one, other) = (of(one), of(other));
        one.0.cmp(&other.0).then(one.1.total_cmp(&other.1))
    })?;
    Some(rivals.remove(best))
}

/// A candidate whose troubles are explained better becomes an alternative of the better explanation.
fn concede(chosen: &mut [Candidate], rival: &Candidate) {
    let better = chosen
        .iter_mut()
        .max_by_key(|candidate| candidate.explains.intersection(&rival.explains).count());
    let Some(better) = better else {
        return;
    };
    let known = better.kind == rival.kind || better.alternatives.iter().any(|other| other.kind == rival.kind);
    if !known {
        better.alternatives.push(Alternative {
            kind: rival.kind,
            confidence: rival.confidence.min(1.0 - better.confidence),
            told_apart_by: rival.told_apart_by.clone(),
        });
    }
}

fn finish(matrix: &Matrix, candidate: Candidate) -> Finding {
    let compares = candidate.explains.is_empty() || !matrix.single();
    let mut candidate = candidate;
    let tests: Vec<_> = candidate
        .alternatives
        .iter()
        .map(|other| experiment::told_apart(matrix, &candidate, other.kind))
        .collect();
    for (alternative, test) in candidate.alternatives.iter_mut().zip(tests) {
        if let Some(test) = test {
            test.clone_into(&mut alternative.told_apart_by);
        }
    }
    let mut finding = candidate.into_finding(matrix);
    if !compares {
        let step = command::probe_from_all(matrix);
        finding
            .next_steps
            .push(format!("ask another vantage point: {step}"));
    }
    finding
}

/// First what stops most clients, then what is surest.
fn rank(
    finding: &Finding,
) -> (
    Severity,
    std::cmp::Reverse<usize>,
    std::cmp::Reverse<u64>,
    &'static str,
) {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a confidence is between 0 and 1"
    )]
    let sureness = (finding.confidence * 1e3) as u64;
    (
        finding.severity,
        std::cmp::Reverse(finding.scope.affected.len()),
        std::cmp::Reverse(sureness),
        finding.kind.as_str(),
    )
}
