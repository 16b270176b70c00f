//! From the answers of DNS to addresses, and what is wrong with those answers.

mod other;
mod service;
mod special;

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use parallax_model::evidence::{DnsQuery, Evidence, ResolveEvidence};
use parallax_model::fault::{DnsFault, Fault, FaultKind};
use parallax_model::spec::{FamilyChoice, ProbeSpec};
use parallax_model::stage::{Outcome, Stage, StageName};
use parallax_model::target::Host;

pub use service::remarks;

/// Where addresses come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The target is an address itself.
    Literal,
    /// The operator gave addresses to use instead of resolving.
    Forced,
    /// The hosts file has the name, with these addresses.
    Hosts(Vec<IpAddr>),
    /// DNS was asked.
    Dns,
}

impl Source {
    /// The source that needs no look-up; `None` when the name has to be looked up.
    pub fn given(spec: &ProbeSpec) -> Option<Self> {
        if !spec.addresses.is_empty() {
            Some(Self::Forced)
        } else if matches!(spec.target.host, Host::Address(_)) {
            Some(Self::Literal)
        } else {
            None
        }
    }

    /// The name in evidence.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Literal => "literal",
            Self::Forced => "forced",
            Self::Hosts(_) => "hosts",
            Self::Dns => "dns",
        }
    }
}

/// What was asked, and what was answered.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Where the addresses come from.
    pub source: Source,
    /// The questions for addresses to this host's resolvers, in order.
    pub queries: Vec<DnsQuery>,
    /// The same questions to another resolver, where that was asked for.
    pub other: Option<Other>,
    /// Questions for SRV and TLSA records, where they were asked for; whatever comes of them, the stage is judged by
    /// the addresses.
    pub further: Vec<DnsQuery>,
}

impl Asked {
    /// Nothing beside the addresses.
    pub const fn addresses(source: Source, queries: Vec<DnsQuery>) -> Self {
        Self {
            source,
            queries,
            other: None,
            further: Vec::new(),
        }
    }
}

/// What another resolver than this host's was asked for the addresses.
#[derive(Debug, Clone)]
pub struct Other {
    /// Which.
    pub resolver: SocketAddr,
    /// The questions to it, in order.
    pub queries: Vec<DnsQuery>,
}

/// What the answers for one record type come to.
#[derive(Debug, Clone)]
enum Answer {
    Addresses,
    /// The name exists and has none of these.
    NoData,
    /// The name does not exist.
    Nxdomain(Fault),
    Failed(Fault),
}

/// Judges what was asked and answered, in order: the stage, and the addresses to try, each once.
pub fn conclude(spec: &ProbeSpec, asked: Asked, start: Duration, duration: Duration) -> (Stage, Vec<IpAddr>) {
    let Asked {
        source,
        mut queries,
        other,
        further,
    } = asked;
    let addresses = addresses(spec, &queries, &source);
    let outcome = match source {
        Source::Dns => from_dns(spec, &queries, &addresses),
        Source::Literal | Source::Forced | Source::Hosts(_) if addresses.is_empty() => {
            Outcome::Failed(no_address(spec))
        }
        Source::Literal | Source::Forced | Source::Hosts(_) => Outcome::Ok,
    };
    let (outcome, other) = match other {
        Some(other) => {
            let ours = other::Ours {
                source: &source,
                queries: &queries,
                addresses: &addresses,
            };
            let (outcome, other) = other::compare(spec, &ours, &other, outcome);
            (outcome, Some(other))
        }
        None => (outcome, None),
    };
    let services = service::services(&further);
    let tlsa = service::associations(&further);
    queries.extend(further);
    let mut stage = Stage::new(StageName::Resolve, outcome, start, duration);
    stage.evidence = Some(Evidence::Resolve(ResolveEvidence {
        source: source.as_str().to_owned(),
        addresses: addresses.clone(),
        queries,
        other,
        services,
        tlsa,
    }));
    (stage, addresses)
}

fn addresses(spec: &ProbeSpec, queries: &[DnsQuery], source: &Source) -> Vec<IpAddr> {
    let found: Vec<IpAddr> = match source {
        Source::Literal => match spec.target.host {
            Host::Address(address) => vec![address],
            Host::Name(_) => Vec::new(),
        },
        Source::Forced => spec.addresses.clone(),
        Source::Hosts(addresses) => addresses.clone(),
        Source::Dns => answered(queries),
    };
    each_once(spec, found)
}

fn answered(queries: &[DnsQuery]) -> Vec<IpAddr> {
    let addresses = queries.iter().flat_map(|query| &query.addresses);
    addresses.copied().collect()
}

/// Those of the families asked for, in order.
fn each_once(spec: &ProbeSpec, found: Vec<IpAddr>) -> Vec<IpAddr> {
    let mut seen = BTreeSet::new();
    found
        .into_iter()
        .filter(|&address| spec.family.admits(address) && seen.insert(address))
        .collect()
}

fn from_dns(spec: &ProbeSpec, queries: &[DnsQuery], addresses: &[IpAddr]) -> Outcome {
    let answers: Vec<Answer> = types(queries)
        .into_iter()
        .map(|record_type| answer(queries, record_type))
        .collect();
    if !addresses.is_empty() {
        let half = answers.into_iter().find_map(|answer| match answer {
            Answer::Nxdomain(fault) | Answer::Failed(fault) => Some(fault),
            Answer::Addresses | Answer::NoData => None,
        });
        return half.map_or(Outcome::Ok, Outcome::Degraded);
    }
    let mut nxdomain = None;
    let mut failed = None;
    for answer in &answers {
        match answer {
            Answer::Nxdomain(fault) => nxdomain = nxdomain.or(Some(fault)),
            Answer::Failed(fault) => failed = failed.or(Some(fault)),
            Answer::Addresses | Answer::NoData => {}
        }
    }
    // NXDOMAIN is about the name, whichever type was asked for (RFC 8020).
    let fault = match nxdomain.or(failed) {
        Some(fault) => fault.clone(),
        None if answers.is_empty() => Fault::new(
            FaultKind::Dns(DnsFault::NoResolver),
            format!("{}: there was no resolver to ask", spec.target.host),
        ),
        None => no_address(spec),
    };
    Outcome::Failed(fault)
}

/// The record types asked for, in order.
fn types(queries: &[DnsQuery]) -> Vec<&str> {
    let mut types: Vec<&str> = Vec::new();
    for query in queries {
        if !types.contains(&query.record_type.as_str()) {
            types.push(&query.record_type);
        }
    }
    types
}

/// The same question may have been put several times, to several resolvers. The first answer that says something
/// counts; without one, the last failure does.
fn answer(queries: &[DnsQuery], record_type: &str) -> Answer {
    let asked = || queries.iter().filter(|query| query.record_type == record_type);
    if asked().any(|query| !query.addresses.is_empty()) {
        return Answer::Addresses;
    }
    let said = asked()
        .map(of_query)
        .find(|answer| !matches!(answer, Answer::Failed(_)));
    said.or_else(|| asked().next_back().map(of_query))
        .unwrap_or(Answer::NoData)
}

fn of_query(query: &DnsQuery) -> Answer {
    let said = |kind, what: &str| {
        let (name, record_type, resolver) = (&query.name, &query.record_type, query.resolver);
        Fault::new(
            FaultKind::Dns(kind),
            format!("{name} {record_type}: {what} from {resolver}"),
        )
    };
    match (query.rcode.as_deref(), &query.fault) {
        (Some("NXDOMAIN"), fault) => Answer::Nxdomain(match fault {
            Some(fault) => fault.clone(),
            None => said(DnsFault::Nxdomain, "NXDOMAIN"),
        }),
        (_, Some(fault)) if fault.kind == FaultKind::Dns(DnsFault::Nxdomain) => {
            Answer::Nxdomain(fault.clone())
        }
        (_, Some(fault)) if fault.kind == FaultKind::Dns(DnsFault::NoAddress) => Answer::NoData,
        (_, Some(fault)) => Answer::Failed(fault.clone()),
        (Some("NOERROR"), None) => Answer::NoData,
        (Some("SERVFAIL"), None) => Answer::Failed(said(DnsFault::Servfail, "SERVFAIL")),
        (Some("REFUSED"), None) => Answer::Failed(said(DnsFault::Refused, "REFUSED")),
        (Some(rcode), None) => Answer::Failed(said(DnsFault::Other, rcode)),
        (None, None) => Answer::Failed(said(DnsFault::Timeout, "no answer")),
    }
}

fn no_address(spec: &ProbeSpec) -> Fault {
    let family = match spec.family {
        FamilyChoice::Any => "address",
        FamilyChoice::Ipv4 => "IPv4 address",
        FamilyChoice::Ipv6 => "IPv6 address",
    };
    Fault::new(
        FaultKind::Dns(DnsFault::NoAddress),
        format!("{} has no {family}", spec.target.host),
    )
}

#[cfg(test)]
mod tests;
