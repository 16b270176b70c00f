//! What was seen otherwise than an explanation predicts.

use std::net::IpAddr;

use parallax_model::experiment::ExperimentKind;
use parallax_model::path::HopReply;

use super::element::{Claimed, Element};
use super::{CONTRARY, UNLIKELY, Witnesses};
use crate::matrix::{Cell, CellId, Matrix};
use crate::overlay::{self, Answerer, trace};
use crate::symptom::Reach;
use crate::varied::{self, Varied};

/// What sort of thing was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Sort {
    Attempt,
    FollowUp(ExperimentKind),
    Path,
    Sweep,
    Control,
}

/// One thing that speaks against an explanation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Sight {
    pub(super) vantage: usize,
    pub(super) address: IpAddr,
    pub(super) sort: Sort,
    /// How likely it would be, were the explanation true.
    pub(super) probability: f64,
}

/// Everything that speaks against it.
pub(super) fn against(matrix: &Matrix, witnesses: &Witnesses, claimed: &Claimed) -> Vec<Sight> {
    match claimed.element {
        Element::Agent => agent(matrix, claimed),
        Element::Filter => filter(matrix, claimed),
        Element::Way { after, before } => way(matrix, claimed, after, before),
        Element::Source => source(matrix, claimed),
        Element::Family => family(matrix, witnesses, claimed),
        Element::Host => host(matrix, claimed),
        Element::Port => port(matrix, claimed),
        Element::InFrontOfPort => in_front(matrix, claimed),
        Element::Service => service(matrix, claimed),
        Element::Flows => flows(matrix, claimed),
        Element::Load => stays(matrix, claimed, &[ExperimentKind::Serial, ExperimentKind::Later]),
        Element::Size => stays(matrix, claimed, &[ExperimentKind::SmallMss]),
        Element::Name => stays(
            matrix,
            claimed,
            &[ExperimentKind::OtherSni, ExperimentKind::NoSni],
        ),
        Element::Fact => Vec::new(),
    }
}

/// An agent that reaches nothing connects nowhere, and not to its control target either.
fn agent(matrix: &Matrix, claimed: &Claimed) -> Vec<Sight> {
    let mut seen = Vec::new();
    for &id in &claimed.cells {
        let family = matrix.cell(id).family();
        let works = |other: &Cell| other.family() == family && other.reach == Reach::Connected;
        let vantage = matrix.vantage(id.vantage);
        if vantage.cells.iter().chain(&vantage.follow_ups).any(works) {
            seen.push(sight(matrix, id, Sort::Attempt, CONTRARY));
        }
        let control = vantage.seen.network.control.as_ref();
        if control.is_some_and(|control| control.fault.is_none()) {
            seen.push(sight(matrix, id, Sort::Control, UNLIKELY));
        }
    }
    seen
}

/// What does not leave the host is answered by nobody on the way.
fn filter(matrix: &Matrix, claimed: &Claimed) -> Vec<Sight> {
    let answered = |&&id: &&CellId| {
        let path = trace::of(matrix, id);
        let on_the_way = path.is_some_and(|path| trace::last_router(path).is_some());
        on_the_way || matches!(matrix.cell(id).reach, Reach::Icmp(icmp) if icmp.from.is_some())
    };
    let cells = claimed.cells.iter().filter(answered);
    cells.map(|&id| sight(matrix, id, Sort::Path, CONTRARY)).collect()
}

/// What is lost between two hops is not answered from behind them, and nobody else comes through them to that port, unless
/// it is a rule about one source: one rule, however many others pass. Before the host itself such rules are common, and
/// the way back to one source looks the same.
fn way(matrix: &Matrix, claimed: &Claimed, after: Option<IpAddr>, before: Option<IpAddr>) -> Vec<Sight> {
    let mut seen = Vec::new();
    for &id in &claimed.cells {
        if matrix.cell(id).reach == Reach::Silent && comes_further(matrix, id, before) {
            seen.push(sight(matrix, id, Sort::Path, CONTRARY));
        }
    }
    let placed = after.is_some() || before.is_some();
    let at_the_host = before.is_some_and(|before| claimed.addresses.contains(&before));
    let through = |id: &CellId| {
        trace::to(matrix, id.vantage, matrix.cell(*id).attempt.address).any(|path| {
            let on = |hop: Option<IpAddr>| hop.is_none_or(|hop| trace::hop_of(path, hop).is_some());
            on(after) && on(before)
        })
    };
    if placed && !at_the_host {
        let other = passing(matrix, claimed).find(through);
        seen.extend(other.map(|id| sight(matrix, id, Sort::Attempt, UNLIKELY)));
    } else if claimed.for_all && !placed {
        let others = passing(matrix, claimed);
        seen.extend(others.map(|id| sight(matrix, id, Sort::Attempt, CONTRARY)));
    }
    seen
}

/// Whether the path of a silent port goes beyond the hop that is said not to answer any more.
fn comes_further(matrix: &Matrix, id: CellId, before: Option<IpAddr>) -> bool {
    trace::of(matrix, id).is_some_and(|path| {
        let host = trace::answered_at(path).is_some();
        host || before.is_some_and(|hop| hop != path.address && trace::hop_of(path, hop).is_some())
    })
}

/// A site that refuses one source serves others, refuses at the last hop, and lets another source of the place pass.
fn source(matrix: &Matrix, claimed: &Claimed) -> Vec<Sight> {
    let mut seen = Vec::new();
    let others = passing(matrix, claimed).next().is_some();
    for &id in &claimed.cells {
        let compared = matrix.beside(id).next().is_some();
        if !others && compared {
            seen.push(sight(matrix, id, Sort::Attempt, CONTRARY));
        }
        if varied::with(matrix, id, ExperimentKind::OtherSource) == Varied::Same {
            let sort = Sort::FollowUp(ExperimentKind::OtherSource);
            seen.push(sight(matrix, id, sort, UNLIKELY));
        }
        let address = matrix.cell(id).attempt.address;
        let on_the_way = overlay::silence(matrix, id)
            .and_then(|place| place.before)
            .is_some_and(|before| before != address);
        if on_the_way {
            seen.push(sight(matrix, id, Sort::Path, UNLIKELY));
        }
    }
    seen
}

/// A broken family breaks all of the family, for whoever is behind the same routers too, and spares the other.
fn family(matrix: &Matrix, witnesses: &Witnesses, claimed: &Claimed) -> Vec<Sight> {
    let own: Vec<usize> = claimed.vantages.iter().map(|&one| witnesses.of(one)).collect();
    let beside = passing(matrix, claimed).filter(|id| own.contains(&witnesses.of(id.vantage)));
    let mut seen: Vec<Sight> = beside
        .map(|id| sight(matrix, id, Sort::Attempt, CONTRARY))
        .collect();
    for &id in &claimed.cells {
        let cell = matrix.cell(id);
        for other in matrix.cells_of(id.vantage) {
            let there = matrix.cell(other);
            let same = there.family() == cell.family();
            let failed = matches!(there.reach, Reach::Silent | Reach::Reset | Reach::Icmp(_));
            let works = there.reach == Reach::Connected;
            if same && works && !claimed.cells.contains(&other) || !same && failed {
                seen.push(sight(matrix, other, Sort::Attempt, CONTRARY));
            }
        }
    }
    seen
}

/// A dead host answers nobody, on no port.
fn host(matrix: &Matrix, claimed: &Claimed) -> Vec<Sight> {
    let mut seen = Vec::new();
    for vantage in matrix.answered() {
        let facts = matrix.vantage(vantage);
        let asked = facts.cells.iter().map(|cell| (cell, Sort::Attempt));
        let followed = facts
            .follow_ups
            .iter()
            .filter(|cell| cell.asks_of_the_path())
            .filter_map(|cell| Some((cell, Sort::FollowUp(cell.attempt.experiment?))));
        for (cell, sort) in asked.chain(followed) {
            let address = cell.attempt.address;
            if claimed.addresses.contains(&address) && answers(cell) {
                seen.push(Sight {
                    vantage,
                    address,
                    sort,
                    probability: CONTRARY,
                });
            }
        }
        for &address in &claimed.addresses {
            if trace::to(matrix, vantage, address).any(|path| trace::answered_at(path).is_some()) {
                seen.push(Sight {
                    vantage,
                    address,
                    sort: Sort::Path,
                    probability: CONTRARY,
                });
            }
        }
    }
    seen
}

fn answers(cell: &Cell) -> bool {
    match cell.reach {
        Reach::Connected | Reach::Reset => true,
        Reach::Icmp(icmp) => icmp.from == Some(cell.attempt.address),
        Reach::Silent | Reach::Local(_) | Reach::Unclear | Reach::Untried => false,
    }
}

/// A closed port is closed to everybody, and it is the host that says so.
fn port(matrix: &Matrix, claimed: &Claimed) -> Vec<Sight> {
    let connects = passing(matrix, claimed).map(|id| sight(matrix, id, Sort::Attempt, CONTRARY));
    let mut seen: Vec<Sight> = connects.collect();
    for &id in &claimed.cells {
        match overlay::answerer(matrix, id) {
            Answerer::Nearer(_) => seen.push(sight(matrix, id, Sort::Path, CONTRARY)),
            Answerer::Host { .. } | Answerer::Unknown => {}
        }
        if matrix.cell(id).reach == Reach::Silent {
            seen.push(sight(matrix, id, Sort::Attempt, CONTRARY));
        }
    }
    seen
}

/// Who refuses in the host's name is nearer than the host, and does not refuse with silence.
fn in_front(matrix: &Matrix, claimed: &Claimed) -> Vec<Sight> {
    let mut seen = Vec::new();
    for &id in &claimed.cells {
        if overlay::answerer(matrix, id) == (Answerer::Host { sure: true }) {
            seen.push(sight(matrix, id, Sort::Path, CONTRARY));
        }
        if matrix.cell(id).reach == Reach::Silent {
            seen.push(sight(matrix, id, Sort::Attempt, CONTRARY));
        }
    }
    seen
}

/// A program that fails at a stage fails there for everybody whom it shows the same certificate.
fn service(matrix: &Matrix, claimed: &Claimed) -> Vec<Sight> {
    let Some(stage) = claimed.stage else {
        return Vec::new();
    };
    let came_past = |id: &CellId| {
        let cell = matrix.cell(*id);
        claimed.sockets.contains(&cell.socket()) && !claimed.cells.contains(id) && cell.passed(stage)
    };
    let cells = matrix.cells().filter(came_past);
    cells
        .map(|id| sight(matrix, id, Sort::Attempt, CONTRARY))
        .collect()
}

/// Where some flows fail, not all do, and not always.
fn flows(matrix: &Matrix, claimed: &Claimed) -> Vec<Sight> {
    let mut seen = stays(matrix, claimed, &[ExperimentKind::Serial]);
    for sight in &mut seen {
        sight.probability = UNLIKELY;
    }
    for &id in &claimed.cells {
        let attempt = matrix.cell(id).attempt;
        let sweeps = &matrix.vantage(id.vantage).seen.network.sweeps;
        let alike = sweeps.iter().any(|sweep| {
            let answered = |reply: &HopReply| !matches!(reply, HopReply::None | HopReply::NotSent(_));
            sweep.address == attempt.address
                && sweep.port == attempt.endpoint.port
                && sweep.flows.len() > 1
                && !sweep.flows.iter().flat_map(|flow| &flow.replies).any(answered)
        });
        if alike {
            seen.push(sight(matrix, id, Sort::Sweep, CONTRARY));
        }
    }
    seen
}

/// What a variation would cure, and did not.
fn stays(matrix: &Matrix, claimed: &Claimed, kinds: &[ExperimentKind]) -> Vec<Sight> {
    let mut seen = Vec::new();
    for &id in &claimed.cells {
        for &kind in kinds {
            if varied::with(matrix, id, kind) == Varied::Same {
                seen.push(sight(matrix, id, Sort::FollowUp(kind), CONTRARY));
            }
        }
    }
    seen
}

/// The attempts of others that connect to the very ports; whom somebody nearer connects says nothing of the host.
fn passing<'m>(matrix: &'m Matrix, claimed: &'m Claimed) -> impl Iterator<Item = CellId> + 'm {
    matrix.cells().filter(|id| {
        let cell = matrix.cell(*id);
        claimed.sockets.contains(&cell.socket())
            && !claimed.vantages.contains(&id.vantage)
            && overlay::reaches_the_host(matrix, *id)
    })
}

fn sight(matrix: &Matrix, id: CellId, sort: Sort, probability: f64) -> Sight {
    Sight {
        vantage: id.vantage,
        address: matrix.cell(id).attempt.address,
        sort,
        probability,
    }
}
