//! A login's secret. It never prints itself, and it crosses the collector only sealed.

use std::fmt;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::kinds::kinds;

kinds! {
    /// How to log in.
    Mechanism, fallback Login {
        /// SASL PLAIN (RFC 4616).
        Plain = "PLAIN",
        /// SASL LOGIN (draft-murchison-sasl-login) where it is offered, else the LOGIN command.
        Login = "LOGIN",
        /// The LOGIN command (RFC 9051 section 6.2.3), whatever is offered.
        LoginCommand = "LOGIN-COMMAND",
        /// SCRAM with SHA-1 (RFC 5802).
        ScramSha1 = "SCRAM-SHA-1",
        /// The same, bound to the TLS connection.
        ScramSha1Plus = "SCRAM-SHA-1-PLUS",
        /// SCRAM with SHA-256 (RFC 7677).
        ScramSha256 = "SCRAM-SHA-256",
        /// The same, bound to the TLS connection.
        ScramSha256Plus = "SCRAM-SHA-256-PLUS",
        /// An OAuth token (RFC 7628); the secret is the token.
        OauthBearer = "OAUTHBEARER",
        /// An OAuth token, as Google and Microsoft had it before RFC 7628.
        Xoauth2 = "XOAUTH2",
        /// By the client certificate of the TLS connection (RFC 4422 appendix A).
        External = "EXTERNAL",
    }
}

/// A secret in clear: zeroed when dropped, never printed.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes a secret into keeping.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The secret itself; for the one place that must send or seal it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// A user and a secret, at the place where the login happens.
#[derive(Debug, Clone)]
pub struct Credential {
    /// User name.
    pub user: String,
    /// Password or token; empty with EXTERNAL.
    pub secret: Secret,
}

/// A client certificate and its key, PEM; to be shown to the target only.
pub type ClientIdentity = Secret;

/// A secret that only one agent can open (HPKE, RFC 9180).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedSecret {
    /// The encapsulated key.
    pub encapsulated_key: Vec<u8>,
    /// The ciphertext with its tag.
    pub ciphertext: Vec<u8>,
}

impl fmt::Debug for SealedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealedSecret({} bytes)", self.ciphertext.len())
    }
}

/// That a sealing key is an agent's: a signature over both, by the key of the agent's own certificate.
#[derive(Clone, PartialEq, Eq)]
pub struct SealingProof {
    /// The agent's certificate and what stands above it, leaf first, DER.
    pub chain: Vec<Vec<u8>>,
    /// How it is signed (SignatureScheme, RFC 8446 section 4.2.3).
    pub scheme: u16,
    /// The signature.
    pub signature: Vec<u8>,
}

impl fmt::Debug for SealingProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealingProof({} certificates)", self.chain.len())
    }
}

/// A credential that an agent keeps by itself, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LocalCredential {
    /// What it is called.
    pub name: String,
    /// The only host it is for.
    pub host: String,
    /// Whose it is.
    pub user: String,
}

/// What a sealed secret is bound to: under anything else it does not open.
///
/// Host and anchors together say to whom the secret may be sent: whoever could change the anchors under which the host
/// is verified would be sent it at any address of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SealContext<'a> {
    /// The host the secret may be sent to.
    pub host: &'a str,
    /// The user it belongs to.
    pub user: &'a str,
    /// Who may vouch for the host beside those that the agent trusts by itself, DER, in any order.
    pub anchors: &'a [Vec<u8>],
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_never_prints_itself() {
        let credential = Credential {
            user: "probe".into(),
            secret: Secret::new("hunter2".into()),
        };
        assert!(!format!("{credential:?}").contains("hunter2"));
    }
}
