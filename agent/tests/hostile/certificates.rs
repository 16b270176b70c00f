//! Chains and keys that cost more than they prove.

use std::sync::Arc;

use parallax_model::fault::{FaultKind, TlsFault};
use parallax_model::stage::StageName;
use parallax_model::target::Security;
use rcgen::{CertificateParams, PublicKeyData};
use rustls::pki_types::CertificateDer;
use rustls::sign::{CertifiedKey, Signer, SigningKey, SingleCertAndKey};
use rustls::{ServerConfig, SignatureAlgorithm, SignatureScheme};
use tokio_rustls::TlsAcceptor;

use crate::arena::{HOST, fight};
use crate::attack::{Attack, Expected};
use crate::pki;

/// A server that presents this to whoever comes, and is honest otherwise.
fn presents(name: &str, outcome: Expected, config: ServerConfig) -> Attack {
    let acceptor = TlsAcceptor::from(Arc::new(config));
    Attack::new(name, outcome, move |mut peer| {
        let acceptor = acceptor.clone();
        async move {
            peer.secure_with(&acceptor).await?;
            let logout = peer.behave_until("LOGOUT").await?;
            peer.answer(&logout).await
        }
    })
    .over(Security::Tls)
    .and(|seen| {
        let kept = serde_json::to_string(&seen.attempt().stages).unwrap();
        assert!(kept.len() < 256 * 1024, "{} bytes", kept.len());
    })
}

fn fails(fault: TlsFault) -> Expected {
    Expected::Failed(StageName::Tls, FaultKind::Tls(fault))
}

/// A leaf, and another authority's certificate this many times.
fn chain_of(certificates: usize) -> ServerConfig {
    let (leaf, key) = pki::leaf(&pki::authority(), vec![HOST.to_owned()]);
    let stranger = pki::authority();
    let mut chain = vec![leaf];
    chain.resize(certificates, stranger.der().clone());
    pki::config(chain, key)
}

fn names(count: usize, name: impl Fn(usize) -> String) -> ServerConfig {
    let (leaf, key) = pki::leaf(&pki::authority(), (0..count).map(name).collect());
    pki::config(vec![leaf], key)
}

#[test]
fn no_chain_costs_more_than_it_proves() {
    fight(vec![
        presents(
            "a hundred certificates",
            fails(TlsFault::CertificateUntrusted),
            chain_of(100),
        ),
        presents(
            "a thousand certificates",
            fails(TlsFault::HandshakeFailed),
            chain_of(1_000),
        ),
        presents(
            "two thousand names, none of them the host's",
            fails(TlsFault::HostnameMismatch),
            names(2_000, |n| format!("imap{n}.example")),
        ),
        presents(
            "names with escape sequences",
            fails(TlsFault::HostnameMismatch),
            names(3, |n| format!("\u{1b}[2Jimap{n}.example")),
        ),
        presents(
            "a chain with a megabyte of names",
            fails(TlsFault::HandshakeFailed),
            names(60_000, |n| format!("imap{n}.example")),
        ),
        presents(
            "an RSA key of 32768 bits",
            fails(TlsFault::CertificateInvalid),
            huge_key(4096),
        ),
        presents(
            "an RSA key of 400,000 bits",
            fails(TlsFault::HandshakeFailed),
            huge_key(50_000),
        ),
        presents(
            "not one certificate, but noise",
            fails(TlsFault::CertificateInvalid),
            noise(),
        ),
    ]);
}

fn noise() -> ServerConfig {
    let noise = CertificateDer::from(vec![0x30, 0x84, 0xff, 0xff, 0xff, 0xff, 0x30, 0x80]);
    signed_by_nobody(noise, 256)
}

/// A leaf with a public key of so many bytes, and signatures as long.
fn huge_key(bytes: usize) -> ServerConfig {
    let params = CertificateParams::new(vec![HOST.to_owned()]).unwrap();
    let leaf = params.signed_by(&HugeKey::of(bytes), &pki::authority()).unwrap();
    signed_by_nobody(leaf.der().clone(), bytes)
}

fn signed_by_nobody(leaf: CertificateDer<'static>, signature: usize) -> ServerConfig {
    let certified = CertifiedKey::new(vec![leaf], Arc::new(NoKey { signature }));
    ServerConfig::builder()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)))
}

/// An RSA key (RFC 8017 appendix A.1.1) that is odd, and has no other half.
struct HugeKey(Vec<u8>);

impl HugeKey {
    fn of(bytes: usize) -> Self {
        let modulus = integer(&vec![0x7f; bytes]);
        let exponent = integer(&[1, 0, 1]);
        Self(der(0x30, &[modulus, exponent].concat()))
    }
}

impl PublicKeyData for HugeKey {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &rcgen::PKCS_RSA_SHA256
    }
}

fn integer(bytes: &[u8]) -> Vec<u8> {
    der(0x02, bytes)
}

fn der(tag: u8, contents: &[u8]) -> Vec<u8> {
    let length = u32::try_from(contents.len()).unwrap().to_be_bytes();
    [&[tag, 0x83, length[1], length[2], length[3]], contents].concat()
}

/// Signs with zeros.
#[derive(Debug)]
struct NoKey {
    signature: usize,
}

impl SigningKey for NoKey {
    fn choose_scheme(&self, _: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        Some(Box::new(Self {
            signature: self.signature,
        }))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::RSA
    }
}

impl Signer for NoKey {
    fn sign(&self, _: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        Ok(vec![0; self.signature])
    }

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::RSA_PSS_SHA256
    }
}
