//! The trust stores, side by side.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parallax_engine::certificate::Chain;
use rustls::RootCertStore;
use rustls::client::danger::ServerCertVerifier;
use rustls::client::{WebPkiServerVerifier, verify_server_cert_signed_by_trust_anchor};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;

use crate::driver::tls::name;
use crate::driver::tls::recorder::Presented;

/// Who may vouch for a target's certificate: this host's store, Mozilla's list as it was built in, and the anchors
/// that the operator gave.
#[derive(Clone, Debug)]
pub(crate) struct Trust {
    system: Arc<RootCertStore>,
    mozilla: Arc<RootCertStore>,
    given: Arc<RootCertStore>,
    /// A client that forgives nothing; none where there is no anchor at all. Made once: it reads every anchor.
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
        Self::of(store(&native.certs), mozilla, store(given))
    }

    /// How many anchors this host's own store has.
    pub(crate) fn of_this_host(&self) -> usize {
        self.system.len()
    }

    /// The same with more anchors given.
    pub(crate) fn with(&self, anchors: &[Vec<u8>]) -> Self {
        if anchors.is_empty() {
            return self.clone();
        }
        let mut given = (*self.given).clone();
        given.add_parsable_certificates(anchors.iter().map(|der| CertificateDer::from(der.clone())));
        Self::of((*self.system).clone(), (*self.mozilla).clone(), given)
    }

    fn of(system: RootCertStore, mozilla: RootCertStore, given: RootCertStore) -> Self {
        let roots = [&system, &mozilla, &given];
        let all = RootCertStore {
            roots: roots
                .iter()
                .flat_map(|store| store.roots.iter().cloned())
                .collect(),
        };
        Self {
            system: Arc::new(system),
            mozilla: Arc::new(mozilla),
            given: Arc::new(given),
            strict: WebPkiServerVerifier::builder_with_provider(Arc::new(all), name::provider())
                .build()
                .ok(),
        }
    }

    /// The stores that vouch for a chain, its names and the present time aside.
    pub(super) fn vouching(&self, chain: &[CertificateDer<'static>]) -> Vec<String> {
        let stores = [
            ("system", &self.system),
            ("mozilla", &self.mozilla),
            ("ca_file", &self.given),
        ];
        let Some((leaf, intermediates)) = chain.split_first() else {
            return Vec::new();
        };
        let Ok(leaf) = ParsedCertificate::try_from(leaf) else {
            return Vec::new();
        };
        let at = valid_moment(chain);
        let algorithms = name::provider().signature_verification_algorithms.all;
        let vouches = |store: &RootCertStore| {
            verify_server_cert_signed_by_trust_anchor(&leaf, store, intermediates, at, algorithms).is_ok()
        };
        let vouching = stores.iter().filter(|(_, store)| vouches(store));
        vouching.map(|(name, _)| (*name).to_owned()).collect()
    }

    /// A client that forgives nothing: anchors, name, time, purpose; none where there is no anchor at all.
    pub(super) fn strict(&self) -> Option<Arc<WebPkiServerVerifier>> {
        self.strict.clone()
    }

    /// Whether such a client goes on.
    pub(super) fn strictly(&self, presented: &Presented, name: &ServerName<'_>, now: SystemTime) -> bool {
        let Some((leaf, intermediates)) = presented.chain.split_first() else {
            return false;
        };
        let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let now = UnixTime::since_unix_epoch(since);
        self.strict.as_ref().is_some_and(|verifier| {
            verifier
                .verify_server_cert(leaf, intermediates, name, &presented.ocsp, now)
                .is_ok()
        })
    }
}

fn store(certificates: &[CertificateDer<'static>]) -> RootCertStore {
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
