//! Connections that are not made, while the packets did leave the agent's host.

mod claim;
mod column;
mod family;
mod group;
mod placed;
mod rejection;
mod reset;
mod silence;

use crate::candidate::Candidate;
use crate::matrix::{CellId, Matrix};
use crate::rules::answers;

use claim::Claim;
use column::View;

/// What is said of a host that only a resolver at odds with the others gave is true, and beside the point.
const WRONG_HOST: f64 = 0.5;

/// Claim: something between the agent and the service keeps connections from being made. Which of silence, reset
/// and ICMP came back, to whom, and who was connected to the same address, says what it is.
/// Disproved by: a completed TCP handshake.
pub(crate) fn unreachable(matrix: &Matrix) -> Vec<Candidate> {
    let mut claims: Vec<Claim> = Vec::new();
    for column in matrix.columns() {
        let view = View::new(matrix, &column);
        let found = silence::claims(&view)
            .into_iter()
            .chain(reset::claims(&view))
            .chain(rejection::claims(&view));
        for claim in found {
            match claims.iter_mut().find(|other| other.is_the_same(matrix, &claim)) {
                Some(other) => other.merge(claim),
                None => claims.push(claim),
            }
        }
    }
    let odd = answers::odd_addresses(matrix);
    for claim in &mut claims {
        let is_odd = |id: &CellId| {
            let address = matrix.cell(*id).attempt.address;
            odd.iter().any(|odd| odd.address == address)
        };
        if claim.cells.iter().all(is_odd) {
            claim.confidence = claim.confidence.min(WRONG_HOST);
        }
    }
    claims
        .iter()
        .flat_map(|claim| {
            let reach = claim.candidate(matrix);
            let family = family::broken(matrix, claim, &reach);
            std::iter::once(reach).chain(family)
        })
        .collect()
}
