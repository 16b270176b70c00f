//! Tokens: OAUTHBEARER (RFC 7628) and XOAUTH2, which Google and Microsoft had before it.

use parallax_model::evidence::OauthError;
use parallax_model::text::from_wire;
use serde::Deserialize;
use serde_json::Value;

use super::{Message, joined};

/// The longest error that is read, in bytes.
const ERROR: usize = 8 * 1024;
/// Characters kept of each member of it.
const MEMBER: usize = 256;

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    Bearer,
    Xoauth2,
}

/// RFC 7628 section 3.1.
pub(super) fn bearer(user: &str, token: &str, host: &str, port: u16) -> Message {
    let user = user.replace('=', "=3D").replace(',', "=2C");
    joined(&[
        b"n,a=",
        user.as_bytes(),
        b",\x01host=",
        host.as_bytes(),
        b"\x01port=",
        port.to_string().as_bytes(),
        b"\x01auth=Bearer ",
        token.as_bytes(),
        b"\x01\x01",
    ])
}

pub(super) fn xoauth2(user: &str, token: &str) -> Message {
    joined(&[
        b"user=",
        user.as_bytes(),
        b"\x01auth=Bearer ",
        token.as_bytes(),
        b"\x01\x01",
    ])
}

/// What ends an exchange after an error (RFC 7628 section 3.2.3); XOAUTH2 wants an empty line.
pub(super) fn acknowledgement(dialect: Dialect) -> Message {
    match dialect {
        Dialect::Bearer => joined(&[b"\x01"]),
        Dialect::Xoauth2 => Message::default(),
    }
}

/// The members of the error that tell something; none where it is no JSON.
pub(super) fn error(challenge: &[u8]) -> Option<OauthError> {
    #[derive(Deserialize)]
    struct Wire {
        status: Option<Value>,
        schemes: Option<Value>,
        scope: Option<Value>,
        #[serde(rename = "openid-configuration")]
        openid_configuration: Option<Value>,
    }
    let wire: Wire = serde_json::from_slice(challenge.get(..challenge.len().min(ERROR))?).ok()?;
    Some(OauthError {
        status: wire.status.and_then(shown),
        schemes: wire.schemes.and_then(shown),
        scope: wire.scope.and_then(shown),
        openid_configuration: wire.openid_configuration.and_then(shown),
    })
}

fn shown(value: Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text,
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    let cut: String = text.chars().take(MEMBER).collect();
    Some(from_wire(cut.as_bytes()))
}
