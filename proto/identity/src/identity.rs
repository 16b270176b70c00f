//! A key, its certificate, and whom it trusts.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use parallax_model::identity::SpiffeId;
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::authorities::trust_digest;
use crate::authority::BACKDATE;
use crate::key::LocalKey;
use crate::leaf::Leaf;
use crate::store::{self, Readers};
use crate::trust::Trust;
use crate::{PeerError, server};

const KEY_FILE: &str = "key.pem";
/// A renewed key, until its certificate is in place.
const NEXT_KEY_FILE: &str = "key.next.pem";
const CERTIFICATE_FILE: &str = "cert.pem";
/// Below a directory of its own, so that the only certificates beside the key are its own chain.
const ANCHORS_FILE: &str = "trust/anchors.pem";

/// A process's identity: who it is, and whom it believes.
pub struct Identity {
    key: PrivateKeyDer<'static>,
    key_pem: Zeroizing<String>,
    chain: Vec<CertificateDer<'static>>,
    anchors: Vec<CertificateDer<'static>>,
    leaf: Leaf,
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
    /// The certificate was issued for another key.
    #[error("the certificate is not for this key")]
    AnotherKey,
    /// A certificate signing request that no joiner of ours makes.
    #[error("the certificate signing request is not acceptable: {0}")]
    Request(String),
    /// Not a host name or an address that a certificate can be for.
    #[error("{0:?} is neither a host name nor an address")]
    HostName(String),
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
    /// Says which file it was: for `map_err`.
    pub(crate) fn file(path: &Path) -> impl Fn(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File {
            path: path.clone(),
            source,
        }
    }
}

impl From<rcgen::Error> for IdentityError {
    fn from(error: rcgen::Error) -> Self {
        Self::Certificate(error.to_string())
    }
}

impl From<rustls::Error> for IdentityError {
    fn from(error: rustls::Error) -> Self {
        Self::Certificate(error.to_string())
    }
}

impl From<PeerError> for IdentityError {
    fn from(error: PeerError) -> Self {
        Self::Foreign(error.to_string())
    }
}

impl Identity {
    /// An identity of a key and the chain that was issued for it (leaf first, the CA last), with the CAs to believe.
    pub fn new(key: &LocalKey, chain: Vec<Vec<u8>>, anchors: Vec<Vec<u8>>) -> Result<Self, IdentityError> {
        let chain = chain.into_iter().map(CertificateDer::from).collect();
        let anchors = anchors.into_iter().map(CertificateDer::from).collect();
        Self::assemble(key, chain, anchors)
    }

    fn assemble(
        key: &LocalKey,
        chain: Vec<CertificateDer<'static>>,
        anchors: Vec<CertificateDer<'static>>,
    ) -> Result<Self, IdentityError> {
        let leaf = Leaf::of(&chain)?;
        if leaf.public_key != key.public_key() {
            return Err(IdentityError::AnotherKey);
        }
        let identity = Self {
            key: key.der(),
            key_pem: key.pem(),
            chain,
            anchors,
            leaf,
        };
        if identity.roots()?.is_empty() {
            return Err(IdentityError::Certificate("there is no trust anchor".into()));
        }
        Ok(identity)
    }

    /// The same, of a key of any kind that is known to be the certificate's. It is kept by others.
    pub(crate) fn of_parts(
        key: PrivateKeyDer<'static>,
        chain: Vec<CertificateDer<'static>>,
        anchors: Vec<CertificateDer<'static>>,
    ) -> Result<Self, IdentityError> {
        let leaf = Leaf::of(&chain)?;
        let identity = Self {
            key,
            key_pem: Zeroizing::default(),
            chain,
            anchors,
            leaf,
        };
        if identity.roots()?.is_empty() {
            return Err(IdentityError::Certificate("there is no trust anchor".into()));
        }
        Ok(identity)
    }

    /// The identity kept in a directory, or none if nothing is kept there.
    pub fn load(directory: &Path) -> Result<Option<Self>, IdentityError> {
        let Some(chain) = read_certificates(&directory.join(CERTIFICATE_FILE))? else {
            return Ok(None);
        };
        let missing = |what| IdentityError::Incomplete {
            path: directory.to_owned(),
            what,
        };
        let anchors =
            read_certificates(&directory.join(ANCHORS_FILE))?.ok_or_else(|| missing(ANCHORS_FILE))?;
        let key = key_of(&chain, directory)?.ok_or_else(|| missing(KEY_FILE))?;
        Self::assemble(&key, chain, anchors).map(Some)
    }

    /// Keeps the identity in a directory: `key.pem` (mode 0600), `cert.pem` (leaf first, then the CA) and
    /// `trust/anchors.pem`. Whenever it is cut short, [`Identity::load`] finds the old identity or the new.
    pub fn save(&self, directory: &Path) -> Result<(), IdentityError> {
        let write = |path: &Path, content: &str, readers| {
            store::write_whole(path, content.as_bytes(), readers).map_err(IdentityError::file(path))
        };
        let (key, next_key) = (directory.join(KEY_FILE), directory.join(NEXT_KEY_FILE));
        let anchors = directory.join(ANCHORS_FILE);
        let above = anchors.parent().unwrap_or(directory);
        store::private_dir(above).map_err(IdentityError::file(above))?;
        write(&anchors, &to_pem(&self.anchors), Readers::All)?;
        write(&next_key, &self.key_pem, Readers::Owner)?;
        write(
            &directory.join(CERTIFICATE_FILE),
            &to_pem(&self.chain),
            Readers::All,
        )?;
        store::rename(&next_key, &key).map_err(IdentityError::file(&key))
    }

    /// Who this is.
    pub const fn spiffe(&self) -> &SpiffeId {
        &self.leaf.spiffe
    }

    /// When the certificate begins.
    pub const fn not_before(&self) -> SystemTime {
        self.leaf.not_before
    }

    /// When the certificate ends.
    pub const fn not_after(&self) -> SystemTime {
        self.leaf.not_after
    }

    /// When to renew: between a half and two thirds of the lifetime, each identity at its own place, so that a fleet
    /// that joined together does not renew together. That it begins in the past is no part of its life.
    pub fn renew_at(&self) -> SystemTime {
        let (from, to) = (self.leaf.not_before + BACKDATE, self.leaf.not_after);
        let life = to.duration_since(from).unwrap_or_default();
        from + life / 2 + (life / 6).mul_f64(self.place())
    }

    /// Where this identity stands among all when they are spread, from 0 to 1: always the same.
    pub fn place(&self) -> f64 {
        let digest = Sha256::digest(self.leaf.spiffe.to_string());
        f64::from(u16::from_be_bytes([digest[0], digest[1]])) / f64::from(u16::MAX)
    }

    /// Whether the certificate has ended.
    pub fn has_expired(&self, now: SystemTime) -> bool {
        now >= self.leaf.not_after
    }

    /// The certificate and what stands above it, DER: leaf first, the CA last.
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.chain
    }

    /// Trust anchors for the other side, DER.
    pub fn anchors(&self) -> &[CertificateDer<'static>] {
        &self.anchors
    }

    /// Which CA issued this, and which are trusted: another value than the collector's is a reason to renew.
    pub fn trust_digest(&self) -> [u8; 32] {
        let issuing = self.chain.last().map_or(&[][..], |issuing| issuing);
        trust_digest(issuing, &self.anchors)
    }

    /// Whether the CA with this SHA-256 is among the anchors.
    pub fn trusts(&self, ca_sha256: &[u8; 32]) -> bool {
        let mut anchors = self.anchors.iter();
        anchors.any(|anchor| Sha256::digest(anchor)[..] == ca_sha256[..])
    }

    /// TLS as a client: this identity, and only the collector of the same CA.
    pub fn client_config(&self) -> Result<Arc<rustls::ClientConfig>, rustls::Error> {
        let config = server::client_builder(Trust::Anchors(self.anchors.clone()))?
            .with_client_auth_cert(self.chain.clone(), self.key())?;
        Ok(server::over_http2(config))
    }

    fn roots(&self) -> Result<RootCertStore, rustls::Error> {
        roots(&self.anchors)
    }

    pub(crate) fn key(&self) -> PrivateKeyDer<'static> {
        self.key.clone_key()
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({})", self.leaf.spiffe)
    }
}

/// Anchors, as TLS wants them.
pub(crate) fn roots(anchors: &[CertificateDer<'static>]) -> Result<RootCertStore, rustls::Error> {
    let mut roots = RootCertStore::empty();
    for anchor in anchors {
        roots.add(anchor.clone())?;
    }
    Ok(roots)
}

/// The key that the chain was issued for, if it is in the directory. A renewal that was cut short between the
/// certificate and its key is ended here.
fn key_of(chain: &[CertificateDer<'_>], directory: &Path) -> Result<Option<LocalKey>, IdentityError> {
    let (path, next_path) = (directory.join(KEY_FILE), directory.join(NEXT_KEY_FILE));
    let public_key = Leaf::of(chain)?.public_key;
    if let Some(next) = LocalKey::load(&next_path)?.filter(|key| key.public_key() == public_key) {
        store::rename(&next_path, &path).map_err(IdentityError::file(&path))?;
        return Ok(Some(next));
    }
    LocalKey::load(&path)
}

/// The certificates in a PEM file, or none if there is no such file.
pub(crate) fn read_certificates(path: &Path) -> Result<Option<Vec<CertificateDer<'static>>>, IdentityError> {
    let Some(pem) = store::read(path).map_err(IdentityError::file(path))? else {
        return Ok(None);
    };
    let unreadable = |what: String| IdentityError::Certificate(format!("{}: {what}", path.display()));
    let certificates = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| unreadable(error.to_string()))?;
    if certificates.is_empty() {
        return Err(unreadable("there is no certificate in it".into()));
    }
    Ok(Some(certificates))
}

pub(crate) fn to_pem(certificates: &[CertificateDer<'_>]) -> String {
    let mut text = String::new();
    for certificate in certificates {
        text.push_str("-----BEGIN CERTIFICATE-----\n");
        for line in STANDARD.encode(certificate).as_bytes().chunks(64) {
            text.push_str(&String::from_utf8_lossy(line));
            text.push('\n');
        }
        text.push_str("-----END CERTIFICATE-----\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::time::Duration;

    use super::*;
    use crate::{Authority, LEAF_LIFETIME};

    fn identity(authority: &Authority, key: &LocalKey) -> Identity {
        let id: SpiffeId = "spiffe://parallax.internal/agent/fra-1".parse().unwrap();
        let chain = authority
            .issue(&key.csr(&id.name).unwrap(), &id, LEAF_LIFETIME)
            .unwrap();
        Identity::new(key, chain, vec![authority.certificate().to_vec()]).unwrap()
    }

    #[test]
    fn an_identity_survives_a_restart_with_its_key_for_the_owner_alone() {
        let directory = tempfile::tempdir().unwrap();
        assert!(Identity::load(directory.path()).unwrap().is_none());
        let key = LocalKey::load_or_create(&directory.path().join(KEY_FILE)).unwrap();
        assert!(
            Identity::load(directory.path()).unwrap().is_none(),
            "a key alone is no identity"
        );
        let made = identity(&Authority::ephemeral().unwrap(), &key);
        made.save(directory.path()).unwrap();
        let loaded = Identity::load(directory.path()).unwrap().unwrap();
        assert_eq!(
            (loaded.spiffe(), loaded.not_after()),
            (made.spiffe(), made.not_after())
        );
        assert_eq!((loaded.chain(), loaded.anchors()), (made.chain(), made.anchors()));
        let mode = fs::metadata(directory.path().join(KEY_FILE))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    /// Outside tools take every PEM file of the directory, in whatever order the directory has them.
    #[test]
    fn beside_the_one_key_stand_its_own_certificate_and_the_ca_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        identity(&Authority::ephemeral().unwrap(), &LocalKey::generate().unwrap())
            .save(directory.path())
            .unwrap();
        let mut files: Vec<_> = fs::read_dir(directory.path())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.is_file())
            .map(|path| path.file_name().unwrap().to_owned())
            .collect();
        files.sort();
        assert_eq!(files, ["cert.pem", "key.pem"]);
        let chain = read_certificates(&directory.path().join(CERTIFICATE_FILE))
            .unwrap()
            .unwrap();
        assert_eq!(chain.len(), 2);
    }

    #[test]
    fn a_renewal_cut_short_anywhere_leaves_the_old_identity_or_the_new() {
        let authority = Authority::ephemeral().unwrap();
        let (old, new) = (LocalKey::generate().unwrap(), LocalKey::generate().unwrap());
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        identity(&authority, &old).save(directory.path()).unwrap();
        let whose = || Identity::load(directory.path()).unwrap().unwrap().leaf.public_key;

        new.save(&path(NEXT_KEY_FILE)).unwrap();
        assert_eq!(whose(), old.public_key(), "before its certificate");
        fs::write(path(CERTIFICATE_FILE), to_pem(&identity(&authority, &new).chain)).unwrap();
        assert_eq!(whose(), new.public_key(), "after its certificate");
        assert!(!path(NEXT_KEY_FILE).exists());
        assert_eq!(whose(), new.public_key(), "and from then on");
    }

    #[test]
    fn a_certificate_for_another_key_is_not_taken() {
        let directory = tempfile::tempdir().unwrap();
        identity(&Authority::ephemeral().unwrap(), &LocalKey::generate().unwrap())
            .save(directory.path())
            .unwrap();
        LocalKey::generate()
            .unwrap()
            .save(&directory.path().join(KEY_FILE))
            .unwrap();
        assert!(matches!(
            Identity::load(directory.path()),
            Err(IdentityError::AnotherKey)
        ));
        fs::remove_file(directory.path().join(KEY_FILE)).unwrap();
        assert!(matches!(
            Identity::load(directory.path()),
            Err(IdentityError::Incomplete { .. })
        ));
    }

    #[test]
    fn renewal_is_due_between_a_half_and_two_thirds_of_the_lifetime() {
        let identity = identity(&Authority::ephemeral().unwrap(), &LocalKey::generate().unwrap());
        let left = identity.not_after().duration_since(identity.renew_at()).unwrap();
        let slack = Duration::from_secs(2);
        assert!(
            (LEAF_LIFETIME / 3 - slack..=LEAF_LIFETIME / 2 + slack).contains(&left),
            "{left:?}"
        );
        assert!(!identity.has_expired(SystemTime::now()));
        assert!(identity.has_expired(identity.not_after()));
    }

    fn of_a_minute(authority: &Authority, key: &LocalKey, name: &str) -> Identity {
        let id: SpiffeId = format!("spiffe://parallax.internal/agent/{name}")
            .parse()
            .unwrap();
        let chain = authority
            .issue(&key.csr(&id.name).unwrap(), &id, Duration::from_secs(60))
            .unwrap();
        Identity::new(key, chain, vec![authority.certificate().to_vec()]).unwrap()
    }

    #[test]
    fn a_certificate_of_a_minute_is_not_due_at_once() {
        let (authority, key) = (Authority::ephemeral().unwrap(), LocalKey::generate().unwrap());
        let identity = of_a_minute(&authority, &key, "fra-1");
        let wait = identity.renew_at().duration_since(SystemTime::now()).unwrap();
        assert!((28..=40).contains(&wait.as_secs()), "{wait:?}");
    }

    #[test]
    fn a_fleet_that_joined_together_does_not_renew_together() {
        let (authority, key) = (Authority::ephemeral().unwrap(), LocalKey::generate().unwrap());
        let mut each_second = [0; 10];
        for number in 0..200 {
            let identity = of_a_minute(&authority, &key, &format!("agent-{number}"));
            assert_eq!(
                identity.place().to_bits(),
                of_a_minute(&authority, &key, &format!("agent-{number}"))
                    .place()
                    .to_bits()
            );
            let after_half = identity.place() * 10.0;
            each_second[(after_half as usize).min(9)] += 1;
        }
        assert!(
            each_second.iter().all(|&agents| (8..=40).contains(&agents)),
            "{each_second:?}"
        );
    }
}
