//! Names that become addresses slowly, or of one family only.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use parallax_model::fault::{DnsFault, FaultKind};
use parallax_model::finding::{FindingKind, Severity};
use parallax_model::stage::StageName;

use crate::candidate::Candidate;
use crate::command;
use crate::fact;
use crate::matrix::{Matrix, Vantage};
use crate::words;

/// Resolving that takes longer than this is felt by whoever waits for mail.
const SLOW: Duration = Duration::from_secs(2);

/// Claim: the name resolves, but one of the two questions (A, AAAA) fails or the answers take long, which clients
/// that ask both feel as a slow start.
/// Disproved by: quick answers to both.
pub(crate) fn partly_unresolved(matrix: &Matrix) -> Vec<Candidate> {
    let mut groups: BTreeMap<FindingKind, Vec<usize>> = BTreeMap::new();
    for index in matrix.answered() {
        for kind in half_answers(matrix.vantage(index)) {
            groups.entry(kind).or_default().push(index);
        }
    }
    groups
        .into_iter()
        .map(|(kind, vantages)| half(matrix, kind, vantages))
        .collect()
}

fn half(matrix: &Matrix, kind: FindingKind, vantages: Vec<usize>) -> Candidate {
    let troubles = matrix.troubles_where(|trouble| {
        trouble.stage == Some(StageName::Resolve)
            && trouble.failure().is_none()
            && trouble.kind() != Some(FaultKind::Dns(DnsFault::AnswersDiffer))
            && vantages.contains(&trouble.vantage)
    });
    let lines = vantages.iter().flat_map(|&index| {
        let vantage = matrix.vantage(index);
        let queries = vantage
            .resolve()
            .map(|facts| facts.queries.as_slice())
            .unwrap_or_default();
        let asked = queries.iter().map(|query| fact::query(vantage.name(), query));
        asked.chain(took(vantage)).collect::<Vec<_>>()
    });
    let names = matrix.names(&vantages);
    let first = names.first().copied().unwrap_or_default();
    let what = if kind == FindingKind::DnsSlow {
        "is slow: a question goes unanswered or waits long"
    } else {
        "works for one address family only"
    };
    Candidate::new(matrix, kind, 0.8, troubles)
        .severity(Severity::Warning)
        .also(vantages.iter().copied())
        .stage(StageName::Resolve)
        .summary(format!(
            "resolving {} at {} {what}",
            matrix.host(),
            words::list(&names)
        ))
        .because(fact::first(lines))
        .next([
            command::on(first, &command::dig(matrix, None, "A")),
            command::on(first, &command::dig(matrix, None, "AAAA")),
        ])
}

fn took(vantage: &Vantage) -> Option<String> {
    let stage = vantage.seen.resolve.as_ref()?;
    Some(format!(
        "{}: resolving took {}",
        vantage.name(),
        words::time(stage.duration)
    ))
}

fn half_answers(vantage: &Vantage) -> BTreeSet<FindingKind> {
    let mut kinds = BTreeSet::new();
    let Some(stage) = vantage.seen.resolve.as_ref().filter(|stage| !stage.failed()) else {
        return kinds;
    };
    for query in vantage
        .resolve()
        .map(|facts| facts.queries.as_slice())
        .unwrap_or_default()
        .iter()
        .filter(|query| query.for_addresses())
    {
        let answered_later = vantage.resolve().is_some_and(|facts| {
            facts
                .queries
                .iter()
                .any(|other| other.record_type == query.record_type && other.fault.is_none())
        });
        let fault = query.fault.as_ref().filter(|_| !answered_later);
        kinds.extend(fault.and_then(|fault| half_kind(fault.kind)));
    }
    if kinds.is_empty() {
        kinds.extend(stage.outcome.fault().and_then(|fault| half_kind(fault.kind)));
    }
    if stage.duration >= SLOW {
        kinds.insert(FindingKind::DnsSlow);
    }
    kinds
}

const fn half_kind(kind: FaultKind) -> Option<FindingKind> {
    match kind {
        FaultKind::Dns(DnsFault::NoAddress | DnsFault::AnswersDiffer) => None,
        FaultKind::Dns(DnsFault::Nxdomain) => Some(FindingKind::DnsNxdomain),
        FaultKind::Dns(DnsFault::Servfail | DnsFault::Bogus | DnsFault::Malformed) => {
            Some(FindingKind::DnsServfail)
        }
        FaultKind::Dns(DnsFault::Refused) => Some(FindingKind::DnsRefused),
        FaultKind::Dns(_) => Some(FindingKind::DnsSlow),
        _ => None,
    }
}
