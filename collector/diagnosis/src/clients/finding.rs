//! The finding that some clients can't work where others can.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use parallax_model::client::ClientOutcome;
use parallax_model::finding::{FindingKind, Segment, Severity};
use parallax_model::stage::StageName;

use super::Standing;
use crate::candidate::Candidate;
use crate::fact;
use crate::matrix::Matrix;
use crate::product::Look;
use crate::words;

const OFFER: Look = Look::new(
    "doveconf -a | grep -E 'auth_mechanisms|imap_capability|ssl_min_protocol|plaintext_auth|allow_cleartext'",
)
.courier("grep -E 'IMAP_CAPABILITY|^TLS_' /etc/courier/imapd /etc/courier/imapd-ssl")
.cyrus("cyr_info conf | grep -E '^sasl_|^tls_|suppress_capabilities|allowplaintext'");

/// Claim: the service is in order, and these families of clients can not log in or work with what it offers.
/// Disproved by: one of them at work there; and not claimed where something worse, or the certificate, which have
/// findings of their own, keep clients out.
pub(crate) fn incompatible(
    matrix: &Matrix,
    chosen: &[Candidate],
    standings: &[Standing],
) -> Option<Candidate> {
    let explained = chosen.iter().any(|candidate| {
        candidate.kind == FindingKind::ClientIncompatible || candidate.bites(matrix) == Severity::Critical
    });
    if explained {
        return None;
    }
    let failing: Vec<&Standing> = standings
        .iter()
        .filter(|one| one.outcome == ClientOutcome::Fails && !one.only_certificate)
        .collect();
    let vantages: BTreeSet<usize> = failing
        .iter()
        .flat_map(|one| &one.vantages)
        .copied()
        .filter(|&vantage| matrix.cells_of(vantage).any(|cell| matrix.usable(cell)))
        .collect();
    if vantages.is_empty() {
        return None;
    }
    let names: Vec<&str> = failing.iter().map(|one| one.family.name.as_str()).collect();
    let minor = failing.iter().all(|one| one.family.minor);
    let lines = failing.iter().filter_map(|one| {
        let because = one.because.first()?;
        Some(format!("{}: {because}", one.family.name))
    });
    let sockets: Vec<SocketAddr> = vantages
        .iter()
        .flat_map(|&vantage| matrix.cells_of(vantage))
        .filter(|&cell| matrix.usable(cell))
        .map(|cell| matrix.cell(cell).socket())
        .collect();
    let address = sockets.first().map(SocketAddr::ip);
    let found = Candidate::new(matrix, FindingKind::ClientIncompatible, 0.8, [])
        .severity(if minor { Severity::Info } else { Severity::Warning })
        .also(vantages.iter().copied())
        .sockets(sockets)
        .stage(StageName::Capability)
        .segment(Segment::Service)
        .summary(format!(
            "{} can not work with {}",
            words::list(&names),
            matrix.host()
        ))
        .because(fact::first(lines))
        .next(address.map(|address| OFFER.on(matrix, address)))
        .next(["ctl probe -o wide shows every family of clients, and why".to_owned()]);
    Some(found)
}
