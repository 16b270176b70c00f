//! One entry of `allow`.

use std::fmt;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::str::FromStr;

use parallax_model::target::Host;
use serde::{Deserialize, Serialize};

use crate::policy::{Network, PolicyError};

/// Hosts, by name or by address, and ports: `*.example.org:143,993`, `192.0.2.0/24:1-1024`, `[2001:db8::/32]:993`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Rule {
    hosts: Hosts,
    ports: Vec<RangeInclusive<u16>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Hosts {
    /// A glob over host names; `*` alone also stands for any address.
    Named(String),
    Within(Network),
}

impl Rule {
    pub(super) fn anything_at(ports: &[u16]) -> Self {
        Self {
            hosts: Hosts::Named("*".into()),
            ports: ports.iter().map(|&port| port..=port).collect(),
        }
    }

    pub(super) fn anything_anywhere() -> Self {
        Self {
            hosts: Hosts::Named("*".into()),
            ports: vec![0..=u16::MAX],
        }
    }

    pub(super) fn has_port(&self, port: u16) -> bool {
        self.ports.iter().any(|range| range.contains(&port))
    }

    /// Whether the host as it was asked for is named.
    pub(super) fn names(&self, host: &Host) -> bool {
        match (&self.hosts, host) {
            (Hosts::Named(glob), Host::Name(name)) => matches(glob.as_bytes(), name.as_bytes()),
            (Hosts::Named(glob), Host::Address(_)) => glob == "*",
            (Hosts::Within(_), _) => false,
        }
    }

    /// Whether it is of some names, and not of all.
    pub(super) fn names_some(&self) -> bool {
        matches!(&self.hosts, Hosts::Named(glob) if glob != "*")
    }

    pub(super) const fn is_of_addresses(&self) -> bool {
        matches!(self.hosts, Hosts::Within(_))
    }

    /// Whether the host is named, or the address is in the network.
    pub(super) fn covers(&self, host: &Host, address: IpAddr) -> bool {
        match &self.hosts {
            Hosts::Named(_) => self.names(host),
            Hosts::Within(network) => network.contains(address),
        }
    }
}

/// `*` for any characters, `?` for one. Without backtracking over more than the last star, so that no pattern is
/// slow.
fn matches(glob: &[u8], name: &[u8]) -> bool {
    let (mut at_glob, mut at_name) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while at_name < name.len() {
        match glob.get(at_glob) {
            Some(b'*') => {
                star = Some((at_glob, at_name));
                at_glob += 1;
            }
            Some(&byte) if byte == b'?' || byte == name[at_name] => {
                at_glob += 1;
                at_name += 1;
            }
            _ => {
                let Some((glob_star, name_star)) = star else {
                    return false;
                };
                star = Some((glob_star, name_star + 1));
                (at_glob, at_name) = (glob_star + 1, name_star + 1);
            }
        }
    }
    glob[at_glob..].iter().all(|&byte| byte == b'*')
}

impl FromStr for Rule {
    type Err = PolicyError;

    fn from_str(text: &str) -> Result<Self, PolicyError> {
        let wrong = || PolicyError::Rule(text.to_owned());
        let (hosts, ports) = text.trim().rsplit_once(':').ok_or_else(wrong)?;
        let ports = ports
            .split(',')
            .map(parse_ports)
            .collect::<Option<Vec<_>>>()
            .ok_or_else(wrong)?;
        let bare = hosts
            .strip_prefix('[')
            .and_then(|inner| inner.strip_suffix(']'))
            .unwrap_or(hosts);
        let hosts = match bare.parse::<Network>() {
            Ok(network) => Hosts::Within(network),
            Err(_) => Hosts::Named(parse_glob(hosts).ok_or_else(wrong)?),
        };
        Ok(Self { hosts, ports })
    }
}

fn parse_ports(text: &str) -> Option<RangeInclusive<u16>> {
    let text = text.trim();
    if text == "*" {
        return Some(1..=u16::MAX);
    }
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last): (u16, u16) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    (first > 0 && first <= last).then_some(first..=last)
}

fn parse_glob(text: &str) -> Option<String> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"*?.-_".contains(&byte);
    (!text.is_empty() && text.bytes().all(fits)).then(|| text.to_ascii_lowercase())
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.hosts {
            Hosts::Named(glob) => write!(f, "{glob}:")?,
            Hosts::Within(network) if network.to_string().contains(':') => write!(f, "[{network}]:")?,
            Hosts::Within(network) => write!(f, "{network}:")?,
        }
        for (position, range) in self.ports.iter().enumerate() {
            let comma = if position > 0 { "," } else { "" };
            let (first, last) = (range.start(), range.end());
            if first == last {
                write!(f, "{comma}{first}")?;
            } else {
                write!(f, "{comma}{first}-{last}")?;
            }
        }
        Ok(())
    }
}

impl TryFrom<String> for Rule {
    type Error = PolicyError;

    fn try_from(text: String) -> Result<Self, PolicyError> {
        text.parse()
    }
}

impl From<Rule> for String {
    fn from(rule: Rule) -> Self {
        rule.to_string()
    }
}
