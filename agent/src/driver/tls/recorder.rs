//! Keeps what a server presents.

use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};

use crate::driver::tls::trust::Trust;

/// More is no chain, but an attempt to fill the memory of those who look at it.
const CERTIFICATES: usize = 10;
const CHAIN_BYTES: usize = 64 * 1024;

/// Keeps every chain, so that a bad one can be described. Without a judge it takes any; with one it takes what the
/// judge takes. A handshake whose signature is not made with the leaf's key is never taken.
#[derive(Debug)]
pub(super) struct Recorder {
    provider: Arc<CryptoProvider>,
    judge: Option<Trust>,
    seen: Mutex<Option<Presented>>,
}

/// A chain as it was presented.
#[derive(Debug)]
pub(super) struct Presented {
    /// Leaf first.
    pub(super) chain: Vec<CertificateDer<'static>>,
    /// The stapled OCSP response, empty if none.
    pub(super) ocsp: Vec<u8>,
    /// What the judge said, where there is one: the store by whose anchors it goes on, if it does.
    pub(super) judged: Option<Option<&'static str>>,
}

impl Presented {
    /// As much of the chain as is worth passing on.
    pub(super) fn bounded(&self) -> Vec<Vec<u8>> {
        let mut bytes = 0;
        self.chain
            .iter()
            .take(CERTIFICATES)
            .take_while(|der| {
                bytes += der.len();
                bytes <= CHAIN_BYTES
            })
            .map(|der| der.to_vec())
            .collect()
    }
}

impl Recorder {
    pub(super) const fn new(provider: Arc<CryptoProvider>, judge: Option<Trust>) -> Self {
        Self {
            provider,
            judge,
            seen: Mutex::new(None),
        }
    }

    /// Whether anything was presented.
    pub(super) fn has_seen(&self) -> bool {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// What was presented, if it came to that.
    pub(super) fn take(&self) -> Option<Presented> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl ServerCertVerifier for Recorder {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verdict = self.judge.as_ref().map(|judge| {
            let chain = (end_entity, intermediates);
            judge.verify(chain, server_name, ocsp_response, now)
        });
        let chain = std::iter::once(end_entity)
            .chain(intermediates)
            .map(|der| der.clone().into_owned())
            .collect();
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(Presented {
            chain,
            ocsp: ocsp_response.to_vec(),
            judged: verdict.as_ref().map(|verdict| verdict.as_ref().ok().copied()),
        });
        match verdict {
            Some(Err(reason)) => Err(reason),
            Some(Ok(_)) | None => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
