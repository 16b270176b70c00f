//! A key that never leaves its host.

use std::fmt;
use std::io;
use std::path::Path;

use parallax_model::vantage::AgentName;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use zeroize::Zeroizing;

use crate::identity::IdentityError;
use crate::store;

/// An ECDSA P-256 key pair, made where it is used.
pub struct LocalKey(pub(crate) KeyPair);

impl LocalKey {
    /// A new key.
    pub fn generate() -> Result<Self, IdentityError> {
        Ok(Self(KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?))
    }

    /// The key in a PKCS#8 PEM file of mode 0600, made now if there is none.
    pub fn load_or_create(path: &Path) -> Result<Self, IdentityError> {
        if let Some(key) = Self::load(path)? {
            return Ok(key);
        }
        let key = Self::generate()?;
        key.save(path)?;
        Ok(key)
    }

    pub(crate) fn load(path: &Path) -> Result<Option<Self>, IdentityError> {
        let Some(pem) = store::read(path).map_err(|error| IdentityError::file(path, error))? else {
            return Ok(None);
        };
        let pem = Zeroizing::new(pem);
        let text = std::str::from_utf8(&pem)
            .map_err(|error| IdentityError::file(path, io::Error::new(io::ErrorKind::InvalidData, error)))?;
        Ok(Some(Self(KeyPair::from_pem(text)?)))
    }

    pub(crate) fn save(&self, path: &Path) -> Result<(), IdentityError> {
        let pem = Zeroizing::new(self.0.serialize_pem());
        store::write_whole(path, pem.as_bytes(), true).map_err(|error| IdentityError::file(path, error))
    }

    /// A PKCS#10 request (RFC 2986), DER. Only its public key counts: the identity comes from the token.
    pub fn csr(&self, name: &AgentName) -> Result<Vec<u8>, IdentityError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name.as_str());
        Ok(params.serialize_request(&self.0)?.der().to_vec())
    }

    pub(crate) fn der(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.0.serialize_der()))
    }
}

impl fmt::Debug for LocalKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LocalKey(…)")
    }
}
