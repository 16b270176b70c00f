use parallax_model::credential::{LocalCredential, SealedSecret, SealingProof};

use super::error::WireError;
use super::write::by_reference;
use crate::v1;

impl From<SealedSecret> for v1::SealedSecret {
    fn from(secret: SealedSecret) -> Self {
        Self {
            encapsulated_key: secret.encapsulated_key,
            ciphertext: secret.ciphertext,
        }
    }
}

impl TryFrom<v1::SealedSecret> for SealedSecret {
    type Error = WireError;

    fn try_from(wire: v1::SealedSecret) -> Result<Self, WireError> {
        if wire.encapsulated_key.is_empty() {
            return Err(WireError::new("encapsulated_key", "missing"));
        }
        if wire.ciphertext.is_empty() {
            return Err(WireError::new("ciphertext", "missing"));
        }
        Ok(Self {
            encapsulated_key: wire.encapsulated_key,
            ciphertext: wire.ciphertext,
        })
    }
}

impl From<LocalCredential> for v1::LocalCredential {
    fn from(local: LocalCredential) -> Self {
        let LocalCredential { name, host, user } = local;
        Self { name, host, user }
    }
}

impl From<v1::LocalCredential> for LocalCredential {
    fn from(wire: v1::LocalCredential) -> Self {
        let v1::LocalCredential { name, host, user } = wire;
        Self { name, host, user }
    }
}

impl From<SealingProof> for v1::SealingProof {
    fn from(proof: SealingProof) -> Self {
        Self {
            chain_der: proof.chain,
            scheme: proof.scheme.into(),
            signature: proof.signature,
        }
    }
}

impl TryFrom<v1::SealingProof> for SealingProof {
    type Error = WireError;

    fn try_from(wire: v1::SealingProof) -> Result<Self, WireError> {
        let scheme = u16::try_from(wire.scheme);
        Ok(Self {
            chain: wire.chain_der,
            scheme: scheme.map_err(|_| WireError::new("scheme", "not one of TLS"))?,
            signature: wire.signature,
        })
    }
}

by_reference! {
    SealedSecret => v1::SealedSecret,
}
