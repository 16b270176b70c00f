//! Paths laid over each other: the last hop that certainly forwarded, the first that certainly did not, and whose part
//! of the way that is.
//!
//! A router that drops while forwarding still answers at its own hop, one that drops before looking at the time to
//! live does not: "after" and "before" bound the place, they do not name the culprit. Routers have a face for every
//! side, so that one router may have several addresses: two hops are taken for one router where the next hop is the
//! same.

mod answerer;
mod hello;
mod inside;
pub(crate) mod trace;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use parallax_model::finding::{Location, Segment};
use parallax_model::path::Path;

use crate::matrix::{CellId, Matrix};
use crate::symptom::Reach;

pub(crate) use answerer::{Answerer, answerer, answers_now, in_front, reaches_the_host};
pub(crate) use hello::{hello, ladder};
pub(crate) use inside::{inside, only_inside_connects, only_inside_is_served, silent_inside};

/// Where on the way something happens to the packets of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) segment: Segment,
    /// The last hop that certainly forwarded.
    pub(crate) after: Option<IpAddr>,
    /// How far away that hop is.
    pub(crate) ttl: u8,
    /// The first that certainly did not, where it is known who comes next.
    pub(crate) before: Option<IpAddr>,
    /// Whether somebody else's packets come through the same hop to the same port.
    pub(crate) others_pass: bool,
    /// Whether not even the first hop answers for this port, which it does for others.
    pub(crate) at_home: bool,
    /// Whether the last hop answers in the target's own name: addresses are translated there.
    pub(crate) translated: bool,
    /// The paths, as facts.
    pub(crate) lines: Vec<String>,
}

impl Place {
    pub(crate) fn location(&self) -> Location {
        Location {
            segment: self.segment,
            after: self.after,
            // A router that answers in the target's name is behind nothing but itself.
            before: self.before.filter(|&before| self.after != Some(before)),
        }
    }

    /// Whether it is known that the next in line is the target itself.
    pub(crate) fn at_the_target(&self, target: IpAddr) -> bool {
        self.before == Some(target)
    }

    /// Whether two places may be one: the same hops, or the two faces of one router before the same next hop.
    pub(crate) fn may_be(&self, other: &Self) -> bool {
        let same_after = self.after == other.after;
        let same_before = self.before.is_some() && self.before == other.before;
        self.at_home == other.at_home && (same_after || same_before && self.ttl > 1 && other.ttl > 1)
    }
}

/// Where the packets of an attempt that nothing answers are lost.
pub(crate) fn silence(matrix: &Matrix, id: CellId) -> Option<Place> {
    let path = trace::of(matrix, id)?;
    if trace::answered_at(path).is_some() {
        return None;
    }
    let address = matrix.cell(id).attempt.address;
    match trace::last_router(path) {
        Some((ttl, after)) => Some(behind(matrix, id, path, ttl, after)),
        None => before_the_first(matrix, id, path, address),
    }
}

/// No router answered at all: on the agent's host or at the first hop, where that one answers for another port; at the
/// host, where that is on the agent's own link; somewhere at the edge, where nobody answers for any port.
fn before_the_first(matrix: &Matrix, id: CellId, path: &Path, address: IpAddr) -> Option<Place> {
    let mut beside = trace::beside(matrix, id).peekable();
    beside.peek()?;
    if inside(matrix, id) {
        return Some(at_the_host(matrix, id, path));
    }
    let Some(first) = beside.find_map(|other| trace::answers_at(other, 1)) else {
        return nobody_answers(matrix, id, path);
    };
    let on_the_link = first == address;
    Some(Place {
        segment: if on_the_link {
            Segment::Service
        } else {
            Segment::Agent
        },
        after: None,
        ttl: 0,
        before: Some(first),
        others_pass: false,
        at_home: !on_the_link,
        translated: false,
        lines: lines(matrix, id, path),
    })
}

/// Nobody is between this vantage point and the host.
fn at_the_host(matrix: &Matrix, id: CellId, path: &Path) -> Place {
    Place {
        segment: Segment::Service,
        after: None,
        ttl: 0,
        before: Some(path.address),
        others_pass: false,
        at_home: false,
        translated: false,
        lines: lines(matrix, id, path),
    }
}

/// Not one hop answers for any port: the first that does not is the agent's own router.
fn nobody_answers(matrix: &Matrix, id: CellId, path: &Path) -> Option<Place> {
    let silent = trace::beside(matrix, id)
        .all(|other| trace::answered_at(other).is_none() && trace::last_router(other).is_none());
    silent.then(|| Place {
        segment: Segment::VantageEdge,
        after: None,
        ttl: 0,
        before: None,
        others_pass: false,
        at_home: false,
        translated: false,
        lines: lines(matrix, id, path),
    })
}

/// Where the packets that a path carried are lost: behind the last hop that answered for them.
pub(crate) fn past(matrix: &Matrix, id: CellId, path: &Path) -> Option<Place> {
    let (ttl, after) = trace::last_router(path)?;
    Some(behind(matrix, id, path, ttl, after))
}

fn behind(matrix: &Matrix, id: CellId, path: &Path, ttl: u8, after: IpAddr) -> Place {
    let address = matrix.cell(id).attempt.address;
    let before = next(matrix, id, ttl, after);
    Place {
        segment: segment(matrix, id, ttl, after, before),
        after: Some(after),
        ttl,
        before,
        others_pass: others_pass(matrix, id, after, before),
        at_home: false,
        translated: after == address,
        lines: lines(matrix, id, path),
    }
}

/// Where the sender of an ICMP error stands on the way of an attempt.
pub(crate) fn sender(matrix: &Matrix, id: CellId, from: IpAddr) -> Option<Place> {
    let address = matrix.cell(id).attempt.address;
    let path = trace::of(matrix, id)
        .into_iter()
        .chain(trace::beside(matrix, id))
        .find(|path| trace::hop_of(path, from).is_some())?;
    let ttl = trace::hop_of(path, from)?;
    let mut place = if from == address {
        Place {
            segment: Segment::Service,
            after: None,
            ttl,
            before: Some(from),
            others_pass: false,
            at_home: false,
            translated: false,
            lines: lines(matrix, id, path),
        }
    } else {
        behind(matrix, id, path, ttl, from)
    };
    place.before = Some(from);
    place.after = trace::router_at(path, ttl.saturating_sub(1));
    Some(place)
}

/// How many hops away the host is from a vantage point, by its other ports and over UDP.
pub(crate) fn distance_beside(matrix: &Matrix, id: CellId) -> Option<u8> {
    trace::beside(matrix, id).filter_map(trace::answered_at).max()
}

/// How many hops away the target's other addresses are, where one of them answers.
pub(crate) fn distance_of_siblings(matrix: &Matrix, id: CellId) -> Option<u8> {
    let address = matrix.cell(id).attempt.address;
    let paths = &matrix.vantage(id.vantage).seen.network.paths;
    paths
        .iter()
        .filter(|path| path.address != address)
        .filter_map(trace::answered_at)
        .max()
}

/// Who comes behind a hop on the way to the address: by this vantage point's own other paths, else by the one of
/// the last good run, else by those of others through the same hop.
fn next(matrix: &Matrix, id: CellId, ttl: u8, after: IpAddr) -> Option<IpAddr> {
    let address = matrix.cell(id).attempt.address;
    let fits = |path: &&Path| trace::router_at(path, ttl).is_none_or(|router| router == after);
    let own = trace::beside(matrix, id)
        .filter(fits)
        .find_map(|path| trace::answers_at(path, ttl.saturating_add(1)));
    if own.is_some() {
        return own;
    }
    if distance_beside(matrix, id) == Some(ttl.saturating_add(1)) {
        return Some(address);
    }
    let known = trace::before(matrix, id)
        .filter(fits)
        .find_map(|path| trace::answers_at(path, trace::hop_of(path, after)? + 1));
    if known.is_some() {
        return known;
    }
    others(matrix, id).find_map(|vantage| {
        trace::to(matrix, vantage, address)
            .find_map(|path| trace::answers_at(path, trace::hop_of(path, after)? + 1))
    })
}

/// The other vantage points that answered.
fn others(matrix: &Matrix, id: CellId) -> impl Iterator<Item = usize> {
    matrix.answered().filter(move |&vantage| vantage != id.vantage)
}

/// Whether a path of another vantage point goes through the same router.
fn goes_through(path: &Path, after: IpAddr, before: Option<IpAddr>) -> bool {
    trace::hop_of(path, after).is_some()
        || before
            .filter(|&before| before != path.address)
            .is_some_and(|before| {
                trace::hop_of(path, before)
                    .is_some_and(|ttl| ttl > 2 && trace::router_at(path, ttl - 1).is_some())
            })
}

fn segment(matrix: &Matrix, id: CellId, ttl: u8, after: IpAddr, before: Option<IpAddr>) -> Segment {
    let address = matrix.cell(id).attempt.address;
    if after == address {
        return Segment::Service;
    }
    if before == Some(address) && silent_inside(matrix, id) {
        return Segment::Service;
    }
    if before == Some(address) {
        return Segment::SiteEdge;
    }
    let mut elsewhere = others(matrix, id)
        .flat_map(|vantage| trace::to(matrix, vantage, address))
        .peekable();
    let compares = elsewhere.peek().is_some();
    let shared = elsewhere.any(|path| goes_through(path, after, before.filter(|_| ttl > 1)));
    if shared {
        Segment::Transit
    } else if ttl == 1 || compares && before.is_some() {
        Segment::VantageEdge
    } else {
        Segment::Transit
    }
}

/// Whether another vantage point connects to the same port, and comes through the same router.
fn others_pass(matrix: &Matrix, id: CellId, after: IpAddr, before: Option<IpAddr>) -> bool {
    let address = matrix.cell(id).attempt.address;
    let connects = |other: &CellId| reaches_the_host(matrix, *other) && !inside(matrix, *other);
    matrix.beside(id).filter(connects).any(|other| {
        before == Some(address)
            || trace::to(matrix, other.vantage, address).any(|path| goes_through(path, after, before))
    })
}

/// Whether packets of one vantage point go to the address by several ways of equal length: two routers answer at one hop.
pub(crate) fn several_ways(matrix: &Matrix, id: CellId) -> bool {
    let address = matrix.cell(id).attempt.address;
    let mut at: BTreeMap<u8, IpAddr> = BTreeMap::new();
    trace::to(matrix, id.vantage, address).any(|path| {
        let routers = path
            .hops
            .iter()
            .filter_map(|hop| Some((hop.ttl, trace::router_at(path, hop.ttl)?)));
        let mut routers = routers.filter(|&(_, router)| router != address);
        routers.any(|(ttl, router)| *at.entry(ttl).or_insert(router) != router)
    })
}

/// Whether a flow to this port is known to have come through a hop and to have been answered.
pub(crate) fn answered_behind(matrix: &Matrix, id: CellId, hop: IpAddr) -> bool {
    let attempt = matrix.cell(id).attempt;
    matrix
        .answered()
        .flat_map(|vantage| trace::to(matrix, vantage, attempt.address))
        .any(|path| {
            path.port == attempt.endpoint.port
                && trace::answered_at(path).is_some()
                && trace::hop_of(path, hop).is_some()
        })
}

/// The path in question and one that shows more.
fn lines(matrix: &Matrix, id: CellId, path: &Path) -> Vec<String> {
    let name = matrix.name(id.vantage);
    let further =
        trace::beside(matrix, id).max_by_key(|other| (trace::answered_at(other), trace::last_router(other)));
    std::iter::once(path)
        .chain(further)
        .map(|path| trace::spelled(name, path))
        .collect()
}

/// Whether neither the source nor the address says who gets through: one vantage point comes to this address and not to
/// another, and another vantage point the other way round.
pub(crate) fn crosswise(matrix: &Matrix, address: IpAddr) -> bool {
    let met = |vantage: usize, how: Reach| -> BTreeSet<IpAddr> {
        let cells = matrix.cells_of(vantage).map(|id| matrix.cell(id));
        cells
            .filter(|cell| cell.reach == how)
            .map(|cell| cell.attempt.address)
            .collect()
    };
    let seen: Vec<_> = matrix
        .answered()
        .map(|vantage| (met(vantage, Reach::Connected), met(vantage, Reach::Silent)))
        .collect();
    let lost: BTreeSet<&IpAddr> = seen
        .iter()
        .filter(|(connected, _)| connected.contains(&address))
        .flat_map(|(_, silent)| silent)
        .filter(|&&other| other != address)
        .collect();
    seen.iter().any(|(connected, silent)| {
        silent.contains(&address) && connected.iter().any(|one| lost.contains(one))
    })
}
