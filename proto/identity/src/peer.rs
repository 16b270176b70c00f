//! Who is at the other end.

use parallax_model::identity::SpiffeId;
use rustls::pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// Why a certificate says no identity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PeerError {
    /// No certificate was presented.
    #[error("no certificate was presented")]
    Absent,
    /// It could not be read.
    #[error("the certificate could not be read")]
    Unreadable,
    /// It has not exactly one URI among its names (SPIFFE X.509-SVID, section 2).
    #[error("the certificate has not exactly one SPIFFE URI of this trust domain")]
    NotSpiffe,
}

/// The identity in a chain that TLS has already verified, leaf first.
pub fn peer_identity(chain: &[CertificateDer<'_>]) -> Result<SpiffeId, PeerError> {
    let leaf = chain.first().ok_or(PeerError::Absent)?;
    let (_, certificate) = X509Certificate::from_der(leaf).map_err(|_| PeerError::Unreadable)?;
    let names = certificate
        .subject_alternative_name()
        .map_err(|_| PeerError::Unreadable)?
        .ok_or(PeerError::NotSpiffe)?;
    let mut uris = names.value.general_names.iter().filter_map(|name| match name {
        GeneralName::URI(uri) => Some(*uri),
        _ => None,
    });
    match (uris.next(), uris.next()) {
        (Some(uri), None) => uri.parse().map_err(|_| PeerError::NotSpiffe),
        _ => Err(PeerError::NotSpiffe),
    }
}
