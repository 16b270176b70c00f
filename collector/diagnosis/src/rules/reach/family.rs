//! One of IPv4 and IPv6 that works, and the other that does not.

use std::collections::BTreeSet;
use std::net::IpAddr;

use parallax_model::finding::FindingKind;
use parallax_model::observation::Family;

use super::claim::Claim;
use super::column::vantages;
use crate::candidate::{Blame, Candidate};
use crate::matrix::{CellId, Matrix};
use crate::overlay;
use crate::symptom::Reach;
use crate::words;

/// Claim: at the affected vantage points every address of one family fails and the other family connects, so it
/// is the family that is broken, and the reach claim says how.
/// Disproved by: a connection over that family, or a failure of the other.
pub(super) fn broken(matrix: &Matrix, claim: &Claim, reach: &Candidate) -> Option<Candidate> {
    let families: BTreeSet<Family> = claim.cells.iter().map(|&id| matrix.cell(id).family()).collect();
    let mut families = families.into_iter();
    let (Some(family), None) = (families.next(), families.next()) else {
        return None;
    };
    let affected = vantages(&claim.cells);
    // Others come through the same hop over that family, or the flow decides: then it is not the family.
    let narrower = matches!(
        claim.kind,
        FindingKind::OnePathBroken | FindingKind::OneBackendBroken | FindingKind::SourceBanned
    );
    if claim.blame == Blame::Agent || narrower {
        return None;
    }
    if !affected
        .iter()
        .all(|&vantage| only_family(matrix, claim, vantage, family))
    {
        return None;
    }
    let answers = |&id: &CellId| overlay::answers_now(matrix, id);
    let addresses: BTreeSet<IpAddr> = claim
        .cells
        .iter()
        .map(|&id| matrix.cell(id).attempt.address)
        .collect();
    if claim.cells.iter().any(answers)
        || addresses
            .into_iter()
            .any(|address| overlay::crosswise(matrix, address))
    {
        return None;
    }
    let works = words::family(family.other());
    let mut found = reach.clone();
    found.kind = FindingKind::FamilyBroken;
    found.confidence = (claim.confidence + 0.05).min(0.95);
    found.summary = format!(
        "{} over {}, while {works} works: {}",
        claim.who_cannot_reach(matrix),
        words::family(family),
        claim.phrase
    );
    found.because = reach.because.clone();
    found
        .because
        .push(format!("{works} connects at the same vantage points"));
    found.alternatives.clear();
    let left = 1.0 - found.confidence;
    let (rival, test) = if claim
        .cells
        .iter()
        .any(|&id| matrix.cell(id).reach == Reach::Reset)
    {
        (
            FindingKind::ConnectionLimit,
            "the same attempt several times, one after another: a limit lets them through, a fault stays",
        )
    } else {
        (FindingKind::OnePathBroken, "the same from many source ports")
    };
    found = found.or(rival, (left * 0.3).max(0.05), test).or(
        claim.kind,
        left * 0.7,
        format!(
            "whether other hosts are reached over {} from there: then it is this host alone",
            words::family(family)
        ),
    );
    Some(found)
}

fn only_family(matrix: &Matrix, claim: &Claim, vantage: usize, family: Family) -> bool {
    let mut other_connects = false;
    for id in matrix.cells_of(vantage) {
        let cell = matrix.cell(id);
        if cell.family() == family {
            if !claim.cells.contains(&id) {
                return false;
            }
        } else if cell.reach == Reach::Connected {
            other_connects = true;
        } else {
            return false;
        }
    }
    other_connects
}
