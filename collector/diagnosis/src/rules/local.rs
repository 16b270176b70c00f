//! Connections that never left the agent's own host.

use std::collections::BTreeMap;
use std::net::IpAddr;

use parallax_model::finding::{FindingKind, Location, Segment, Severity};
use parallax_model::observation::Family;
use parallax_model::stage::StageName;

use crate::candidate::{Blame, Candidate};
use crate::command;
use crate::fact;
use crate::matrix::{CellId, Matrix};
use crate::symptom::{Local, Reach};
use crate::words;

/// What holds the packets back on the agent's host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Obstacle {
    /// The host simply has none of this family, and the other family leaves it.
    FamilyAbsent(Family),
    NoRoute,
    Forbidden,
    Filter,
    Gateway,
    /// The target should be on the agent's own link and nobody answers there.
    Neighbour,
}

/// Claim: the packets did not leave the agent's host, or its own filter or link stopped them; the target is not
/// to blame.
/// Disproved by: a packet sent (`segs_out` above 0), or an ICMP error from another host.
pub(crate) fn unable(matrix: &Matrix) -> Vec<Candidate> {
    let mut groups: BTreeMap<Obstacle, Vec<CellId>> = BTreeMap::new();
    for id in matrix.cells() {
        if let Reach::Local(local) = matrix.cell(id).reach {
            groups.entry(obstacle(matrix, id, local)).or_default().push(id);
        }
    }
    groups
        .into_iter()
        .map(|(obstacle, cells)| candidate(matrix, obstacle, &cells))
        .collect()
}

fn obstacle(matrix: &Matrix, id: CellId, local: Local) -> Obstacle {
    match local {
        Local::NoRoute if is_absent(matrix, id) => Obstacle::FamilyAbsent(matrix.cell(id).family()),
        Local::NoRoute => Obstacle::NoRoute,
        Local::Forbidden => Obstacle::Forbidden,
        Local::Filter(_) => Obstacle::Filter,
        Local::Gateway(own) if neighbours(matrix, id, own) && !reached_by_others(matrix, id) => {
            Obstacle::Neighbour
        }
        Local::Gateway(_) => Obstacle::Gateway,
    }
}

/// An agent without a family is how many hosts are; a route that says unreachable is somebody's deed.
fn is_absent(matrix: &Matrix, id: CellId) -> bool {
    let cell = matrix.cell(id);
    let plainly = cell
        .connect()
        .and_then(|facts| facts.errno.as_deref())
        .is_none_or(|errno| matches!(errno, "ENETUNREACH" | "EADDRNOTAVAIL" | "EAFNOSUPPORT"));
    let other_leaves = matrix.cells_of(id.vantage).any(|other| {
        let other = matrix.cell(other);
        other.family() != cell.family()
            && !matches!(other.reach, Reach::Local(_) | Reach::Unclear | Reach::Untried)
    });
    plainly && other_leaves
}

fn reached_by_others(matrix: &Matrix, id: CellId) -> bool {
    matrix
        .beside(id)
        .any(|other| matches!(matrix.cell(other).reach, Reach::Connected | Reach::Reset))
}

/// Whether the target is on the agent's own link, as the agent says; else as the addresses look.
fn neighbours(matrix: &Matrix, id: CellId, own: IpAddr) -> bool {
    let cell = matrix.cell(id);
    let said = cell.connect().and_then(|facts| facts.on_link);
    said.unwrap_or_else(|| on_link(own, cell.attempt.address))
}

/// Whether two addresses look like neighbours on one link: the same /24, or the same /64.
pub(crate) fn on_link(one: IpAddr, other: IpAddr) -> bool {
    match (one, other) {
        (IpAddr::V4(one), IpAddr::V4(other)) => one.octets()[..3] == other.octets()[..3],
        (IpAddr::V6(one), IpAddr::V6(other)) => one.octets()[..8] == other.octets()[..8],
        _ => false,
    }
}

fn candidate(matrix: &Matrix, obstacle: Obstacle, cells: &[CellId]) -> Candidate {
    let troubles = cells.iter().flat_map(|&id| {
        matrix.troubles_where(|trouble| trouble.cell == Some(id) && trouble.stage == Some(StageName::Connect))
    });
    let (kind, confidence) = match obstacle {
        Obstacle::FamilyAbsent(_) => (FindingKind::AgentNoRoute, 0.95),
        Obstacle::NoRoute => (FindingKind::AgentNoRoute, 0.9),
        Obstacle::Forbidden => (FindingKind::AgentLocalFirewall, 0.75),
        Obstacle::Filter => (FindingKind::AgentLocalFirewall, 0.95),
        Obstacle::Gateway => (FindingKind::AgentNetworkDown, 0.75),
        Obstacle::Neighbour => (FindingKind::HostDown, 0.7),
    };
    let found = Candidate::new(matrix, kind, confidence, troubles)
        .blame(Blame::Agent)
        .at(location(matrix, obstacle, cells))
        .because(fact::first(cells.iter().map(|&id| fact::reach(matrix, id))))
        .told_apart_by("whether anything left the agent's host");
    described(matrix, obstacle, cells, found)
}

fn location(matrix: &Matrix, obstacle: Obstacle, cells: &[CellId]) -> Location {
    let own = cells.iter().find_map(|&id| match matrix.cell(id).reach {
        Reach::Local(Local::Filter(own) | Local::Gateway(own)) => Some(own),
        _ => None,
    });
    match obstacle {
        Obstacle::Filter => Location {
            segment: Segment::Agent,
            after: None,
            before: own,
        },
        Obstacle::Gateway => Location {
            segment: Segment::VantageEdge,
            after: own,
            before: None,
        },
        Obstacle::Neighbour => Location {
            segment: Segment::Service,
            after: own,
            before: cells.first().map(|&id| matrix.cell(id).attempt.address),
        },
        Obstacle::FamilyAbsent(_) | Obstacle::NoRoute | Obstacle::Forbidden => {
            Location::segment(Segment::Agent)
        }
    }
}

fn described(matrix: &Matrix, obstacle: Obstacle, cells: &[CellId], found: Candidate) -> Candidate {
    let mut names: Vec<&str> = cells.iter().map(|id| matrix.name(id.vantage)).collect();
    names.dedup();
    let who = words::list(&names);
    let first = names.first().copied().unwrap_or_default();
    let Some(cell) = cells.first().map(|&id| matrix.cell(id)) else {
        return found;
    };
    let (address, port) = (cell.attempt.address, cell.attempt.endpoint.port);
    let host = matrix.host();
    match obstacle {
        Obstacle::FamilyAbsent(family) => found
            .severity(Severity::Info)
            .summary(format!(
                "{who} has no {}: {host} was not tried over it from there",
                words::family(family)
            ))
            .next([command::on(first, &command::route(address))]),
        Obstacle::NoRoute => found
            .summary(format!(
                "{who} has no route to {}: nothing left the agent's host",
                cell.socket()
            ))
            .next([command::on(
                first,
                &format!("{}; ip rule", command::route(address)),
            )]),
        Obstacle::Forbidden => found
            .summary(format!(
                "{who} is not allowed to connect to {} by its own host",
                cell.socket()
            ))
            .or(
                FindingKind::AgentNoRoute,
                0.2,
                "a prohibit route in `ip route get`",
            )
            .next([
                command::on(first, &command::route(address)),
                command::on(first, &command::filter(port)),
            ]),
        Obstacle::Filter => found
            .summary(format!(
                "the firewall on {who} itself rejects connections to {}",
                cell.socket()
            ))
            .next([command::on(first, &command::filter(port))]),
        Obstacle::Gateway => found
            .summary(format!(
                "{who} does not reach its own gateway: no answer on the link"
            ))
            .or(
                FindingKind::AgentNoRoute,
                0.15,
                "the next hop in `ip route get` and `ip neigh`",
            )
            .next([command::on(
                first,
                &format!("{}; ip neigh", command::route(address)),
            )]),
        Obstacle::Neighbour => found
            .blame(Blame::Target)
            .summary(format!(
                "{host} ({address}) does not answer on the link of {who}: the host looks down"
            ))
            .or(
                FindingKind::AgentNetworkDown,
                0.25,
                "whether other hosts on the agent's link answer",
            )
            .next([command::on(
                first,
                &format!("{}; ip neigh show {address}", command::route(address)),
            )]),
    }
}
