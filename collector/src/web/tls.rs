//! How the page proves who it is.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tracing::{error, info};

/// How often the files are looked at: whoever renews them says nothing.
const LOOK: Duration = Duration::from_secs(60);

/// A certificate in files that somebody else renews.
struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

/// The proof in two files, read again when they change.
pub(super) fn of_files(certificate: &Path, key: &Path) -> Result<watch::Receiver<Arc<ServerConfig>>, String> {
    let files = Files {
        certificate: certificate.to_owned(),
        key: key.to_owned(),
    };
    let changed = files.changed();
    let (sender, receiver) = watch::channel(files.read()?);
    tokio::spawn(files.follow(changed, sender));
    Ok(receiver)
}

/// The same proof for HTTP/1.1, which is all that the page speaks.
pub(super) fn for_http(config: &ServerConfig) -> Arc<ServerConfig> {
    let mut config = config.clone();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(config)
}

impl Files {
    fn read(&self) -> Result<Arc<ServerConfig>, String> {
        let certificate =
            |problem: &dyn std::fmt::Display| format!("{}: {problem}", self.certificate.display());
        let chain: Vec<_> = CertificateDer::pem_file_iter(&self.certificate)
            .and_then(Iterator::collect)
            .map_err(|error| certificate(&error))?;
        let key = PrivateKeyDer::from_pem_file(&self.key)
            .map_err(|error| format!("{}: {error}", self.key.display()))?;
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(|error| certificate(&error))?;
        Ok(Arc::new(config))
    }

    fn changed(&self) -> Option<SystemTime> {
        let of = |path: &Path| std::fs::metadata(path).and_then(|file| file.modified()).ok();
        of(&self.certificate).max(of(&self.key))
    }

    async fn follow(self, mut known: Option<SystemTime>, sender: watch::Sender<Arc<ServerConfig>>) {
        loop {
            tokio::select! {
                () = sender.closed() => return,
                () = tokio::time::sleep(LOOK) => {}
            }
            let changed = self.changed();
            if changed == known {
                continue;
            }
            known = changed;
            match self.read() {
                Ok(config) => {
                    info!("the page's certificate was read again");
                    sender.send_replace(config);
                }
                Err(problem) => error!("the page keeps its old certificate: {problem}"),
            }
        }
    }
}
