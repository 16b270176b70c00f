//! Which follow-ups could change the answer: those that part what is still close, where it fails and at one healthy
//! witness, within what a vantage point can do in one round.

mod fits;
mod rows;
mod standing;
mod table;

use std::collections::BTreeMap;

use parallax_model::evidence::{Evidence, OtherAnswer};
use parallax_model::experiment::{Experiment, ExperimentKind};
use parallax_model::observation::Observation;

use crate::candidate::Candidate;
use crate::matrix::Matrix;

pub(crate) use table::told_apart;

/// What one vantage point may spend in one round, in milliseconds one after another.
const TIME: u32 = 6000;

/// What one vantage point may send in one round, in packets.
const PACKETS: u32 = 200;

/// The follow-ups worth making, the most telling first within each vantage point's allowance. What parts nothing waits
/// until there is nothing to part.
pub(crate) fn plan(matrix: &Matrix, chosen: &[Candidate]) -> Vec<Experiment> {
    let telling = standing::forced_addresses(matrix)
        .into_iter()
        .chain(standing::other_resolvers(matrix))
        .chain(standing::control_ports(matrix))
        .chain(table::wishes(matrix, chosen))
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
        ExperimentKind::Later => (2600, 16),
        ExperimentKind::ControlPort | ExperimentKind::ControlTarget => (500, 4),
        _ => (700, 16),
    }
}

/// Whether it was made already.
fn made(matrix: &Matrix, wish: &Experiment) -> bool {
    matrix
        .vantages
        .iter()
        .filter(|vantage| vantage.seen.agent == wish.agent)
        .any(|vantage| is_answered(vantage.seen, wish))
}

/// Whether what an agent reports holds what an experiment asked for: an attempt, a path, a sweep, or an answer.
pub fn is_answered(seen: &Observation, wish: &Experiment) -> bool {
    let there = |address, port| address == wish.address && port == wish.endpoint.port;
    let network = &seen.network;
    let tried = || {
        seen.experiments(wish.kind)
            .any(|attempt| attempt.address == wish.address && attempt.endpoint == wish.endpoint)
    };
    let told = match wish.kind {
        ExperimentKind::ControlTarget => network.control.is_some(),
        ExperimentKind::OtherResolver => other_answer(seen).is_some(),
        ExperimentKind::PortSweep => network
            .sweeps
            .iter()
            .any(|sweep| there(sweep.address, sweep.port)),
        kind if kind.is_path() => network
            .paths
            .iter()
            .any(|path| path.experiment == Some(kind) && there(path.address, path.port)),
        _ => false,
    };
    told || tried()
}

fn other_answer(seen: &Observation) -> Option<&OtherAnswer> {
    match seen.resolve.as_ref()?.evidence.as_ref()? {
        Evidence::Resolve(facts) => facts.other.as_ref(),
        _ => None,
    }
}
