//! Which follow-ups could change the answer: those that part what is still close, where it fails and at one healthy
//! witness, within what a vantage point can do in one round.

mod fits;
mod rows;
mod standing;
mod table;

use std::collections::BTreeMap;

use parallax_model::experiment::{Experiment, ExperimentKind};

use crate::conclude;
use crate::matrix::Matrix;

pub(crate) use table::told_apart;

/// What one vantage point may spend in one round, in milliseconds one after another.
const TIME: u32 = 6000;

/// What one vantage point may send in one round, in packets.
const PACKETS: u32 = 200;

/// The follow-ups worth making, the most telling first within each vantage point's allowance. What parts nothing waits
/// until there is nothing to part.
pub(crate) fn plan(matrix: &Matrix) -> Vec<Experiment> {
    let telling = standing::forced_addresses(matrix)
        .into_iter()
        .chain(standing::control_ports(matrix))
        .chain(table::wishes(matrix, &conclude::explain(matrix)))
        .chain(standing::raw_hellos(matrix))
        .chain(standing::repeats(matrix));
    let planned = affordable(matrix, telling);
    if planned.is_empty() {
        affordable(matrix, standing::injections(matrix))
    } else {
        planned
    }
}

fn affordable(matrix: &Matrix, wishes: impl IntoIterator<Item = Experiment>) -> Vec<Experiment> {
    let mut left: BTreeMap<String, (u32, u32)> = BTreeMap::new();
    let mut planned: Vec<Experiment> = Vec::new();
    for wish in wishes {
        if planned.contains(&wish) || made(matrix, &wish) {
            continue;
        }
        let (time, packets) = left.entry(wish.agent.to_string()).or_insert((TIME, PACKETS));
        let (costs, sends) = cost(wish.kind);
        if costs <= *time && sends <= *packets {
            *time -= costs;
            *packets -= sends;
            planned.push(wish);
        }
    }
    planned.sort();
    planned
}

/// Time in milliseconds and packets that an experiment takes.
const fn cost(kind: ExperimentKind) -> (u32, u32) {
    match kind {
        ExperimentKind::Path | ExperimentKind::PathControl | ExperimentKind::PathUdp => (1000, 48),
        ExperimentKind::PathSize => (1000, 64),
        ExperimentKind::HelloLadder | ExperimentKind::PortSweep => (3000, 96),
        ExperimentKind::Serial => (2000, 48),
        ExperimentKind::Later => (4000, 16),
        ExperimentKind::ControlPort | ExperimentKind::ControlTarget => (500, 4),
        _ => (700, 16),
    }
}

/// Whether it was made already, as an attempt or as a path.
fn made(matrix: &Matrix, wish: &Experiment) -> bool {
    let same_agent = || {
        matrix
            .vantages
            .iter()
            .filter(|vantage| vantage.seen.agent == wish.agent)
    };
    let attempted = same_agent()
        .flat_map(|vantage| vantage.experiments(wish.kind))
        .any(|cell| cell.attempt.address == wish.address && cell.attempt.endpoint == wish.endpoint);
    let traced = same_agent().any(|vantage| {
        let network = &vantage.seen.network;
        let path = network.paths.iter().any(|path| {
            path.experiment == Some(wish.kind)
                && path.address == wish.address
                && path.port == wish.endpoint.port
        });
        let sweep = wish.kind == ExperimentKind::PortSweep
            && network
                .sweeps
                .iter()
                .any(|sweep| sweep.address == wish.address && sweep.port == wish.endpoint.port);
        let control = wish.kind == ExperimentKind::ControlTarget && network.control.is_some();
        path || sweep || control
    });
    attempted || traced
}
