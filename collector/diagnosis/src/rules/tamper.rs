//! Something on the way that answers in the server's name, seen by comparing vantage points at one address.

use std::collections::BTreeMap;

use parallax_model::certificate::CertificateFacts;
use parallax_model::fault::{FaultKind, ImapFault, TlsFault};
use parallax_model::finding::FindingKind;
use parallax_model::stage::StageName;

use super::certificate::{is_certificate, is_trust};
use super::hello::{End, Lost};
use super::not_tls;
use crate::candidate::Candidate;
use crate::extent::Extent;
use crate::fact;
use crate::matrix::{CellId, Matrix};
use crate::overlay::{self, Answerer};
use crate::trouble::TroubleId;
use crate::words;

/// Claim: at one address, these vantage points see a certificate of another key that nobody vouches for, while
/// others see a trusted one, or they saw one themselves when the target last worked: somebody on their way puts his own
/// in. One by the very issuer of the trusted one is rather a new one with something missing.
/// Disproved by: the same key seen by others, or the key in the server's own configuration.
pub(crate) fn intercepted(matrix: &Matrix) -> Vec<Candidate> {
    let mut groups: BTreeMap<&str, Vec<CellId>> = BTreeMap::new();
    for id in matrix.cells() {
        let untrusted = matrix.kinds_of(id).any(is_trust);
        if let Some(leaf) = matrix
            .cell(id)
            .leaf()
            .filter(|_| untrusted && (other_key_beside(matrix, id) || replaced(matrix, id)))
        {
            groups.entry(&leaf.spki_sha256).or_default().push(id);
        }
    }
    groups.values().map(|cells| interception(matrix, cells)).collect()
}

fn interception(matrix: &Matrix, cells: &[CellId]) -> Candidate {
    let troubles = certificate_troubles(matrix, cells);
    let extent = Extent::of(matrix, &troubles);
    let names = matrix.names(&extent.affected);
    let misnamed = cells.iter().any(|&id| matrix.kinds_of(id).any(is_misnamed));
    let renewed = cells.iter().all(|&id| by_the_same_issuer(matrix, id));
    let confidence = match (misnamed, extent.spared.len()) {
        _ if renewed => 0.35,
        (true, _) => 0.5,
        // Only the last good run tells, and what changed may be the server's own.
        (false, 0) => 0.5,
        (false, 1) => 0.65,
        (false, _) => 0.8,
    };
    let issuer = cells
        .first()
        .and_then(|&id| matrix.cell(id).leaf())
        .map(|leaf| words::quote(&leaf.issuer))
        .unwrap_or_default();
    Candidate::new(
        matrix,
        FindingKind::TlsIntercepted,
        confidence,
        troubles.iter().copied(),
    )
    .at(overlay::in_front(matrix, cells))
    .summary(format!(
        "TLS is intercepted between {} and {}: a certificate by {issuer} is put in",
        words::list(&names),
        matrix.host()
    ))
    .because(fact::first(troubles.iter().map(|&id| fact::trouble(matrix, id))))
    .because(keys_seen(matrix, cells))
    .told_apart_by("the key in the server's own configuration")
    .or(
        FindingKind::OneBackendBroken,
        0.15,
        "several connections from one place: a balancer shows both certificates",
    )
    .next(super::session::by_hand(matrix, &troubles))
}

/// Claim: at one address, another service answers these vantage points, while others get the right one: by what it says, or by
/// where it closes.
/// Disproved by: the right service from the same vantage point on another connection (then a balancer has one
/// wrong backend).
pub(crate) fn redirected(matrix: &Matrix) -> Vec<Candidate> {
    let cells: Vec<CellId> = matrix
        .cells()
        .filter(|&id| answered_by_another(matrix, id))
        .collect();
    let troubles = matrix.troubles_of_all(&cells);
    if troubles.is_empty() {
        return Vec::new();
    }
    let extent = Extent::of(matrix, &troubles);
    let names = matrix.names(&extent.affected);
    let only_by_name = cells.iter().all(|&id| matrix.kinds_of(id).any(is_certificate));
    let confidence = match (only_by_name, extent.spared.len()) {
        (true, _) => 0.6,
        (false, 0 | 1) => 0.7,
        (false, _) => 0.85,
    };
    let found = Candidate::new(
        matrix,
        FindingKind::Redirected,
        confidence,
        troubles.iter().copied(),
    )
    .at(overlay::in_front(matrix, &cells))
    .summary(format!(
        "another service answers {} in the place of {}",
        words::list(&names),
        matrix.host()
    ))
    .because(fact::first(troubles.iter().map(|&id| fact::trouble(matrix, id))))
    .because(keys_seen(matrix, &cells))
    .because(super::session::spared(matrix, &extent, StageName::Connect))
    .told_apart_by("who else is served the right thing at the same address")
    .or(
        FindingKind::OneBackendBroken,
        0.15,
        "several connections from one place: a balancer shows both",
    )
    .next(super::session::by_hand(matrix, &troubles));
    vec![found]
}

fn answered_by_another(matrix: &Matrix, id: CellId) -> bool {
    let foreign = matrix.kinds_of(id).any(|kind| {
        matches!(
            kind,
            FaultKind::Tls(TlsFault::NotTls) | FaultKind::Imap(ImapFault::WrongService)
        )
    });
    let misnamed = matrix.kinds_of(id).any(is_misnamed) && other_key_beside(matrix, id);
    let greets_itself = not_tls::says_bye(matrix, id);
    let right_beside = matrix.beside(id).any(|other| matrix.served(other));
    let nearer = closed_unasked(matrix, id) && matches!(overlay::answerer(matrix, id), Answerer::Nearer(_));
    (foreign || misnamed || nearer) && right_beside && !greets_itself
}

/// Whether the connection was closed before anything was said on it.
fn closed_unasked(matrix: &Matrix, id: CellId) -> bool {
    Lost::of(matrix, id).is_some_and(|lost| lost.end == End::Closed)
        || matrix
            .kinds_of(id)
            .any(|kind| kind == FaultKind::Imap(ImapFault::ConnectionClosed))
            && !matrix.cell(id).passed(StageName::Greeting)
}

/// Who puts a certificate in makes it out to the right name; who is somebody else does not.
const fn is_misnamed(kind: FaultKind) -> bool {
    matches!(kind, FaultKind::Tls(TlsFault::HostnameMismatch))
}

fn other_key_beside(matrix: &Matrix, id: CellId) -> bool {
    let Some(leaf) = matrix.cell(id).leaf() else {
        return false;
    };
    matrix.beside(id).any(|other| {
        let other = matrix.cell(other);
        other.verified()
            && other
                .leaf()
                .is_some_and(|there| there.spki_sha256 != leaf.spki_sha256)
    })
}

/// Whether this vantage point trusted a certificate there when the target last worked, of another key and another issuer.
pub(super) fn replaced(matrix: &Matrix, id: CellId) -> bool {
    let (Some(now), Some(then)) = (matrix.cell(id).leaf(), verified_before(matrix, id)) else {
        return false;
    };
    now.spki_sha256 != then.spki_sha256 && now.issuer != then.issuer
}

fn verified_before<'a>(matrix: &Matrix<'a>, id: CellId) -> Option<&'a CertificateFacts> {
    let attempt = matrix.attempt_before(id)?;
    let handshake = |stage| attempt.stage(stage)?.evidence.as_ref()?.tls();
    let facts = handshake(StageName::Tls).or_else(|| handshake(StageName::Starttls))?;
    facts.verified.then(|| facts.chain.first()).flatten()
}

fn by_the_same_issuer(matrix: &Matrix, id: CellId) -> bool {
    let Some(leaf) = matrix.cell(id).leaf() else {
        return false;
    };
    let beside = matrix.beside(id).map(|other| matrix.cell(other));
    beside
        .filter(|other| other.verified())
        .filter_map(|other| other.leaf())
        .chain(verified_before(matrix, id))
        .any(|trusted| trusted.issuer == leaf.issuer)
}

fn certificate_troubles(matrix: &Matrix, cells: &[CellId]) -> Vec<TroubleId> {
    matrix.troubles_where(|trouble| {
        trouble.cell.is_some_and(|cell| cells.contains(&cell)) && trouble.kind().is_some_and(is_certificate)
    })
}

fn keys_seen(matrix: &Matrix, cells: &[CellId]) -> Vec<String> {
    let line = |id: CellId| {
        let cell = matrix.cell(id);
        let leaf = cell.leaf()?;
        Some(format!(
            "{}: {} presents key {}… by {}",
            matrix.name(id.vantage),
            cell.socket(),
            words::quote(leaf.spki_sha256.get(..12).unwrap_or(&leaf.spki_sha256)),
            words::quote(&leaf.issuer)
        ))
    };
    let mut lines: Vec<String> = cells.iter().filter_map(|&id| line(id)).collect();
    if let Some(&first) = cells.first() {
        lines.extend(
            matrix
                .beside(first)
                .filter(|&other| matrix.cell(other).verified())
                .filter_map(line)
                .take(3),
        );
    }
    lines.extend(cells.iter().filter_map(|&id| {
        let then = verified_before(matrix, id).filter(|_| replaced(matrix, id))?;
        Some(format!(
            "{}: {} presented key {}… by {} when it last worked",
            matrix.name(id.vantage),
            matrix.cell(id).socket(),
            words::quote(then.spki_sha256.get(..12).unwrap_or(&then.spki_sha256)),
            words::quote(&then.issuer)
        ))
    }));
    fact::first(lines)
}
