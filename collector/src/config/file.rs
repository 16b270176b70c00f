//! The configuration file.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use parallax_telemetry::logs::{FilterError, LogFormat};

use super::alerting::Alerting;
use super::certificates::TlsTable;
use super::limits::Limits;
use super::retention::RetentionTable;

/// Why the configuration can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file can't be read.
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
    #[error("{key}: {value:?} is not {wanted}")]
    Value {
        /// Its key, which is also its flag.
        key: &'static str,
        /// What was given.
        value: String,
        /// What would do.
        wanted: &'static str,
    },
    /// Nobody can tell which log lines are meant.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// Files that are named can't be used.
    #[error("tls: {0}")]
    Files(String),
    /// The secret of a receiver can't be used.
    #[error("alerting: {0}")]
    Secret(String),
    /// A path can't be written down.
    #[error("{0}: the path is not UTF-8")]
    PathNotText(&'static str),
}

/// What a file may say. Anything else in it is an error.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) data_dir: Option<PathBuf>,
    pub(super) listen: Option<String>,
    pub(super) http: Option<String>,
    #[serde(default)]
    pub(super) http_plain: bool,
    pub(super) http_token_file: Option<PathBuf>,
    pub(super) http_certificate: Option<PathBuf>,
    pub(super) http_key: Option<PathBuf>,
    #[serde(default)]
    pub(super) advertise: Vec<String>,
    pub(super) otlp_endpoint: Option<String>,
    pub(super) trace_ratio: Option<f64>,
    pub(super) certificate_lifetime: Option<String>,
    pub(super) renew_grace: Option<String>,
    pub(super) log_format: Option<LogFormat>,
    pub(super) log_filter: Option<String>,
    #[serde(default)]
    pub(super) tls: TlsTable,
    #[serde(default)]
    pub(super) limits: Limits,
    #[serde(default)]
    pub(super) retention: RetentionTable,
    #[serde(default)]
    pub(super) alerting: Alerting,
}

impl File {
    pub(super) fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
            path: path.to_owned(),
            source,
        })?;
        toml::from_str(&text).map_err(|error| ConfigError::Parse {
            path: path.to_owned(),
            problem: one_line(&error, &text),
        })
    }
}

fn one_line(error: &toml::de::Error, text: &str) -> String {
    let message = error.message().replace('\n', " ");
    match error.span().and_then(|span| text.get(..span.start)) {
        Some(before) => format!("line {}: {message}", before.matches('\n').count() + 1),
        None => message,
    }
}
