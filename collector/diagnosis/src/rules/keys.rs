//! Whether one key serves the target everywhere.

use std::collections::{BTreeMap, BTreeSet};

use parallax_model::finding::{FindingKind, Segment, Severity};
use parallax_model::stage::StageName;

use crate::candidate::Candidate;
use crate::fact;
use crate::matrix::{CellId, Matrix};
use crate::words;

/// Claim: different certificates serve one target, all of them valid, which is how some services are built.
/// Disproved by: one key everywhere.
pub(crate) fn differ(matrix: &Matrix) -> Vec<Candidate> {
    let mut keys: BTreeMap<&str, Vec<CellId>> = BTreeMap::new();
    for id in matrix.cells().filter(|&id| matrix.cell(id).verified()) {
        if let Some(leaf) = matrix.cell(id).leaf() {
            keys.entry(&leaf.spki_sha256).or_default().push(id);
        }
    }
    if keys.len() < 2 {
        return Vec::new();
    }
    let lines = keys.values().filter_map(|cells| {
        let &first = cells.first()?;
        let seen: BTreeSet<String> = cells
            .iter()
            .map(|&id| format!("{} at {}", matrix.name(id.vantage), matrix.cell(id).socket()))
            .collect();
        let seen: Vec<String> = seen.into_iter().collect();
        let leaf = matrix.cell(first).leaf()?;
        Some(format!(
            "key {}… until {} is seen by {}",
            words::quote(leaf.spki_sha256.get(..12).unwrap_or(&leaf.spki_sha256)),
            leaf.not_after,
            words::list(&seen)
        ))
    });
    let cells: Vec<CellId> = keys.values().flatten().copied().collect();
    let found = Candidate::new(matrix, FindingKind::CertificateDiffers, 0.95, [])
        .severity(Severity::Info)
        .also(cells.iter().map(|id| id.vantage))
        .sockets(cells.iter().map(|&id| matrix.cell(id).socket()))
        .stage(StageName::Tls)
        .segment(Segment::Service)
        .summary(format!(
            "{} is served with {} different keys, all of them valid",
            matrix.host(),
            keys.len()
        ))
        .because(fact::first(lines));
    vec![found]
}
