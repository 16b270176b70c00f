//! The client's side of a mutual handshake.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parallax_model::credential::ClientIdentity;
use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

/// Notes that the server asked for a client certificate, and gives the one there is, if any.
#[derive(Debug, Default)]
pub(super) struct Asked {
    certificate: Option<Arc<CertifiedKey>>,
    asked: AtomicBool,
}

impl Asked {
    /// With a certificate and key to show.
    pub(super) fn with(identity: &ClientIdentity, provider: &CryptoProvider) -> Result<Self, String> {
        let pem = identity.expose().as_bytes();
        let chain = CertificateDer::pem_slice_iter(pem)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| format!("the client certificate can not be read: {error}"))?;
        if chain.is_empty() {
            return Err("there is no client certificate in the PEM given".to_owned());
        }
        let key = PrivateKeyDer::from_pem_slice(pem)
            .map_err(|error| format!("the key of the client certificate can not be read: {error}"))?;
        let certified = CertifiedKey::from_der(chain, key, provider)
            .map_err(|error| format!("the client certificate and its key can not be used: {error}"))?;
        Ok(Self {
            certificate: Some(Arc::new(certified)),
            asked: AtomicBool::new(false),
        })
    }

    /// Whether the server asked and got nothing.
    pub(super) fn in_vain(&self) -> bool {
        self.certificate.is_none() && self.asked.load(Ordering::Relaxed)
    }
}

impl ResolvesClientCert for Asked {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.asked.store(true, Ordering::Relaxed);
        self.certificate.clone()
    }

    // Were it false, the library would never ask, and the server's wish would go unseen.
    fn has_certs(&self) -> bool {
        true
    }
}
