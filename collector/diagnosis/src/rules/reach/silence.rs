//! Connections that nothing answers.

use std::collections::BTreeSet;

use parallax_model::finding::{FindingKind, Location, Segment};

use super::claim::Claim;
use super::column::{View, vantages};
use super::{group, placed, rejection};
use crate::candidate::Blame;
use crate::command;
use crate::matrix::CellId;
use crate::overlay;
use crate::symptom::Reach;
use crate::words;

/// Claim: packets are dropped. Where paths tell how far they come, it is there; else, where the host answers others it
/// is on the way of those it does not answer; where it answers nobody on this port but somebody on another, it is at
/// the site or the host or on the way; where it answers nobody on anything, the host may be down.
/// Disproved by: any answer on this port, or an ICMP error (one of those outweighs any number of silent siblings,
/// since routers limit their rate).
pub(super) fn claims(view: &View) -> Vec<Claim> {
    let (offline, silent): (Vec<CellId>, Vec<CellId>) = view
        .silent
        .iter()
        .partition(|id| without_network(view, id.vantage));
    let mut claims: Vec<Claim> = network_down(view, &offline).into_iter().collect();
    let view = &View {
        silent,
        ..view.clone()
    };
    if view.silent.is_empty() {
        return claims;
    }
    let answered: BTreeSet<usize> = view
        .witnesses
        .iter()
        .copied()
        .chain(vantages(&view.reset))
        .collect();
    if answered.is_empty() && rejection::speaks_for_the_silent(view) {
        return claims;
    }
    if answered.is_empty() && !view.lives() && view.silent.iter().any(|&id| overlay::inside(view.matrix, id))
    {
        claims.push(dead_inside(view));
        return claims;
    }
    let (groups, unplaced) = group::groups(view);
    claims.extend(groups.iter().map(|group| placed::claim(view, group, &answered)));
    let rest = View {
        silent: unplaced,
        ..view.clone()
    };
    if !rest.silent.is_empty() {
        claims.push(without_paths(&rest, &answered));
    }
    claims
}

/// Whether the agent's own control target is as silent as this one.
fn without_network(view: &View, vantage: usize) -> bool {
    let vantage = view.matrix.vantage(vantage);
    let control = vantage.seen.network.control.as_ref();
    control.is_some_and(|control| control.fault.is_some())
        && vantage.cells.iter().all(|cell| cell.reach != Reach::Connected)
}

fn network_down(view: &View, offline: &[CellId]) -> Option<Claim> {
    let first = offline.first()?;
    let control = view.matrix.vantage(first.vantage).seen.network.control.as_ref()?;
    let target = words::quote(&control.target);
    let mut claim = Claim::new(view, FindingKind::AgentNetworkDown, 0.85, offline)
        .at(Location::segment(Segment::VantageEdge))
        .phrase(format!(
            "its own network fails, the control target {target} does not answer either"
        ))
        .told_apart_by("whether the agent reaches anything else")
        .or(
            FindingKind::PacketsDropped,
            0.1,
            "whether the agent reaches anything else",
        )
        .next_on_the_path(view);
    claim.because.push(format!(
        "{}: the control target {target} does not answer either",
        view.matrix.name(first.vantage)
    ));
    claim.blame = Blame::Agent;
    Some(claim)
}

fn without_paths(view: &View, answered: &BTreeSet<usize>) -> Claim {
    if overlay::crosswise(view.matrix, view.address) {
        placed::some_flows(view, &view.silent)
    } else if view
        .silent
        .iter()
        .any(|&id| overlay::only_inside_connects(view.matrix, id))
    {
        before_the_site(view)
    } else if !answered.is_empty() {
        on_the_way(view, answered)
    } else if view.lives() {
        one_port(view)
    } else if view.sibling_is_down() {
        as_its_sibling(view)
    } else if view.signs.is_empty() {
        unknown(view)
    } else {
        dead(view)
    }
}

fn on_the_way(view: &View, answered: &BTreeSet<usize>) -> Claim {
    let affected = vantages(&view.silent);
    let single = affected.len() == 1;
    let port_only = view.signs_at(&affected).any(|sign| sign.alive);
    let all_of_it = !port_only
        && view.signs_at(&affected).next().is_some()
        && view.signs_at(answered).any(|sign| sign.alive);
    let confidence = match (affected.len(), answered.len()) {
        (1, 1) => 0.6,
        (1, _) | (_, 1) => 0.65,
        (_, _) => 0.75,
    };
    let phrase = if port_only {
        "packets to this port are dropped on the way, another port of the host answers"
    } else if all_of_it {
        "packets are dropped on the way, whatever the port"
    } else {
        "packets are dropped on the way"
    };
    let found = Claim::new(view, FindingKind::PacketsDropped, confidence, &view.silent)
        .phrase(phrase)
        .told_apart_by("any answer to a packet from there")
        .or(
            FindingKind::SourceBanned,
            if single { 0.25 } else { 0.15 },
            "another source address at the same place, or the ban list on the mail host",
        )
        .or(
            FindingKind::ReturnPathLost,
            0.1,
            "a packet capture on the mail host: whether the SYNs arrive",
        )
        .next_on_the_path(view);
    if single {
        found.or(
            FindingKind::AgentLocalFirewall,
            0.05,
            "the filter rules and a packet capture on the agent's host",
        )
    } else {
        found
    }
}

/// Who stands beside the host connects, nobody else does.
fn before_the_site(view: &View) -> Claim {
    let several = vantages(&view.silent).len() > 1;
    Claim::new(
        view,
        FindingKind::PacketsDropped,
        if several { 0.85 } else { 0.7 },
        &view.silent,
    )
    .at(Location::segment(if several {
        Segment::SiteEdge
    } else {
        Segment::Unknown
    }))
    .phrase("packets from outside are dropped on the way, the host itself answers those who stand beside it")
    .told_apart_by("any answer to a packet from outside")
    .or(
        FindingKind::SourceBanned,
        if several { 0.05 } else { 0.15 },
        "another source address at the same place, or the ban list on the mail host",
    )
    .or(
        FindingKind::ReturnPathLost,
        0.08,
        "a packet capture on the mail host: whether the SYNs arrive",
    )
    .next_on_the_path(view)
}

fn one_port(view: &View) -> Claim {
    let several = vantages(&view.silent).len() > 1;
    let host_filters = view
        .silent
        .iter()
        .any(|&id| overlay::silent_inside(view.matrix, id));
    Claim::new(
        view,
        FindingKind::PacketsDropped,
        if several { 0.75 } else { 0.6 },
        &view.silent,
    )
    .at(Location::segment(if host_filters {
        Segment::Service
    } else {
        Segment::Unknown
    }))
    .phrase("packets to this port are dropped on the way or by the host, which answers on another port")
    .told_apart_by("whether the host answers on another port")
    .or(
        FindingKind::ServerOverloaded,
        0.1,
        "repeating over minutes: a full accept queue lets some connections through",
    )
    .or(
        FindingKind::ReturnPathLost,
        0.05,
        "a packet capture on the mail host: whether SYN-ACKs leave it",
    )
    .next(at_the_host(view))
    .next_on_the_path(view)
}

fn dead(view: &View) -> Claim {
    let several = vantages(&view.silent).len() > 1;
    Claim::new(
        view,
        FindingKind::HostDown,
        if several { 0.5 } else { 0.4 },
        &view.silent,
    )
    .phrase("the host does not answer on any port that was tried")
    .told_apart_by("any answer of the host, for instance to a ping from its own network")
    .or(
        FindingKind::PacketsDropped,
        0.4,
        "a vantage point inside the site, or a packet capture on the host: whether anything arrives",
    )
    .next(at_the_host(view))
    .next_on_the_path(view)
}

/// Not even those on its own link get an answer, on any port: no router is between them.
fn dead_inside(view: &View) -> Claim {
    Claim::new(view, FindingKind::HostDown, 0.82, &view.silent)
        .at(Location {
            segment: Segment::Service,
            after: None,
            before: Some(view.address),
        })
        .phrase("the host answers nobody on any port, not even on its own link")
        .told_apart_by("any answer of the host, for instance to a ping from its own network")
        .or(
            FindingKind::PacketsDropped,
            0.15,
            "the host's own filter, at its console",
        )
        .next(at_the_host(view))
        .next_on_the_path(view)
}

fn as_its_sibling(view: &View) -> Claim {
    Claim::new(view, FindingKind::HostDown, 0.6, &view.silent)
        .at(Location::segment(Segment::Service))
        .phrase("the host does not answer, and a router calls another address of the same name down")
        .told_apart_by("whether the addresses belong to one host")
        .or(
            FindingKind::PacketsDropped,
            0.3,
            "whether the host answers on another port of this address",
        )
        .next(at_the_host(view))
        .next_on_the_path(view)
}

fn unknown(view: &View) -> Claim {
    let several = vantages(&view.silent).len() > 1;
    Claim::new(
        view,
        FindingKind::PacketsDropped,
        if several { 0.5 } else { 0.45 },
        &view.silent,
    )
    .phrase("no answer of any kind, packets are dropped or the host is down")
    .told_apart_by("whether the host answers on another port")
    .or(
        FindingKind::HostDown,
        0.4,
        "whether the host answers on another port (the control port experiment)",
    )
    .next_on_the_path(view)
}

fn at_the_host(view: &View) -> Vec<String> {
    let host = view.address.to_string();
    let port = view.endpoint.port;
    vec![command::on(
        &host,
        &format!("{}; {}", command::listening(port), command::filter(port)),
    )]
}
