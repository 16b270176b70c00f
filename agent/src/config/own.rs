//! An identity that others certify.

use std::path::PathBuf;

use parallax_identity::OwnFiles;
use serde::Serialize;

use super::args::RunArgs;
use super::file::ConfigError;

/// Files of a PKI of the operators' own (PEM); they are read again when they change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OwnIdentity {
    /// The agent's certificate and what stands above it.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// CAs of the collector's certificate.
    pub collector_ca: Vec<PathBuf>,
}

impl OwnIdentity {
    /// All of it, or nothing.
    pub(super) fn of(args: &RunArgs, file: OwnFiles) -> Result<Option<Self>, ConfigError> {
        let either = |flag: &Option<PathBuf>, file: PathBuf| flag.clone().unwrap_or(file);
        let own = Self {
            certificate: either(&args.certificate, file.certificate),
            key: either(&args.key, file.key),
            collector_ca: match args.collector_ca.as_slice() {
                [] => file.ca,
                given => given.to_vec(),
            },
        };
        let given = [
            !own.certificate.as_os_str().is_empty(),
            !own.key.as_os_str().is_empty(),
            !own.collector_ca.is_empty(),
        ];
        match given {
            [false, false, false] => Ok(None),
            [true, true, true] => Ok(Some(own)),
            _ => Err(ConfigError::value(
                "certificate",
                "a part of it",
                "enough: certificate, key and collector-ca are given together",
            )),
        }
    }

    /// The same, for whoever reads them.
    pub fn into_files(self) -> OwnFiles {
        OwnFiles {
            certificate: self.certificate,
            key: self.key,
            ca: self.collector_ca,
        }
    }
}
