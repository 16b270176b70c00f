//! What is probed: an IMAP service, and the endpoints asked of it.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::kinds::kinds;

/// Implicit TLS, "imaps" (RFC 8314 section 3.2).
pub const IMAPS_PORT: u16 = 993;
/// IMAP with STARTTLS or in clear (RFC 9051 section 2.1).
pub const IMAP_PORT: u16 = 143;

kinds! {
    /// How an endpoint is secured.
    Security, fallback Tls {
        /// TLS from the first byte (RFC 8314).
        Tls = "tls",
        /// In clear until STARTTLS (RFC 9051 section 6.2.1).
        Starttls = "starttls",
        /// In clear throughout; a credential is never sent here.
        Plaintext = "plaintext",
    }
}

/// A port and how it is secured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Endpoint {
    /// TCP port.
    pub port: u16,
    /// How it is secured.
    pub security: Security,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.port, self.security)
    }
}

/// A host name or an address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Host {
    /// A name in lower case, without the final dot.
    Name(String),
    /// An address; nothing is resolved.
    Address(IpAddr),
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(address) => address.fmt(f),
        }
    }
}

/// An IMAP service as it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// What was typed.
    pub input: String,
    /// The host meant.
    pub host: Host,
    /// The endpoints asked of it; never empty.
    pub endpoints: Vec<Endpoint>,
}

/// Why a target could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// Nothing was given.
    #[error("the target is empty: give a host, host:port, [v6]:port, imaps://host or imap://host")]
    Empty,
    /// A scheme that is not IMAP's.
    #[error("scheme {0:?} is not one of imaps, imap")]
    Scheme(String),
    /// A port that is not a number from 1 to 65535.
    #[error("port {0:?} is not a number from 1 to 65535")]
    Port(String),
    /// A host that is neither a name nor an address.
    #[error(
        "host {0:?} is neither a host name (letters, digits, '-', '.', '_'; punycode for others) nor an address"
    )]
    Host(String),
    /// An address with a zone.
    #[error(
        "{0:?} has a zone, which names an interface of one host (RFC 4007): each agent has its own, so give the address without %{zone}",
        zone = zone_of(.0)
    )]
    Zone(String),
    /// The scheme and `--security` disagree.
    #[error("imaps:// means implicit TLS, but security {0} was asked for")]
    Contradiction(Security),
}

impl Target {
    /// Reads a target: `host`, `host:port`, `[v6]:port`, `v6`, `imaps://host[:port]`, `imap://host[:port]`.
    ///
    /// The security follows from `security`, else from the scheme, else from the port (143 is STARTTLS, every
    /// other port is TLS).
    pub fn parse(input: &str, security: Option<Security>) -> Result<Self, TargetError> {
        let trimmed = input.trim();
        let (scheme, rest) = split_scheme(trimmed)?;
        if scheme == Some(Security::Tls) && security.is_some_and(|asked| asked != Security::Tls) {
            return Err(TargetError::Contradiction(security.unwrap_or(Security::Tls)));
        }
        let (host, port) = split_port(rest.strip_suffix('/').unwrap_or(rest))?;
        let host = parse_host(host)?;
        let security = security.or(scheme);
        let endpoint = match (port, security) {
            (None, None | Some(Security::Tls)) => Endpoint {
                port: IMAPS_PORT,
                security: Security::Tls,
            },
            (None, Some(security)) => Endpoint {
                port: IMAP_PORT,
                security,
            },
            (Some(IMAP_PORT), None) => Endpoint {
                port: IMAP_PORT,
                security: Security::Starttls,
            },
            (Some(port), security) => Endpoint {
                port,
                security: security.unwrap_or(Security::Tls),
            },
        };
        Ok(Self {
            input: trimmed.to_owned(),
            host,
            endpoints: vec![endpoint],
        })
    }

    /// The name to put into SNI and to match certificates against, or the address.
    pub fn reference_identity(&self) -> String {
        self.host.to_string()
    }
}

impl FromStr for Host {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        parse_host(text)
    }
}

fn split_scheme(input: &str) -> Result<(Option<Security>, &str), TargetError> {
    let Some((scheme, rest)) = input.split_once("://") else {
        return Ok((None, input));
    };
    match scheme.to_ascii_lowercase().as_str() {
        "imaps" => Ok((Some(Security::Tls), rest)),
        "imap" => Ok((Some(Security::Starttls), rest)),
        _ => Err(TargetError::Scheme(scheme.to_owned())),
    }
}

fn split_port(rest: &str) -> Result<(&str, Option<u16>), TargetError> {
    if rest.is_empty() {
        return Err(TargetError::Empty);
    }
    if let Some(bracketed) = rest.strip_prefix('[') {
        let Some((address, tail)) = bracketed.split_once(']') else {
            return Err(TargetError::Host(rest.to_owned()));
        };
        if has_zone(address) {
            return Err(TargetError::Zone(address.to_owned()));
        }
        if address.parse::<Ipv6Addr>().is_err() {
            return Err(TargetError::Host(rest.to_owned()));
        }
        return match tail.strip_prefix(':') {
            Some(port) => Ok((address, Some(parse_port(port)?))),
            None if tail.is_empty() => Ok((address, None)),
            None => Err(TargetError::Host(rest.to_owned())),
        };
    }
    if has_zone(rest) {
        return Err(TargetError::Zone(rest.to_owned()));
    }
    if rest.parse::<Ipv6Addr>().is_ok() {
        return Ok((rest, None));
    }
    match rest.rsplit_once(':') {
        Some((host, port)) => Ok((host, Some(parse_port(port)?))),
        None => Ok((rest, None)),
    }
}

fn parse_port(text: &str) -> Result<u16, TargetError> {
    match text.parse::<u16>() {
        Ok(port) if port > 0 => Ok(port),
        _ => Err(TargetError::Port(text.to_owned())),
    }
}

/// Whether it is an address with a zone, also where the percent sign is escaped (RFC 6874).
pub fn has_zone(text: &str) -> bool {
    text.split_once('%')
        .is_some_and(|(address, _)| address.parse::<Ipv6Addr>().is_ok())
}

fn zone_of(text: &str) -> &str {
    text.split_once('%').map_or("", |(_, zone)| zone)
}

fn parse_host(text: &str) -> Result<Host, TargetError> {
    if text.is_empty() {
        return Err(TargetError::Empty);
    }
    if has_zone(text) {
        return Err(TargetError::Zone(text.to_owned()));
    }
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(Host::Address(address));
    }
    let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let all_digits = name.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    if name.len() <= 253 && !all_digits && name.split('.').all(label) {
        Ok(Host::Name(name))
    } else {
        Err(TargetError::Host(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(input: &str) -> (String, u16, Security) {
        let target = Target::parse(input, None).expect(input);
        (
            target.host.to_string(),
            target.endpoints[0].port,
            target.endpoints[0].security,
        )
    }

    #[test]
    fn every_form_of_the_surface_is_read() {
        assert_eq!(
            endpoint("imap.example.org"),
            ("imap.example.org".into(), 993, Security::Tls)
        );
        assert_eq!(
            endpoint("IMAP.Example.org.:143"),
            ("imap.example.org".into(), 143, Security::Starttls)
        );
        assert_eq!(
            endpoint("[2001:db8::1]:993"),
            ("2001:db8::1".into(), 993, Security::Tls)
        );
        assert_eq!(
            endpoint("2001:db8::1"),
            ("2001:db8::1".into(), 993, Security::Tls)
        );
        assert_eq!(
            endpoint("imaps://mail.example:9993/"),
            ("mail.example".into(), 9993, Security::Tls)
        );
        assert_eq!(
            endpoint("imap://mail.example"),
            ("mail.example".into(), 143, Security::Starttls)
        );
        assert_eq!(
            endpoint("imap://192.0.2.1:1143"),
            ("192.0.2.1".into(), 1143, Security::Starttls)
        );
    }

    #[test]
    fn the_security_asked_for_chooses_the_port() {
        let target = Target::parse("mail.example", Some(Security::Plaintext)).expect("target");
        assert_eq!(
            target.endpoints,
            [Endpoint {
                port: 143,
                security: Security::Plaintext
            }]
        );
        let target = Target::parse("imap://mail.example", Some(Security::Plaintext)).expect("target");
        assert_eq!(
            target.endpoints,
            [Endpoint {
                port: 143,
                security: Security::Plaintext
            }]
        );
    }

    #[test]
    fn an_address_with_a_zone_is_told_from_one_that_is_wrong() {
        for zoned in [
            "fe80::1%eth0",
            "[fe80::1%eth0]:993",
            "imaps://[fe80::1%25eth0]",
            "[fe80::1%2]",
        ] {
            let error = Target::parse(zoned, None).expect_err(zoned);
            assert!(matches!(error, TargetError::Zone(_)), "{error}");
        }
        let error = Target::parse("fe80::1%eth0", None).expect_err("a zone");
        assert!(error.to_string().ends_with("without %eth0"), "{error}");
        assert!("fe80::1%eth0".parse::<Host>().is_err());
        assert!(matches!(
            Target::parse("100%sure", None),
            Err(TargetError::Host(_))
        ));
    }

    #[test]
    fn bad_targets_are_refused_with_what_is_wrong() {
        for bad in [
            "",
            "host:0",
            "host:99999",
            "host:",
            "http://host",
            "a b",
            "-a.example",
            "[::1",
            "1.2.3.4.5",
            "a..b",
        ] {
            assert!(Target::parse(bad, None).is_err(), "{bad:?}");
        }
        assert!(Target::parse("imaps://h", Some(Security::Starttls)).is_err());
    }
}
