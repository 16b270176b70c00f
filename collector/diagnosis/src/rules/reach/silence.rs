//! Connections that nothing answers.

use std::collections::BTreeSet;

use parallax_model::finding::{FindingKind, Location, Segment};

use super::claim::Claim;
use super::column::{View, vantages};
use super::rejection;
use crate::command;

/// Claim: packets are dropped. Where the host answers others it is on the way of those it does not answer; where
/// it answers nobody on this port but somebody on another, it is at the site or the host; where it answers nobody
/// on anything, the host may be down.
/// Disproved by: any answer on this port, or an ICMP error (one of those outweighs any number of silent siblings,
/// since routers limit their rate).
pub(super) fn claim(view: &View) -> Option<Claim> {
    if view.silent.is_empty() {
        return None;
    }
    let answered: BTreeSet<usize> = view
        .witnesses
        .iter()
        .copied()
        .chain(vantages(&view.reset))
        .collect();
    if !answered.is_empty() {
        Some(on_the_way(view, &answered))
    } else if rejection::speaks_for_the_silent(view) {
        None
    } else if view.lives() {
        Some(one_port(view))
    } else if view.sibling_is_down() {
        Some(as_its_sibling(view))
    } else if view.signs.is_empty() {
        Some(unknown(view))
    } else {
        Some(dead(view))
    }
}

fn on_the_way(view: &View, answered: &BTreeSet<usize>) -> Claim {
    let affected = vantages(&view.silent);
    let single = affected.len() == 1;
    let port_only = view.signs_at(&affected).any(|sign| sign.alive);
    let all_of_it = !port_only
        && view.signs_at(&affected).next().is_some()
        && view.signs_at(answered).any(|sign| sign.alive);
    let mut confidence = match (affected.len(), answered.len()) {
        (1, 1) => 0.65,
        (_, 1) => 0.7,
        (_, _) => 0.8,
    };
    if port_only {
        confidence += 0.05;
    }
    let side = if single { "on its side" } else { "on the way" };
    let phrase = if port_only {
        format!("packets to this port are dropped {side}, another port of the host answers")
    } else if all_of_it {
        format!("packets are dropped {side}, whatever the port")
    } else {
        format!("packets are dropped {side}")
    };
    let segment = if single {
        Segment::VantageEdge
    } else {
        Segment::Unknown
    };
    let found = Claim::new(view, FindingKind::PacketsDropped, confidence, &view.silent)
        .at(Location::segment(segment))
        .phrase(phrase)
        .told_apart_by("any answer to a packet from there")
        .or(
            FindingKind::SourceBanned,
            if all_of_it { 0.2 } else { 0.15 },
            "another source address at the same place, or the ban list on the mail host",
        )
        .next_on_the_path(view);
    if single {
        found.or(
            FindingKind::AgentLocalFirewall,
            0.05,
            "the filter rules and a packet capture on the agent's host",
        )
    } else {
        found.or(
            FindingKind::ReturnPathLost,
            0.1,
            "a packet capture on the mail host: whether the SYNs arrive",
        )
    }
}

fn one_port(view: &View) -> Claim {
    let several = vantages(&view.silent).len() > 1;
    let segment = if several {
        Segment::SiteEdge
    } else {
        Segment::Unknown
    };
    Claim::new(
        view,
        FindingKind::PacketsDropped,
        if several { 0.8 } else { 0.6 },
        &view.silent,
    )
    .at(Location::segment(segment))
    .phrase(
        "packets to this port are dropped before the host or by it, while the host answers on another port",
    )
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
    let segment = if several {
        Segment::Service
    } else {
        Segment::Unknown
    };
    Claim::new(
        view,
        FindingKind::HostDown,
        if several { 0.5 } else { 0.4 },
        &view.silent,
    )
    .at(Location::segment(segment))
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
