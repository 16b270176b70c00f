//! From candidates to findings: the fewest explanations that cover everything that was seen.

use std::collections::BTreeSet;

use parallax_model::finding::{Alternative, Conclusion, Finding, Severity};

use crate::candidate::Candidate;
use crate::clients;
use crate::command;
use crate::experiment;
use crate::matrix::Matrix;
use crate::repeats;
use crate::rule::RULES;
use crate::rules::unexplained;
use crate::summary;
use crate::trouble::TroubleId;
use crate::verdict;

/// A candidate gains this much for every trouble more that it explains: one cause is likelier than many.
const PARSIMONY: f64 = 0.01;

/// The most that parsimony can add.
const PARSIMONY_AT_MOST: f64 = 0.03;

/// What one vantage point alone can be trusted with, where nothing can be compared.
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

/// The candidates that together explain every trouble.
pub(crate) fn explain(matrix: &Matrix) -> Vec<Candidate> {
    let mut candidates: Vec<Candidate> = RULES.iter().flat_map(|rule| rule(matrix)).collect();
    for candidate in &mut candidates {
        repeats::weigh(matrix, candidate);
        if matrix.single() {
            candidate.confidence = candidate.confidence.min(ALONE_AT_MOST);
        }
    }
    let (remarks, mut rivals): (Vec<_>, Vec<_>) = candidates
        .into_iter()
        .partition(|candidate| candidate.explains.is_empty());
    rivals.sort_by(|one, other| score(other).total_cmp(&score(one)));
    let mut open: BTreeSet<TroubleId> = (0..matrix.troubles.len()).collect();
    let mut chosen: Vec<Candidate> = Vec::new();
    for mut rival in rivals {
        let explains: BTreeSet<TroubleId> = rival.explains.intersection(&open).copied().collect();
        if explains.is_empty() {
            concede(&mut chosen, &rival);
        } else {
            open.retain(|id| !explains.contains(id));
            rival.explains = explains;
            chosen.push(rival);
        }
    }
    chosen.extend(unexplained::remaining(matrix, &open));
    chosen.extend(remarks);
    chosen
}

fn score(candidate: &Candidate) -> f64 {
    let more = u32::try_from(candidate.explains.len().saturating_sub(1)).unwrap_or(u32::MAX);
    candidate.confidence + (f64::from(more) * PARSIMONY).min(PARSIMONY_AT_MOST)
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
