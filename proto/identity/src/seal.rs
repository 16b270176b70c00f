//! Secrets that only one agent can open: HPKE base mode (RFC 9180) with DHKEM(X25519, HKDF-SHA256), HKDF-SHA256 and
//! ChaCha20-Poly1305.

use std::collections::BTreeSet;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use parallax_model::credential::{SealContext, SealedSecret, Secret};
use rustls::crypto::aws_lc_rs::hpke::DH_KEM_X25519_HKDF_SHA256_CHACHA20_POLY1305 as SUITE;
use rustls::crypto::hpke::{EncapsulatedSecret, Hpke, HpkePrivateKey, HpkePublicKey};
use sha2::{Digest as _, Sha256};
use zeroize::{Zeroize as _, Zeroizing};

use crate::identity::IdentityError;
use crate::store::{self, Readers};

const PUBLIC_KEY_BYTES: usize = 32;

/// Why a secret could not be sealed or opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The key is not an X25519 key.
    #[error("not a sealing key")]
    Key,
    /// Sealed for another agent, host, user or set of trust anchors, or altered on the way.
    #[error("the secret was not sealed for this agent, host, user and trust anchors")]
    NotForUs,
}

/// The key pair to which secrets for this process are sealed.
pub struct SealingKey {
    private: HpkePrivateKey,
    public: Vec<u8>,
}

impl SealingKey {
    /// A new key.
    pub fn generate() -> Result<Self, SealError> {
        let (public, private) = SUITE.generate_key_pair().map_err(|_| SealError::Key)?;
        Ok(Self {
            private,
            public: public.0,
        })
    }

    /// The key in a file of mode 0600 (the public half's 32 bytes, then the private half's), made now if there is none.
    pub fn load_or_create(path: &Path) -> Result<Self, IdentityError> {
        let wrong = |error: SealError| IdentityError::Certificate(format!("{}: {error}", path.display()));
        let kept = store::read_secret(path).map_err(IdentityError::file(path))?;
        if let Some(bytes) = kept {
            return Self::from_bytes(&Zeroizing::new(bytes)).map_err(wrong);
        }
        let key = Self::generate().map_err(wrong)?;
        let mut bytes = Zeroizing::new(key.public.clone());
        bytes.extend_from_slice(key.private.secret_bytes());
        store::write_whole(path, &bytes, Readers::Owner).map_err(IdentityError::file(path))?;
        Ok(key)
    }

    /// The public half of the key in a file, or none if there is no such file.
    pub fn public_of(path: &Path) -> Result<Option<Vec<u8>>, IdentityError> {
        let bytes = store::read(path)
            .map_err(IdentityError::file(path))?
            .map(Zeroizing::new);
        Ok(bytes.and_then(|bytes| Some(bytes.get(..PUBLIC_KEY_BYTES)?.to_vec())))
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, SealError> {
        let (public, private) = bytes.split_at_checked(PUBLIC_KEY_BYTES).ok_or(SealError::Key)?;
        let key = Self {
            public: public.to_vec(),
            private: HpkePrivateKey::from(private.to_vec()),
        };
        // Halves that do not belong together would turn every secret away, one login at a time.
        let context = SealContext {
            host: "",
            user: "",
            anchors: &[],
        };
        let sealed = seal(&key.public, &context, &Secret::new(String::new()))?;
        key.open(&context, &sealed).map_err(|_| SealError::Key)?;
        Ok(key)
    }

    /// The public half, for whoever seals.
    pub fn public(&self) -> &[u8] {
        &self.public
    }

    /// Opens a secret that was sealed for this key and context.
    pub fn open(&self, context: &SealContext<'_>, sealed: &SealedSecret) -> Result<Secret, SealError> {
        let encapsulated = EncapsulatedSecret(sealed.encapsulated_key.clone());
        let clear = SUITE
            .open(
                &encapsulated,
                &info(context),
                &[],
                &sealed.ciphertext,
                &self.private,
            )
            .map_err(|_| SealError::NotForUs)?;
        String::from_utf8(clear).map(Secret::new).map_err(|error| {
            error.into_bytes().zeroize();
            SealError::NotForUs
        })
    }
}

/// Seals a secret so that only the holder of the private half can open it, and only in this context.
pub fn seal(public: &[u8], context: &SealContext<'_>, secret: &Secret) -> Result<SealedSecret, SealError> {
    if public.len() != PUBLIC_KEY_BYTES {
        return Err(SealError::Key);
    }
    let key = HpkePublicKey(public.to_vec());
    let (encapsulated, ciphertext) = SUITE
        .seal(&info(context), &[], secret.expose().as_bytes(), &key)
        .map_err(|_| SealError::Key)?;
    Ok(SealedSecret {
        encapsulated_key: encapsulated.0,
        ciphertext,
    })
}

/// A sealing key as people compare it, in the notation of ssh-keygen(1).
pub fn fingerprint(public: &[u8]) -> String {
    format!("SHA256:{}", STANDARD_NO_PAD.encode(Sha256::digest(public)))
}

/// The `info` of HPKE's key schedule (RFC 9180 section 5.1).
fn info(context: &SealContext<'_>) -> Vec<u8> {
    let anchors: BTreeSet<_> = context.anchors.iter().map(Sha256::digest).collect();
    let mut all = Sha256::new();
    for anchor in anchors {
        all.update(anchor);
    }
    let mut info = b"parallax credential v2".to_vec();
    for part in [context.host.as_bytes(), context.user.as_bytes(), &all.finalize()] {
        info.push(0);
        info.extend_from_slice(part);
    }
    info
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTEXT: SealContext<'static> = SealContext {
        host: "imap.example.org",
        user: "probe",
        anchors: &[],
    };

    #[test]
    fn only_the_right_agent_opens_it_and_only_for_the_same_host_and_user() {
        let (key, other) = (SealingKey::generate().unwrap(), SealingKey::generate().unwrap());
        let sealed = seal(key.public(), &CONTEXT, &Secret::new("open sesame".into())).unwrap();
        assert_eq!(key.open(&CONTEXT, &sealed).unwrap().expose(), "open sesame");
        assert!(matches!(other.open(&CONTEXT, &sealed), Err(SealError::NotForUs)));
        let elsewhere = SealContext {
            host: "evil.example",
            ..CONTEXT
        };
        assert!(matches!(key.open(&elsewhere, &sealed), Err(SealError::NotForUs)));
        let someone = SealContext {
            user: "root",
            ..CONTEXT
        };
        assert!(matches!(key.open(&someone, &sealed), Err(SealError::NotForUs)));
    }

    #[test]
    fn a_secret_sealed_with_other_anchors_does_not_open() {
        let key = SealingKey::generate().unwrap();
        let (ours, lab, thief) = (vec![1], vec![2, 3], vec![4]);
        let with = |anchors: &[Vec<u8>]| {
            let context = SealContext { anchors, ..CONTEXT };
            seal(key.public(), &context, &Secret::new("s".into())).unwrap()
        };
        let opens = |sealed: &SealedSecret, anchors: &[Vec<u8>]| {
            key.open(&SealContext { anchors, ..CONTEXT }, sealed).is_ok()
        };
        let (public, private) = (with(&[]), with(&[ours.clone(), lab.clone()]));
        assert!(opens(&private, &[lab.clone(), ours.clone()]), "in any order");
        assert!(!opens(&public, std::slice::from_ref(&thief)));
        assert!(!opens(&private, &[ours.clone(), lab, thief]));
        assert!(!opens(&private, &[ours]));
        assert!(!opens(&private, &[]));
    }

    #[test]
    fn the_key_survives_a_restart_in_a_file_for_its_owner() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sealing.key");
        let sealed = {
            let key = SealingKey::load_or_create(&path).unwrap();
            seal(key.public(), &CONTEXT, &Secret::new("s".into())).unwrap()
        };
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        let key = SealingKey::load_or_create(&path).unwrap();
        assert_eq!(key.open(&CONTEXT, &sealed).unwrap().expose(), "s");
    }
}
