//! Who is at the other end.

use std::time::{Duration, SystemTime};

use parallax_model::identity::{SpiffeId, TrustDomain};
use rustls::pki_types::CertificateDer;

use crate::leaf::Leaf;

/// Why a certificate says no identity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PeerError {
    /// No certificate was presented.
    #[error("no certificate was presented")]
    Absent,
    /// It could not be read.
    #[error("the certificate could not be read")]
    Unreadable,
    /// It has not exactly one URI among its names (SPIFFE X.509-SVID, section 2), or that names no role and name.
    #[error("the certificate has not exactly one SPIFFE URI, spiffe://TRUST-DOMAIN/ROLE/NAME")]
    NotSpiffe,
    /// It is of another trust domain.
    #[error("the certificate is of the trust domain {0}, and not of this collector's")]
    Foreign(TrustDomain),
    /// It is over, or has not begun.
    #[error("the certificate is not valid now")]
    NotNow,
}

#[cfg(test)]
pub(crate) fn peer_identity(chain: &[CertificateDer<'_>]) -> Result<SpiffeId, PeerError> {
    peer_identity_at(chain, SystemTime::now())
}

/// Whom a certificate names that may be over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presented {
    /// Who.
    pub spiffe: SpiffeId,
    /// When the certificate ends, or has ended. Its holder may renew it then, and nothing else.
    pub not_after: SystemTime,
}

/// The identity in a chain that TLS has already verified, leaf first; the certificate may have been over for `grace`.
///
/// Its dates are looked at once more: a resumed TLS session is not verified again (RFC 8446 section 2.2), so that a
/// certificate can be over although the handshake went well.
pub fn peer_identity_within(
    chain: &[CertificateDer<'_>],
    domain: &TrustDomain,
    grace: Duration,
) -> Result<Presented, PeerError> {
    let (leaf, now) = (Leaf::of(chain)?, SystemTime::now());
    if leaf.spiffe.domain != *domain {
        return Err(PeerError::Foreign(leaf.spiffe.domain));
    }
    if !(leaf.not_before..=leaf.not_after + grace).contains(&now) {
        return Err(PeerError::NotNow);
    }
    Ok(Presented {
        not_after: leaf.not_after,
        spiffe: leaf.spiffe,
    })
}

#[cfg(test)]
fn peer_identity_at(chain: &[CertificateDer<'_>], now: SystemTime) -> Result<SpiffeId, PeerError> {
    let leaf = Leaf::of(chain)?;
    if (leaf.not_before..=leaf.not_after).contains(&now) {
        Ok(leaf.spiffe)
    } else {
        Err(PeerError::NotNow)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Authority, LEAF_LIFETIME, LocalKey};

    fn chain(spiffe: &str) -> Vec<CertificateDer<'static>> {
        let authority = Authority::ephemeral().unwrap();
        let id: SpiffeId = spiffe.parse().unwrap();
        let csr = LocalKey::generate().unwrap().csr(&id.name).unwrap();
        let issued = authority.issue(&csr, &id, LEAF_LIFETIME).unwrap();
        issued.into_iter().map(CertificateDer::from).collect()
    }

    #[test]
    fn the_identity_is_read_while_the_certificate_lasts() {
        let chain = chain("spiffe://parallax.internal/agent/fra-1");
        let id = peer_identity(&chain).unwrap();
        assert_eq!(id.to_string(), "spiffe://parallax.internal/agent/fra-1");
        let later = SystemTime::now() + LEAF_LIFETIME + Duration::from_secs(1);
        assert_eq!(peer_identity_at(&chain, later), Err(PeerError::NotNow));
        let earlier = SystemTime::now() - Duration::from_secs(600);
        assert_eq!(peer_identity_at(&chain, earlier), Err(PeerError::NotNow));
    }

    #[test]
    fn a_certificate_of_another_trust_domain_is_nobody_here() {
        let chain = chain("spiffe://corp.example/admin/ada");
        let domain: TrustDomain = "corp.example".parse().unwrap();
        let known = peer_identity_within(&chain, &domain, Duration::ZERO).unwrap();
        assert_eq!(known.spiffe.to_string(), "spiffe://corp.example/admin/ada");
        let foreign = peer_identity_within(&chain, &TrustDomain::BUILT_IN, Duration::ZERO);
        assert_eq!(foreign, Err(PeerError::Foreign(domain)));
    }

    #[test]
    fn a_certificate_without_an_identity_is_nobody() {
        let chain = chain("spiffe://parallax.internal/agent/fra-1");
        assert_eq!(peer_identity(&[]), Err(PeerError::Absent));
        assert_eq!(peer_identity(&chain[1..]), Err(PeerError::NotSpiffe));
        assert_eq!(
            peer_identity(&[CertificateDer::from(&b"junk"[..])]),
            Err(PeerError::Unreadable)
        );
    }
}
