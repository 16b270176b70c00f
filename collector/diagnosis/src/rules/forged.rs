//! Answers of DNS that somebody gave before the resolver did.

use std::collections::BTreeMap;
use std::net::IpAddr;

use parallax_model::evidence::DnsQuery;
use parallax_model::finding::{FindingKind, Segment};
use parallax_model::stage::StageName;

use super::answers;
use crate::candidate::Candidate;
use crate::command;
use crate::fact;
use crate::matrix::{CellId, Matrix};
use crate::words;

/// A first answer that a second one contradicted, and that does not serve the target.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Contradicted<'a> {
    pub(crate) vantage: usize,
    pub(crate) query: &'a DnsQuery,
}

/// First answers that do not serve the target, each of which another answer to the same question contradicted.
pub(crate) fn contradicted<'a>(matrix: &Matrix<'a>) -> Vec<Contradicted<'a>> {
    matrix
        .answered()
        .filter_map(|vantage| Some((vantage, matrix.vantage(vantage).resolve()?)))
        .flat_map(|(vantage, facts)| {
            let doubtful = facts.queries.iter().filter(|query| {
                !query.second_answer.is_empty()
                    && !query
                        .addresses
                        .iter()
                        .any(|&address| answers::serves(matrix, address))
            });
            doubtful.map(move |query| Contradicted { vantage, query })
        })
        .collect()
}

/// Claim: the answer that a vantage point goes by is not its resolver's: two different answers came to one question, and
/// the address in the first does not serve the target. Somebody nearer than the resolver answers in its name.
/// Disproved by: the first answer's address serving the target, from anywhere.
pub(crate) fn forged(matrix: &Matrix) -> Vec<Candidate> {
    let mut groups: BTreeMap<(Vec<IpAddr>, Vec<IpAddr>), Vec<Contradicted>> = BTreeMap::new();
    for doubtful in contradicted(matrix) {
        let query = doubtful.query;
        groups
            .entry((query.addresses.clone(), query.second_answer.clone()))
            .or_default()
            .push(doubtful);
    }
    groups
        .iter()
        .filter_map(|((first, second), asked)| candidate(matrix, first, second, asked))
        .collect()
}

fn candidate(
    matrix: &Matrix,
    first: &[IpAddr],
    second: &[IpAddr],
    asked: &[Contradicted],
) -> Option<Candidate> {
    let vantages: Vec<usize> = asked.iter().map(|doubtful| doubtful.vantage).collect();
    let cells: Vec<CellId> = matrix
        .cells()
        .filter(|id| vantages.contains(&id.vantage) && first.contains(&matrix.cell(*id).attempt.address))
        .collect();
    let troubles = matrix.troubles_of_all(&cells);
    let Contradicted { vantage, query } = *asked.first().filter(|_| !troubles.is_empty())?;
    let second_serves = second.iter().any(|&address| answers::serves(matrix, address));
    let said = asked.iter().flat_map(|&Contradicted { vantage, query }| {
        let name = matrix.name(vantage);
        let later = format!("{name}: another answer came after it: {}", spelled(second));
        [fact::query(name, query), later]
    });
    let name = matrix.name(vantage);
    let found = Candidate::new(
        matrix,
        FindingKind::DnsWrongAddress,
        if second_serves { 0.94 } else { 0.8 },
        troubles.iter().copied(),
    )
    .stage(StageName::Resolve)
    .segment(if vantages.len() == 1 {
        Segment::VantageEdge
    } else {
        Segment::Unknown
    })
    .summary(format!(
        "{} is given a forged address for {}: {}, which does not serve it, comes before the resolver's {}",
        words::list(&matrix.names(&vantages)),
        matrix.host(),
        spelled(first),
        spelled(second)
    ))
    .because(fact::first(said))
    .because(fact::first(troubles.iter().map(|&id| fact::trouble(matrix, id))))
    .told_apart_by("the address in each of the two answers, tried from the same place")
    .or(
        FindingKind::DnsAnswersDiffer,
        0.05,
        "whether the resolver itself sends two answers",
    )
    .next([
        command::on(
            name,
            &command::dig(
                matrix,
                Some(query.resolver),
                if first.iter().any(IpAddr::is_ipv4) {
                    "A"
                } else {
                    "AAAA"
                },
            ),
        ),
        command::on(
            name,
            &format!(
                "tcpdump -ni any -vv 'udp and src port {} and host {}'   # two answers, and their TTLs",
                query.resolver.port(),
                query.resolver.ip()
            ),
        ),
    ]);
    Some(found)
}

fn spelled(addresses: &[IpAddr]) -> String {
    let addresses: Vec<String> = addresses.iter().map(IpAddr::to_string).collect();
    words::list(&addresses)
}
