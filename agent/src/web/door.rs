//! Who may look, and probe.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use hyper::header::{AUTHORIZATION, HOST};
use hyper::{HeaderMap, Response, StatusCode};
use subtle::ConstantTimeEq as _;

use super::{WebError, said};

/// Fewer bytes than this can be guessed.
const SHORTEST: usize = 16;

/// What is asked of a visitor.
pub(super) enum Door {
    /// Only this host reaches the port; a page of another name that a browser here was given is not ours.
    ThisHost,
    /// A token.
    Token(Vec<u8>),
}

/// Why a visitor is sent away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SentAway {
    /// The page was asked for under a name that is not this host's.
    OtherName,
    /// No token was shown, or a wrong one.
    Unknown,
}

impl Door {
    /// With a token it is asked for, also of this host.
    pub(super) fn of(address: SocketAddr, token_file: Option<&Path>) -> Result<Self, WebError> {
        match token_file {
            Some(file) => read(file).map(Self::Token),
            None if address.ip().to_canonical().is_loopback() => Ok(Self::ThisHost),
            None => Err(WebError::Open(address)),
        }
    }

    pub(super) fn ask(&self, headers: &HeaderMap) -> Result<(), SentAway> {
        match self {
            Self::ThisHost if is_this_host(headers) => Ok(()),
            Self::ThisHost => Err(SentAway::OtherName),
            Self::Token(token) if shown(headers).is_some_and(|shown| token.ct_eq(shown).into()) => Ok(()),
            Self::Token(_) => Err(SentAway::Unknown),
        }
    }
}

impl SentAway {
    pub(super) fn into_response(self) -> Response<String> {
        match self {
            Self::OtherName => said(
                StatusCode::MISDIRECTED_REQUEST,
                "this is not a name of this agent; ask for localhost\n",
            ),
            Self::Unknown => said(
                StatusCode::UNAUTHORIZED,
                "a token is needed: Authorization: Bearer TOKEN\n",
            ),
        }
    }
}

fn read(file: &Path) -> Result<Vec<u8>, WebError> {
    let told = |problem: String| WebError::Token(format!("{}: {problem}", file.display()));
    let text = std::fs::read_to_string(file).map_err(|error| told(error.to_string()))?;
    let token = text.trim().as_bytes().to_vec();
    if token.len() < SHORTEST {
        return Err(told(format!("a token has at least {SHORTEST} characters")));
    }
    Ok(token)
}

fn is_this_host(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(HOST).and_then(|host| host.to_str().ok()) else {
        return false;
    };
    let host = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => host.rsplit_once(':').map_or(host, |(host, _)| host),
    };
    match host.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback(),
        Err(_) => host.eq_ignore_ascii_case("localhost"),
    }
}

fn shown(headers: &HeaderMap) -> Option<&[u8]> {
    let (scheme, rest) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| rest.trim().as_bytes())
}
