//! Whom a trouble touches and whom it spares: the comparison that most claims rest on.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use parallax_model::finding::Segment;
use parallax_model::stage::{Stage, StageName};

use crate::matrix::{Cell, Matrix};
use crate::trouble::TroubleId;

/// Whom a set of troubles touches, and whom it spares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Extent {
    /// Vantage points that have the trouble.
    pub(crate) affected: Vec<usize>,
    /// Vantage points that were asked the same and do not have it.
    pub(crate) spared: Vec<usize>,
}

impl Extent {
    /// The extent of some troubles of one kind.
    pub(crate) fn of(matrix: &Matrix, troubles: &[TroubleId]) -> Self {
        let affected = matrix.vantages_of(troubles);
        let stage = troubles.iter().filter_map(|&id| matrix.troubles[id].stage).min();
        let sockets = sockets(matrix, troubles);
        let spared = spared(matrix, &affected, stage, &sockets);
        Self { affected, spared }
    }

    /// One vantage point has it, and there is nobody to compare with.
    pub(crate) fn alone(&self) -> bool {
        self.spared.is_empty() && self.affected.len() < 2
    }

    /// Several vantage points have it, and nobody is without it.
    pub(crate) fn everywhere(&self) -> bool {
        self.spared.is_empty() && self.affected.len() > 1
    }

    /// Some have it, others do not.
    pub(crate) fn partly(&self) -> bool {
        !self.spared.is_empty()
    }

    /// How sure a fact is that the server itself states: surer when several saw it, less so when some did not.
    pub(crate) fn stated(&self) -> f64 {
        if self.everywhere() {
            0.95
        } else if self.alone() {
            0.85
        } else {
            0.8
        }
    }

    /// Where a fault above TCP is, from nothing but who has it.
    pub(crate) fn segment(&self) -> Segment {
        if self.everywhere() {
            Segment::Service
        } else {
            Segment::Unknown
        }
    }
}

/// The addresses and ports at which these troubles show.
pub(crate) fn sockets(matrix: &Matrix, troubles: &[TroubleId]) -> BTreeSet<SocketAddr> {
    troubles
        .iter()
        .filter_map(|&id| matrix.troubles[id].cell)
        .map(|cell| matrix.cell(cell).socket())
        .collect()
}

/// Vantage points that were asked the same as the affected ones and came past the stage: at the same addresses
/// where they tried them, else anywhere.
pub(crate) fn spared(
    matrix: &Matrix,
    affected: &[usize],
    stage: Option<StageName>,
    sockets: &BTreeSet<SocketAddr>,
) -> Vec<usize> {
    matrix
        .answered()
        .filter(|vantage| !affected.contains(vantage))
        .filter(|&index| {
            let vantage = matrix.vantage(index);
            match stage {
                None => true,
                Some(StageName::Resolve) => vantage
                    .seen
                    .resolve
                    .as_ref()
                    .is_some_and(|stage| !Stage::failed(stage)),
                Some(stage) => came_past(&vantage.cells, stage, sockets),
            }
        })
        .collect()
}

fn came_past(cells: &[Cell], stage: StageName, sockets: &BTreeSet<SocketAddr>) -> bool {
    let (same, other): (Vec<&Cell>, Vec<&Cell>) =
        cells.iter().partition(|cell| sockets.contains(&cell.socket()));
    let asked = if same.is_empty() { other } else { same };
    asked.iter().any(|cell| cell.passed(stage))
}
