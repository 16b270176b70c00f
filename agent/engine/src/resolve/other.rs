//! Two resolvers, one name: whether they say the same.

use std::collections::BTreeSet;
use std::net::IpAddr;

use parallax_model::evidence::{DnsQuery, OtherAnswer};
use parallax_model::fault::{DnsFault, Fault, FaultKind};
use parallax_model::spec::ProbeSpec;
use parallax_model::stage::Outcome;

use super::{Other, Source, answered, each_once, from_dns, special};

/// What this host found.
pub(super) struct Ours<'a> {
    pub(super) source: &'a Source,
    pub(super) queries: &'a [DnsQuery],
    pub(super) addresses: &'a [IpAddr],
}

/// What the other resolver says, and what that makes of the stage. The addresses to try stay this host's: only they
/// tell what a client here meets.
pub(super) fn compare(
    spec: &ProbeSpec,
    ours: &Ours<'_>,
    other: &Other,
    outcome: Outcome,
) -> (Outcome, OtherAnswer) {
    let addresses = each_once(spec, answered(&other.queries));
    let fault = match from_dns(spec, &other.queries, &addresses) {
        Outcome::Failed(fault) => Some(fault),
        Outcome::Ok | Outcome::Degraded(_) | Outcome::Skipped(_) | Outcome::NotReached => None,
    };
    let set = |addresses: &[IpAddr]| addresses.iter().copied().collect::<BTreeSet<_>>();
    let theirs = OtherAnswer {
        resolver: other.resolver,
        agrees: fault.as_ref().is_none_or(is_an_answer) && set(ours.addresses) == set(&addresses),
        addresses,
        fault,
    };
    (judged(spec, ours, &theirs, outcome), theirs)
}

fn judged(spec: &ProbeSpec, ours: &Ours<'_>, theirs: &OtherAnswer, outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Failed(mut fault) => {
            fault.message = format!("{}; {} {}", fault.message, theirs.resolver, said(theirs));
            Outcome::Failed(fault)
        }
        // A resolver that says nothing contradicts nobody.
        outcome if theirs.agrees || !theirs.fault.as_ref().is_none_or(is_an_answer) => outcome,
        _ => {
            let message = format!(
                "{}: {} gives {}, {} {}",
                spec.target.host,
                name_of(ours),
                words(ours.addresses),
                theirs.resolver,
                said(theirs)
            );
            Outcome::Degraded(Fault::new(FaultKind::Dns(DnsFault::AnswersDiffer), message))
        }
    }
}

/// That there is no such name, or no address, is an answer about the name too.
fn is_an_answer(fault: &Fault) -> bool {
    matches!(
        fault.kind,
        FaultKind::Dns(DnsFault::Nxdomain | DnsFault::NoAddress)
    )
}

fn name_of(ours: &Ours<'_>) -> String {
    let told = ours.queries.iter().find(|query| !query.addresses.is_empty());
    match (ours.source, told) {
        (Source::Hosts(_), _) => "this host's hosts file".to_owned(),
        (_, Some(query)) => format!("this host's resolver {}", query.resolver),
        (_, None) => "this host".to_owned(),
    }
}

fn said(theirs: &OtherAnswer) -> String {
    match theirs.fault.as_ref().map(|fault| fault.kind) {
        None => format!("gives {}", words(&theirs.addresses)),
        Some(FaultKind::Dns(DnsFault::Nxdomain)) => "says that there is no such name".to_owned(),
        Some(FaultKind::Dns(DnsFault::NoAddress)) => "has no address for it".to_owned(),
        Some(FaultKind::Dns(DnsFault::Timeout)) => "does not answer".to_owned(),
        Some(kind) => format!("does not tell ({})", kind.as_str()),
    }
}

/// Addresses, and what kind they are of where that is worth a word.
fn words(addresses: &[IpAddr]) -> String {
    let shown = addresses.iter().map(|&address| match special::kind(address) {
        Some(kind) => format!("{address} ({kind})"),
        None => address.to_string(),
    });
    shown.collect::<Vec<_>>().join(", ")
}
