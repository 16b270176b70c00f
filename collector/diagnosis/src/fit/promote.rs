//! A look-alike that what was seen makes likelier than the claim takes its place.

use std::collections::BTreeSet;

use parallax_model::finding::{FindingKind, Location, Segment};

use super::twin::phrase;
use crate::candidate::{Blame, Candidate};
use crate::matrix::Matrix;
use crate::trouble::TroubleId;
use crate::words;

use FindingKind as Is;

/// A look-alike must be this many times as likely as the claim before it takes its place.
const CLEARLY: f64 = 2.0;

/// What is left over when another was contradicted is no surer than this: the rule that knows it did not speak.
const BY_ELIMINATION: f64 = 0.6;

/// Puts the likeliest look-alike in the place of a claim that is contradicted, where that one has a word of its own, and
/// no rule of its own that spoke of the same.
pub(crate) fn put_likelier_first(matrix: &Matrix, candidates: &mut [Candidate]) {
    let claims: Vec<(FindingKind, BTreeSet<TroubleId>)> = candidates
        .iter()
        .map(|candidate| (candidate.kind, candidate.explains.clone()))
        .collect();
    for candidate in candidates {
        let claimed: BTreeSet<FindingKind> = claims
            .iter()
            .filter(|(_, explains)| !explains.is_disjoint(&candidate.explains))
            .map(|&(kind, _)| kind)
            .collect();
        likelier(matrix, candidate, &claimed);
    }
}

fn likelier(matrix: &Matrix, candidate: &mut Candidate, claimed: &BTreeSet<FindingKind>) {
    let best = candidate
        .alternatives
        .iter()
        .enumerate()
        .filter(|(_, other)| places(other.kind).is_some() && !claimed.contains(&other.kind))
        .max_by(|(_, one), (_, other)| one.confidence.total_cmp(&other.confidence));
    let Some((index, best)) = best else { return };
    if best.confidence < candidate.confidence * CLEARLY || candidate.explains.is_empty() {
        return;
    }
    let Some((blame, segment)) = places(best.kind) else {
        return;
    };
    let best = candidate.alternatives.remove(index);
    candidate.summary = said(matrix, candidate, best.kind);
    candidate.blame = blame;
    candidate.location = Location {
        segment,
        ..candidate.location.clone()
    };
    let (kind, confidence) = (candidate.kind, candidate.confidence);
    let test = std::mem::replace(&mut candidate.told_apart_by, best.told_apart_by);
    *candidate = candidate.clone().or(kind, confidence, test);
    candidate.kind = best.kind;
    candidate.confidence = best.confidence.min(BY_ELIMINATION);
}

/// Whose it would be, and where, of those that are not named by their own evidence alone.
const fn places(kind: FindingKind) -> Option<(Blame, Segment)> {
    match kind {
        Is::SourceBanned => Some((Blame::Target, Segment::SiteEdge)),
        Is::HostDown | Is::ServerOverloaded | Is::OneBackendBroken | Is::PortClosed => {
            Some((Blame::Target, Segment::Service))
        }
        Is::PacketsDropped
        | Is::ReturnPathLost
        | Is::RejectedWithReset
        | Is::OnePathBroken
        | Is::PacketLoss => Some((Blame::Target, Segment::Unknown)),
        Is::ConnectionLimit | Is::RateLimited => Some((Blame::Target, Segment::Unknown)),
        Is::AgentLocalFirewall | Is::AgentNetworkDown => Some((Blame::Agent, Segment::Agent)),
        _ => None,
    }
}

/// "edge-lyo and 198.51.100.20:993: a ban of the source address explains best what was seen"
fn said(matrix: &Matrix, candidate: &Candidate, kind: FindingKind) -> String {
    let affected: Vec<usize> = candidate.affected(matrix).into_iter().collect();
    let troubles = candidate.explains.iter();
    let sockets: BTreeSet<String> = troubles
        .filter_map(|&id| matrix.troubles[id].cell)
        .map(|cell| matrix.cell(cell).socket().to_string())
        .collect();
    let sockets: Vec<String> = sockets.into_iter().collect();
    format!(
        "{} and {}: {} explains best what was seen",
        words::list(&matrix.names(&affected)),
        words::list(&sockets),
        phrase(kind)
    )
}
