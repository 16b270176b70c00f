//! Where the collector is.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

/// The collector's gRPC port when none is given.
pub const DEFAULT_PORT: u16 = 7143;

/// A collector's host and port, as typed: `HOST`, `HOST:PORT`, `[v6]:PORT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CollectorAddress {
    host: String,
    port: u16,
}

/// Why an address could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a collector's address: write HOST, HOST:PORT or [v6]:PORT")]
pub struct AddressError(String);

impl CollectorAddress {
    /// The host: a name or an address without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub const fn port(&self) -> u16 {
        self.port
    }
}

impl FromStr for CollectorAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let wrong = || AddressError(text.to_owned());
        let text = text.trim();
        let (host, port) = if text.parse::<Ipv6Addr>().is_ok() {
            (text, None)
        } else if let Some(rest) = text.strip_prefix('[') {
            let (host, tail) = rest.split_once(']').ok_or_else(wrong)?;
            host.parse::<Ipv6Addr>().map_err(|_| wrong())?;
            match tail {
                "" => (host, None),
                _ => (host, Some(tail.strip_prefix(':').ok_or_else(wrong)?)),
            }
        } else {
            text.split_once(':')
                .map_or((text, None), |(host, port)| (host, Some(port)))
        };
        let port = match port {
            None => DEFAULT_PORT,
            Some(port) => port.parse().ok().filter(|&port| port > 0).ok_or_else(wrong)?,
        };
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':');
        if host.is_empty() || !host.bytes().all(fits) {
            return Err(wrong());
        }
        Ok(Self {
            host: host.to_owned(),
            port,
        })
    }
}

impl fmt::Display for CollectorAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read_and_nonsense_is_not() {
        for (text, shown) in [
            ("collector.example", "collector.example:7143"),
            ("10.0.0.1:7000", "10.0.0.1:7000"),
            ("[2001:db8::1]:7143", "[2001:db8::1]:7143"),
            ("2001:db8::1", "[2001:db8::1]:7143"),
        ] {
            assert_eq!(
                text.parse::<CollectorAddress>()
                    .map(|address| address.to_string()),
                Ok(shown.into())
            );
        }
        for bad in ["", ":7143", "host:0", "host:x", "[::1", "https://host", "a b"] {
            assert!(bad.parse::<CollectorAddress>().is_err(), "{bad:?}");
        }
    }
}
