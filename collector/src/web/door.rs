//! Who may look at what.

use std::net::IpAddr;

use axum::http::header::{AUTHORIZATION, HOST, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::token::Token;

/// Seen by everybody: they say that the collector is there, and nothing else.
const OPEN: [&str; 2] = ["/healthz", "/readyz"];

/// What is asked of a visitor.
pub(super) enum Door {
    /// Only this host reaches the port; a page of another name that a browser here was given is not ours.
    ThisHost {
        /// Names that the collector has beside those of every host.
        names: Vec<String>,
    },
    /// Others reach it.
    Anybody {
        token: Token,
        /// Something else speaks TLS.
        plain: bool,
    },
}

/// Why a visitor is sent away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SentAway {
    /// The page was asked for under a name that is not the collector's.
    OtherName,
    /// The token would go through the network for all to read.
    InClear,
    /// No token was shown, or a wrong one.
    Unknown,
}

impl Door {
    /// Whether somebody gets in. `known` has shown a certificate that is good enough.
    pub(super) fn ask(
        &self,
        path: &str,
        headers: &HeaderMap,
        over_tls: bool,
        known: bool,
    ) -> Result<(), SentAway> {
        if OPEN.contains(&path) {
            return Ok(());
        }
        match self {
            Self::ThisHost { names } if is_ours(headers, names) => Ok(()),
            Self::ThisHost { .. } => Err(SentAway::OtherName),
            Self::Anybody { plain, .. } if !over_tls && !plain => Err(SentAway::InClear),
            Self::Anybody { token, .. } if known || shown(headers).is_some_and(|shown| token.is(&shown)) => {
                Ok(())
            }
            Self::Anybody { .. } => Err(SentAway::Unknown),
        }
    }
}

impl SentAway {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::OtherName => "other_name",
            Self::InClear => "in_clear",
            Self::Unknown => "unknown",
        }
    }
}

impl IntoResponse for SentAway {
    fn into_response(self) -> Response {
        match self {
            Self::OtherName => (
                StatusCode::MISDIRECTED_REQUEST,
                "this is not a name of the collector; ask for localhost\n",
            )
                .into_response(),
            Self::InClear => (
                StatusCode::UPGRADE_REQUIRED,
                [("upgrade", "TLS/1.3"), ("connection", "upgrade")],
                "https, with a token\n",
            )
                .into_response(),
            Self::Unknown => (
                StatusCode::UNAUTHORIZED,
                [(
                    WWW_AUTHENTICATE,
                    "Basic realm=\"Parallax collector\", charset=\"UTF-8\"",
                )],
                "a token is needed: Authorization: Bearer TOKEN, or as the password of any user\n",
            )
                .into_response(),
        }
    }
}

fn is_ours(headers: &HeaderMap, names: &[String]) -> bool {
    let Some(host) = headers.get(HOST).and_then(|host| host.to_str().ok()) else {
        return false;
    };
    let host = without_port(host);
    if let Ok(address) = host.parse::<IpAddr>() {
        return address.to_canonical().is_loopback();
    }
    host.eq_ignore_ascii_case("localhost") || names.iter().any(|name| name.eq_ignore_ascii_case(host))
}

/// `HOST`, `HOST:PORT`, `[ADDRESS]`, `[ADDRESS]:PORT`.
fn without_port(host: &str) -> &str {
    if let Some((address, _)) = host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return address;
    }
    host.rsplit_once(':').map_or(host, |(host, _)| host)
}

/// The token in the headers: as it is, or as a browser puts it, as the password of any user.
fn shown(headers: &HeaderMap) -> Option<Vec<u8>> {
    let (scheme, rest) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(rest.trim().as_bytes().to_vec());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = STANDARD.decode(rest.trim()).ok()?;
    let colon = pair.iter().position(|byte| *byte == b':')?;
    Some(pair[colon + 1..].to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(axum::http::HeaderName, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.clone(), value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn a_name_that_was_made_to_point_here_shows_nothing() {
        let door = Door::ThisHost {
            names: vec!["collector.example.org".into()],
        };
        let ask = |host: &str| door.ask("/", &headers(&[(HOST, host)]), false, false);
        for ours in [
            "localhost",
            "LOCALHOST:7180",
            "127.0.0.1:7180",
            "127.1.2.3",
            "[::1]:7180",
            "collector.example.org:7180",
        ] {
            assert_eq!(ask(ours), Ok(()), "{ours}");
        }
        for other in [
            "evil.example",
            "evil.example:7180",
            "192.0.2.1",
            "localhost.evil.example",
            "",
        ] {
            assert_eq!(ask(other), Err(SentAway::OtherName), "{other}");
        }
        assert_eq!(
            door.ask("/", &HeaderMap::new(), false, false),
            Err(SentAway::OtherName)
        );
        assert_eq!(door.ask("/healthz", &HeaderMap::new(), false, false), Ok(()));
    }

    fn guarded(plain: bool) -> Door {
        let data = tempfile::tempdir().unwrap();
        let file = data.path().join("token");
        std::fs::write(&file, "0123456789abcdef").unwrap();
        Door::Anybody {
            token: Token::open(Some(&file), data.path()).unwrap().0,
            plain,
        }
    }

    #[test]
    fn off_loopback_it_is_a_token_over_tls_or_nothing() {
        let right = headers(&[(AUTHORIZATION, "Bearer 0123456789abcdef")]);
        let as_password = headers(&[(AUTHORIZATION, "Basic eDowMTIzNDU2Nzg5YWJjZGVm")]);
        let door = guarded(false);
        for good in [&right, &as_password] {
            assert_eq!(door.ask("/metrics", good, true, false), Ok(()));
            assert_eq!(door.ask("/metrics", good, false, false), Err(SentAway::InClear));
            assert_eq!(guarded(true).ask("/metrics", good, false, false), Ok(()));
        }
        for bad in [
            "Bearer 0123456789abcde",
            "Bearer ",
            "Bearer",
            "Digest x",
            "Basic !!!",
            "Basic eA==",
        ] {
            let bad = headers(&[(AUTHORIZATION, bad)]);
            assert_eq!(
                door.ask("/", &bad, true, false),
                Err(SentAway::Unknown),
                "{bad:?}"
            );
        }
        assert_eq!(
            door.ask("/", &HeaderMap::new(), true, true),
            Ok(()),
            "a certificate does too"
        );
        assert_eq!(door.ask("/readyz", &HeaderMap::new(), false, false), Ok(()));
    }
}
