//! What is offered, and how it is called (IANA TLS parameters).

use std::sync::{Arc, OnceLock};

use parallax_engine::action::Hello;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs;
use rustls::{CipherSuite, HandshakeKind, NamedGroup, ProtocolVersion};

/// Everything the library can do, except post-quantum groups: their ClientHello does not fit one segment, and a
/// path that drops such a hello would be taken for a broken service.
pub(super) fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    let make = || {
        Arc::new(CryptoProvider {
            kx_groups: vec![
                aws_lc_rs::kx_group::X25519,
                aws_lc_rs::kx_group::SECP256R1,
                aws_lc_rs::kx_group::SECP384R1,
            ],
            ..aws_lc_rs::default_provider()
        })
    };
    PROVIDER.get_or_init(make).clone()
}

/// The same with a post-quantum group first, as new clients offer it.
pub(super) fn post_quantum_provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    let make = || {
        let usual = provider();
        let mut groups = vec![aws_lc_rs::kx_group::X25519MLKEM768];
        groups.extend(&usual.kx_groups);
        Arc::new(CryptoProvider {
            kx_groups: groups,
            ..usual.as_ref().clone()
        })
    };
    PROVIDER.get_or_init(make).clone()
}

/// What is offered by ALPN (RFC 7301).
pub(super) fn alpn(hello: &Hello) -> Vec<Vec<u8>> {
    if hello.without_alpn {
        return Vec::new();
    }
    let mut offered = vec![b"imap".to_vec()];
    if hello.large {
        // Names that nobody knows and everybody must ignore (RFC 8701): with them the hello exceeds a segment on every
        // path, whatever the name of the host and the library's mind.
        offered.extend(FILLING.map(|mark| vec![mark; usize::from(u8::MAX)]));
    }
    offered
}

/// Values reserved for what has no meaning (RFC 8701 section 2).
const FILLING: [u8; 2] = [0x0a, 0x1a];

pub(super) const fn version(version: ProtocolVersion) -> Option<&'static str> {
    match version {
        ProtocolVersion::TLSv1_0 => Some("TLSv1.0"),
        ProtocolVersion::TLSv1_1 => Some("TLSv1.1"),
        ProtocolVersion::TLSv1_2 => Some("TLSv1.2"),
        ProtocolVersion::TLSv1_3 => Some("TLSv1.3"),
        _ => None,
    }
}

pub(super) const fn handshake_kind(kind: HandshakeKind) -> &'static str {
    match kind {
        HandshakeKind::Full => "full",
        HandshakeKind::FullWithHelloRetryRequest => "hello_retry",
        HandshakeKind::Resumed => "resumed",
    }
}

pub(super) fn cipher_suite(suite: CipherSuite) -> String {
    let name = format!("{suite:?}");
    match name.strip_prefix("TLS13_") {
        Some(rest) => format!("TLS_{rest}"),
        None => name,
    }
}

pub(super) fn group(group: NamedGroup) -> String {
    match group {
        NamedGroup::X25519 => "x25519".to_owned(),
        NamedGroup::X448 => "x448".to_owned(),
        other => format!("{other:?}"),
    }
}
