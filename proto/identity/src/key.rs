//! A key that never leaves its host.

use std::fmt;
use std::path::Path;

use parallax_model::vantage::AgentName;
use rcgen::{
    CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData as _,
};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use zeroize::Zeroizing;

use crate::identity::IdentityError;
use crate::store::{self, Readers};

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
        let Some(pem) = store::read_secret(path).map_err(IdentityError::file(path))? else {
            return Ok(None);
        };
        let pem = Zeroizing::new(pem);
        let unreadable = |error: String| IdentityError::Certificate(format!("{}: {error}", path.display()));
        let text = std::str::from_utf8(&pem).map_err(|error| unreadable(error.to_string()))?;
        let pair = KeyPair::from_pem(text).map_err(|error| unreadable(error.to_string()))?;
        Ok(Some(Self(pair)))
    }

    pub(crate) fn save(&self, path: &Path) -> Result<(), IdentityError> {
        store::write_whole(path, self.pem().as_bytes(), Readers::Owner).map_err(IdentityError::file(path))
    }

    /// A PKCS#10 request (RFC 2986), DER. Only its public key counts: the identity comes from the token.
    pub fn csr(&self, name: &AgentName) -> Result<Vec<u8>, IdentityError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name.as_str());
        Ok(params.serialize_request(&self.0)?.der().to_vec())
    }

    /// SubjectPublicKeyInfo, DER.
    pub(crate) fn public_key(&self) -> Vec<u8> {
        self.0.subject_public_key_info()
    }

    pub(crate) fn pem(&self) -> Zeroizing<String> {
        Zeroizing::new(self.0.serialize_pem())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_stays_the_same_and_never_prints_itself() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key.pem");
        let made = LocalKey::load_or_create(&path).unwrap();
        let kept = LocalKey::load_or_create(&path).unwrap();
        assert_eq!(made.public_key(), kept.public_key());
        assert_eq!(format!("{made:?}"), "LocalKey(…)");
        std::fs::write(&path, "-----BEGIN PRIVATE KEY-----\nnot a key\n").unwrap();
        let error = LocalKey::load_or_create(&path).unwrap_err().to_string();
        assert!(error.contains("key.pem"), "{error}");
    }
}
