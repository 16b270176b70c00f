//! A join token: how a new agent or operator gets in.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroize;

use crate::selector::glob_matches;
use crate::vantage::AgentName;

const PREFIX: &str = "plx1";
const SECRET_BYTES: usize = 24;
const FINGERPRINT_BYTES: usize = 32;
/// As long as a name.
const LONGEST_PATTERN: usize = 63;

/// A secret that buys one identity, with the fingerprint of the CA that will issue it: `plx1.SECRET.FINGERPRINT`,
/// both base64url. The joiner trusts the collector that can show this CA, and no other, from the first byte.
#[derive(Clone, PartialEq, Eq)]
pub struct JoinToken {
    secret: [u8; SECRET_BYTES],
    ca_sha256: [u8; FINGERPRINT_BYTES],
}

/// Why a token could not be read. The token itself is not repeated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "that is not a join token: it looks like plx1.<secret>.<fingerprint>, as printed by `parallax-collector token create`"
)]
pub struct TokenError;

/// Which names may join with a token.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum TokenNames {
    /// Any.
    #[default]
    Any,
    /// One.
    Only(AgentName),
    /// Those like a pattern.
    Like(NamePattern),
}

/// A name with `*` for any characters in it: `fra-*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamePattern(String);

/// Why a pattern could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a pattern of names: write a part of a name and *, such as fra-*")]
pub struct PatternError(String);

impl TokenNames {
    /// Whether this name may.
    pub fn allow(&self, name: &AgentName) -> bool {
        match self {
            Self::Any => true,
            Self::Only(only) => only == name,
            Self::Like(pattern) => glob_matches(pattern.0.as_bytes(), name.as_str().as_bytes()),
        }
    }
}

impl fmt::Display for TokenNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => Ok(()),
            Self::Only(name) => f.pad(name.as_str()),
            Self::Like(pattern) => f.pad(&pattern.0),
        }
    }
}

impl NamePattern {
    /// The pattern as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for NamePattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let readable = |byte: u8| byte.is_ascii_alphanumeric() || b"._-*".contains(&byte);
        if text.len() <= LONGEST_PATTERN && text.contains('*') && text.bytes().all(readable) {
            Ok(Self(text.to_owned()))
        } else {
            Err(PatternError(text.to_owned()))
        }
    }
}

impl JoinToken {
    /// A token of random bytes for a CA.
    pub const fn new(secret: [u8; SECRET_BYTES], ca_sha256: [u8; FINGERPRINT_BYTES]) -> Self {
        Self { secret, ca_sha256 }
    }

    /// The secret part, to be sent to the collector that proved to be the right one.
    pub const fn secret(&self) -> &[u8; SECRET_BYTES] {
        &self.secret
    }

    /// SHA-256 of the CA certificate's DER.
    pub const fn ca_sha256(&self) -> &[u8; FINGERPRINT_BYTES] {
        &self.ca_sha256
    }
}

impl Drop for JoinToken {
    fn drop(&mut self) {
        self.secret.zeroize();
    }
}

impl fmt::Debug for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JoinToken(…)")
    }
}

impl fmt::Display for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (secret, fingerprint) = (
            URL_SAFE_NO_PAD.encode(self.secret),
            URL_SAFE_NO_PAD.encode(self.ca_sha256),
        );
        write!(f, "{PREFIX}.{secret}.{fingerprint}")
    }
}

impl FromStr for JoinToken {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, TokenError> {
        let mut parts = text.trim().split('.');
        let (Some(PREFIX), Some(secret), Some(fingerprint), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(TokenError);
        };
        let secret = URL_SAFE_NO_PAD.decode(secret).map_err(|_| TokenError)?;
        let fingerprint = URL_SAFE_NO_PAD.decode(fingerprint).map_err(|_| TokenError)?;
        Ok(Self {
            secret: secret.try_into().map_err(|_| TokenError)?,
            ca_sha256: fingerprint.try_into().map_err(|_| TokenError)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_round_trips_and_does_not_print_itself() {
        let token = JoinToken::new([7; 24], [9; 32]);
        assert_eq!(token.to_string().parse(), Ok(token.clone()));
        assert_eq!(format!("{token:?}"), "JoinToken(…)");
        assert!("plx1.abc".parse::<JoinToken>().is_err());
        assert!("".parse::<JoinToken>().is_err());
    }

    #[test]
    fn a_token_is_for_any_name_for_one_or_for_those_like_a_pattern() {
        let name = |text: &str| -> AgentName { text.parse().expect("a name") };
        let like = TokenNames::Like("fra-*".parse().expect("a pattern"));
        assert!(TokenNames::Any.allow(&name("ams-1")));
        assert!(like.allow(&name("fra-12")) && !like.allow(&name("ams-1")));
        assert!(TokenNames::Only(name("fra-1")).allow(&name("fra-1")));
        assert!(!TokenNames::Only(name("fra-1")).allow(&name("fra-12")));
        for bad in ["", "fra-1", "fra-* ", "fra/*", "é*"] {
            assert!(bad.parse::<NamePattern>().is_err(), "{bad}");
        }
    }
}
