//! Explanations that nothing sent from outside can part, and what is said of them.

use std::collections::BTreeSet;

use parallax_model::finding::FindingKind;

use crate::candidate::{Blame, Candidate};
use crate::matrix::Matrix;
use crate::rules::flows;
use crate::symptom::Reach;
use crate::words;

use FindingKind as Is;

/// How sure a claim can be beside a twin.
const BESIDE_A_TWIN: f64 = 0.6;

/// A twin less likely than this part of the claim is one in name only.
const LIKELY: f64 = 0.1;

/// Below this a claim is not made where a look-alike of another sort is as likely.
const TOLD_APART: f64 = 0.5;

/// Limits a claim that has a twin, names the set, and takes back what is told apart from nothing.
pub(crate) fn part(matrix: &Matrix, candidate: &mut Candidate) {
    let twins: Vec<FindingKind> = candidate
        .alternatives
        .iter()
        .filter(|other| other.confidence >= candidate.confidence * LIKELY)
        .map(|other| other.kind)
        .filter(|&kind| inseparable(matrix, candidate, kind))
        .collect();
    if !twins.is_empty() {
        candidate.confidence = candidate.confidence.min(BESIDE_A_TWIN);
        let names: Vec<&str> = twins.iter().map(|&kind| phrase(kind)).collect();
        candidate.summary.push_str(&format!(
            " (it looks the same from here as {})",
            words::either(&names)
        ));
    }
    if candidate.blame == Blame::Target && candidate.confidence < TOLD_APART {
        doubt(candidate);
    }
}

/// What nothing reaches a half of, and is as likely of another sort, is not called by a name.
fn doubt(candidate: &mut Candidate) {
    let other = candidate
        .alternatives
        .iter()
        .find(|other| other.confidence >= candidate.confidence && sort(other.kind) != sort(candidate.kind));
    let Some(other) = other.map(|other| other.kind) else {
        return;
    };
    let (kind, confidence) = (candidate.kind, candidate.confidence);
    let test = candidate.told_apart_by.clone();
    candidate.summary = format!(
        "{}, which is not told apart from {}",
        candidate.summary,
        phrase(other)
    );
    let told = std::mem::replace(candidate, candidate.clone().or(kind, confidence, test));
    drop(told);
    candidate.kind = FindingKind::Inconclusive;
}

/// Whether a look-alike would show the very same to everybody outside the site.
fn inseparable(matrix: &Matrix, candidate: &Candidate, twin: FindingKind) -> bool {
    let cells: Vec<_> = candidate
        .explains
        .iter()
        .filter_map(|&id| matrix.troubles[id].cell)
        .collect();
    let silent = !cells.is_empty() && cells.iter().all(|&id| matrix.cell(id).reach == Reach::Silent);
    let addresses: BTreeSet<_> = cells.iter().map(|&id| matrix.cell(id).attempt.address).collect();
    let location = &candidate.location;
    let unplaced = location.after.is_none() && location.before.is_none();
    let by_flow = cells
        .iter()
        .any(|&id| flows::known(matrix, matrix.cell(id).attempt.endpoint.port));
    let last = unplaced || location.before.is_some_and(|before| addresses.contains(&before));
    match (candidate.kind, twin) {
        (Is::PacketsDropped, Is::ReturnPathLost | Is::ServerOverloaded) => silent && last,
        (Is::PacketsDropped, Is::SourceBanned) => silent && last,
        (Is::SourceBanned, Is::PacketsDropped | Is::ReturnPathLost | Is::OneBackendBroken) => silent,
        // No ban lets some of one source's flows through, the same ones each time.
        (Is::OneBackendBroken, Is::SourceBanned) => silent && !by_flow,
        (Is::HostDown, Is::PacketsDropped | Is::ReturnPathLost) => silent,
        (Is::AgentLocalFirewall, Is::PacketsDropped) => silent,
        _ => false,
    }
}

/// Explanations of one sort have a word in common that is true of all.
fn sort(kind: FindingKind) -> u8 {
    match kind {
        Is::PacketsDropped
        | Is::HostDown
        | Is::ReturnPathLost
        | Is::SourceBanned
        | Is::ServerOverloaded
        | Is::OnePathBroken
        | Is::OneBackendBroken
        | Is::PacketLoss
        | Is::RateLimited
        | Is::ConnectionLimit
        | Is::FamilyBroken
        | Is::RejectedWithReset
        | Is::RejectedWithIcmp
        | Is::NoRoute
        | Is::RoutingLoop
        | Is::PortClosed => 0,
        Is::TlsIntercepted
        | Is::Redirected
        | Is::CertificateUntrusted
        | Is::CertificateSelfSigned
        | Is::CertificateChainIncomplete
        | Is::CertificateNameMismatch => 1,
        Is::AgentLocalFirewall | Is::AgentNetworkDown | Is::AgentNoRoute | Is::AgentClockSkew => 2,
        _ => 3,
    }
}

pub(super) const fn phrase(kind: FindingKind) -> &'static str {
    match kind {
        Is::ReturnPathLost => "answers lost on the way back",
        Is::ServerOverloaded => "a full accept queue",
        Is::PacketsDropped => "packets dropped on the way",
        Is::SourceBanned => "a ban of the source address",
        Is::OneBackendBroken => "a dead backend of a balancer",
        Is::HostDown => "a host that is down",
        Is::AgentLocalFirewall => "a filter on the agent's host",
        Is::PortClosed => "a port that nothing listens on",
        Is::RejectedWithReset => "a reset that is not the server's own",
        Is::OnePathBroken => "a fault of some flows only",
        Is::PacketLoss => "packets lost at random",
        Is::ConnectionLimit => "a limit on connections at once",
        Is::RateLimited => "a limit on the rate of connections",
        Is::AgentNetworkDown => "a dead network of the agent",
        Is::TlsIntercepted => "a certificate put in on the way",
        _ => kind.as_str(),
    }
}
