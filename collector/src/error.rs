//! Why the collector could not start.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// One clear line for whoever starts it.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Another collector works in the data directory.
    #[error("another collector is running on {}; each needs a data directory of its own", .0.display())]
    DataDirInUse(PathBuf),
    /// The data directory can't be used.
    #[error("data directory {}: {source}", path.display())]
    DataDir {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// No collector has ever worked in the directory.
    #[error("{} holds no collector's database: give --data-dir as to `serve`, which makes it at its first start", .0.display())]
    NoCollector(PathBuf),
    /// The database can't be used.
    #[error("{}: {problem}", path.display())]
    Store {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// A port is taken, or may not be used.
    #[error("listen on {address} ({flag}): {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The flag that chooses another.
        flag: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The certificate authority or the server's certificate can't be made or read.
    #[error("identity: {0}")]
    Identity(String),
    /// The page can't be guarded as it must be.
    #[error("page: {0}")]
    Page(String),
    /// Nobody can be told of alerts as it is configured.
    #[error("alerting: {0}")]
    Alerting(String),
    /// Spans can't be sent.
    #[error("telemetry: {0}")]
    Telemetry(String),
}
