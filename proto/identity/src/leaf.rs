//! What a certificate says of its holder.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parallax_model::identity::SpiffeId;
use rustls::pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::authorities::trust_digest;
use crate::peer::PeerError;

/// A holder's certificate, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Leaf {
    pub(crate) spiffe: SpiffeId,
    pub(crate) not_before: SystemTime,
    pub(crate) not_after: SystemTime,
    /// SubjectPublicKeyInfo, DER.
    pub(crate) public_key: Vec<u8>,
}

impl Leaf {
    /// Reads the first certificate of a chain.
    pub(crate) fn of(chain: &[CertificateDer<'_>]) -> Result<Self, PeerError> {
        let leaf = chain.first().ok_or(PeerError::Absent)?;
        let (_, certificate) = X509Certificate::from_der(leaf).map_err(|_| PeerError::Unreadable)?;
        let validity = certificate.validity();
        Ok(Self {
            spiffe: spiffe(&certificate)?,
            not_before: system_time(validity.not_before.timestamp()),
            not_after: system_time(validity.not_after.timestamp()),
            public_key: certificate.public_key().raw.to_vec(),
        })
    }
}

/// The host names and addresses a certificate is for, as a person would type them.
pub(crate) fn host_names(certificate: &CertificateDer<'_>) -> Vec<String> {
    let Ok((_, certificate)) = X509Certificate::from_der(certificate) else {
        return Vec::new();
    };
    let Ok(Some(names)) = certificate.subject_alternative_name() else {
        return Vec::new();
    };
    names.value.general_names.iter().filter_map(host_name).collect()
}

/// The CAs that a collector shows beside its certificate, in one value: first the one that issues. Nothing is trusted
/// because it is shown.
pub(crate) fn trust_shown(chain: &[CertificateDer<'_>]) -> Option<Vec<u8>> {
    let is_anchor = |der: &&CertificateDer<'_>| {
        X509Certificate::from_der(der)
            .is_ok_and(|(_, certificate)| certificate.subject() == certificate.issuer())
    };
    let anchors: Vec<_> = chain.iter().skip(1).filter(is_anchor).collect();
    let issuing = anchors.first()?;
    Some(trust_digest(issuing, &anchors).to_vec())
}

/// When a certificate ends; what can't be read never began.
pub(crate) fn ends(der: &[u8]) -> SystemTime {
    X509Certificate::from_der(der).map_or(UNIX_EPOCH, |(_, certificate)| {
        system_time(certificate.validity().not_after.timestamp())
    })
}

/// The one URI (SPIFFE X.509-SVID, section 2: exactly one).
fn spiffe(certificate: &X509Certificate<'_>) -> Result<SpiffeId, PeerError> {
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

fn host_name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => match bytes.len() {
            4 => <[u8; 4]>::try_from(*bytes)
                .ok()
                .map(|octets| Ipv4Addr::from(octets).to_string()),
            16 => <[u8; 16]>::try_from(*bytes)
                .ok()
                .map(|octets| Ipv6Addr::from(octets).to_string()),
            _ => None,
        },
        _ => None,
    }
}

fn system_time(seconds: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
}
