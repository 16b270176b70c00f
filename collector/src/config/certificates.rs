//! How long a certificate is good, how long after its end it can be renewed, and where they come from if not from here.

use std::path::PathBuf;
use std::time::Duration;

use parallax_identity::OwnFiles;
use parallax_model::identity::TrustDomain;
use serde::{Deserialize, Serialize};

use super::args::{ServeArgs, TlsArgs, duration};
use super::file::File;
use super::{ConfigError, quoted};

/// An identity that others certify, and whom else they do: there is no CA of the collector's own then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnPki {
    /// The collector's certificate and key, and the CAs of agents and operators.
    pub files: OwnFiles,
    /// In whose SPIFFE URIs they are named.
    pub trust_domain: TrustDomain,
}

/// What a file may say under `[tls]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct TlsTable {
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    client_ca: Files,
    trust_domain: Option<String>,
}

/// One file or more.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Files {
    One(PathBuf),
    Several(Vec<PathBuf>),
}

impl Default for Files {
    fn default() -> Self {
        Self::Several(Vec::new())
    }
}

impl From<Files> for Vec<PathBuf> {
    fn from(files: Files) -> Self {
        match files {
            Files::One(path) => vec![path],
            Files::Several(paths) => paths,
        }
    }
}

impl OwnPki {
    /// All of it, or nothing.
    pub(super) fn load(args: &TlsArgs, table: TlsTable) -> Result<Option<Self>, ConfigError> {
        let certificate = args.tls_certificate.clone().or(table.certificate);
        let key = args.tls_key.clone().or(table.key);
        let ca = match args.tls_client_ca.as_slice() {
            [] => table.client_ca.into(),
            given => given.to_vec(),
        };
        let trust_domain = args.trust_domain.clone().or(table.trust_domain);
        match (certificate, key, trust_domain) {
            (None, None, None) if ca.is_empty() => Ok(None),
            (Some(certificate), Some(key), Some(domain)) if !ca.is_empty() => Ok(Some(Self {
                files: OwnFiles { certificate, key, ca },
                trust_domain: domain.parse().map_err(|_| ConfigError::Value {
                    key: "trust-domain",
                    value: domain,
                    wanted: "a SPIFFE trust domain: lower-case letters, digits, dots, hyphens, underscores",
                })?,
            })),
            _ => Err(ConfigError::Value {
                key: "tls",
                value: "a part of it".to_owned(),
                wanted: "enough: certificate, key, client_ca and trust_domain are given together",
            }),
        }
    }

    pub(super) fn to_toml(&self) -> Result<String, ConfigError> {
        let text = |path: &PathBuf| match path.to_str() {
            Some(path) => Ok(quoted(path)),
            None => Err(ConfigError::PathNotText("tls")),
        };
        let ca = self.files.ca.iter().map(text).collect::<Result<Vec<_>, _>>()?;
        Ok(format!(
            "\n[tls]\ncertificate = {}\nkey = {}\nclient_ca = [{}]\ntrust_domain = {}\n",
            text(&self.files.certificate)?,
            text(&self.files.key)?,
            ca.join(", "),
            quoted(&self.trust_domain.to_string())
        ))
    }
}

/// Certificates of hours to days: one that is stolen is worth little for long.
const BOUNDS: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(30 * 86_400));

/// The terms on which identities are given out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Terms {
    /// How long a certificate is good.
    pub lifetime: Duration,
    /// How long after its end it can be renewed, if nobody took its owner out.
    pub grace: Duration,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            lifetime: parallax_identity::LEAF_LIFETIME,
            grace: Duration::from_secs(7 * 86_400),
        }
    }
}

impl Terms {
    pub(super) fn load(args: &ServeArgs, file: &File) -> Result<Self, ConfigError> {
        let default = Self::default();
        let lifetime = args
            .certificate_lifetime
            .as_ref()
            .or(file.certificate_lifetime.as_ref());
        let grace = args.renew_grace.as_ref().or(file.renew_grace.as_ref());
        let terms = Self {
            lifetime: lifetime.map_or(Ok(default.lifetime), |text| {
                read("certificate_lifetime", text, BOUNDS.0)
            })?,
            grace: grace.map_or(Ok(default.grace), |text| {
                read("renew_grace", text, Duration::ZERO)
            })?,
        };
        Ok(terms)
    }

    pub(super) fn to_toml(self) -> String {
        let text = |time: Duration| quoted(&format!("{}s", time.as_secs()));
        format!(
            "certificate_lifetime = {}\nrenew_grace = {}\n",
            text(self.lifetime),
            text(self.grace)
        )
    }
}

fn read(key: &'static str, text: &str, at_least: Duration) -> Result<Duration, ConfigError> {
    duration(text)
        .filter(|time| (at_least..=BOUNDS.1).contains(time))
        .ok_or_else(|| ConfigError::Value {
            key,
            value: text.to_owned(),
            wanted: "a number and a unit, such as 24h or 7d, and at most 30d",
        })
}
