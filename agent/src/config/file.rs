//! The configuration file.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::credentials::LocalCredentials;
use crate::policy::Policy;
use crate::spool::SpoolLimits;
use crate::web::Module;
use parallax_telemetry::logs::LogFormat;

/// Why the configuration can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file can't be read.
    #[error("read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is not what it should be.
    #[error("{}: {problem}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where, and what.
        problem: String,
    },
    /// A value makes no sense.
    #[error("{key}: {problem}")]
    Value {
        /// Its key, which is also its flag.
        key: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// A value is needed.
    #[error("{key} is missing: give --{key} {wanted}")]
    Missing {
        /// Its key, which is also its flag.
        key: &'static str,
        /// What would do.
        wanted: &'static str,
    },
    /// It can't be written down.
    #[error("print the configuration: {0}")]
    Unprintable(String),
}

impl ConfigError {
    pub(super) fn value(key: &'static str, value: &str, wanted: &str) -> Self {
        Self::Value {
            key,
            problem: format!("{value:?} is not {wanted}"),
        }
    }

    pub(super) fn wrong(key: &'static str, error: &impl fmt::Display) -> Self {
        Self::Value {
            key,
            problem: error.to_string(),
        }
    }
}

/// What a file may say. Anything else in it is an error.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct File {
    pub(super) collector: Option<String>,
    pub(super) name: Option<String>,
    pub(super) state_dir: Option<PathBuf>,
    pub(super) token_file: Option<PathBuf>,
    pub(super) certificate: Option<PathBuf>,
    pub(super) key: Option<PathBuf>,
    pub(super) collector_ca: Vec<PathBuf>,
    pub(super) ca_files: Vec<PathBuf>,
    pub(super) max_probes: Option<usize>,
    pub(super) otlp_endpoint: Option<String>,
    pub(super) log_format: Option<LogFormat>,
    pub(super) log_filter: Option<String>,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) policy: Option<Policy>,
    pub(super) policy_file: Option<PathBuf>,
    pub(super) network: NetworkTable,
    pub(super) credentials: LocalCredentials,
    pub(super) spool: SpoolLimits,
    pub(super) http: Option<String>,
    pub(super) http_token_file: Option<PathBuf>,
    pub(super) modules: BTreeMap<String, Module>,
}

/// What a file says under `[network]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct NetworkTable {
    pub(super) source_addresses: Vec<IpAddr>,
    pub(super) control_target: Option<String>,
}

impl File {
    pub(super) fn read(path: &Path) -> Result<Self, ConfigError> {
        read(path)
    }
}

/// Reads a TOML file.
pub(super) fn read<T: DeserializeOwned>(path: &Path) -> Result<T, ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
        path: path.to_owned(),
        source,
    })?;
    toml::from_str(&text).map_err(|error| ConfigError::Parse {
        path: path.to_owned(),
        problem: one_line(&error, &text),
    })
}

fn one_line(error: &toml::de::Error, text: &str) -> String {
    let message = error.message().replace('\n', " ");
    match error.span().and_then(|span| text.get(..span.start)) {
        Some(before) => format!("line {}: {message}", before.matches('\n').count() + 1),
        None => message,
    }
}
