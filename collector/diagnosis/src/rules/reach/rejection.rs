//! Connections that an ICMP error answers: the error names its sender, so the place is known.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use parallax_model::finding::{FindingKind, Location, Segment};

use super::claim::Claim;
use super::column::{View, vantages};
use crate::command;
use crate::fact;
use crate::matrix::CellId;
use crate::overlay::{self, Place};
use crate::rules::local::on_link;
use crate::symptom::{Icmp, IcmpClass, Reach};

/// What an ICMP error means here, once it is known whom the host answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Meaning {
    HostDown,
    /// A router's next hop does not answer, and only on this way.
    NextHopDown,
    NoRoute,
    Loop,
    Rejected,
    /// The host itself refuses this source and serves others.
    Banned,
}

/// Claim: the sender of the ICMP error refuses or can't forward, and says which.
/// Disproved by: the control port passing the same sender (then it is a rule about the port, not a missing route),
/// or the sender being the agent itself.
pub(super) fn claims(view: &View) -> Vec<Claim> {
    let nobody_connects = view.witnesses.is_empty();
    let mut groups: BTreeMap<(Meaning, Option<IpAddr>), Vec<CellId>> = BTreeMap::new();
    for &id in &view.icmp {
        let Reach::Icmp(icmp) = view.matrix.cell(id).reach else {
            continue;
        };
        let sender = if nobody_connects { None } else { icmp.from };
        groups
            .entry((meaning(view, id, icmp), sender))
            .or_default()
            .push(id);
    }
    let joined = speaks_for_the_silent(view);
    let largest = groups.values().map(Vec::len).max();
    let mut left = joined.then_some(&view.silent);
    groups
        .iter()
        .map(|(&(meaning, _), cells)| {
            let silent = if Some(cells.len()) == largest {
                left.take()
            } else {
                None
            };
            claim(view, meaning, cells, silent.map_or(&[], Vec::as_slice))
        })
        .collect()
}

/// Whether the ICMP errors that some were sent explain the silence that others met: nobody gets through, and the
/// sender is not the first hop of its receiver alone.
pub(super) fn speaks_for_the_silent(view: &View) -> bool {
    view.witnesses.is_empty()
        && view.reset.is_empty()
        && view
            .icmp
            .iter()
            .any(|&id| sender(view, id).is_some_and(|from| !next_door(view, id, from)))
}

fn meaning(view: &View, id: CellId, icmp: Icmp) -> Meaning {
    let here = BTreeSet::from([id.vantage]);
    let same_on_control = view.signs_at(&here).any(|sign| sign.icmp == Some(icmp.class));
    let control_passes = view.signs_at(&here).any(|sign| sign.alive);
    let served = !view.witnesses.is_empty();
    match icmp.class {
        IcmpClass::HostDown if served => Meaning::NextHopDown,
        IcmpClass::HostDown => Meaning::HostDown,
        IcmpClass::Loop => Meaning::Loop,
        IcmpClass::NoRoute if control_passes => Meaning::Rejected,
        IcmpClass::NoRoute => Meaning::NoRoute,
        IcmpClass::HostUnreachable if same_on_control => Meaning::NoRoute,
        IcmpClass::Port if served && icmp.from == Some(view.address) => Meaning::Banned,
        IcmpClass::HostUnreachable | IcmpClass::Port | IcmpClass::Prohibited | IcmpClass::Other => {
            Meaning::Rejected
        }
    }
}

fn claim(view: &View, meaning: Meaning, cells: &[CellId], silent: &[CellId]) -> Claim {
    let all: Vec<CellId> = cells.iter().chain(silent).copied().collect();
    let from = senders(view, cells);
    let speaker = from
        .iter()
        .next()
        .map_or_else(|| "a router".to_owned(), IpAddr::to_string);
    let mut confidence = confidence(view, meaning, cells);
    if !silent.is_empty() {
        confidence -= 0.05;
    }
    let claim = Claim::new(view, kind(meaning), confidence, &all)
        .at(location(view, meaning, cells, &from))
        .told_apart_by("the sender of the ICMP error")
        .next(steps(view, cells, &speaker));
    match meaning {
        Meaning::HostDown => claim
            .phrase(format!(
                "the host is down, {speaker} finds nobody at {} on its link",
                view.address
            ))
            .or(
                FindingKind::RejectedWithIcmp,
                0.05,
                "the time: a rule answers at once",
            ),
        Meaning::NextHopDown => claim.phrase(format!("{speaker} does not reach its next hop")).or(
            FindingKind::RejectedWithIcmp,
            0.25,
            "the routing table and neighbours of the sender",
        ),
        Meaning::NoRoute => claim
            .phrase(format!("{speaker} has no route to {}", view.address))
            .or(
                FindingKind::RejectedWithIcmp,
                0.1,
                "whether another port passes the same sender",
            ),
        Meaning::Loop => claim.phrase(format!("packets go round until {speaker} gives up")),
        Meaning::Rejected => rejected(view, cells, &speaker, claim),
        Meaning::Banned => claim
            .phrase("the mail host itself refuses this source and serves others")
            .or(
                FindingKind::RejectedWithIcmp,
                0.3,
                "the ban list and the filter rules on the mail host",
            )
            .next([command::on(
                &speaker,
                &command::bans(cells.first().and_then(|&id| fact::local(view.matrix.cell(id)))),
            )]),
    }
}

fn rejected(view: &View, cells: &[CellId], speaker: &str, claim: Claim) -> Claim {
    let unreachable = cells.iter().any(|&id| {
        matches!(
            view.matrix.cell(id).reach,
            Reach::Icmp(Icmp {
                class: IcmpClass::HostUnreachable,
                ..
            })
        )
    });
    let claim = claim.phrase(format!("{speaker} rejects the connection"));
    if unreachable {
        claim.or(
            FindingKind::NoRoute,
            0.2,
            "whether another port passes the same sender",
        )
    } else {
        claim
    }
}

const fn kind(meaning: Meaning) -> FindingKind {
    match meaning {
        Meaning::HostDown => FindingKind::HostDown,
        Meaning::NextHopDown | Meaning::NoRoute => FindingKind::NoRoute,
        Meaning::Loop => FindingKind::RoutingLoop,
        Meaning::Rejected => FindingKind::RejectedWithIcmp,
        Meaning::Banned => FindingKind::SourceBanned,
    }
}

fn confidence(view: &View, meaning: Meaning, cells: &[CellId]) -> f64 {
    let known = !senders(view, cells).is_empty();
    let several = vantages(cells).len() > 1;
    let sure: f64 = match meaning {
        Meaning::HostDown | Meaning::Rejected if several => 0.92,
        Meaning::HostDown | Meaning::Rejected => 0.85,
        Meaning::NoRoute | Meaning::Loop => 0.85,
        Meaning::NextHopDown => 0.6,
        Meaning::Banned => 0.65,
    };
    if known { sure } else { sure - 0.2 }
}

fn location(view: &View, meaning: Meaning, cells: &[CellId], from: &BTreeSet<IpAddr>) -> Location {
    let sender = from.iter().next().copied();
    if meaning == Meaning::HostDown {
        return Location {
            segment: Segment::Service,
            after: sender,
            before: Some(view.address),
        };
    }
    let places: Vec<Place> = cells
        .iter()
        .filter_map(|&id| overlay::sender(view.matrix, id, self::sender(view, id)?))
        .collect();
    match places.first() {
        Some(first) if places.iter().all(|place| place.segment == first.segment) => first.location(),
        Some(_) | None => Location {
            segment: segment(view, cells, from),
            after: None,
            before: sender,
        },
    }
}

fn segment(view: &View, cells: &[CellId], from: &BTreeSet<IpAddr>) -> Segment {
    let several = vantages(cells).len() > 1;
    let nobody_connects = view.witnesses.is_empty();
    let all_next_door = cells
        .iter()
        .all(|&id| sender(view, id).is_some_and(|from| next_door(view, id, from)));
    if from.contains(&view.address) {
        return Segment::Service;
    }
    match (several, from.len()) {
        (_, 0) => Segment::Unknown,
        (false, _) if all_next_door => Segment::VantageEdge,
        (true, 1) if all_next_door => Segment::Transit,
        (_, 1) if from.iter().all(|&from| on_link(from, view.address)) => Segment::SiteEdge,
        (false, _) if nobody_connects => Segment::Unknown,
        (false, _) => Segment::VantageEdge,
        (true, 1) if nobody_connects => Segment::SiteEdge,
        (true, 1) => Segment::Unknown,
        (true, _) if all_next_door => Segment::VantageEdge,
        (true, _) if nobody_connects => Segment::Transit,
        (true, _) => Segment::Unknown,
    }
}

fn sender(view: &View, id: CellId) -> Option<IpAddr> {
    match view.matrix.cell(id).reach {
        Reach::Icmp(icmp) => icmp.from,
        _ => None,
    }
}

fn senders(view: &View, cells: &[CellId]) -> BTreeSet<IpAddr> {
    cells.iter().filter_map(|&id| sender(view, id)).collect()
}

/// Whether the sender stands on the agent's own link, and the target does not.
fn next_door(view: &View, id: CellId, from: IpAddr) -> bool {
    let facts = view.matrix.cell(id).connect();
    let local = facts.and_then(|facts| facts.local);
    let beside = |ours: IpAddr| {
        facts
            .and_then(|facts| facts.on_link)
            .unwrap_or_else(|| on_link(ours, view.address))
    };
    let link_local = matches!(from, IpAddr::V6(from) if from.is_unicast_link_local());
    link_local || local.is_some_and(|local| on_link(local.ip(), from) && !beside(local.ip()))
}

fn steps(view: &View, cells: &[CellId], speaker: &str) -> Vec<String> {
    let (address, port) = (view.address, view.endpoint.port);
    let mut steps = vec![command::on(
        speaker,
        &format!("{}; {}", command::route(address), command::filter(port)),
    )];
    if let Some(first) = cells.first() {
        let name = view.matrix.name(first.vantage);
        steps.push(command::on(name, &command::trace(address, port)));
    }
    steps
}
