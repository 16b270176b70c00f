//! From what was found and its rivals to the tests of the table that would part them, and to the words that say so.

use std::collections::BTreeMap;

use parallax_model::experiment::{CONTROL_PORT, Experiment, ExperimentKind, Variation};
use parallax_model::finding::{FindingKind, Segment};
use parallax_model::target::{Endpoint, Security};

use super::fits::{another_source, other_family, other_port, unreached, untraced};
use super::made;
use super::rows::{ASK_WHOSE, At, PLACES, TESTS, Test, WHOSE};
use super::standing::PER_TROUBLE;
use crate::candidate::Candidate;
use crate::matrix::{CellId, Matrix};
use crate::rules::alpn;
use crate::symptom::Reach;

use ExperimentKind as Do;

/// A rival less likely than this is not asked about.
const CLOSE: f64 = 0.05;

/// An explanation this sure is asked about no more.
const SURE: f64 = 0.85;

/// A name that no mail server has and nobody filters (RFC 2606 section 3).
const NEUTRAL_NAME: &str = "www.example.com";

/// What every host takes (RFC 9293 section 3.7.1).
const SMALL_MSS: u16 = 536;

/// Closed nearly everywhere, and known to whoever looks at packets.
const TRACEROUTE_PORT: u16 = 33434;

/// Connections one after another that part chance and limits from a fault that stays.
const SERIAL: u8 = 3;

/// A limit on a rate forgets within this time, and an operator still waits.
const LATER_MS: u32 = 2500;

/// What would tell a candidate apart from a rival, in the words of the test that is made for it, while it was not.
pub(crate) fn told_apart(matrix: &Matrix, candidate: &Candidate, rival: FindingKind) -> Option<&'static str> {
    let cells = cells(matrix, candidate);
    let open = |test: &&Test| {
        test.parts(candidate.kind, rival)
            && cells.iter().any(|&id| (test.fits)(matrix, id))
            && !cells
                .iter()
                .any(|&id| made(matrix, &experiment(matrix, id, test.kind)))
    };
    TESTS.iter().find(open).map(|test| test.told_apart_by)
}

/// The tests that would part what was found from what else it could be, then those that would find its place.
pub(super) fn wishes(matrix: &Matrix, chosen: &[Candidate]) -> Vec<Experiment> {
    let parting = TESTS.iter().flat_map(|test| {
        chosen
            .iter()
            .filter(|candidate| open(candidate, test))
            .flat_map(|candidate| made_of(matrix, candidate, test))
    });
    let placing = PLACES.iter().flat_map(|&(found, kind)| {
        chosen
            .iter()
            .filter(move |candidate| candidate.kind == found && unplaced(candidate))
            .flat_map(move |candidate| {
                let cells = cells(matrix, candidate);
                places(matrix, &cells, kind, |_, _| true)
            })
    });
    let whose = chosen
        .iter()
        .filter(|candidate| WHOSE.contains(&candidate.kind))
        .flat_map(|candidate| {
            let mut cells = cells(matrix, candidate);
            // What several are shown is told by one path of each, sooner than by all paths of one.
            cells.sort_by_key(|id| (id.index, id.vantage));
            cells.truncate(ASK_WHOSE);
            let cells = &cells[..];
            let mut wishes = places(matrix, cells, Do::Path, untraced);
            wishes.extend(places(matrix, cells, Do::PathControl, unreached));
            wishes
        });
    let refused = chosen.iter().flat_map(|candidate| {
        let cells = cells(matrix, candidate);
        places(matrix, &cells, Do::NoAlpn, alpn::refuses)
    });
    parting.chain(placing).chain(whose).chain(refused).collect()
}

fn unplaced(candidate: &Candidate) -> bool {
    candidate.location.segment == Segment::Unknown && candidate.location.after.is_none()
}

/// Whether a test would part a candidate from one of its close rivals.
fn open(candidate: &Candidate, test: &Test) -> bool {
    candidate.confidence < SURE
        && candidate
            .alternatives
            .iter()
            .any(|rival| rival.confidence >= CLOSE && test.parts(candidate.kind, rival.kind))
}

fn made_of(matrix: &Matrix, candidate: &Candidate, test: &Test) -> Vec<Experiment> {
    let cells = cells(matrix, candidate);
    let mut wishes = places(matrix, &cells, test.kind, test.fits);
    if test.kind == Do::AnswerTtl {
        let resets = wishes
            .iter()
            .filter(|_| cells.iter().any(|&id| matrix.cell(id).reach == Reach::Reset));
        let beside: Vec<Experiment> = resets.map(at_the_control_port).collect();
        wishes.extend(beside);
    }
    if test.at == At::Both
        && let Some(&first) = cells.first()
    {
        let works = |id: &CellId| matrix.cell(*id).reach == Reach::Connected && (test.fits)(matrix, *id);
        let witness: Vec<CellId> = matrix.beside(first).filter(works).take(1).collect();
        wishes.extend(places(matrix, &witness, test.kind, test.fits));
    }
    wishes
}

/// The same at a port of the host that is closed nearly everywhere, to compare with.
fn at_the_control_port(experiment: &Experiment) -> Experiment {
    Experiment {
        endpoint: Endpoint {
            port: CONTROL_PORT,
            security: Security::Plaintext,
        },
        ..experiment.clone()
    }
}

/// The attempts that a candidate explains, one for each vantage point and address.
fn cells(matrix: &Matrix, candidate: &Candidate) -> Vec<CellId> {
    let mut cells: Vec<CellId> = candidate
        .explains
        .iter()
        .filter_map(|&id| matrix.troubles[id].cell)
        .collect();
    cells.dedup();
    cells
}

/// One experiment at each attempt that it fits, at no more vantage points than needed.
fn places(
    matrix: &Matrix,
    cells: &[CellId],
    kind: ExperimentKind,
    fits: fn(&Matrix, CellId) -> bool,
) -> Vec<Experiment> {
    let mut per_column: BTreeMap<_, usize> = BTreeMap::new();
    let mut wishes = Vec::new();
    for &id in cells.iter().filter(|&&id| fits(matrix, id)) {
        let attempt = matrix.cell(id).attempt;
        let asked = per_column.entry((attempt.address, attempt.endpoint)).or_default();
        if *asked < PER_TROUBLE {
            *asked += 1;
            wishes.push(experiment(matrix, id, kind));
        }
    }
    wishes
}

fn experiment(matrix: &Matrix, id: CellId, kind: ExperimentKind) -> Experiment {
    let attempt = matrix.cell(id).attempt;
    let variation = Variation {
        source: (kind == Do::OtherSource)
            .then(|| another_source(matrix, id))
            .flatten(),
        server_name: (kind == Do::OtherSni).then(|| NEUTRAL_NAME.to_owned()),
        mss: (kind == Do::SmallMss).then_some(SMALL_MSS),
        repeat: (kind == Do::Serial).then_some(SERIAL),
        after_ms: (kind == Do::Later).then_some(LATER_MS),
        ..Variation::default()
    };
    let endpoint = match kind {
        Do::PathControl => Endpoint {
            port: CONTROL_PORT,
            security: Security::Plaintext,
        },
        Do::PathUdp => Endpoint {
            port: TRACEROUTE_PORT,
            security: Security::Plaintext,
        },
        Do::OtherPort => other_port(matrix, id).unwrap_or(attempt.endpoint),
        _ => attempt.endpoint,
    };
    let address = match kind {
        Do::OtherFamily => other_family(matrix, id).unwrap_or(attempt.address),
        _ => attempt.address,
    };
    Experiment {
        kind,
        agent: matrix.vantage(id.vantage).seen.agent.clone(),
        address,
        endpoint,
        variation,
    }
}
