//! The HTTP port beyond its address.

use std::path::PathBuf;

use serde::Serialize;

use super::args::PageArgs;
use super::file::{ConfigError, File};
use super::quoted;

/// How the page is guarded where others than this host reach it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Page {
    /// Speak HTTP without TLS: something before the collector does that.
    #[serde(rename = "http_plain")]
    pub plain: bool,
    /// The token to ask for; without it, `http-token` in the data directory, made when it is missing.
    #[serde(rename = "http_token_file", skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,
    /// A certificate chain of another authority and its key (PEM); without it, one of the collector's own.
    #[serde(skip)]
    pub certificate: Option<(PathBuf, PathBuf)>,
}

impl Page {
    pub(super) fn load(args: &PageArgs, file: &File) -> Result<Self, ConfigError> {
        let either = |flag: &Option<PathBuf>, file: &Option<PathBuf>| flag.clone().or_else(|| file.clone());
        let page = Self {
            plain: args.http_plain || file.http_plain,
            token_file: either(&args.http_token_file, &file.http_token_file),
            certificate: match (
                either(&args.http_certificate, &file.http_certificate),
                either(&args.http_key, &file.http_key),
            ) {
                (None, None) => None,
                (Some(certificate), Some(key)) => Some((certificate, key)),
                (Some(one), None) | (None, Some(one)) => {
                    return Err(ConfigError::Value {
                        key: "http-certificate",
                        value: one.display().to_string(),
                        wanted: "enough: http-certificate and http-key are given together",
                    });
                }
            },
        };
        match &page.certificate {
            Some((certificate, _)) if page.plain => Err(ConfigError::Value {
                key: "http-certificate",
                value: certificate.display().to_string(),
                wanted: "of use with http-plain, which turns TLS off",
            }),
            _ => Ok(page),
        }
    }

    pub(super) fn to_toml(&self) -> Result<String, ConfigError> {
        let mut text = format!("http_plain = {}\n", self.plain);
        let (certificate, key) = self.certificate.clone().unzip();
        for (name, path) in [
            ("http_token_file", &self.token_file),
            ("http_certificate", &certificate),
            ("http_key", &key),
        ] {
            if let Some(path) = path {
                let path = path.to_str().ok_or(ConfigError::PathNotText(name))?;
                text.push_str(&format!("{name} = {}\n", quoted(path)));
            }
        }
        Ok(text)
    }
}
