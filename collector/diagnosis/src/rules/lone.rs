//! A certificate that comes alone: its issuer is unknown, or was merely not sent.

use parallax_model::fault::{FaultKind, TlsFault};
use parallax_model::finding::FindingKind;

use crate::candidate::Candidate;
use crate::matrix::{CellId, Matrix};

const FETCHED: &str = "the issuer's certificate, fetched and put behind the server's own";

/// What is missing behind a certificate that nobody vouches for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    /// Its issuer was sent along, or it needs none.
    Nothing,
    /// The issuer is one that others' chains lead on from, or a public one: a part of the chain is not sent.
    Intermediate,
    /// The issuer calls itself an authority below another.
    IntermediateByName,
    /// It is not known whether the issuer is a root.
    Unclear,
}

/// What is missing behind the certificate that an attempt was shown.
pub(super) fn missing(matrix: &Matrix, id: CellId) -> Missing {
    let incomplete = FaultKind::Tls(TlsFault::CertificateChainIncomplete);
    let known = matrix.kinds_of(id).any(|kind| kind == incomplete);
    let chain = matrix.cell(id).handshake().map(|(_, facts)| &facts.chain[..]);
    let Some([leaf]) = chain else {
        return Missing::Nothing;
    };
    if leaf.self_signed || leaf.is_ca {
        return Missing::Nothing;
    }
    let leads_on = known
        || matrix.cells().any(|other| {
            let other = matrix.cell(other);
            other.verified()
                && other.handshake().is_some_and(|(_, facts)| {
                    let mut sent = facts.chain.iter();
                    sent.any(|sent| !sent.self_signed && sent.subject == leaf.issuer)
                })
        });
    // Only public authorities log what they issue (RFC 6962), and their roots issue to no server.
    if leads_on || leaf.scts > 0 || !leaf.ca_issuers.is_empty() {
        Missing::Intermediate
    } else if named_below(&leaf.issuer) {
        Missing::IntermediateByName
    } else {
        Missing::Unclear
    }
}

fn named_below(issuer: &str) -> bool {
    let issuer = issuer.to_ascii_lowercase();
    ["intermediate", "issuing", "sub ca", "subca", "subordinate"]
        .iter()
        .any(|word| issuer.contains(word))
}

impl Missing {
    pub(super) fn line(self) -> Option<String> {
        let line = match self {
            Self::Nothing => return None,
            Self::Intermediate => "it comes alone, though its issuer is not a root",
            Self::IntermediateByName => {
                "it comes alone, though its issuer is not a root by its name: a part of the chain seems to be left out"
            }
            Self::Unclear => "it comes alone: its issuer is a root that is not trusted, or was not sent",
        };
        Some(line.to_owned())
    }
}

/// What else it could be that nobody vouches for a certificate that comes alone.
pub(super) fn look_alikes(missing: Missing, found: Candidate) -> Candidate {
    match (missing, found.kind) {
        (Missing::IntermediateByName, FindingKind::CertificateChainIncomplete) => {
            found.or(FindingKind::CertificateUntrusted, 0.35, FETCHED)
        }
        (Missing::Unclear, FindingKind::CertificateUntrusted) => {
            found.or(FindingKind::CertificateChainIncomplete, 0.33, FETCHED)
        }
        _ => found,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_below_another_says_so_in_its_name() {
        for issuer in ["CN=Example Issuing CA", "CN=Corp Intermediate 1", "CN=Sub CA 2"] {
            assert!(named_below(issuer), "{issuer}");
        }
        for issuer in ["CN=Corporate CA", "CN=Example Root", "CN=R11"] {
            assert!(!named_below(issuer), "{issuer}");
        }
    }
}
