//! TLS ports on which something else is spoken.

use std::collections::BTreeMap;

use parallax_model::evidence::Evidence;
use parallax_model::fault::{FaultKind, TlsFault};
use parallax_model::finding::FindingKind;
use parallax_model::stage::StageName;

use crate::candidate::Candidate;
use crate::extent::Extent;
use crate::fact;
use crate::matrix::{CellId, Matrix};
use crate::trouble::{Trouble, TroubleId};
use crate::words;

/// Claim: what answers on the TLS port does not speak TLS; its first bytes say what it speaks.
/// Disproved by: a TLS record as the first bytes.
pub(crate) fn other_speech(matrix: &Matrix) -> Vec<Candidate> {
    let mut groups: BTreeMap<FindingKind, Vec<TroubleId>> = BTreeMap::new();
    for (id, trouble) in matrix.troubles.iter().enumerate() {
        if trouble
            .failure()
            .is_some_and(|fault| fault.kind == FaultKind::Tls(TlsFault::NotTls))
        {
            groups
                .entry(spoken(&first_bytes(matrix, trouble)))
                .or_default()
                .push(id);
        }
    }
    groups
        .into_iter()
        .map(|(kind, troubles)| candidate(matrix, kind, &troubles))
        .collect()
}

fn candidate(matrix: &Matrix, kind: FindingKind, troubles: &[TroubleId]) -> Candidate {
    let extent = Extent::of(matrix, troubles);
    let stage = troubles
        .iter()
        .find_map(|&id| matrix.troubles[id].stage)
        .unwrap_or(StageName::Tls);
    let bytes = troubles
        .first()
        .map(|&id| first_bytes(matrix, &matrix.troubles[id]))
        .unwrap_or_default();
    let (confidence, phrase) = match kind {
        FindingKind::PlaintextExpected => (
            extent.stated(),
            "plain IMAP answers where TLS was expected".to_owned(),
        ),
        FindingKind::ServerSaidBye => (0.6, "the server turns the connection away in clear".to_owned()),
        _ => (
            if extent.partly() {
                0.6
            } else {
                extent.stated() - 0.1
            },
            format!("{} answers instead of TLS", service(&bytes)),
        ),
    };
    let line = format!(
        "the first bytes received are \"{}\"",
        words::quote(&parallax_model::text::from_wire(&bytes))
    );
    let found = Candidate::new(matrix, kind, confidence, troubles.iter().copied())
        .segment(extent.segment())
        .summary(format!(
            "{}: {phrase}",
            super::session::who_fails(matrix, &extent, stage, troubles)
        ))
        .because(fact::first(troubles.iter().map(|&id| fact::trouble(matrix, id))))
        .because([line])
        .because(super::session::spared(matrix, &extent, stage))
        .told_apart_by("who else is served TLS at the same address")
        .next(super::session::by_hand(matrix, troubles));
    match kind {
        FindingKind::PlaintextExpected => found,
        FindingKind::ServerSaidBye => found.or(
            FindingKind::PlaintextExpected,
            0.25,
            "the same port with --security plaintext",
        ),
        _ if extent.everywhere() => found.or(
            FindingKind::Redirected,
            0.1,
            "the path to the port beside the path to another port of the host",
        ),
        _ => found,
    }
}

/// What the first bytes say about who speaks.
fn spoken(bytes: &[u8]) -> FindingKind {
    if [&b"* BYE"[..], b"* BAD", b"* NO"]
        .iter()
        .any(|start| bytes.starts_with(start))
    {
        FindingKind::ServerSaidBye
    } else if bytes.starts_with(b"* ") {
        FindingKind::PlaintextExpected
    } else {
        FindingKind::WrongService
    }
}

/// Whether the server turned an attempt away in clear where TLS was due: a BYE is its own refusal, not another service.
pub(super) fn says_bye(matrix: &Matrix, id: CellId) -> bool {
    matrix.troubles_of(id).iter().any(|&id| {
        let trouble = &matrix.troubles[id];
        trouble.kind() == Some(FaultKind::Tls(TlsFault::NotTls))
            && spoken(&first_bytes(matrix, trouble)) == FindingKind::ServerSaidBye
    })
}

fn service(bytes: &[u8]) -> &'static str {
    match bytes {
        [b'H', b'T', b'T', b'P', ..] => "HTTP",
        [b'2', b'2', b'0', ..] => "SMTP or FTP",
        [b'+', b'O', b'K', ..] => "POP3",
        [b'S', b'S', b'H', ..] => "SSH",
        _ => "another protocol",
    }
}

fn first_bytes(matrix: &Matrix, trouble: &Trouble) -> Vec<u8> {
    let facts = fact::stage(matrix, trouble)
        .and_then(|stage| stage.evidence.as_ref())
        .and_then(Evidence::tls)
        .and_then(|facts| facts.first_bytes.as_deref());
    let raw = trouble.fault().and_then(|fault| fault.raw.as_deref());
    facts.or(raw).and_then(from_hex).unwrap_or_default()
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text
        .chars()
        .filter(|character| !character.is_whitespace())
        .map(|character| character.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect::<Option<_>>()?;
    Some(
        digits
            .chunks_exact(2)
            .map(|pair| pair[0] << 4 | pair[1])
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_name_the_service() {
        assert_eq!(spoken(b"* OK ready"), FindingKind::PlaintextExpected);
        assert_eq!(spoken(b"* BYE too many"), FindingKind::ServerSaidBye);
        assert_eq!(spoken(b"HTTP/1.1 400"), FindingKind::WrongService);
        assert_eq!(from_hex("2a 20"), Some(b"* ".to_vec()));
        assert_eq!(from_hex("zz"), None);
    }
}
