//! Handshake messages (RFC 5246 section 7.4), put together and read.

use super::{group, suite, version};
use crate::certificate::{CERTIFICATES, CHAIN_BYTES};

/// One message at most: a chain and its lengths.
const MESSAGE: usize = CHAIN_BYTES + 64;
const HEADER: usize = 4;

/// A whole message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) kind: u8,
    pub(super) body: Vec<u8>,
}

impl Message {
    pub(super) const SERVER_HELLO: u8 = 2;
    pub(super) const CERTIFICATE: u8 = 11;
    pub(super) const SERVER_KEY_EXCHANGE: u8 = 12;
    pub(super) const CERTIFICATE_REQUEST: u8 = 13;
    pub(super) const SERVER_HELLO_DONE: u8 = 14;
    pub(super) const CERTIFICATE_STATUS: u8 = 22;
    pub(super) const SUPPLEMENTAL_DATA: u8 = 23;
}

/// Fragments that become messages.
#[derive(Debug, Clone, Default)]
pub(super) struct Messages {
    unread: Vec<u8>,
}

impl Messages {
    pub(super) fn push(&mut self, fragment: &[u8]) {
        self.unread.extend_from_slice(fragment);
    }

    /// The next whole message, or the length of one that is too long.
    pub(super) fn next(&mut self) -> Result<Option<Message>, usize> {
        let [kind, high, middle, low, rest @ ..] = self.unread.as_slice() else {
            return Ok(None);
        };
        let length = number24(*high, *middle, *low);
        if length > MESSAGE {
            return Err(length);
        }
        let Some(body) = rest.get(..length) else {
            return Ok(None);
        };
        let message = Message {
            kind: *kind,
            body: body.to_vec(),
        };
        self.unread.drain(..HEADER + length);
        Ok(Some(message))
    }
}

/// What a ServerHello chooses (section 7.4.1.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) version: u16,
    pub(super) suite: String,
}

impl Choice {
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        const RANDOM: usize = 32;
        let (version, rest) = body.split_first_chunk()?;
        let (session, rest) = rest.get(RANDOM..)?.split_first()?;
        let (suite, _) = rest.get(usize::from(*session)..)?.split_first_chunk()?;
        Some(Self {
            version: u16::from_be_bytes(*version),
            suite: suite::name(u16::from_be_bytes(*suite)),
        })
    }

    pub(super) fn version_name(&self) -> String {
        version(self.version)
    }
}

/// The certificates of a Certificate message (section 7.4.2), as DER, as many as are read of a chain. One that is cut
/// short ends the list.
pub(super) fn certificates(body: &[u8]) -> Vec<Vec<u8>> {
    let mut rest = body.get(3..).unwrap_or_default();
    let mut chain = Vec::new();
    while let [high, middle, low, behind @ ..] = rest
        && let Some((der, next)) = behind.split_at_checked(number24(*high, *middle, *low))
        && chain.len() < CERTIFICATES
    {
        chain.push(der.to_vec());
        rest = next;
    }
    chain
}

/// The group of an ECDHE key exchange (RFC 8422 section 5.4); nothing where the exchange is another.
pub(super) fn exchange_group(body: &[u8], suite: &str) -> Option<String> {
    const NAMED_CURVE: u8 = 3;
    match body {
        [NAMED_CURVE, high, low, ..] if suite.starts_with("TLS_ECDHE_") => {
            Some(group::name(u16::from_be_bytes([*high, *low])))
        }
        _ => None,
    }
}

fn number24(high: u8, middle: u8, low: u8) -> usize {
    (usize::from(high) << 16) | (usize::from(middle) << 8) | usize::from(low)
}
