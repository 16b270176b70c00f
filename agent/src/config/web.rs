//! The HTTP port.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use super::{ConfigError, RunArgs};
use crate::credentials::LocalCredentials;
use crate::web::Module;

/// Where it is, and its token.
pub(super) fn place(
    args: &RunArgs,
    address: Option<&str>,
    token_file: Option<PathBuf>,
) -> Result<(Option<SocketAddr>, Option<PathBuf>), ConfigError> {
    let token_file = args.http_token_file.clone().or(token_file);
    let Some(text) = args.http.as_deref().or(address) else {
        return Ok((None, token_file));
    };
    let address: SocketAddr = text
        .parse()
        .map_err(|_| ConfigError::value("http", text, "ADDR:PORT"))?;
    if token_file.is_none() && !address.ip().to_canonical().is_loopback() {
        return Err(ConfigError::Value {
            key: "http",
            problem: format!(
                "others than this host reach {address}: give --http-token-file FILE, or a loopback address"
            ),
        });
    }
    Ok((Some(address), token_file))
}

/// Whether each module has what it logs in with.
pub(super) fn check(modules: &BTreeMap<String, Module>, own: &LocalCredentials) -> Result<(), ConfigError> {
    for (name, module) in modules {
        if let Some(credential) = &module.credential
            && own.find(credential).is_none()
        {
            return Err(ConfigError::Value {
                key: "modules",
                problem: format!("{name}: there is no credential {credential:?} under [[credentials]]"),
            });
        }
    }
    Ok(())
}
