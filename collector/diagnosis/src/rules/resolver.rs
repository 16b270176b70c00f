//! A resolver that was asked beside the vantage point's own, and says something else.

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
    matrix
        .answered()
        .filter_map(|vantage| {
            let troubles = matrix.troubles_where(|trouble| {
                trouble.vantage == vantage
                    && trouble.stage == Some(StageName::Resolve)
                    && trouble.failure().is_none()
                    && trouble.kind() == Some(FaultKind::Dns(DnsFault::AnswersDiffer))
            });
            (!troubles.is_empty()).then(|| candidate(matrix, vantage, &troubles))
        })
        .collect()
}

fn candidate(matrix: &Matrix, vantage: usize, troubles: &[TroubleId]) -> Candidate {
    let name = matrix.name(vantage);
    let facts = matrix.vantage(vantage).resolve();
    let other = facts.and_then(|facts| facts.other.as_ref());
    let served = matrix.cells_of(vantage).any(|id| matrix.served(id));
    let confidence = if served { 0.9 } else { 0.6 };
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
        "two resolvers asked at {name} do not agree on {}",
        matrix.host()
    ))
    .because(troubles.iter().map(|&id| fact::trouble(matrix, id)))
    .because(facts.map(|facts| own(matrix, name, facts)))
    .because(other.map(|other| others(matrix, name, other)))
    .because(served.then(|| format!("{name}: an address of its own resolver serves the target")))
    .told_apart_by("each resolver's addresses tried from the same place")
    .next(steps(matrix, name, facts, other));
    if served {
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
