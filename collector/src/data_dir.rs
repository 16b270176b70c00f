//! The data directory: one collector at a time works in it.

use std::fs::{DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parallax_identity::{Readers, write_whole};
use parallax_model::identity::TrustDomain;

use crate::config::Terms;
use crate::error::StartError;
use crate::identity::Admission;
use crate::store::{Sqlite, Store};

const LOCK: &str = "collector.lock";
const DATABASE: &str = "collector.db";
/// The trust domain, where the collector has no CA of its own.
const OWN_PKI: &str = "own-pki";

/// A data directory, made for its owner alone if there was none.
#[derive(Debug, Clone)]
pub(crate) struct DataDir {
    path: PathBuf,
}

impl DataDir {
    pub(crate) fn open(path: &Path) -> Result<Self, StartError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(|source| Self::problem(path, source))?;
        Ok(Self {
            path: path.to_owned(),
        })
    }

    /// One in which a collector has worked: nothing is made.
    pub(crate) fn existing(path: &Path) -> Result<Self, StartError> {
        match std::fs::metadata(path.join(DATABASE)) {
            Ok(_) => Ok(Self {
                path: path.to_owned(),
            }),
            Err(source) if source.kind() == io::ErrorKind::NotFound => {
                Err(StartError::NoCollector(path.to_owned()))
            }
            Err(source) => Err(Self::problem(path, source)),
        }
    }

    /// Claims it for one collector, until the file is dropped or the process ends.
    pub(crate) fn claim(&self) -> Result<File, StartError> {
        let lock = File::create(self.path.join(LOCK)).map_err(|source| Self::problem(&self.path, source))?;
        match lock.try_lock() {
            Ok(()) => Ok(lock),
            Err(TryLockError::WouldBlock) => Err(StartError::DataDirInUse(self.path.clone())),
            Err(TryLockError::Error(source)) => Err(Self::problem(&self.path, source)),
        }
    }

    /// Its database; also beside a collector that works in it.
    pub(crate) async fn store(&self) -> Result<Arc<Sqlite>, StartError> {
        let file = self.path.join(DATABASE);
        let store = Sqlite::open(&file).await.map_err(|error| StartError::Store {
            path: file,
            problem: error.to_string(),
        })?;
        Ok(Arc::new(store))
    }

    /// Its database and its certificate authority; also beside a collector that works in it.
    pub(crate) async fn admission(&self, terms: Terms) -> Result<(Arc<Sqlite>, Arc<Admission>), StartError> {
        let store = self.store().await?;
        if let Some(domain) = self.pki()? {
            let admission = Admission::of_others(domain, Arc::clone(&store) as Arc<dyn Store>);
            return Ok((store, Arc::new(admission)));
        }
        let admission = Admission::open(&self.path, Arc::clone(&store) as Arc<dyn Store>, terms)
            .map_err(|error| StartError::Identity(error.to_string()))?;
        Ok((store, Arc::new(admission)))
    }

    /// Remembers whose identities the collector of this directory takes: those of a trust domain that others certify, or
    /// of its own CA. Whoever makes a token beside it finds out.
    pub(crate) fn keep_pki(&self, domain: Option<&TrustDomain>) -> Result<(), StartError> {
        let path = self.path.join(OWN_PKI);
        let kept = match domain {
            Some(domain) => write_whole(&path, format!("{domain}\n").as_bytes(), Readers::All),
            None => match std::fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            },
        };
        kept.map_err(|source| Self::problem(&self.path, source))
    }

    /// The trust domain of its identities, where others certify them.
    pub(crate) fn pki(&self) -> Result<Option<TrustDomain>, StartError> {
        let path = self.path.join(OWN_PKI);
        match std::fs::read_to_string(&path) {
            Ok(text) => match text.trim().parse() {
                Ok(domain) => Ok(Some(domain)),
                Err(error) => Err(StartError::Identity(format!("{}: {error}", path.display()))),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(Self::problem(&self.path, source)),
        }
    }

    fn problem(path: &Path, source: io::Error) -> StartError {
        StartError::DataDir {
            path: path.to_owned(),
            source,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_collector_on_the_same_directory_is_told_so() {
        let directory = tempfile::tempdir().unwrap();
        let data = DataDir::open(directory.path()).unwrap();
        let claimed = data.claim().unwrap();
        let refused = data.claim().unwrap_err().to_string();
        assert!(
            refused.starts_with("another collector is running on"),
            "{refused}"
        );
        drop(claimed);
        assert!(data.claim().is_ok());
    }
}
