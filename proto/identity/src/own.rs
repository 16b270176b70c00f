//! An identity in files that somebody else makes and renews: a public key infrastructure of the operators' own.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parallax_model::identity::TrustDomain;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use tokio::signal::unix::{SignalKind, signal};
use zeroize::Zeroizing;

use crate::identity::{Identity, IdentityError, read_certificates};
use crate::server::{self, Clients};
use crate::store;

/// How often the files are looked at: whoever renews them says nothing.
const LOOK: Duration = Duration::from_secs(5);

/// Certificate chain (leaf first), key, and the CAs that vouch for the other side; all PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnFiles {
    /// The certificate and what stands above it.
    pub certificate: PathBuf,
    /// Its key: PKCS#8, SEC 1 or PKCS#1.
    pub key: PathBuf,
    /// One or more files of CA certificates.
    pub ca: Vec<PathBuf>,
}

/// How the collector proves who it is and whom it hears out, with files of its own PKI.
pub struct Served {
    /// TLS of its side.
    pub config: Arc<ServerConfig>,
    /// Whom it hears out.
    pub clients: Clients,
}

impl OwnFiles {
    /// As who an agent or an operator comes; the certificate names it by one SPIFFE URI.
    pub fn identity(&self) -> Result<Identity, IdentityError> {
        let (chain, key) = self.pair()?;
        Identity::of_parts(key, chain, self.anchors()?)
            .map_err(|error| at(&self.certificate, &error.to_string()))
    }

    /// As who the collector answers. Its host names are in the certificate; a SPIFFE URI need not be.
    pub fn served(&self) -> Result<Served, IdentityError> {
        let (chain, key) = self.pair()?;
        let anchors = self.anchors()?;
        Ok(Served {
            config: server::serve_with(chain, key, &anchors, Duration::ZERO)?,
            clients: Clients::of(&anchors, Duration::ZERO)?,
        })
    }

    /// Waits until the files are to be read again: one of them has changed, or SIGHUP came.
    pub async fn changed(&self, known: &mut Stamp) {
        let mut hangup = signal(SignalKind::hangup()).ok();
        let mut hung_up = async || match &mut hangup {
            Some(hangup) => hangup.recv().await,
            None => std::future::pending().await,
        };
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                _ = hung_up() => {
                    *known = self.stamp();
                    return;
                }
            }
            let stamp = self.stamp();
            if stamp != *known {
                *known = stamp;
                return;
            }
        }
    }

    /// What the files look like from outside.
    pub fn stamp(&self) -> Stamp {
        let of = |path: &PathBuf| {
            let file = fs::metadata(path).ok()?;
            Some((file.modified().ok()?, file.len(), file.ino()))
        };
        let files = [&self.certificate, &self.key].into_iter().chain(&self.ca);
        Stamp(files.map(of).collect())
    }

    fn pair(&self) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), IdentityError> {
        let chain = certificates(&self.certificate)?;
        let key = key(&self.key)?;
        CertifiedKey::from_der(chain.clone(), key.clone_key(), &aws_lc_rs::default_provider()).map_err(
            |error| {
                at(
                    &self.key,
                    &format!("not the key of {}: {error}", self.certificate.display()),
                )
            },
        )?;
        Ok((chain, key))
    }

    fn anchors(&self) -> Result<Vec<CertificateDer<'static>>, IdentityError> {
        let mut anchors = Vec::new();
        for path in &self.ca {
            anchors.extend(certificates(path)?);
        }
        Ok(anchors)
    }
}

/// When files were last written, how long they are, and which they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp(Vec<Option<(SystemTime, u64, u64)>>);

/// What a process of this trust domain is called, for whoever makes its certificate.
pub fn how_to_call(domain: &TrustDomain) -> String {
    format!("spiffe://{domain}/ROLE/NAME, with agent, viewer, operator or admin for ROLE")
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, IdentityError> {
    read_certificates(path)?.ok_or_else(|| at(path, "there is no such file"))
}

fn key(path: &Path) -> Result<PrivateKeyDer<'static>, IdentityError> {
    let pem = store::read(path).map_err(IdentityError::file(path))?;
    let pem = Zeroizing::new(pem.ok_or_else(|| at(path, "there is no such file"))?);
    if fs::metadata(path).is_ok_and(|file| file.mode() & 0o007 != 0) {
        tracing::warn!(path = %path.display(), "everybody on this host can read this key");
    }
    PrivateKeyDer::from_pem_slice(&pem).map_err(|error| at(path, &format!("no private key: {error}")))
}

fn at(path: &Path, what: &str) -> IdentityError {
    IdentityError::Certificate(format!("{}: {what}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::to_pem;
    use crate::testing::agent;
    use crate::{Authority, LocalKey};

    fn files(directory: &Path) -> OwnFiles {
        OwnFiles {
            certificate: directory.join("cert.pem"),
            key: directory.join("key.pem"),
            ca: vec![directory.join("trust/anchors.pem")],
        }
    }

    #[test]
    fn an_identity_in_files_is_who_its_certificate_says_and_a_wrong_file_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let made = agent(&Authority::ephemeral().unwrap());
        made.save(directory.path()).unwrap();
        let files = files(directory.path());
        assert_eq!(files.identity().unwrap().spiffe(), made.spiffe());
        assert!(files.served().is_ok());

        LocalKey::generate().unwrap().save(&files.key).unwrap();
        let refused = files.identity().unwrap_err().to_string();
        assert!(refused.contains("key.pem: not the key of"), "{refused}");
        fs::write(&files.key, "no key").unwrap();
        let refused = files.identity().unwrap_err().to_string();
        assert!(refused.contains("key.pem: no private key"), "{refused}");
        fs::remove_file(&files.ca[0]).unwrap();
        fs::remove_file(&files.key).unwrap();
        let refused = files.served().err().unwrap().to_string();
        assert!(refused.contains("key.pem: there is no such file"), "{refused}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_that_is_replaced_is_read_again() {
        let directory = tempfile::tempdir().unwrap();
        let authority = Authority::ephemeral().unwrap();
        agent(&authority).save(directory.path()).unwrap();
        let files = files(directory.path());
        let mut stamp = files.stamp();
        let waited = tokio::time::timeout(LOOK * 3, files.changed(&mut stamp)).await;
        assert!(waited.is_err(), "nothing has changed");
        let next = agent(&authority);
        fs::write(&files.certificate, to_pem(next.chain()) + "\n").unwrap();
        tokio::time::timeout(LOOK * 3, files.changed(&mut stamp))
            .await
            .unwrap();
    }
}
