//! An authority, and the honest certificate that it gave to the server.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::cipher_suite::TLS13_CHACHA20_POLY1305_SHA256;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::TLS13;
use tokio_rustls::TlsAcceptor;

use crate::arena::HOST;

pub(crate) struct Pki {
    authority: CertifiedIssuer<'static, KeyPair>,
    acceptor: TlsAcceptor,
}

impl Pki {
    pub(crate) fn new() -> Self {
        parallax_identity::install_provider();
        let authority = authority();
        let (leaf, key) = leaf(&authority, vec![HOST.to_owned()]);
        let acceptor = TlsAcceptor::from(Arc::new(config(vec![leaf], key)));
        Self { authority, acceptor }
    }

    pub(crate) fn anchor(&self) -> Vec<u8> {
        self.authority.der().to_vec()
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        self.acceptor.clone()
    }
}

/// Of the suites only the one whose records can be sealed by hand at any place in the stream.
fn provider() -> CryptoProvider {
    CryptoProvider {
        cipher_suites: vec![TLS13_CHACHA20_POLY1305_SHA256],
        ..aws_lc_rs::default_provider()
    }
}

pub(crate) fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "an authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

pub(crate) fn leaf(
    authority: &CertifiedIssuer<'static, KeyPair>,
    names: Vec<String>,
) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
    let params = CertificateParams::new(names).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = params.signed_by(&key, authority).unwrap();
    let key = PrivatePkcs8KeyDer::from(key.serialize_der());
    (leaf.der().clone(), key.into())
}

pub(crate) fn config(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> ServerConfig {
    let key = any_supported_type(&key).unwrap();
    // Unlike a single certificate, this one may be anything.
    let certified = CertifiedKey::new(chain, key);
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider()))
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
    config.enable_secret_extraction = true;
    config
}
