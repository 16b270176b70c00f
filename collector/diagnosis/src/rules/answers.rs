//! Vantage points that are given different addresses for the same name.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use parallax_model::experiment::ExperimentKind;
use parallax_model::fault::{FaultKind, ImapFault, TlsFault};
use parallax_model::finding::{FindingKind, Segment, Severity};
use parallax_model::observation::{AttemptOutcome, Family};
use parallax_model::stage::StageName;

use crate::candidate::Candidate;
use crate::command;
use crate::fact;
use crate::matrix::{CellId, Matrix};
use crate::trouble::TroubleId;
use crate::words;

/// An address that some vantage points were given and others were not.
#[derive(Debug, Clone)]
pub(crate) struct OddAddress {
    pub(crate) address: IpAddr,
    /// Who was given it.
    pub(crate) given: Vec<usize>,
    /// Addresses that serve the target for others, and that these were not given.
    pub(crate) serving: Vec<IpAddr>,
}

/// Addresses that do not serve the target, given to some, while others are given addresses that do.
pub(crate) fn odd_addresses(matrix: &Matrix) -> Vec<OddAddress> {
    let asked: Vec<usize> = matrix
        .answered()
        .filter(|&vantage| {
            matrix
                .vantage(vantage)
                .resolve()
                .is_some_and(|facts| facts.source == "dns")
        })
        .filter(|&vantage| !matrix.vantage(vantage).nameless())
        .collect();
    let addresses: BTreeSet<IpAddr> = asked
        .iter()
        .filter_map(|&vantage| matrix.vantage(vantage).resolve())
        .flat_map(|facts| facts.addresses.iter().copied())
        .collect();
    addresses
        .iter()
        .filter_map(|&address| {
            let given = matrix.given(address);
            let serving: Vec<IpAddr> = addresses
                .iter()
                .copied()
                .filter(|&other| serves(matrix, other))
                .filter(|&other| {
                    Family::of(other) == Family::of(address)
                        || only_there(matrix, &given, address, &addresses)
                })
                .filter(|&other| !matrix.given(other).iter().any(|vantage| given.contains(vantage)))
                .collect();
            let odd = given.len() < asked.len() && !serving.is_empty() && !serves(matrix, address);
            odd.then_some(OddAddress {
                address,
                given,
                serving,
            })
        })
        .collect()
}

/// Whether an address is all that these were given, while others were given another one of its family.
fn only_there(matrix: &Matrix, given: &[usize], address: IpAddr, addresses: &BTreeSet<IpAddr>) -> bool {
    let alone = given.iter().all(|&vantage| {
        let facts = matrix.vantage(vantage).resolve();
        facts.is_some_and(|facts| facts.addresses == [address])
    });
    let differs = |&other: &IpAddr| {
        other != address
            && Family::of(other) == Family::of(address)
            && matrix.given(other).iter().any(|vantage| !given.contains(vantage))
    };
    alone && addresses.iter().any(differs)
}

/// Whether anybody is served at an address, when he asks for it or is made to try it.
pub(crate) fn serves(matrix: &Matrix, address: IpAddr) -> bool {
    let asked_for = matrix.cells().any(|id| {
        matrix.cell(id).attempt.address == address && (matrix.served(id) || is_the_target(matrix, id))
    });
    asked_for || forced(matrix, address).iter().any(|&(_, worked)| worked)
}

/// Whether the right server answers, though with a certificate of which nothing but the time is wrong.
fn is_the_target(matrix: &Matrix, id: CellId) -> bool {
    let mut kinds = matrix.kinds_of(id).peekable();
    kinds.peek().is_some()
        && kinds.all(|kind| {
            matches!(
                kind,
                FaultKind::Tls(TlsFault::CertificateExpired | TlsFault::CertificateNotYetValid)
            )
        })
}

/// Who was made to try an address, and whether it served.
fn forced(matrix: &Matrix, address: IpAddr) -> Vec<(usize, bool)> {
    matrix
        .answered()
        .flat_map(|vantage| {
            matrix
                .vantage(vantage)
                .experiments(ExperimentKind::ForcedAddress)
                .filter(|cell| cell.attempt.address == address)
                .map(move |cell| (vantage, cell.attempt.outcome() != AttemptOutcome::Failed))
                .collect::<Vec<_>>()
        })
        .collect()
}

/// Claim: DNS gives some vantage points an address that does not serve this target, while it gives others one
/// that does.
/// Disproved by: the address serving the target from another vantage point (a valid handshake settles it).
pub(crate) fn wrong_address(matrix: &Matrix) -> Vec<Candidate> {
    odd_addresses(matrix)
        .iter()
        .filter_map(|odd| {
            let cells: Vec<CellId> = matrix
                .cells()
                .filter(|&id| matrix.cell(id).attempt.address == odd.address)
                .filter(|id| odd.given.contains(&id.vantage))
                .collect();
            let troubles = matrix.troubles_of_all(&cells);
            (!troubles.is_empty()).then(|| wrong(matrix, odd, &cells, troubles))
        })
        .collect()
}

fn wrong(matrix: &Matrix, odd: &OddAddress, cells: &[CellId], troubles: Vec<TroubleId>) -> Candidate {
    let names = matrix.names(&odd.given);
    let first = names.first().copied().unwrap_or_default();
    let resolver = resolver_of(matrix, odd.given.first().copied());
    let serving: Vec<String> = odd.serving.iter().map(IpAddr::to_string).collect();
    let confidence = confidence(matrix, odd, &troubles);
    let record_type = if odd.address.is_ipv4() { "A" } else { "AAAA" };
    let beyond_connect = troubles
        .iter()
        .filter(|&&id| matrix.troubles[id].stage > Some(StageName::Connect));
    let lines = cells
        .iter()
        .map(|&id| fact::reach(matrix, id))
        .chain(beyond_connect.map(|&id| fact::trouble(matrix, id)));
    let found = Candidate::new(
        matrix,
        FindingKind::DnsWrongAddress,
        confidence,
        troubles.iter().copied(),
    )
    .stage(StageName::Resolve)
    .segment(if odd.given.len() == 1 {
        Segment::VantageEdge
    } else {
        Segment::Unknown
    })
    .summary(format!(
        "{} is given {} for {}, which does not serve it; others are given {}",
        words::list(&names),
        odd.address,
        matrix.host(),
        words::list(&serving)
    ))
    .because(answers(matrix))
    .because(fact::first(lines))
    .because(tried_elsewhere(matrix, odd))
    .because(
        odd.given
            .iter()
            .filter_map(|&vantage| asked_elsewhere(matrix, vantage)),
    )
    .told_apart_by("the others' address tried from there, and this address tried from elsewhere")
    .next([command::on(first, &command::dig(matrix, resolver, record_type))]);
    let other = resolver_elsewhere(matrix, odd);
    found.next(other.map(|resolver| command::on(first, &command::dig(matrix, Some(resolver), record_type))))
}

fn confidence(matrix: &Matrix, odd: &OddAddress, troubles: &[TroubleId]) -> f64 {
    let another_service = troubles
        .iter()
        .filter_map(|&id| matrix.troubles[id].kind())
        .any(shows_another_service);
    let resolvers: BTreeSet<SocketAddr> = odd
        .given
        .iter()
        .filter_map(|&vantage| resolver_of(matrix, Some(vantage)))
        .collect();
    let mut confidence: f64 = if another_service { 0.75 } else { 0.65 };
    if odd.given.len() > 1 && resolvers.len() > 1 {
        confidence -= 0.25;
    }
    for &address in &odd.serving {
        for (vantage, worked) in forced(matrix, address) {
            if odd.given.contains(&vantage) {
                confidence += if worked { 0.15 } else { -0.3 };
            }
        }
    }
    if odd
        .given
        .iter()
        .any(|&vantage| told_otherwise(matrix, odd, vantage))
    {
        confidence += 0.1;
    }
    if forced(matrix, odd.address).iter().any(|&(_, worked)| !worked) {
        confidence += 0.05;
    }
    confidence.clamp(0.1, 0.95)
}

/// Whether another resolver, asked from the same place, gives an address that serves.
fn told_otherwise(matrix: &Matrix, odd: &OddAddress, vantage: usize) -> bool {
    let facts = matrix.vantage(vantage).resolve();
    facts.and_then(|facts| facts.other.as_ref()).is_some_and(|other| {
        other
            .addresses
            .iter()
            .any(|address| odd.serving.contains(address))
    })
}

/// Faults that say: a host is there, and it is not this service.
const fn shows_another_service(kind: FaultKind) -> bool {
    matches!(
        kind,
        FaultKind::Tls(
            TlsFault::HostnameMismatch
                | TlsFault::CertificateUntrusted
                | TlsFault::CertificateSelfSigned
                | TlsFault::NotTls
        ) | FaultKind::Imap(ImapFault::WrongService)
    )
}

fn tried_elsewhere(matrix: &Matrix, odd: &OddAddress) -> Vec<String> {
    let tried = odd.serving.iter().chain([&odd.address]);
    tried
        .flat_map(|&address| {
            forced(matrix, address).into_iter().map(move |(vantage, worked)| {
                let result = if worked {
                    "serves the target"
                } else {
                    "does not serve the target"
                };
                format!(
                    "{}: tried {address} as an experiment: it {result}",
                    matrix.name(vantage)
                )
            })
        })
        .collect()
}

/// "ams: asked of 10.0.53.3 from there, imap.example.org is 10.9.0.10"
pub(crate) fn asked_elsewhere(matrix: &Matrix, vantage: usize) -> Option<String> {
    let other = matrix.vantage(vantage).resolve()?.other.as_ref()?;
    let addresses: Vec<String> = other.addresses.iter().map(IpAddr::to_string).collect();
    let said = match &other.fault {
        Some(fault) => words::message(fault),
        None => words::list(&addresses),
    };
    Some(format!(
        "{}: asked of {} from there, {} is {said}",
        matrix.name(vantage),
        other.resolver,
        matrix.host()
    ))
}

pub(crate) fn resolver_of(matrix: &Matrix, vantage: Option<usize>) -> Option<SocketAddr> {
    matrix
        .vantage(vantage?)
        .resolve()?
        .queries
        .first()
        .map(|query| query.resolver)
}

fn resolver_elsewhere(matrix: &Matrix, odd: &OddAddress) -> Option<SocketAddr> {
    matrix
        .answered()
        .filter(|vantage| !odd.given.contains(vantage))
        .find_map(|vantage| resolver_of(matrix, Some(vantage)))
}

/// Claim: the vantage points are given different addresses, all of which serve: nothing is wrong with that.
/// Disproved by: equal answers, or one that does not serve (then it is a wrong address).
pub(crate) fn differ(matrix: &Matrix) -> Vec<Candidate> {
    let sets: BTreeMap<usize, BTreeSet<IpAddr>> = matrix
        .answered()
        .filter_map(|vantage| {
            let facts = matrix.vantage(vantage).resolve()?;
            (facts.source == "dns").then(|| (vantage, facts.addresses.iter().copied().collect()))
        })
        .collect();
    let differing = [Family::Ipv4, Family::Ipv6].into_iter().any(|family| {
        let of_family: BTreeSet<BTreeSet<IpAddr>> = sets
            .values()
            .map(|set| {
                set.iter()
                    .copied()
                    .filter(|&address| Family::of(address) == family)
                    .collect()
            })
            .filter(|set: &BTreeSet<IpAddr>| !set.is_empty())
            .collect();
        of_family.len() > 1
    });
    if !differing || !odd_addresses(matrix).is_empty() {
        return Vec::new();
    }
    let found = Candidate::new(matrix, FindingKind::DnsAnswersDiffer, 0.95, [])
        .severity(Severity::Info)
        .also(sets.keys().copied())
        .stage(StageName::Resolve)
        .segment(Segment::Unknown)
        .summary(format!(
            "{} has different addresses at different vantage points",
            matrix.host()
        ))
        .because(answers(matrix))
        .next([command::dig(matrix, None, "A")]);
    vec![found]
}

fn answers(matrix: &Matrix) -> Vec<String> {
    fact::first(matrix.answered().filter_map(|index| {
        let vantage = matrix.vantage(index);
        let facts = vantage.resolve()?;
        let addresses: Vec<String> = facts.addresses.iter().map(IpAddr::to_string).collect();
        Some(format!(
            "{}: {} is {}",
            vantage.name(),
            matrix.host(),
            words::list(&addresses)
        ))
    }))
}
