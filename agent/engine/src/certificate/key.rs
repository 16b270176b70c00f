//! Public keys: which kind, and how strong.

use std::fmt;

use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

/// The shortest RSA modulus that is accepted anywhere (CA/Browser Forum baseline requirements, section 6.1.5).
const RSA_BITS: usize = 2_048;

/// The smallest curve, likewise.
const EC_BITS: usize = 256;

/// Curves by their object identifiers (RFC 5480 section 2.1.1.1, RFC 5639).
const CURVES: [(&str, &str, usize); 9] = [
    ("1.2.840.10045.3.1.7", "P-256", 256),
    ("1.3.132.0.34", "P-384", 384),
    ("1.3.132.0.35", "P-521", 521),
    ("1.3.132.0.33", "P-224", 224),
    ("1.2.840.10045.3.1.1", "P-192", 192),
    ("1.3.132.0.10", "secp256k1", 256),
    ("1.3.36.3.3.2.8.1.1.7", "brainpoolP256r1", 256),
    ("1.3.36.3.3.2.8.1.1.11", "brainpoolP384r1", 384),
    ("1.3.36.3.3.2.8.1.1.13", "brainpoolP512r1", 512),
];

/// A public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Key {
    /// RSA, with the bits of its modulus.
    Rsa(usize),
    /// An elliptic curve, with the bits of its field.
    Ec {
        /// The curve's name, or its object identifier.
        curve: String,
        /// Bits; zero when the curve is not known.
        bits: usize,
    },
    /// Ed25519 (RFC 8410).
    Ed25519,
    /// Ed448 (RFC 8410).
    Ed448,
    /// DSA, which no TLS library takes any more.
    Dsa,
    /// Another kind, by its object identifier.
    Other(String),
}

impl Key {
    pub(super) fn of(info: &SubjectPublicKeyInfo<'_>) -> Self {
        let algorithm = info.algorithm.algorithm.to_id_string();
        match algorithm.as_str() {
            // rsaEncryption and RSASSA-PSS, RFC 4055 section 1.2
            "1.2.840.113549.1.1.1" | "1.2.840.113549.1.1.10" => Self::Rsa(rsa_bits(info)),
            "1.2.840.10045.2.1" => ec(info),
            "1.3.101.112" => Self::Ed25519,
            "1.3.101.113" => Self::Ed448,
            "1.2.840.10040.4.1" => Self::Dsa,
            _ => Self::Other(algorithm),
        }
    }

    /// Whether clients refuse it for being too short. A curve that is not known is not judged.
    pub fn is_weak(&self) -> bool {
        match self {
            Self::Rsa(bits) => *bits < RSA_BITS,
            Self::Ec { bits, .. } => (1..EC_BITS).contains(bits),
            Self::Dsa => true,
            Self::Ed25519 | Self::Ed448 | Self::Other(_) => false,
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rsa(bits) => write!(f, "RSA {bits}"),
            Self::Ec { curve, .. } => write!(f, "EC {curve}"),
            Self::Ed25519 => f.write_str("Ed25519"),
            Self::Ed448 => f.write_str("Ed448"),
            Self::Dsa => f.write_str("DSA"),
            Self::Other(oid) => f.write_str(oid),
        }
    }
}

/// Counted from the highest bit that is set, as keys of 2047 bits do exist.
fn rsa_bits(info: &SubjectPublicKeyInfo<'_>) -> usize {
    let Ok(PublicKey::RSA(key)) = info.parsed() else {
        return 0;
    };
    let significant = key
        .modulus
        .iter()
        .position(|byte| *byte != 0)
        .map_or(&[][..], |start| &key.modulus[start..]);
    significant
        .first()
        .map_or(0, |first| significant.len() * 8 - first.leading_zeros() as usize)
}

fn ec(info: &SubjectPublicKeyInfo<'_>) -> Key {
    let parameters = info.algorithm.parameters.as_ref();
    let curve = parameters
        .and_then(|any| any.as_oid().ok())
        .map(|oid| oid.to_id_string())
        .unwrap_or_default();
    match CURVES.iter().find(|(oid, ..)| *oid == curve) {
        Some((_, name, bits)) => Key::Ec {
            curve: (*name).to_owned(),
            bits: *bits,
        },
        None => Key::Ec { curve, bits: 0 },
    }
}
