//! A network by its prefix.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::policy::PolicyError;

/// An address and the length of its prefix (RFC 4632, RFC 4291 section 2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// A network; a prefix longer than the address is the address alone.
    pub const fn new(address: IpAddr, prefix: u8) -> Self {
        let longest = if address.is_ipv4() { 32 } else { 128 };
        Self {
            address,
            prefix: if prefix > longest { longest } else { prefix },
        }
    }

    /// Whether an address is in it. The families never meet.
    pub fn contains(&self, address: IpAddr) -> bool {
        let (mine, other, width) = match (self.address, address) {
            (IpAddr::V4(mine), IpAddr::V4(other)) => {
                (u128::from(mine.to_bits()), u128::from(other.to_bits()), 32)
            }
            (IpAddr::V6(mine), IpAddr::V6(other)) => (mine.to_bits(), other.to_bits(), 128),
            _ => return false,
        };
        let host_bits = width - u32::from(self.prefix);
        mine.checked_shr(host_bits).unwrap_or(0) == other.checked_shr(host_bits).unwrap_or(0)
    }
}

/// This host and its link, what several clouds tell their machines in confidence, and what is nobody's own address.
pub(super) fn never_a_mail_server() -> Vec<Network> {
    let v4 = |octets: [u8; 4], prefix| Network::new(Ipv4Addr::from(octets).into(), prefix);
    let v6 = |segments: [u16; 8], prefix| Network::new(Ipv6Addr::from(segments).into(), prefix);
    vec![
        v4([127, 0, 0, 0], 8),
        v6([0, 0, 0, 0, 0, 0, 0, 1], 128),
        v4([169, 254, 0, 0], 16),
        v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10),
        v4([0, 0, 0, 0], 8),
        v4([100, 100, 100, 200], 32),
        v4([168, 63, 129, 16], 32),
        v4([192, 0, 0, 192], 32),
        v6([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254], 128),
        v6([0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254], 128),
        v4([224, 0, 0, 0], 4),
        v4([255, 255, 255, 255], 32),
        v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8),
    ]
}

impl FromStr for Network {
    type Err = PolicyError;

    fn from_str(text: &str) -> Result<Self, PolicyError> {
        let wrong = || PolicyError::Network(text.to_owned());
        let (address, prefix) = match text.trim().split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text.trim(), None),
        };
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => longest,
            Some(prefix) => prefix.parse().map_err(|_| wrong())?,
        };
        if prefix > longest {
            return Err(wrong());
        }
        Ok(Self { address, prefix })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl TryFrom<String> for Network {
    type Error = PolicyError;

    fn try_from(text: String) -> Result<Self, PolicyError> {
        text.parse()
    }
}

impl From<Network> for String {
    fn from(network: Network) -> Self {
        network.to_string()
    }
}
