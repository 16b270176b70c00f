//! Which callers the collector hears out: those with a certificate of its CA, and for a while after it is over.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};

use crate::leaf::Leaf;

/// Verifies strictly, and takes a certificate that is over for one that was looked at in its last second, for `grace`.
/// What its holder may still do is decided call by call.
#[derive(Debug)]
pub(crate) struct ClientVerifier {
    strict: Arc<dyn ClientCertVerifier>,
    grace: Duration,
}

impl ClientVerifier {
    pub(crate) const fn new(strict: Arc<dyn ClientCertVerifier>, grace: Duration) -> Self {
        Self { strict, grace }
    }

    /// The last second of a certificate that has been over for no longer than the grace.
    fn last_second(&self, end_entity: &CertificateDer<'_>, now: UnixTime) -> Option<UnixTime> {
        let leaf = Leaf::of(std::slice::from_ref(end_entity)).ok()?;
        let ended = leaf.not_after.duration_since(UNIX_EPOCH).ok()?;
        let since = Duration::from_secs(now.as_secs()).checked_sub(ended)?;
        let last = ended.checked_sub(Duration::from_secs(1))?;
        (since <= self.grace).then(|| UnixTime::since_unix_epoch(last))
    }
}

impl ClientCertVerifier for ClientVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.strict.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let refused = match self.strict.verify_client_cert(end_entity, intermediates, now) {
            Err(
                refused @ Error::InvalidCertificate(
                    CertificateError::Expired | CertificateError::ExpiredContext { .. },
                ),
            ) => refused,
            verdict => return verdict,
        };
        let last = self.last_second(end_entity, now).ok_or(refused)?;
        self.strict.verify_client_cert(end_entity, intermediates, last)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.strict
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.strict
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.strict.supported_verify_schemes()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.strict.client_auth_mandatory()
    }
}
