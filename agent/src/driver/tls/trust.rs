//! The trust stores, side by side.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parallax_engine::certificate::Chain;
use rustls::client::danger::ServerCertVerifier;
use rustls::client::{WebPkiServerVerifier, verify_server_cert_signed_by_trust_anchor};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, Error, RootCertStore};

use crate::driver::tls::name;
use crate::driver::tls::recorder::Presented;

/// Who may vouch for a target's certificate: this host's store, Mozilla's list as it was built in, and the anchors
/// that the operator gave.
///
/// A probe brings anchors of its own, so the stores stay apart: the large ones are read once and shared by all probes.
#[derive(Clone, Debug)]
pub(crate) struct Trust {
    system: Arc<Store>,
    mozilla: Arc<Store>,
    given: Arc<Store>,
}

/// Anchors of one origin.
#[derive(Debug)]
struct Store {
    name: &'static str,
    anchors: Arc<RootCertStore>,
    /// A client that forgives nothing; none where there is no anchor.
    strict: Option<Arc<WebPkiServerVerifier>>,
}

/// Why a file of trust anchors can't be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AnchorError {
    /// Not to be read, or not PEM.
    #[error("read trust anchors from {}: {reason}", path.display())]
    Read { path: PathBuf, reason: String },
    /// It has none.
    #[error("{} has no certificate in PEM form", path.display())]
    Empty { path: PathBuf },
}

/// The certificates of a PEM file.
pub(crate) fn read_anchors(path: &Path) -> Result<Vec<CertificateDer<'static>>, AnchorError> {
    let wrong = |reason: String| AnchorError::Read {
        path: path.to_owned(),
        reason,
    };
    let pem = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
    let anchors = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| wrong(error.to_string()))?;
    if anchors.is_empty() {
        return Err(AnchorError::Empty {
            path: path.to_owned(),
        });
    }
    Ok(anchors)
}

impl Trust {
    /// The stores of this host and of Mozilla, and these anchors.
    pub(crate) fn new(given: &[CertificateDer<'static>]) -> Self {
        let native = rustls_native_certs::load_native_certs();
        for error in &native.errors {
            tracing::debug!(%error, "a part of this host's trust store can't be read");
        }
        let mozilla = RootCertStore {
            roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
        };
        Self {
            system: Store::new("system", read(&native.certs)),
            mozilla: Store::new("mozilla", mozilla),
            given: Store::new("ca_file", read(given)),
        }
    }

    /// How many anchors this host's own store has.
    pub(crate) fn of_this_host(&self) -> usize {
        self.system.anchors.len()
    }

    /// How many anchors were given.
    #[cfg(test)]
    pub(crate) fn given(&self) -> usize {
        self.given.anchors.len()
    }

    /// The same with more anchors given.
    pub(crate) fn with(&self, anchors: &[Vec<u8>]) -> Self {
        if anchors.is_empty() {
            return self.clone();
        }
        let mut given = (*self.given.anchors).clone();
        given.add_parsable_certificates(anchors.iter().map(|der| CertificateDer::from(der.clone())));
        Self {
            given: Store::new(self.given.name, given),
            ..self.clone()
        }
    }

    fn stores(&self) -> [&Store; 3] {
        [&self.system, &self.mozilla, &self.given]
    }

    /// The stores that vouch for a chain, its names and the present time aside. `known` is one that does, if any.
    pub(super) fn vouching(&self, chain: &[CertificateDer<'static>], known: Option<&str>) -> Vec<String> {
        let Some((leaf, intermediates)) = chain.split_first() else {
            return Vec::new();
        };
        let Ok(leaf) = ParsedCertificate::try_from(leaf) else {
            return Vec::new();
        };
        let at = valid_moment(chain);
        let algorithms = name::provider().signature_verification_algorithms.all;
        let vouches = |store: &&Store| {
            let anchors = &store.anchors;
            known == Some(store.name)
                || verify_server_cert_signed_by_trust_anchor(&leaf, anchors, intermediates, at, algorithms)
                    .is_ok()
        };
        let vouching = self.stores().into_iter().filter(vouches);
        vouching.map(|store| store.name.to_owned()).collect()
    }

    /// Whether there is any anchor: without one no strict connection can succeed.
    pub(super) fn has_anchors(&self) -> bool {
        self.stores().iter().any(|store| store.strict.is_some())
    }

    /// What a client says that forgives nothing: anchors, name, time, purpose. The name of the store whose anchors
    /// the chain leads to.
    ///
    /// # Errors
    /// Where no store's anchors lead to a chain that holds: of their reasons the one that tells most.
    pub(super) fn verify(
        &self,
        (leaf, intermediates): (&CertificateDer<'_>, &[CertificateDer<'_>]),
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<&'static str, Error> {
        let mut reason = Error::InvalidCertificate(CertificateError::UnknownIssuer);
        for store in self.stores() {
            let Some(strict) = &store.strict else { continue };
            match strict.verify_server_cert(leaf, intermediates, name, ocsp, now) {
                Err(Error::InvalidCertificate(CertificateError::UnknownIssuer)) => {}
                Err(other) => reason = other,
                Ok(_) => return Ok(store.name),
            }
        }
        Err(reason)
    }

    /// The store by whose anchors such a client goes on.
    pub(super) fn strictly(
        &self,
        presented: &Presented,
        name: &ServerName<'_>,
        now: SystemTime,
    ) -> Option<&'static str> {
        let chain = presented.chain.split_first()?;
        let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let now = UnixTime::since_unix_epoch(since);
        self.verify(chain, name, &presented.ocsp, now).ok()
    }
}

impl Store {
    fn new(name: &'static str, anchors: RootCertStore) -> Arc<Self> {
        let anchors = Arc::new(anchors);
        let strict = WebPkiServerVerifier::builder_with_provider(anchors.clone(), name::provider());
        Arc::new(Self {
            name,
            anchors,
            strict: strict.build().ok(),
        })
    }
}

fn read(certificates: &[CertificateDer<'static>]) -> RootCertStore {
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(certificates.iter().cloned());
    store
}

/// A time at which the leaf is valid, and as many of the others as can be with it: trust must not be judged by the
/// clock.
fn valid_moment(chain: &[CertificateDer<'_>]) -> UnixTime {
    let facts = Chain::read(chain.iter().map(|der| der.as_ref())).facts();
    let mut window: Option<(i64, i64)> = None;
    for one in &facts {
        let (start, end) = (one.not_before.as_second(), one.not_after.as_second());
        window = match window {
            None => Some((start, end)),
            Some((from, until)) if start.max(from) <= end.min(until) => {
                Some((start.max(from), end.min(until)))
            }
            kept => kept,
        };
    }
    let (from, until) = window.unwrap_or_default();
    let middle = u64::try_from(from.midpoint(until)).unwrap_or_default();
    UnixTime::since_unix_epoch(Duration::from_secs(middle))
}
