//! A resolver that was asked beside the vantage point's own, and says something else.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use parallax_model::evidence::{OtherAnswer, ResolveEvidence};
use parallax_model::fault::{DnsFault, FaultKind};
use parallax_model::finding::{FindingKind, Segment, Severity};
use parallax_model::stage::StageName;

use crate::candidate::Candidate;
use crate::command;
use crate::fact;
use crate::matrix::Matrix;
use crate::trouble::TroubleId;
use crate::words;

/// Claim: the resolver that a vantage point uses and another one, asked from there, give different addresses. Which
/// of them is right does not follow: both may be, where answers depend on who asks.
/// Disproved by: equal answers; what is wrong with an address shows where it is tried.
pub(crate) fn disagree(matrix: &Matrix) -> Vec<Candidate> {
    let mut groups: BTreeMap<Answers, Vec<usize>> = BTreeMap::new();
    for vantage in matrix.answered() {
        if !differing(matrix, vantage).is_empty() {
            groups
                .entry(Answers::at(matrix, vantage))
                .or_default()
                .push(vantage);
        }
    }
    groups
        .into_values()
        .map(|vantages| candidate(matrix, &vantages))
        .collect()
}

/// What two resolvers said. Vantage points that were told the same have the same disagreement.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Answers {
    own: BTreeSet<IpAddr>,
    other: Option<(SocketAddr, BTreeSet<IpAddr>, Option<FaultKind>)>,
}

impl Answers {
    fn at(matrix: &Matrix, vantage: usize) -> Self {
        let facts = matrix.vantage(vantage).resolve();
        let other = facts.and_then(|facts| facts.other.as_ref());
        Self {
            own: facts
                .map(|facts| facts.addresses.iter().copied().collect())
                .unwrap_or_default(),
            other: other.map(|other| {
                let addresses = other.addresses.iter().copied().collect();
                let fault = other.fault.as_ref().map(|fault| fault.kind);
                (other.resolver, addresses, fault)
            }),
        }
    }
}

fn differing(matrix: &Matrix, vantage: usize) -> Vec<TroubleId> {
    matrix.troubles_where(|trouble| {
        trouble.vantage == vantage
            && trouble.stage == Some(StageName::Resolve)
            && trouble.failure().is_none()
            && trouble.kind() == Some(FaultKind::Dns(DnsFault::AnswersDiffer))
    })
}

fn candidate(matrix: &Matrix, vantages: &[usize]) -> Candidate {
    let troubles: Vec<TroubleId> = vantages
        .iter()
        .flat_map(|&vantage| differing(matrix, vantage))
        .collect();
    let serving = vantages
        .iter()
        .copied()
        .find(|&vantage| matrix.cells_of(vantage).any(|id| matrix.served(id)));
    // Told the same, one speaks for all of them.
    let speaker = serving.unwrap_or(vantages[0]);
    let name = matrix.name(speaker);
    let facts = matrix.vantage(speaker).resolve();
    let other = facts.and_then(|facts| facts.other.as_ref());
    let confidence = if serving.is_some() { 0.9 } else { 0.6 };
    let found = Candidate::new(
        matrix,
        FindingKind::DnsAnswersDiffer,
        confidence,
        troubles.iter().copied(),
    )
    .severity(Severity::Warning)
    .stage(StageName::Resolve)
    .segment(Segment::Unknown)
    .summary(format!(
        "two resolvers asked at {} do not agree on {}",
        words::list(&matrix.names(vantages)),
        matrix.host()
    ))
    .because(fact::first(troubles.iter().map(|&id| fact::trouble(matrix, id))))
    .because(facts.map(|facts| own(matrix, name, facts)))
    .because(other.map(|other| others(matrix, name, other)))
    .because(serving.map(|_| format!("{name}: an address of its own resolver serves the target")))
    .told_apart_by("each resolver's addresses tried from the same place")
    .next(steps(matrix, name, facts, other));
    if serving.is_some() {
        found
    } else {
        found.or(
            FindingKind::DnsWrongAddress,
            0.3,
            "the other resolver's address tried from the same place",
        )
    }
}

fn own(matrix: &Matrix, name: &str, facts: &ResolveEvidence) -> String {
    let resolver = facts
        .queries
        .first()
        .map(|query| format!(" at {}", query.resolver))
        .unwrap_or_default();
    format!(
        "{name}: {} is {} by its own resolver{resolver}",
        matrix.host(),
        addresses(&facts.addresses)
    )
}

fn others(matrix: &Matrix, name: &str, other: &OtherAnswer) -> String {
    let said = match &other.fault {
        Some(fault) => words::message(fault),
        None => addresses(&other.addresses),
    };
    format!("{name}: {} is {said} by {}", matrix.host(), other.resolver)
}

fn addresses(addresses: &[IpAddr]) -> String {
    if addresses.is_empty() {
        return "without an address".to_owned();
    }
    let addresses: Vec<String> = addresses.iter().map(IpAddr::to_string).collect();
    words::list(&addresses)
}

fn steps(
    matrix: &Matrix,
    name: &str,
    facts: Option<&ResolveEvidence>,
    other: Option<&OtherAnswer>,
) -> Vec<String> {
    let own = facts
        .and_then(|facts| facts.queries.first())
        .map(|query| query.resolver);
    let resolvers: Vec<SocketAddr> = own.into_iter().chain(other.map(|other| other.resolver)).collect();
    let mut steps: Vec<String> = resolvers
        .into_iter()
        .map(|resolver| command::on(name, &command::dig(matrix, Some(resolver), "A")))
        .collect();
    steps.push(format!("{} +trace", command::dig(matrix, None, "A")));
    if let Some(address) = other.and_then(|other| other.addresses.first()) {
        steps.push(format!(
            "ctl probe {} --from {name} --address {address}",
            matrix.host()
        ));
    }
    steps
}
