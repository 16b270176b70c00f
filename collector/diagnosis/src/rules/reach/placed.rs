//! Connections that nothing answers, where paths tell how far the packets come.

use std::collections::BTreeSet;

use parallax_model::experiment::ExperimentKind;
use parallax_model::finding::{FindingKind, Location, Segment};

use super::claim::Claim;
use super::column::{View, vantages};
use super::group::Group;
use crate::candidate::Blame;
use crate::command;
use crate::fact;
use crate::matrix::CellId;
use crate::overlay::{self, Place};
use crate::rules::flows;
use crate::varied::{self, Varied};

const CAPTURE: &str = "a packet capture on the mail host: whether the SYNs arrive";
const SOURCE: &str = "another source address at the same place, or the ban list on the mail host";

/// Claim: packets vanish behind the last hop that still answers for this port, before the next that answers for others.
/// Where others come through that hop to the host, something refuses this source: a ban, or the way back to it. Where
/// the hop before the host is the last for every protocol, the host may be down.
/// Disproved by: any answer from behind that hop to a packet for this port.
pub(super) fn claim(view: &View, group: &Group, answered: &BTreeSet<usize>) -> Claim {
    let place = &group.place;
    let single = vantages(&group.cells).len() == 1;
    let claim = if place.at_home && single {
        at_home(view, group)
    } else if place.translated {
        backend(view, group, !answered.is_empty())
    } else if place.segment != Segment::VantageEdge
        && (overlay::crosswise(view.matrix, view.address)
            || flows::known(view.matrix, view.endpoint.port) && place.others_pass)
    {
        some_flows(view, &group.cells)
    } else if place.others_pass && place.at_the_target(view.address) && any_source_fails(view, group) {
        whole_place(view, group)
    } else if place.others_pass && place.at_the_target(view.address) && by_one_way(view, group) {
        some_flows(view, &group.cells)
    } else if place.others_pass && place.at_the_target(view.address) {
        source(view, group)
    } else if answered.is_empty() && !view.lives() && last_for_everything(view, group) {
        dead(view, group)
    } else {
        dropped(view, group, answered)
    };
    let location = match claim.kind {
        // A host of which every path ends at the last hop is that hop's neighbour.
        FindingKind::HostDown => Location {
            segment: Segment::SiteEdge,
            ..place.location()
        },
        _ => place.location(),
    };
    let mut claim = claim.at(location);
    claim.because.extend(place.lines.iter().cloned());
    claim.because.extend(bounds(view, place));
    claim
}

/// "after 10.0.1.1: it answers for this port, 10.0.9.2 behind it does not"
fn bounds(view: &View, place: &Place) -> Option<String> {
    let port = view.endpoint.port;
    match (place.after, place.before) {
        (Some(after), Some(before)) => Some(format!(
            "after {after}: it answers for port {port}, {before} behind it does not"
        )),
        (Some(after), None) => Some(format!("after {after}: nobody behind it answers for port {port}")),
        (None, Some(before)) => Some(format!("{before} answers, though not for port {port}")),
        (None, None) => None,
    }
}

fn at_home(view: &View, group: &Group) -> Claim {
    let mut claim = Claim::new(view, FindingKind::AgentLocalFirewall, 0.55, &group.cells)
        .phrase("packets to this port do not come as far as the first hop, those to another do")
        .told_apart_by("the filter rules and a packet capture on the agent's host")
        .or(
            FindingKind::PacketsDropped,
            0.4,
            "a packet capture on the agent's host: whether the SYNs leave it, then the first hop's ingress filter",
        )
        .next_on_the_path(view);
    claim.blame = Blame::Agent;
    claim
}

fn backend(view: &View, group: &Group, others_are_answered: bool) -> Claim {
    let swept = flows::known(view.matrix, view.endpoint.port);
    let (kind, other) = if others_are_answered || swept {
        (FindingKind::OneBackendBroken, FindingKind::SourceBanned)
    } else {
        (FindingKind::PacketsDropped, FindingKind::HostDown)
    };
    let crosswise = overlay::crosswise(view.matrix, view.address);
    let confidence = if swept {
        0.9
    } else if crosswise {
        0.8
    } else {
        0.6
    };
    Claim::new(view, kind, confidence, &group.cells)
        .phrase("a balancer at the address itself lets the packets go on, and nothing answers from behind it")
        .told_apart_by("the same from several source ports and addresses")
        .or(other, (1.0 - confidence) * 0.7, SOURCE)
        .next(at(view, &view.address.to_string()))
}

fn source(view: &View, group: &Group) -> Claim {
    let own = group
        .cells
        .first()
        .and_then(|&id| fact::local(view.matrix.cell(id)));
    let affected = vantages(&group.cells);
    let port_only = view.signs_at(&affected).any(|sign| sign.alive);
    let phrase = if port_only {
        "the last hop before the host still answers, the host answers others and not this source on this port"
    } else {
        "the last hop before the host still answers, the host answers others and not this source"
    };
    Claim::new(view, FindingKind::SourceBanned, 0.6, &group.cells)
        .phrase(phrase)
        .told_apart_by(SOURCE)
        .or(FindingKind::PacketsDropped, 0.2, CAPTURE)
        .or(
            FindingKind::OnePathBroken,
            if group
                .cells
                .iter()
                .any(|&id| overlay::several_ways(view.matrix, id))
            {
                0.1
            } else {
                0.02
            },
            "the same from many source ports, twice: a fault of one flow stays with its port",
        )
        .or(
            FindingKind::ReturnPathLost,
            0.12,
            "a packet capture on the mail host: whether SYN-ACKs leave it for this source",
        )
        .or(
            FindingKind::AgentLocalFirewall,
            0.05,
            "a packet capture on the agent's host: whether SYN-ACKs arrive there",
        )
        .next([
            command::on(&view.address.to_string(), &command::bans(own)),
            command::on(
                &view.address.to_string(),
                &command::capture(view.address, view.endpoint.port),
            ),
        ])
        .next_on_the_path(view)
}

/// Whether equal ways lead to the host, and nobody is known to be answered by the one on which these are lost.
fn by_one_way(view: &View, group: &Group) -> bool {
    let Some(after) = group.place.after else {
        return false;
    };
    let mut cells = group.cells.iter();
    cells.any(|&id| {
        overlay::several_ways(view.matrix, id)
            && !overlay::answered_behind(view.matrix, id, after)
            && !flows::none_opens(view.matrix, id)
    })
}

/// Neither the source nor the address says who gets through.
pub(super) fn some_flows(view: &View, cells: &[CellId]) -> Claim {
    Claim::new(view, FindingKind::OnePathBroken, 0.65, cells)
        .phrase("some connections get through the same hop to the same port and others do not, whoever makes them")
        .told_apart_by("the same from many source ports, twice: a fault of one flow stays with its port")
        .or(
            FindingKind::OneBackendBroken,
            0.12,
            "the paths of a flow that works and of one that does not, and the certificates of the backends",
        )
        .or(
            FindingKind::PacketLoss,
            0.1,
            "the same from many source ports, twice: lost packets are others each time",
        )
        .or(FindingKind::PacketsDropped, 0.1, "the filter rules at the named hop")
        .or(FindingKind::SourceBanned, 0.08, SOURCE)
        .next_on_the_path(view)
}

/// Whether another address at the same place met the same.
fn any_source_fails(view: &View, group: &Group) -> bool {
    group
        .cells
        .iter()
        .any(|&id| varied::with(view.matrix, id, ExperimentKind::OtherSource) == Varied::Same)
}

fn whole_place(view: &View, group: &Group) -> Claim {
    Claim::new(view, FindingKind::PacketsDropped, 0.6, &group.cells)
        .phrase("the last hop before the host still answers, and the host answers no address of that place")
        .told_apart_by(CAPTURE)
        .or(
            FindingKind::ReturnPathLost,
            0.2,
            "a packet capture on the mail host: whether SYN-ACKs leave it for this source",
        )
        .or(
            FindingKind::SourceBanned,
            0.2,
            "the ban list on the mail host: whether it holds the whole network",
        )
        .next(at(view, &view.address.to_string()))
        .next_on_the_path(view)
}

/// Whether every path ends at the same hop, and that is as near to the host as anybody comes.
fn last_for_everything(view: &View, group: &Group) -> bool {
    let known = group
        .cells
        .iter()
        .filter_map(|&id| Some((id, overlay::silence(view.matrix, id)?)));
    let mut hops = BTreeSet::new();
    let mut who = BTreeSet::new();
    for (id, place) in known {
        if overlay::distance_of_siblings(view.matrix, id)
            .is_some_and(|host| host == place.ttl.saturating_add(1))
        {
            return true;
        }
        if place.ttl < 2 || place.before.is_some() {
            return false;
        }
        who.insert(id.vantage);
        hops.insert(place.after);
    }
    who.len() > 1 && hops.len() == 1
}

fn dead(view: &View, group: &Group) -> Claim {
    Claim::new(view, FindingKind::HostDown, 0.5, &group.cells)
        .phrase("every path ends at the last hop before the host, which answers on nothing that was tried")
        .told_apart_by("any answer of the host, for instance to a ping from its own network")
        .or(
            FindingKind::PacketsDropped,
            0.35,
            "a vantage point inside the site, or a packet capture on the host: whether anything arrives",
        )
        .or(
            FindingKind::ReturnPathLost,
            0.1,
            "a packet capture on the host: whether answers leave it",
        )
        .next(at(view, &view.address.to_string()))
        .next_on_the_path(view)
}

fn dropped(view: &View, group: &Group, answered: &BTreeSet<usize>) -> Claim {
    let place = &group.place;
    let affected = vantages(&group.cells);
    let port_only = view.signs_at(&affected).any(|sign| sign.alive);
    let at_the_target = place.at_the_target(view.address);
    let outside = group
        .cells
        .iter()
        .any(|&id| overlay::only_inside_connects(view.matrix, id));
    let confidence = match (place.before.is_some(), at_the_target) {
        (true, true) if outside => 0.85,
        (true, true) => 0.7,
        (true, false) => 0.85,
        (false, _) if answered.is_empty() && !view.lives() => 0.55,
        (false, _) => 0.75,
    };
    let what = if port_only {
        "packets to this port"
    } else {
        "packets"
    };
    let phrase = match (place.after, place.before) {
        (_, _) if at_the_target && outside => format!(
            "{what} are dropped by the last hop before the host, which itself answers those who stand beside it"
        ),
        (_, _) if at_the_target && place.segment == Segment::Service => {
            format!(
                "{what} are dropped by the host's own filter, or its accept queue is full: those beside it are not answered either"
            )
        }
        (_, _) if at_the_target => format!(
            "{what} are dropped by the last hop before the host, or by the host's own filter, or their answers are"
        ),
        (Some(after), Some(before)) => format!("{what} are dropped between {after} and {before}"),
        (Some(after), None) => format!("{what} are dropped behind {after}"),
        (None, Some(before)) => format!("{what} are dropped before {before}"),
        (None, None) => format!("{what} are dropped"),
    };
    let found = Claim::new(view, FindingKind::PacketsDropped, confidence, &group.cells)
        .phrase(phrase)
        .told_apart_by("any answer to this port from behind the last hop that answers");
    let found = look_alikes(found, place, view, answered);
    let hops = place.after.into_iter().chain(place.before);
    let look_at: Vec<String> = hops
        .filter(|&hop| hop != view.address)
        .flat_map(|hop| at(view, &hop.to_string()))
        .collect();
    found.next(look_at).next_on_the_path(view)
}

fn look_alikes(found: Claim, place: &Place, view: &View, answered: &BTreeSet<usize>) -> Claim {
    let at_the_target = place.at_the_target(view.address);
    if at_the_target
        && found
            .cells
            .iter()
            .any(|&id| overlay::only_inside_connects(view.matrix, id))
    {
        found
            .or(FindingKind::SourceBanned, 0.05, SOURCE)
            .or(FindingKind::ReturnPathLost, 0.08, CAPTURE)
    } else if at_the_target {
        found
            .or(
                FindingKind::ServerOverloaded,
                0.1,
                "repeating over minutes: a full accept queue lets some connections through",
            )
            .or(
                FindingKind::ReturnPathLost,
                0.08,
                "a packet capture on the mail host: whether SYN-ACKs leave it",
            )
    } else if !answered.is_empty() {
        found
            .or(
                FindingKind::OnePathBroken,
                0.05,
                "the same from many source ports",
            )
            .or(FindingKind::SourceBanned, 0.08, SOURCE)
            .or(FindingKind::ReturnPathLost, 0.05, CAPTURE)
    } else if view.lives() {
        found.or(FindingKind::ReturnPathLost, 0.05, CAPTURE)
    } else {
        found.or(
            FindingKind::HostDown,
            0.3,
            "a vantage point inside the site: whether the host answers there",
        )
    }
}

fn at(view: &View, place: &str) -> Vec<String> {
    let (address, port) = (view.address, view.endpoint.port);
    vec![command::on(
        place,
        &format!("{}; {}", command::route(address), command::filter(port)),
    )]
}
