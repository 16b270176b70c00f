//! One address and port as the vantage points see it, and what else is known of the host.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use parallax_model::experiment::ExperimentKind;
use parallax_model::path::{Path, PathProtocol};
use parallax_model::target::Endpoint;

use crate::fact;
use crate::matrix::{Cell, CellId, Column, Matrix};
use crate::overlay::{self, trace};
use crate::symptom::{IcmpClass, Reach};

/// What another port of the host said to one vantage point.
#[derive(Debug, Clone)]
pub(super) struct Sign {
    pub(super) vantage: usize,
    pub(super) took: Option<Duration>,
    /// The ICMP error of somebody else, where one came.
    pub(super) icmp: Option<IcmpClass>,
    /// Whether the host itself answered.
    pub(super) alive: bool,
    pub(super) line: String,
}

/// One address and port as the vantage points see it.
#[derive(Debug, Clone)]
pub(super) struct View<'m, 'a> {
    pub(super) matrix: &'m Matrix<'a>,
    pub(super) address: IpAddr,
    pub(super) endpoint: Endpoint,
    pub(super) connected: Vec<CellId>,
    pub(super) reset: Vec<CellId>,
    pub(super) silent: Vec<CellId>,
    pub(super) icmp: Vec<CellId>,
    /// Vantage points that connected here, on request or as an experiment.
    pub(super) witnesses: BTreeSet<usize>,
    /// What the host's other ports said.
    pub(super) signs: Vec<Sign>,
}

impl<'m, 'a> View<'m, 'a> {
    pub(super) fn new(matrix: &'m Matrix<'a>, column: &Column) -> Self {
        let with = |fits: fn(Reach) -> bool| {
            let cells = column.cells.iter().copied();
            cells
                .filter(|&id| fits(matrix.cell(id).reach))
                .collect::<Vec<_>>()
        };
        let connected: Vec<CellId> = column
            .cells
            .iter()
            .copied()
            .filter(|&id| overlay::reaches_the_host(matrix, id))
            .collect();
        let forced = matrix.answered().filter(|&vantage| {
            matrix
                .vantage(vantage)
                .experiments(ExperimentKind::ForcedAddress)
                .any(|cell| {
                    cell.attempt.address == column.address
                        && cell.attempt.endpoint == column.endpoint
                        && cell.reach == Reach::Connected
                })
        });
        let witnesses = connected.iter().map(|id| id.vantage).chain(forced).collect();
        Self {
            matrix,
            address: column.address,
            endpoint: column.endpoint,
            connected,
            reset: with(|reach| reach == Reach::Reset),
            silent: with(|reach| reach == Reach::Silent),
            icmp: with(|reach| matches!(reach, Reach::Icmp(_))),
            witnesses,
            signs: signs(matrix, column),
        }
    }

    /// The signs that some vantage points had, and whether the host lives by them.
    pub(super) fn signs_at(&self, vantages: &BTreeSet<usize>) -> impl Iterator<Item = &Sign> {
        let vantages = vantages.clone();
        self.signs
            .iter()
            .filter(move |sign| vantages.contains(&sign.vantage))
    }

    /// Whether the host answered anybody on another port.
    pub(super) fn lives(&self) -> bool {
        self.signs.iter().any(|sign| sign.alive)
    }

    /// Whether a router says that another address of the target has nobody behind it, while nobody connects to any.
    pub(super) fn sibling_is_down(&self) -> bool {
        let reaches = || self.matrix.cells().map(|id| self.matrix.cell(id).reach);
        let down = |reach| matches!(reach, Reach::Icmp(icmp) if icmp.class == IcmpClass::HostDown);
        reaches().any(down) && !reaches().any(|reach| matches!(reach, Reach::Connected | Reach::Reset))
    }

    /// The shortest time in which the host itself is known to answer a vantage point.
    pub(super) fn host_rtt(&self, vantage: usize) -> Option<Duration> {
        let signs = self
            .signs
            .iter()
            .filter(|sign| sign.alive && sign.vantage == vantage);
        signs.filter_map(|sign| sign.took).min()
    }

    /// A few of those who did get through, as facts.
    pub(super) fn witness_lines(&self) -> Vec<String> {
        self.connected
            .iter()
            .take(3)
            .map(|&id| fact::reach(self.matrix, id))
            .collect()
    }

    /// What the host's other ports said, as facts.
    pub(super) fn sign_lines(&self) -> Vec<String> {
        fact::first(self.signs.iter().map(|sign| sign.line.clone()))
    }
}

fn signs(matrix: &Matrix, column: &Column) -> Vec<Sign> {
    let mut signs = Vec::new();
    for index in matrix.answered() {
        let vantage = matrix.vantage(index);
        let others = vantage
            .cells
            .iter()
            .chain(vantage.follow_ups.iter().filter(|cell| cell.asks_of_the_path()))
            .filter(|cell| {
                cell.attempt.address == column.address && cell.attempt.endpoint.port != column.endpoint.port
            });
        let tried: BTreeSet<u16> = others.clone().map(|cell| cell.attempt.endpoint.port).collect();
        signs.extend(others.filter_map(|cell| sign(index, vantage.name(), cell)));
        signs.extend(
            trace::to(matrix, index, column.address)
                .filter(|path| path.protocol == PathProtocol::Udp || !tried.contains(&path.port))
                .filter(|path| path.protocol == PathProtocol::Udp || path.port != column.endpoint.port)
                .map(|path| path_sign(index, vantage.name(), path)),
        );
    }
    signs
}

fn sign(vantage: usize, name: &str, cell: &Cell) -> Option<Sign> {
    let (alive, icmp) = match cell.reach {
        Reach::Connected | Reach::Reset => (true, None),
        Reach::Icmp(icmp) if icmp.from == Some(cell.attempt.address) => (true, None),
        Reach::Icmp(icmp) => (false, Some(icmp.class)),
        Reach::Silent => (false, None),
        Reach::Local(_) | Reach::Unclear | Reach::Untried => return None,
    };
    Some(Sign {
        vantage,
        took: cell.connect_time(),
        icmp,
        alive,
        line: fact::connection(name, cell),
    })
}

/// A path to another port is as good as an attempt there, but for its time: traces keep to a pace.
fn path_sign(vantage: usize, name: &str, path: &Path) -> Sign {
    Sign {
        vantage,
        took: None,
        icmp: None,
        alive: trace::answered_at(path).is_some(),
        line: trace::spelled(name, path),
    }
}

/// The vantage points of some cells.
pub(super) fn vantages(cells: &[CellId]) -> BTreeSet<usize> {
    cells.iter().map(|id| id.vantage).collect()
}
