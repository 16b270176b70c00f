//! Whether the other end is our collector.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, OtherError, RootCertStore, SignatureScheme};
use sha2::{Digest as _, Sha256};

use crate::leaf;

/// Why the other end is not taken for our collector.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    /// It does not show the CA whose fingerprint is in the token, or its certificate is not from that CA.
    #[error("this is not the collector the token is for: it shows another CA")]
    NotTheCollector,
    /// Its certificate is not from a CA that this identity trusts.
    #[error(
        "the collector's certificate is from another CA than those that this process trusts: if its CA was replaced meanwhile, join again with a new token"
    )]
    AnotherAuthority,
    /// The right CA, but a certificate for other names.
    #[error(
        "the collector's certificate is not for {host}, but for {names}: dial one of these, or start the collector with --advertise {host}",
        names = .names.join(", ")
    )]
    NameNotCovered {
        /// The host that was dialled.
        host: String,
        /// The host names and addresses in the certificate.
        names: Vec<String>,
    },
    /// Its certificate begins later than this host's clock says it is.
    #[error("the collector's certificate is not valid yet: is this host's clock right?")]
    NotValidYet,
    /// Its certificate is over by this host's clock.
    #[error("the collector's certificate has expired: is this host's clock right?")]
    Expired,
    /// Anything else that is wrong with its certificate.
    #[error("the collector's certificate is not acceptable: {0}")]
    Unacceptable(String),
}

impl TrustError {
    /// The reason inside an error of TLS, if it is about the collector's certificate.
    pub(crate) fn in_tls(error: &rustls::Error) -> Option<Self> {
        match error {
            rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(reason))) => {
                reason.downcast_ref::<Self>().cloned()
            }
            rustls::Error::InvalidCertificate(other) => Some(Self::Unacceptable(other.to_string())),
            rustls::Error::NoCertificatesPresented => Some(Self::Unacceptable("there is none".into())),
            _ => None,
        }
    }
}

/// What is trusted.
#[derive(Debug)]
pub(crate) enum Trust {
    /// The CA with this SHA-256, which the collector must show: all that a joiner knows.
    Fingerprint([u8; 32]),
    /// These CAs.
    Anchors(Vec<CertificateDer<'static>>),
}

/// Verifies the collector's chain, host name and dates against what is trusted, and says what is wrong in words an
/// operator can act on.
#[derive(Debug)]
pub(crate) struct CollectorVerifier {
    trust: Trust,
    provider: Arc<CryptoProvider>,
}

impl CollectorVerifier {
    pub(crate) const fn new(trust: Trust, provider: Arc<CryptoProvider>) -> Self {
        Self { trust, provider }
    }

    fn roots(&self, intermediates: &[CertificateDer<'_>]) -> Result<RootCertStore, TrustError> {
        let unacceptable = |error: rustls::Error| TrustError::Unacceptable(error.to_string());
        let mut roots = RootCertStore::empty();
        match &self.trust {
            Trust::Fingerprint(sha256) => {
                let pinned = intermediates
                    .iter()
                    .find(|certificate| Sha256::digest(certificate)[..] == sha256[..])
                    .ok_or(TrustError::NotTheCollector)?;
                roots.add(pinned.clone().into_owned()).map_err(unacceptable)?;
            }
            Trust::Anchors(anchors) => {
                for anchor in anchors {
                    roots.add(anchor.clone()).map_err(unacceptable)?;
                }
            }
        }
        Ok(roots)
    }

    fn reason(&self, error: &rustls::Error, leaf: &CertificateDer<'_>, host: &ServerName<'_>) -> TrustError {
        use CertificateError as Wrong;
        let rustls::Error::InvalidCertificate(wrong) = error else {
            return TrustError::Unacceptable(error.to_string());
        };
        match wrong {
            Wrong::UnknownIssuer | Wrong::BadSignature => match self.trust {
                Trust::Fingerprint(_) => TrustError::NotTheCollector,
                Trust::Anchors(_) => TrustError::AnotherAuthority,
            },
            Wrong::NotValidForName | Wrong::NotValidForNameContext { .. } => TrustError::NameNotCovered {
                host: host.to_str().into_owned(),
                names: leaf::host_names(leaf),
            },
            Wrong::NotValidYet | Wrong::NotValidYetContext { .. } => TrustError::NotValidYet,
            Wrong::Expired | Wrong::ExpiredContext { .. } => TrustError::Expired,
            other => TrustError::Unacceptable(other.to_string()),
        }
    }
}

impl ServerCertVerifier for CollectorVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let roots = Arc::new(self.roots(intermediates).map_err(refusal)?);
        let strict = WebPkiServerVerifier::builder_with_provider(roots, self.provider.clone())
            .build()
            .map_err(|error| refusal(TrustError::Unacceptable(error.to_string())))?;
        strict
            .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
            .map_err(|error| refusal(self.reason(&error, end_entity, server_name)))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// Through TLS and back, so that the dialler finds the reason again.
fn refusal(reason: TrustError) -> rustls::Error {
    rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(reason))))
}
