//! How well an explanation predicts everything that was seen, what worked as much as what failed.
//!
//! A rule looks at what it is about and says how sure it is: that is the prior. Here each of its explanation, of its
//! look-alikes and of "something else" is held against all cells, follow-ups, paths and sweeps. Whatever an explanation
//! predicts otherwise than it was seen makes it less likely; what it predicts nothing about leaves it as it is. What is
//! left, made to add up to one, is how sure it is. A fit never makes a claim surer than the rule that knows its evidence:
//! what a contradicted look-alike loses is left open.

mod element;
mod expect;
mod promote;
mod twin;
mod witness;

use std::collections::{BTreeMap, BTreeSet};

use parallax_model::finding::Segment;

use crate::candidate::Candidate;
use crate::matrix::Matrix;
use crate::trouble::TroubleId;

use element::Claimed;
use expect::Sight;

pub(crate) use promote::put_likelier_first;
pub(crate) use twin::part;
pub(crate) use witness::Witnesses;

/// Probability of what is seen where it is what an explanation predicts, and where it is the contrary.
const AS_PREDICTED: f64 = 0.95;
const CONTRARY: f64 = 0.05;

/// Probability of what an explanation does not predict and does not rule out either: a rule may be about one source, a
/// router that limits its ICMP may be silent.
const UNLIKELY: f64 = 0.4;

/// What "something else" is left with at least.
const SOMETHING_ELSE: f64 = 0.02;

/// Every further independent witness that an explanation accounts for saves another fault (in log odds).
const FEWER_FAULTS: f64 = 0.2;

/// What further witnesses can add at most.
const FEWER_FAULTS_AT_MOST: f64 = 0.6;

/// Weighs an explanation and its look-alikes by how each predicts what was seen.
pub(crate) fn weigh(matrix: &Matrix, witnesses: &Witnesses, candidate: &mut Candidate) {
    let prior = candidate.confidence;
    let own = likelihood(
        witnesses,
        &expect::against(matrix, witnesses, &Claimed::of(matrix, candidate)),
    );
    let named: f64 = candidate.alternatives.iter().map(|other| other.confidence).sum();
    // Look-alikes are told with what a rule gives them, which may be more than the claim leaves.
    let scale = if named > 1.0 - prior {
        (1.0 - prior) / named
    } else {
        1.0
    };
    let rivals: Vec<f64> = candidate
        .alternatives
        .iter()
        .map(|other| {
            let claimed = Claimed::look_alike(matrix, candidate, other.kind);
            other.confidence * scale * likelihood(witnesses, &expect::against(matrix, witnesses, &claimed))
        })
        .collect();
    let else_ = (1.0 - prior - named * scale).max(SOMETHING_ELSE);
    let before = prior + named * scale + else_;
    let all = (prior * own + rivals.iter().sum::<f64>() + else_) / before;
    candidate.confidence = (prior * own / all).min(prior);
    for (other, rival) in candidate.alternatives.iter_mut().zip(rivals) {
        other.confidence = rival / all;
    }
    candidate.alternatives.retain(|other| other.confidence >= TOLD);
}

/// A look-alike less likely than this is contradicted, and not told.
const TOLD: f64 = 0.005;

/// How much less likely what was seen is under an explanation than if everything were as it predicts. What one witness
/// saw of one thing counts once.
fn likelihood(witnesses: &Witnesses, against: &[Sight]) -> f64 {
    let mut worst: BTreeMap<_, f64> = BTreeMap::new();
    for sight in against {
        let key = (witnesses.of(sight.vantage), sight.address, sight.sort);
        let known = worst.entry(key).or_insert(1.0);
        *known = known.min(sight.probability / AS_PREDICTED);
    }
    worst.values().product()
}

/// How good an explanation of these troubles it is: its odds, and the faults that it saves.
pub(crate) fn score(
    matrix: &Matrix,
    witnesses: &Witnesses,
    candidate: &Candidate,
    open: &BTreeSet<TroubleId>,
) -> f64 {
    let explained: BTreeSet<_> = candidate
        .explains
        .intersection(open)
        .map(|&id| {
            let trouble = &matrix.troubles[id];
            let family = trouble.cell.map(|cell| matrix.cell(cell).family());
            (witnesses.of(trouble.vantage), family, trouble.stage)
        })
        .collect();
    let more = u32::try_from(explained.len().saturating_sub(1)).unwrap_or(u32::MAX);
    odds(candidate.confidence)
        + prior_of(candidate)
        + (f64::from(more) * FEWER_FAULTS).min(FEWER_FAULTS_AT_MOST)
}

/// Of two explanations as likely by what was seen, the host is the likelier place, then the site's border, then somebody
/// else's network; where paths name the place no such guess is needed.
fn prior_of(candidate: &Candidate) -> f64 {
    let placed = candidate.location.after.is_some() || candidate.location.before.is_some();
    match candidate.location.segment {
        _ if placed => 0.0,
        Segment::Service | Segment::Unknown => 0.0,
        Segment::SiteEdge => -0.1,
        Segment::VantageEdge | Segment::Agent => -0.2,
        Segment::Transit => -0.3,
    }
}

fn odds(confidence: f64) -> f64 {
    let inside = confidence.clamp(0.001, 0.999);
    (inside / (1.0 - inside)).ln()
}
