//! The certificates a server presents: facts, and what is wrong with them.
//!
//! Everything is read from the DER alone, so that a chain nobody trusts can be explained too, with all its faults
//! at once. Whether a trust anchor vouches for it is the driver's to find out.

mod distinguished_name;
mod fault;
#[cfg(test)]
pub(crate) mod forge;
mod host_name;
mod key;
pub mod ocsp;
mod read;
mod signature;
#[cfg(test)]
mod tests;
pub mod tlsa;

use std::net::IpAddr;

use hex::encode;
use parallax_model::certificate::CertificateFacts;
use sha2::{Digest, Sha256};

pub use fault::{CertificateFault, faults};
pub use key::Key;

/// Certificates read of a chain; honest ones have two to four.
pub const CERTIFICATES: usize = 10;

/// Bytes read of a chain, the bound that TLS libraries put on the message that carries it.
pub const CHAIN_BYTES: usize = 64 * 1024;

/// Names of one certificate that go into its facts. All of them count when the host is compared.
pub const NAMES: usize = 100;

/// A presented chain, leaf first.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Chain {
    /// The certificates in the order they came.
    pub certificates: Vec<Presented>,
    /// How many were beyond [`CERTIFICATES`] or [`CHAIN_BYTES`] and not read.
    pub omitted: usize,
}

/// One certificate of a chain.
#[derive(Debug, Clone, PartialEq)]
pub enum Presented {
    /// It was read.
    Read(Box<Certificate>),
    /// It is not a certificate that can be read.
    Unreadable(Unreadable),
}

/// A certificate that could not be read.
#[derive(Debug, Clone, PartialEq)]
pub struct Unreadable {
    /// SHA-256 of the DER, hexadecimal.
    pub sha256: String,
    /// Why.
    pub reason: String,
}

/// What one certificate says. Its texts are untrusted: escape them where they are shown.
#[derive(Debug, Clone, PartialEq)]
pub struct Certificate {
    /// What is reported.
    pub facts: CertificateFacts,
    /// Every dNSName, in lower case.
    pub dns_names: Vec<String>,
    /// Every iPAddress.
    pub addresses: Vec<IpAddr>,
    /// The public key.
    pub key: Key,
    /// Whether its signature is one that can be forged (MD5, SHA-1).
    pub weak_signature: bool,
    /// Whether the extended key usage lets it serve TLS (RFC 5280 section 4.2.1.12); `None` when it has none,
    /// which allows everything.
    pub for_servers: Option<bool>,
    subject: Vec<u8>,
    issuer: Vec<u8>,
}

impl Chain {
    /// Reads a chain as it came in the handshake, leaf first. What is beyond the bounds is counted only.
    pub fn read<'d>(chain: impl IntoIterator<Item = &'d [u8]>) -> Self {
        let mut read = Self::default();
        let mut bytes = 0_usize;
        for der in chain {
            bytes = bytes.saturating_add(der.len());
            if read.certificates.len() >= CERTIFICATES || bytes > CHAIN_BYTES {
                read.omitted += 1;
                continue;
            }
            read.certificates.push(match read::certificate(der) {
                Ok(certificate) => Presented::Read(Box::new(certificate)),
                Err(reason) => Presented::Unreadable(Unreadable {
                    sha256: sha256(der),
                    reason,
                }),
            });
        }
        read
    }

    /// The server's own certificate.
    pub fn leaf(&self) -> Option<&Certificate> {
        self.certificates.first().and_then(Presented::certificate)
    }

    /// What is reported of the certificates that could be read.
    pub fn facts(&self) -> Vec<CertificateFacts> {
        self.readable()
            .map(|(_, certificate)| certificate.facts.clone())
            .collect()
    }

    fn readable(&self) -> impl Iterator<Item = (usize, &Certificate)> {
        let certificates = self.certificates.iter().map(Presented::certificate);
        certificates
            .enumerate()
            .filter_map(|(position, certificate)| Some((position, certificate?)))
    }
}

impl Presented {
    /// The certificate, if it could be read.
    pub fn certificate(&self) -> Option<&Certificate> {
        match self {
            Self::Read(certificate) => Some(certificate),
            Self::Unreadable(_) => None,
        }
    }
}

impl Certificate {
    fn issued(&self, other: &Self) -> bool {
        self.subject == other.issuer
    }

    fn self_issued(&self) -> bool {
        self.subject == self.issuer
    }
}

fn sha256(bytes: &[u8]) -> String {
    encode(Sha256::digest(bytes))
}
