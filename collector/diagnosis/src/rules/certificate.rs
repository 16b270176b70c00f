//! Certificates: what is wrong with them, and when they end.

use std::collections::BTreeSet;

use jiff::Timestamp;
use parallax_model::certificate::CertificateFacts;
use parallax_model::fault::{FaultKind, TlsFault};
use parallax_model::finding::{FindingKind, Segment, Severity};
use parallax_model::stage::StageName;

use super::lone::{self, Missing};
use super::status::is_status;
use super::{answers, forged, tamper};
use crate::candidate::{Blame, Candidate};
use crate::command;
use crate::extent::Extent;
use crate::fact;
use crate::matrix::{CellId, Matrix};
use crate::overlay::{self, Answerer};
use crate::trouble::{Trouble, TroubleId};
use crate::words;

/// Claim: the certificate that the server presents is at fault, in the way named. Every agent judges it by its own
/// clock and its own trust anchors.
/// Disproved by: the same certificate accepted by another vantage point (then it is the agent's clock or anchors),
/// or another certificate at the same address (then something stands in between, or behind a balancer).
pub(crate) fn faulty(matrix: &Matrix) -> Vec<Candidate> {
    matrix
        .by_leaf(|trouble| kind(matrix, trouble, trouble.fault()?.kind))
        .into_iter()
        .map(|((kind, _), troubles)| candidate(matrix, kind, &troubles))
        .collect()
}

fn kind(matrix: &Matrix, trouble: &Trouble, fault: FaultKind) -> Option<FindingKind> {
    let FaultKind::Tls(fault) = fault else {
        return None;
    };
    match fault {
        TlsFault::CertificateExpired => Some(FindingKind::CertificateExpired),
        TlsFault::CertificateNotYetValid => Some(FindingKind::CertificateNotYetValid),
        TlsFault::HostnameMismatch => Some(FindingKind::CertificateNameMismatch),
        TlsFault::CertificateWeak => Some(FindingKind::CertificateWeak),
        fault if is_trust(FaultKind::Tls(fault)) => Some(narrowest_trust_kind(matrix, trouble)),
        _ => None,
    }
}

/// Faults that say: nobody vouches for this certificate.
pub(crate) const fn is_trust(kind: FaultKind) -> bool {
    matches!(
        kind,
        FaultKind::Tls(
            TlsFault::CertificateUntrusted
                | TlsFault::CertificateSelfSigned
                | TlsFault::CertificateChainIncomplete
                | TlsFault::CertificateInvalid
        )
    )
}

/// Faults of certificates of any sort.
pub(crate) const fn is_certificate(kind: FaultKind) -> bool {
    is_trust(kind)
        || is_status(kind)
        || matches!(
            kind,
            FaultKind::Tls(
                TlsFault::CertificateExpired
                    | TlsFault::CertificateNotYetValid
                    | TlsFault::HostnameMismatch
                    | TlsFault::CertificateWeak
            )
        )
}

fn narrowest_trust_kind(matrix: &Matrix, trouble: &Trouble) -> FindingKind {
    let kinds: BTreeSet<FaultKind> = matrix
        .troubles
        .iter()
        .filter(|other| other.cell == trouble.cell)
        .filter_map(Trouble::kind)
        .collect();
    let missing = trouble
        .cell
        .map_or(Missing::Nothing, |cell| lone::missing(matrix, cell));
    if kinds.contains(&FaultKind::Tls(TlsFault::CertificateSelfSigned)) {
        FindingKind::CertificateSelfSigned
    } else if kinds.contains(&FaultKind::Tls(TlsFault::CertificateChainIncomplete))
        || matches!(missing, Missing::Intermediate | Missing::IntermediateByName)
    {
        FindingKind::CertificateChainIncomplete
    } else {
        FindingKind::CertificateUntrusted
    }
}

fn candidate(matrix: &Matrix, kind: FindingKind, troubles: &[TroubleId]) -> Candidate {
    let extent = Extent::of(matrix, troubles);
    let cells: Vec<CellId> = troubles
        .iter()
        .filter_map(|&id| matrix.troubles[id].cell)
        .collect();
    let stage = troubles
        .iter()
        .find_map(|&id| matrix.troubles[id].stage)
        .unwrap_or(StageName::Tls);
    let missing = cells
        .first()
        .map_or(Missing::Nothing, |&id| lone::missing(matrix, id));
    let confidence = match missing {
        _ if elsewhere_otherwise(matrix, &cells) => 0.55,
        _ if !seen_at_the_host(matrix, &cells) && cells.iter().any(|&id| tamper::replaced(matrix, id)) => 0.6,
        Missing::IntermediateByName if is_trust_kind(kind) => 0.58,
        Missing::Unclear if kind == FindingKind::CertificateUntrusted => 0.65,
        _ => extent.stated(),
    };
    let found = Candidate::new(matrix, kind, confidence, troubles.iter().copied())
        .segment(if extent.partly() {
            Segment::Unknown
        } else {
            Segment::Service
        })
        .summary(format!(
            "{}: {}",
            super::session::who_fails(matrix, &extent, stage, troubles),
            cells
                .first()
                .and_then(|&id| phrase_of(matrix, kind, id))
                .unwrap_or_else(|| phrase(kind).to_owned())
        ))
        .because(fact::first(troubles.iter().map(|&id| fact::trouble(matrix, id))))
        .because(cells.first().and_then(|&id| presented(matrix, id)))
        .because(missing.line().filter(|_| is_trust_kind(kind)))
        .because(super::session::spared(matrix, &extent, stage))
        .told_apart_by("the certificate that other vantage points see at the same address")
        .next(command::certificate_steps(matrix, &cells));
    let found = lone::look_alikes(missing, look_alikes(matrix, kind, &extent, &cells, found));
    if is_trust_kind(kind) && trusted_elsewhere(matrix, &cells) {
        by_the_agents_anchors(matrix, &extent, found)
    } else {
        found
    }
}

fn by_the_agents_anchors(matrix: &Matrix, extent: &Extent, found: Candidate) -> Candidate {
    let names = matrix.names(&extent.affected);
    let who = words::list(&names);
    found
        .severity(Severity::Warning)
        .blame(Blame::Agent)
        .segment(Segment::Agent)
        .summary(format!(
            "{who} does not trust a certificate that other vantage points trust: its trust anchors differ"
        ))
        .next([command::on(
            &who,
            "parallax-agent doctor   # and --ca-file for a private CA",
        )])
}

const fn is_trust_kind(kind: FindingKind) -> bool {
    matches!(
        kind,
        FindingKind::CertificateUntrusted
            | FindingKind::CertificateSelfSigned
            | FindingKind::CertificateChainIncomplete
    )
}

fn look_alikes(
    matrix: &Matrix,
    kind: FindingKind,
    extent: &Extent,
    cells: &[CellId],
    found: Candidate,
) -> Candidate {
    let other_leaf = verified_beside(matrix, cells, false);
    let found = match kind {
        FindingKind::CertificateUntrusted | FindingKind::CertificateSelfSigned
            if !extent.partly() && !seen_at_the_host(matrix, cells) =>
        {
            found.or(
                FindingKind::TlsIntercepted,
                if extent.alone() { 0.15 } else { 0.08 },
                "the fingerprint of the certificate in the server's own configuration",
            )
        }
        FindingKind::CertificateChainIncomplete if !extent.partly() => found.or(
            FindingKind::TlsIntercepted,
            0.05,
            "the fingerprint of the certificate in the server's own configuration",
        ),
        FindingKind::CertificateExpired | FindingKind::CertificateNotYetValid if extent.alone() => {
            found.or(FindingKind::AgentClockSkew, 0.05, "the agent's clock")
        }
        _ => found,
    };
    if other_leaf {
        found.or(
            FindingKind::OneBackendBroken,
            0.3,
            "several connections from one place: a balancer shows both certificates",
        )
    } else {
        found
    }
}

/// Whether somebody is known to be shown it by the host itself.
fn seen_at_the_host(matrix: &Matrix, cells: &[CellId]) -> bool {
    cells
        .iter()
        .any(|&id| matches!(overlay::answerer(matrix, id), Answerer::Host { sure: true }))
}

/// Whether others are served otherwise: another certificate here, or another address that serves.
fn elsewhere_otherwise(matrix: &Matrix, cells: &[CellId]) -> bool {
    let odd = answers::odd_addresses(matrix);
    let forged = forged::contradicted(matrix);
    let doubtful = |id: &CellId| {
        forged.iter().any(|doubtful| {
            doubtful.vantage == id.vantage
                && doubtful
                    .query
                    .addresses
                    .contains(&matrix.cell(*id).attempt.address)
        })
    };
    verified_beside(matrix, cells, false)
        || cells.iter().any(doubtful)
        || cells.iter().any(|&id| {
            odd.iter()
                .any(|odd| odd.address == matrix.cell(id).attempt.address)
        })
}

fn trusted_elsewhere(matrix: &Matrix, cells: &[CellId]) -> bool {
    verified_beside(matrix, cells, true)
}

/// Whether another vantage point verified a certificate at the same address: this very one, or another.
fn verified_beside(matrix: &Matrix, cells: &[CellId], same: bool) -> bool {
    cells.iter().any(|&id| {
        let Some(leaf) = matrix.cell(id).leaf() else {
            return false;
        };
        matrix.beside(id).any(|other| {
            let other = matrix.cell(other);
            other.verified()
                && other
                    .leaf()
                    .is_some_and(|there| (there.spki_sha256 == leaf.spki_sha256) == same)
        })
    })
}

/// What is wrong, with the certificate's own dates and names.
fn phrase_of(matrix: &Matrix, kind: FindingKind, id: CellId) -> Option<String> {
    let leaf = matrix.cell(id).leaf()?;
    let from_now = |when: Timestamp| words::span(when.as_second() - matrix.question.now.as_second());
    match kind {
        FindingKind::CertificateExpired if leaf.not_after < matrix.question.now => Some(format!(
            "the certificate expired {} ago",
            from_now(leaf.not_after)
        )),
        FindingKind::CertificateNotYetValid if leaf.not_before > matrix.question.now => Some(format!(
            "the certificate is not valid before {} from now",
            from_now(leaf.not_before)
        )),
        FindingKind::CertificateNameMismatch => Some(format!(
            "the certificate is for {}, not for {}",
            names_in(leaf),
            matrix.host()
        )),
        FindingKind::CertificateUntrusted if unusable(matrix, id) => {
            Some("the certificate can't be used for a server".to_owned())
        }
        FindingKind::CertificateUntrusted => Some(format!(
            "no trust anchor vouches for the certificate, issued by {}",
            words::quote(&leaf.issuer)
        )),
        _ => None,
    }
}

/// Whether trust was not the question: the certificate is of a kind that no client takes.
fn unusable(matrix: &Matrix, id: CellId) -> bool {
    let mut kinds = matrix.kinds_of(id).filter(|&kind| is_trust(kind));
    kinds.all(|kind| kind == FaultKind::Tls(TlsFault::CertificateInvalid))
}

const fn phrase(kind: FindingKind) -> &'static str {
    match kind {
        FindingKind::CertificateExpired => "the certificate has expired",
        FindingKind::CertificateNotYetValid => "the certificate is not valid yet",
        FindingKind::CertificateNameMismatch => "the certificate is for another name",
        FindingKind::CertificateWeak => "the certificate's key or signature is too weak",
        FindingKind::CertificateSelfSigned => "the certificate is signed by itself",
        FindingKind::CertificateChainIncomplete => "an intermediate certificate is not sent",
        _ => "no trust anchor vouches for the certificate",
    }
}

fn presented(matrix: &Matrix, id: CellId) -> Option<String> {
    let leaf = matrix.cell(id).leaf()?;
    Some(format!(
        "{}: presented is {} by {}, valid {} to {}, for {}",
        matrix.name(id.vantage),
        words::quote(&leaf.subject),
        words::quote(&leaf.issuer),
        leaf.not_before,
        leaf.not_after,
        names_in(leaf)
    ))
}

fn names_in(leaf: &CertificateFacts) -> String {
    let names: Vec<String> = leaf
        .dns_names
        .iter()
        .chain(&leaf.ip_addresses)
        .map(|name| words::quote(name))
        .collect();
    if names.is_empty() {
        "no name".to_owned()
    } else {
        words::list(&names)
    }
}
