//! The secrets of TLS sessions, for whoever reads the packets: never those with which a login could be decrypted.
//!
//! A secret leaves here as a part of [`Disclosed`], which only three ways lead to. Each takes what proves that it may:
//! a stream that can not carry a login, a stream that can and then gives its handshake alone, or a connection that is
//! given up with its handshake.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use parallax_model::capture::CapturedSecrets;
use rustls::{ClientConnection, KeyLog};
use zeroize::Zeroizing;

use crate::driver::tls::stream::{Evidence, Strict, TlsStream};

/// Secrets of TLS 1.3 that are of no use behind the handshake: what encrypts the session is derived beside them, not
/// from them (RFC 8446 section 7.1).
const OF_HANDSHAKE: [&str; 2] = [
    "CLIENT_HANDSHAKE_TRAFFIC_SECRET",
    "SERVER_HANDSHAKE_TRAFFIC_SECRET",
];

/// What may be given away of one handshake, as lines of an NSS key log.
#[derive(Clone)]
pub(crate) struct Disclosed {
    lines: Zeroizing<String>,
    secrets: CapturedSecrets,
}

/// What the library says of the secrets of one handshake, while it is not known what it leads to.
#[derive(Default)]
pub(super) struct Keys {
    lines: Mutex<Vec<Line>>,
}

struct Line {
    label: String,
    text: Zeroizing<String>,
}

impl KeyLog for Keys {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        let secret = Zeroizing::new(hex::encode(secret));
        let random = hex::encode(client_random);
        let line = Line {
            label: label.to_owned(),
            text: Zeroizing::new(format!("{label} {random} {}\n", *secret)),
        };
        self.lines
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(line);
    }
}

impl Keys {
    /// Of a session that can not carry a login: all.
    pub(super) fn of_evidence(&self, _: &TlsStream<Evidence>) -> Disclosed {
        self.disclose(CapturedSecrets::Session, |_| true)
    }

    /// Of a session that may carry a login, whether it does or not: of TLS 1.3 the handshake, of TLS 1.2, where all hangs
    /// on one secret, nothing.
    pub(super) fn of_strict(&self, _: &TlsStream<Strict>) -> Disclosed {
        self.disclose(CapturedSecrets::Handshake, |label| OF_HANDSHAKE.contains(&label))
    }

    /// Of a handshake that failed: all, for nothing was sent behind it, and on what is given up here nothing can be.
    pub(super) fn of_failed(&self, given_up: ClientConnection) -> Disclosed {
        drop(given_up);
        self.disclose(CapturedSecrets::Session, |_| true)
    }

    fn disclose(&self, most: CapturedSecrets, may: impl Fn(&str) -> bool) -> Disclosed {
        let lines = std::mem::take(&mut *self.lines.lock().unwrap_or_else(PoisonError::into_inner));
        let mut disclosed = Zeroizing::new(String::new());
        for line in lines.iter().filter(|line| may(&line.label)) {
            disclosed.push_str(&line.text);
        }
        Disclosed {
            secrets: if disclosed.is_empty() {
                CapturedSecrets::None
            } else {
                most
            },
            lines: disclosed,
        }
    }
}

impl Disclosed {
    /// An NSS key log, one line a secret.
    pub(crate) fn lines(&self) -> &str {
        &self.lines
    }

    /// What can be decrypted with it.
    pub(crate) const fn secrets(&self) -> CapturedSecrets {
        self.secrets
    }
}

impl fmt::Debug for Disclosed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Disclosed({})", self.secrets)
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys")
    }
}
