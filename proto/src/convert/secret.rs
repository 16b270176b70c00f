use parallax_model::credential::SealedSecret;

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

by_reference! {
    SealedSecret => v1::SealedSecret,
}
