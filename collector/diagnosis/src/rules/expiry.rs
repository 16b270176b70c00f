//! When certificates end.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use jiff::Timestamp;
use parallax_model::certificate::CertificateFacts;
use parallax_model::fault::{FaultKind, TlsFault};
use parallax_model::finding::{FindingKind, Segment, Severity};
use parallax_model::stage::StageName;

use crate::candidate::Candidate;
use crate::command;
use crate::matrix::{CellId, Matrix};
use crate::words;

const DAY: i64 = 86_400;

/// Certificates that live longer than this are also warned of by days, not by their share of life alone.
const LONG_LIVED: i64 = 30 * DAY;

/// Claim: a certificate of the chain will end soon, measured by its own lifetime.
/// Disproved by: a renewed certificate.
pub(crate) fn expiring(matrix: &Matrix) -> Vec<Candidate> {
    let now = matrix.question.now;
    let mut groups: BTreeMap<&str, (&CertificateFacts, Vec<CellId>)> = BTreeMap::new();
    for id in matrix.cells() {
        let Some((_, facts)) = matrix.cell(id).handshake() else {
            continue;
        };
        let first_to_end = facts
            .chain
            .iter()
            .filter(|one| !one.self_signed)
            .min_by_key(|one| one.not_after);
        let judged = matrix.troubles_of(id).iter().any(|&trouble| {
            matrix.troubles[trouble].kind() == Some(FaultKind::Tls(TlsFault::CertificateExpired))
        });
        if let Some(certificate) = first_to_end.filter(|_| !judged) {
            let entry = groups
                .entry(&certificate.sha256)
                .or_insert((certificate, Vec::new()));
            entry.1.push(id);
        }
    }
    groups
        .into_values()
        .filter_map(|(certificate, cells)| ends_soon(matrix, now, certificate, &cells))
        .collect()
}

fn ends_soon(
    matrix: &Matrix,
    now: Timestamp,
    certificate: &CertificateFacts,
    cells: &[CellId],
) -> Option<Candidate> {
    let left = certificate.not_after.as_second() - now.as_second();
    let (kind, severity) = ending(certificate, left)?;
    let sockets: BTreeSet<SocketAddr> = cells.iter().map(|&id| matrix.cell(id).socket()).collect();
    let what = if certificate.is_ca {
        "an intermediate certificate"
    } else {
        "the certificate"
    };
    let when = if left < 0 {
        format!("ended {} ago", words::span(left))
    } else {
        format!("ends in {}", words::span(left))
    };
    let told = cells
        .iter()
        .flat_map(|&id| matrix.troubles_of(id))
        .copied()
        .filter(|&trouble| {
            matrix.troubles[trouble].kind() == Some(FaultKind::Tls(TlsFault::CertificateExpiring))
        });
    let found = Candidate::new(matrix, kind, 0.95, told)
        .severity(severity)
        .also(cells.iter().map(|id| id.vantage))
        .sockets(sockets)
        .stage(StageName::Tls)
        .segment(Segment::Service)
        .summary(format!("{what} of {} {when}", matrix.host()))
        .because([format!(
            "{what} {} is valid {} to {}, and it is {now} now",
            words::quote(&certificate.subject),
            certificate.not_before,
            certificate.not_after
        )])
        .next(command::certificate_steps(matrix, cells));
    Some(found)
}

fn ending(certificate: &CertificateFacts, left: i64) -> Option<(FindingKind, Severity)> {
    let lifetime = certificate.not_after.as_second() - certificate.not_before.as_second();
    if left < 0 {
        Some((FindingKind::CertificateExpired, Severity::Critical))
    } else if left < lifetime / 6 || (left < 7 * DAY && lifetime > LONG_LIVED) {
        Some((FindingKind::CertificateExpiring, Severity::Warning))
    } else if left < lifetime / 3 {
        Some((FindingKind::CertificateExpiring, Severity::Info))
    } else {
        None
    }
}
