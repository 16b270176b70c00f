//! Names that do not become addresses.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use parallax_model::experiment::ExperimentKind;
use parallax_model::fault::{DnsFault, FaultKind};
use parallax_model::finding::{FindingKind, Segment};
use parallax_model::stage::StageName;

use super::answers;
use crate::candidate::{Blame, Candidate};
use crate::command;
use crate::extent::Extent;
use crate::fact;
use crate::matrix::{Matrix, Vantage};
use crate::symptom::{Local, Reach};
use crate::trouble::TroubleId;
use crate::words;

/// What the resolver made of the question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Answer {
    Nxdomain,
    NoAddress,
    Servfail,
    Bogus,
    Refused,
    Silent,
    Unreachable,
    Unusable,
}

impl Answer {
    const fn of(fault: DnsFault) -> Self {
        match fault {
            DnsFault::Nxdomain => Self::Nxdomain,
            DnsFault::NoAddress => Self::NoAddress,
            DnsFault::Servfail => Self::Servfail,
            DnsFault::Bogus => Self::Bogus,
            DnsFault::Refused => Self::Refused,
            DnsFault::Timeout => Self::Silent,
            DnsFault::ResolverUnreachable | DnsFault::NotSent | DnsFault::NoResolver => Self::Unreachable,
            DnsFault::AnswersDiffer | DnsFault::Malformed | DnsFault::Other => Self::Unusable,
        }
    }

    const fn phrase(self) -> &'static str {
        match self {
            Self::Nxdomain => "does not exist",
            Self::NoAddress => "has no address",
            Self::Servfail => "can't be resolved (SERVFAIL)",
            Self::Bogus => "can't be resolved (SERVFAIL: its DNSSEC signatures do not validate)",
            Self::Refused => "can't be resolved (REFUSED)",
            Self::Silent => "can't be resolved (no answer)",
            Self::Unreachable => "can't be resolved (the resolver is not reachable)",
            Self::Unusable => "can't be resolved (the answer is not usable)",
        }
    }
}

/// Claim: the name does not become an address. From everywhere it is the name or its zone; from one vantage point
/// it is the resolver there, since the same name resolves elsewhere.
/// Disproved by: an address from the same resolver.
pub(crate) fn unresolved(matrix: &Matrix) -> Vec<Candidate> {
    let mut groups: BTreeMap<Answer, Vec<TroubleId>> = BTreeMap::new();
    for (id, trouble) in matrix.troubles.iter().enumerate() {
        let fault = trouble
            .failure()
            .filter(|_| trouble.stage == Some(StageName::Resolve));
        match fault.map(|fault| fault.kind) {
            Some(FaultKind::Dns(fault)) => groups.entry(Answer::of(fault)).or_default().push(id),
            Some(FaultKind::Tcp(_)) => groups.entry(Answer::Unreachable).or_default().push(id),
            Some(_) | None => {}
        }
    }
    groups
        .into_iter()
        .map(|(answer, troubles)| candidate(matrix, answer, &troubles))
        .collect()
}

fn candidate(matrix: &Matrix, answer: Answer, troubles: &[TroubleId]) -> Candidate {
    let extent = Extent::of(matrix, troubles);
    let (kind, confidence) = kind(matrix, answer, &extent);
    let own = kind == FindingKind::AgentResolverDown && !extent.everywhere();
    let names = matrix.names(&extent.affected);
    let host = matrix.host();
    let summary = if extent.everywhere() {
        format!("{host} {} from any vantage point", answer.phrase())
    } else {
        format!("{host} {} at {}", answer.phrase(), words::list(&names))
    };
    let found = Candidate::new(matrix, kind, confidence, troubles.iter().copied())
        .blame(if own { Blame::Agent } else { Blame::Target })
        .segment(segment(matrix, answer, &extent))
        .summary(summary)
        .because(seen(matrix, &extent))
        .because((answer == Answer::Bogus).then(|| {
            "asked again with checking disabled, the resolver answers: it is the signatures (RFC 4035)"
                .to_owned()
        }))
        .told_apart_by("the same question put to the other vantage points' resolvers")
        .next(if answer == Answer::Bogus {
            signatures(matrix, &extent)
        } else {
            Vec::new()
        })
        .next(steps(matrix, &extent));
    with_alternatives(matrix, found, answer, &extent)
}

fn kind(matrix: &Matrix, answer: Answer, extent: &Extent) -> (FindingKind, f64) {
    let cut_off = extent
        .affected
        .iter()
        .any(|&vantage| forced_fails(matrix.vantage(vantage)));
    match answer {
        Answer::Nxdomain => (FindingKind::DnsNxdomain, extent.stated()),
        Answer::NoAddress => (FindingKind::DnsNoAddress, extent.stated()),
        Answer::Servfail | Answer::Bogus => (FindingKind::DnsServfail, extent.stated()),
        Answer::Refused => (FindingKind::DnsRefused, extent.stated()),
        Answer::Silent if extent.partly() => {
            (FindingKind::AgentResolverDown, if cut_off { 0.5 } else { 0.85 })
        }
        Answer::Silent if told_by_another(matrix, extent) => (FindingKind::AgentResolverDown, 0.9),
        Answer::Silent if extent.alone() => (FindingKind::DnsTimeout, 0.55),
        Answer::Silent => (FindingKind::DnsTimeout, 0.85),
        Answer::Unreachable => (FindingKind::AgentResolverDown, if cut_off { 0.5 } else { 0.9 }),
        Answer::Unusable => (FindingKind::DnsServfail, 0.5),
    }
}

/// Whether another resolver gave an address when it was asked from the same place.
fn told_by_another(matrix: &Matrix, extent: &Extent) -> bool {
    extent.affected.iter().any(|&vantage| {
        let facts = matrix.vantage(vantage).resolve();
        facts
            .and_then(|facts| facts.other.as_ref())
            .is_some_and(|other| !other.addresses.is_empty())
    })
}

fn with_alternatives(matrix: &Matrix, found: Candidate, answer: Answer, extent: &Extent) -> Candidate {
    let same_resolver = resolvers(matrix, &extent.affected).len() == 1;
    match answer {
        Answer::Silent if found.kind == FindingKind::DnsTimeout => found.or(
            FindingKind::AgentResolverDown,
            if extent.alone() { 0.35 } else { 0.1 },
            "whether the resolver answers for any other name",
        ),
        Answer::Silent => found.or(
            FindingKind::AgentNetworkDown,
            0.1,
            "whether the vantage point reaches the service by its address",
        ),
        Answer::Servfail | Answer::Refused | Answer::Unusable if extent.alone() || same_resolver => found.or(
            FindingKind::AgentResolverDown,
            0.15,
            "the same name at another resolver",
        ),
        Answer::Nxdomain | Answer::NoAddress if extent.partly() => found.or(
            FindingKind::DnsAnswersDiffer,
            0.15,
            "whether two views of the zone (split horizon) are meant",
        ),
        _ => found,
    }
}

fn segment(matrix: &Matrix, answer: Answer, extent: &Extent) -> Segment {
    let resolvers = resolvers(matrix, &extent.affected);
    let on_host = !resolvers.is_empty() && resolvers.iter().all(|resolver| resolver.ip().is_loopback());
    let about_the_name = matches!(answer, Answer::Nxdomain | Answer::NoAddress | Answer::Bogus);
    if extent.partly() && on_host {
        Segment::Agent
    } else if extent.partly() && extent.affected.len() == 1 {
        Segment::VantageEdge
    } else if extent.partly() {
        Segment::Unknown
    } else if about_the_name || (extent.everywhere() && resolvers.len() > 1) {
        Segment::Service
    } else {
        Segment::Unknown
    }
}

fn seen(matrix: &Matrix, extent: &Extent) -> Vec<String> {
    let asked = extent.affected.iter().flat_map(|&vantage| {
        let vantage = matrix.vantage(vantage);
        match vantage.resolve() {
            Some(facts) if !facts.queries.is_empty() => facts
                .queries
                .iter()
                .map(|query| fact::query(vantage.name(), query))
                .collect(),
            _ => vec![unasked(vantage)],
        }
    });
    let mut lines = fact::first(asked);
    lines.extend(
        extent
            .spared
            .iter()
            .take(2)
            .filter_map(|&vantage| resolved(matrix.vantage(vantage))),
    );
    for &index in &extent.affected {
        lines.extend(answers::asked_elsewhere(matrix, index));
        let vantage = matrix.vantage(index);
        lines.extend(
            vantage
                .experiments(ExperimentKind::ForcedAddress)
                .map(|cell| format!("without the name, {}", fact::connection(vantage.name(), cell))),
        );
    }
    lines
}

fn unasked(vantage: &Vantage) -> String {
    let fault = vantage
        .seen
        .resolve
        .as_ref()
        .and_then(|stage| stage.outcome.fault());
    let message = fault.map(words::message).unwrap_or_default();
    format!("{}: {message}", vantage.name())
}

fn resolved(vantage: &Vantage) -> Option<String> {
    let facts = vantage.resolve()?;
    let addresses: Vec<String> = facts.addresses.iter().map(IpAddr::to_string).collect();
    Some(format!(
        "{}: resolved to {}",
        vantage.name(),
        words::list(&addresses)
    ))
}

fn steps(matrix: &Matrix, extent: &Extent) -> Vec<String> {
    let Some(&first) = extent.affected.first() else {
        return Vec::new();
    };
    let name = matrix.name(first);
    let mut steps: Vec<String> = resolvers(matrix, &extent.affected)
        .into_iter()
        .take(2)
        .map(|resolver| command::on(name, &command::dig(matrix, Some(resolver), "A")))
        .collect();
    if extent.partly() {
        let other = resolvers(matrix, &extent.spared).into_iter().next();
        steps.extend(other.map(|resolver| command::on(name, &command::dig(matrix, Some(resolver), "A"))));
        steps.push(command::on(name, "resolvectl status || cat /etc/resolv.conf"));
    } else {
        steps.push(format!("{} +trace", command::dig(matrix, None, "A")));
    }
    steps
}

/// How a zone's signatures are looked at, at one resolver and from the root.
fn signatures(matrix: &Matrix, extent: &Extent) -> Vec<String> {
    let resolver = resolvers(matrix, &extent.affected).into_iter().next();
    let host = matrix.host();
    vec![
        format!("{} +cd +dnssec", command::dig(matrix, resolver, "A")),
        format!("delv +vtrace {host} A"),
        format!("dig {host} DS +trace +dnssec"),
    ]
}

fn resolvers(matrix: &Matrix, vantages: &[usize]) -> BTreeSet<SocketAddr> {
    vantages
        .iter()
        .filter_map(|&vantage| matrix.vantage(vantage).resolve())
        .flat_map(|facts| facts.queries.iter().map(|query| query.resolver))
        .collect()
}

/// Claim: a vantage point reaches neither its resolver nor, by its address, a service that others reach: its
/// network is down, not its resolver.
/// Disproved by: a connection from there to anything.
pub(crate) fn network_down(matrix: &Matrix) -> Vec<Candidate> {
    matrix
        .answered()
        .filter_map(|index| {
            let vantage = matrix.vantage(index);
            if !forced_fails(vantage) {
                return None;
            }
            let troubles = matrix.troubles_where(|trouble| {
                trouble.vantage == index
                    && trouble.cell.is_none()
                    && matches!(
                        trouble.kind(),
                        Some(FaultKind::Dns(
                            DnsFault::Timeout | DnsFault::ResolverUnreachable | DnsFault::NotSent
                        ))
                    )
            });
            let name = vantage.name();
            (!troubles.is_empty()).then(|| {
                Candidate::new(matrix, FindingKind::AgentNetworkDown, 0.75, troubles)
                    .blame(Blame::Agent)
                    .segment(Segment::VantageEdge)
                    .summary(format!(
                        "the network of {name} is down: neither its resolver nor the service answers"
                    ))
                    .because(
                        vantage
                            .experiments(ExperimentKind::ForcedAddress)
                            .map(|cell| format!("without the name, {}", fact::connection(name, cell))),
                    )
                    .next([command::on(name, "ip route; ip neigh; parallax-agent doctor")])
            })
        })
        .collect()
}

fn forced_fails(vantage: &Vantage) -> bool {
    let control_answers = vantage
        .seen
        .network
        .control
        .as_ref()
        .is_some_and(|control| control.fault.is_none());
    // An address of a family that the host does not have says nothing of its network.
    let mut forced = vantage
        .experiments(ExperimentKind::ForcedAddress)
        .filter(|cell| cell.reach != Reach::Local(Local::NoRoute))
        .peekable();
    !control_answers
        && forced.peek().is_some()
        && forced.all(|cell| matches!(cell.reach, Reach::Silent | Reach::Local(_) | Reach::Icmp(_)))
}
