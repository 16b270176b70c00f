//! Vantage points that stand beside the host.

use super::distance_beside;
use crate::matrix::{CellId, Matrix};
use crate::symptom::Reach;

/// Whether a vantage point stands beside the host, so that no router is between them: then what it gets is the host's own,
/// and nothing on the way to others concerns it.
pub(crate) fn inside(matrix: &Matrix, id: CellId) -> bool {
    let facts = matrix.cell(id).connect();
    match facts.and_then(|facts| facts.on_link) {
        Some(on_link) => on_link,
        None => distance_beside(matrix, id) == Some(1),
    }
}

/// Whether somebody beside the host gets no answer either: then no router before it is to blame.
pub(crate) fn silent_inside(matrix: &Matrix, id: CellId) -> bool {
    std::iter::once(id)
        .chain(matrix.beside(id))
        .any(|other| matrix.cell(other).reach == Reach::Silent && inside(matrix, other))
}

/// Whether those who connect all stand beside the host.
pub(crate) fn only_inside_connects(matrix: &Matrix, id: CellId) -> bool {
    let mut connecting = matrix
        .beside(id)
        .filter(|&other| matrix.cell(other).reach == Reach::Connected)
        .peekable();
    connecting.peek().is_some() && connecting.all(|other| inside(matrix, other))
}

/// Whether those who are served all stand beside the host.
pub(crate) fn only_inside_is_served(matrix: &Matrix, id: CellId) -> bool {
    let mut served = matrix.beside(id).filter(|&other| matrix.served(other)).peekable();
    served.peek().is_some() && served.all(|other| inside(matrix, other)) && !inside(matrix, id)
}
