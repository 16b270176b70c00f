//! A key, its certificate, and whom it trusts.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parallax_model::identity::SpiffeId;
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::key::LocalKey;
use crate::peer::peer_identity;
use crate::{server, store};

const KEY_FILE: &str = "key.pem";
const CERTIFICATE_FILE: &str = "cert.pem";
const ANCHORS_FILE: &str = "anchors.pem";

/// A process's identity: who it is, and whom it believes.
pub struct Identity {
    key: PrivateKeyDer<'static>,
    key_pem: zeroize::Zeroizing<String>,
    chain: Vec<CertificateDer<'static>>,
    anchors: Vec<CertificateDer<'static>>,
    spiffe: SpiffeId,
    not_before: SystemTime,
    not_after: SystemTime,
}

/// What can be wrong with an identity.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A file could not be read or written.
    #[error("{path}: {source}", path = .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A key, a certificate or a request could not be made or read.
    #[error("certificate or key: {0}")]
    Certificate(String),
    /// The certificate is not one of ours.
    #[error("the certificate names no Parallax identity: {0}")]
    Foreign(String),
    /// Something is missing beside the key.
    #[error("{path} is incomplete: {what} is missing", path = .path.display())]
    Incomplete {
        /// The directory.
        path: PathBuf,
        /// The file that is missing.
        what: &'static str,
    },
}

impl IdentityError {
    pub(crate) fn file(path: &Path, source: io::Error) -> Self {
        Self::File { path: path.to_owned(), source }
    }
}

impl From<rcgen::Error> for IdentityError {
    fn from(error: rcgen::Error) -> Self {
        Self::Certificate(error.to_string())
    }
}

impl Identity {
    /// An identity of a key and the chain that was issued for it: leaf first, the CA last.
    pub fn new(key: &LocalKey, chain: Vec<Vec<u8>>, anchors: Vec<Vec<u8>>) -> Result<Self, IdentityError> {
        let chain: Vec<_> = chain.into_iter().map(CertificateDer::from).collect();
        let anchors: Vec<_> = anchors.into_iter().map(CertificateDer::from).collect();
        Self::assemble(key, chain, anchors)
    }

    fn assemble(
        key: &LocalKey,
        chain: Vec<CertificateDer<'static>>,
        anchors: Vec<CertificateDer<'static>>,
    ) -> Result<Self, IdentityError> {
        let spiffe = peer_identity(&chain).map_err(|error| IdentityError::Foreign(error.to_string()))?;
        let leaf = chain.first().ok_or_else(|| IdentityError::Foreign("no certificate".into()))?;
        let (_, parsed) =
            X509Certificate::from_der(leaf).map_err(|error| IdentityError::Certificate(error.to_string()))?;
        Ok(Self {
            key: key.der(),
            key_pem: zeroize::Zeroizing::new(key.0.serialize_pem()),
            spiffe,
            not_before: system_time(parsed.validity().not_before.timestamp()),
            not_after: system_time(parsed.validity().not_after.timestamp()),
            chain: chain.clone(),
            anchors,
        })
    }

    /// The identity kept in a directory, or none if nothing is kept there.
    pub fn load(directory: &Path) -> Result<Option<Self>, IdentityError> {
        let path = directory.join(CERTIFICATE_FILE);
        let Some(chain) = store::read(&path).map_err(|error| IdentityError::file(&path, error))? else {
            return Ok(None);
        };
        let missing = |what| IdentityError::Incomplete { path: directory.to_owned(), what };
        let key = LocalKey::load(&directory.join(KEY_FILE))?.ok_or_else(|| missing(KEY_FILE))?;
        let path = directory.join(ANCHORS_FILE);
        let anchors = store::read(&path)
            .map_err(|error| IdentityError::file(&path, error))?
            .ok_or_else(|| missing(ANCHORS_FILE))?;
        Self::assemble(&key, certificates(&chain)?, certificates(&anchors)?).map(Some)
    }

    /// Keeps the identity in a directory: `key.pem` (mode 0600), `cert.pem` (leaf first, then the CA), `anchors.pem`.
    pub fn save(&self, directory: &Path) -> Result<(), IdentityError> {
        let file = |path: &Path| {
            let path = path.to_owned();
            move |error| IdentityError::file(&path, error)
        };
        store::private_dir(directory).map_err(file(directory))?;
        let write = |name: &str, content: &str, secret| {
            let path = directory.join(name);
            store::write_whole(&path, content.as_bytes(), secret).map_err(file(&path))
        };
        write(KEY_FILE, &self.key_pem, true)?;
        write(ANCHORS_FILE, &to_pem(&self.anchors), false)?;
        // Last: a certificate file says that the rest is there.
        write(CERTIFICATE_FILE, &to_pem(&self.chain), false)
    }

    /// Who this is.
    pub const fn spiffe(&self) -> &SpiffeId {
        &self.spiffe
    }

    /// When the certificate ends.
    pub const fn not_after(&self) -> SystemTime {
        self.not_after
    }

    /// When to renew: two thirds of the lifetime are over.
    pub fn renew_at(&self) -> SystemTime {
        let lifetime = self.not_after.duration_since(self.not_before).unwrap_or_default();
        self.not_before + lifetime * 2 / 3
    }

    /// Whether the certificate has ended.
    pub fn has_expired(&self, now: SystemTime) -> bool {
        now >= self.not_after
    }

    /// Trust anchors for the other side, DER.
    pub fn anchors(&self) -> &[CertificateDer<'static>] {
        &self.anchors
    }

    /// TLS as a client: this identity, and only the collector of the same CA.
    pub fn client_config(&self) -> Result<Arc<rustls::ClientConfig>, rustls::Error> {
        let mut config = server::client_builder()?
            .with_root_certificates(self.roots()?)
            .with_client_auth_cert(self.chain.clone(), self.key.clone_key())?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Arc::new(config))
    }

    pub(crate) fn roots(&self) -> Result<RootCertStore, rustls::Error> {
        let mut roots = RootCertStore::empty();
        for anchor in &self.anchors {
            roots.add(anchor.clone())?;
        }
        Ok(roots)
    }

    pub(crate) fn chain(&self) -> Vec<CertificateDer<'static>> {
        self.chain.clone()
    }

    pub(crate) fn key(&self) -> PrivateKeyDer<'static> {
        self.key.clone_key()
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({})", self.spiffe)
    }
}

pub(crate) fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, IdentityError> {
    CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| IdentityError::Certificate(error.to_string()))
}

pub(crate) fn to_pem(certificates: &[CertificateDer<'_>]) -> String {
    use base64::Engine as _;
    let mut text = String::new();
    for certificate in certificates {
        text.push_str("-----BEGIN CERTIFICATE-----\n");
        let encoded = base64::engine::general_purpose::STANDARD.encode(certificate);
        for line in encoded.as_bytes().chunks(64) {
            text.push_str(&String::from_utf8_lossy(line));
            text.push('\n');
        }
        text.push_str("-----END CERTIFICATE-----\n");
    }
    text
}

fn system_time(seconds: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
}
