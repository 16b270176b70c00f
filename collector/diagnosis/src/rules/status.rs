//! Certificates that are in order by themselves, and that somebody else says not to trust: the issuer (OCSP), or
//! the owner of the name (TLSA).

use parallax_model::evidence::TlsEvidence;
use parallax_model::fault::{FaultKind, TlsFault};
use parallax_model::finding::{FindingKind, Severity};
use parallax_model::stage::StageName;

use crate::candidate::Candidate;
use crate::command;
use crate::extent::Extent;
use crate::fact;
use crate::matrix::{CellId, Matrix};
use crate::trouble::TroubleId;
use crate::words;

/// Who does not vouch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Doubt {
    Revoked,
    StapleMissing,
    Tlsa,
}

/// Claim: the chain verifies, and is not to be trusted all the same.
///
/// - Revoked, as the stapled OCSP response says: `certificate_untrusted`, critical, since the authority that vouched
///   for it takes its word back, and a client that looks must not go on.
/// - The certificate demands a stapled response and none came (RFC 7633): `certificate_chain_incomplete`, a warning,
///   since like a missing intermediate it is a part of the proof that the server is to send and does not; most mail
///   clients never miss it.
/// - No TLSA record matches (RFC 6698): `certificate_untrusted`, a warning, since the owner of the name vouches for
///   another key; clients that check DANE for IMAP are few.
///
/// Disproved by: a fresh response that says good, a staple, a record that matches.
pub(crate) fn doubtful(matrix: &Matrix) -> Vec<Candidate> {
    matrix
        .by_leaf(|trouble| trouble.kind().and_then(doubt))
        .into_iter()
        .map(|((doubt, _), troubles)| candidate(matrix, doubt, &troubles))
        .collect()
}

/// Whether a fault is told here.
pub(crate) const fn is_status(kind: FaultKind) -> bool {
    doubt(kind).is_some()
}

const fn doubt(kind: FaultKind) -> Option<Doubt> {
    match kind {
        FaultKind::Tls(TlsFault::CertificateRevoked) => Some(Doubt::Revoked),
        FaultKind::Tls(TlsFault::StapleMissing) => Some(Doubt::StapleMissing),
        FaultKind::Tls(TlsFault::TlsaMismatch) => Some(Doubt::Tlsa),
        _ => None,
    }
}

fn candidate(matrix: &Matrix, doubt: Doubt, troubles: &[TroubleId]) -> Candidate {
    let extent = Extent::of(matrix, troubles);
    let cells: Vec<CellId> = troubles
        .iter()
        .filter_map(|&id| matrix.troubles[id].cell)
        .collect();
    let stage = troubles
        .iter()
        .find_map(|&id| matrix.troubles[id].stage)
        .unwrap_or(StageName::Tls);
    let (kind, severity, phrase) = match doubt {
        Doubt::Revoked => (
            FindingKind::CertificateUntrusted,
            Severity::Critical,
            "the certificate has been revoked",
        ),
        Doubt::StapleMissing => (
            FindingKind::CertificateChainIncomplete,
            Severity::Warning,
            "the certificate demands a stapled OCSP response, and the server sends none",
        ),
        Doubt::Tlsa => (
            FindingKind::CertificateUntrusted,
            Severity::Warning,
            "no TLSA record of the name matches the certificate",
        ),
    };
    let port = cells
        .first()
        .map_or(993, |&id| matrix.cell(id).attempt.endpoint.port);
    Candidate::new(matrix, kind, extent.stated(), troubles.iter().copied())
        .severity(severity)
        .segment(extent.segment())
        .summary(format!("{}: {phrase}", matrix.host()))
        .because(fact::first(troubles.iter().map(|&id| fact::trouble(matrix, id))))
        .because(cells.iter().find_map(|&id| {
            let (_, facts) = matrix.cell(id).handshake()?;
            said(matrix.name(id.vantage), doubt, facts)
        }))
        .because(super::session::spared(matrix, &extent, stage))
        .told_apart_by("the certificate that other vantage points see at the same address")
        .next(own_step(matrix, doubt, &cells, port))
        .next(command::certificate_steps(matrix, &cells))
}

fn said(name: &str, doubt: Doubt, facts: &TlsEvidence) -> Option<String> {
    match doubt {
        Doubt::Revoked => {
            let ocsp = facts.ocsp.as_ref()?;
            let since = ocsp
                .this_update
                .map(|when| format!(", as of {when}"))
                .unwrap_or_default();
            Some(format!(
                "{name}: the stapled response says {}{since}",
                words::quote(&ocsp.status)
            ))
        }
        Doubt::StapleMissing => Some(format!("{name}: no OCSP response came with the handshake")),
        Doubt::Tlsa => {
            let tlsa = facts.tlsa.as_ref()?;
            let note = tlsa
                .note
                .as_deref()
                .map(|note| format!(": {}", words::quote(note)))
                .unwrap_or_default();
            Some(format!(
                "{name}: {} for the port{note}",
                words::count(tlsa.records as usize, "TLSA record")
            ))
        }
    }
}

fn own_step(matrix: &Matrix, doubt: Doubt, cells: &[CellId], port: u16) -> Option<String> {
    let attempt = matrix.cell(*cells.first()?).attempt;
    let handshake = command::openssl(matrix, attempt.address, attempt.endpoint);
    Some(match doubt {
        Doubt::Revoked | Doubt::StapleMissing => {
            handshake.replacen("-showcerts", "-status", 1) + " | grep -A17 'OCSP response'"
        }
        Doubt::Tlsa => format!("dig _{port}._tcp.{} TLSA +dnssec", matrix.host()),
    })
}
