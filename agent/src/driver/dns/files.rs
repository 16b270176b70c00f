//! How this host resolves names: the hosts file and resolv.conf, read anew for every look-up.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use crate::driver::dns::second::Seconds;

/// As many as the C library uses (resolv.conf(5)).
const RESOLVERS: usize = 3;
const SEARCH: usize = 6;

/// Where the two files are.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    pub(crate) hosts: PathBuf,
    pub(crate) resolv_conf: PathBuf,
}

/// What resolv.conf says.
#[derive(Debug, Clone)]
pub(crate) struct Configuration {
    pub(crate) resolvers: Vec<SocketAddr>,
    pub(crate) search: Vec<String>,
    /// A name with fewer dots goes through the search list first.
    pub(crate) ndots: usize,
    /// Hears of answers that come after the first.
    pub(crate) seconds: Seconds,
}

impl Default for Files {
    fn default() -> Self {
        Self {
            hosts: PathBuf::from("/etc/hosts"),
            resolv_conf: PathBuf::from("/etc/resolv.conf"),
        }
    }
}

impl Files {
    /// The addresses that the hosts file has for a name.
    pub(crate) fn hosts_of(&self, name: &str) -> Vec<IpAddr> {
        let text = std::fs::read(&self.hosts).unwrap_or_default();
        hosts_of(&String::from_utf8_lossy(&text), name)
    }

    /// How DNS is asked. Without the file there is no resolver.
    pub(crate) fn configuration(&self) -> Configuration {
        let text = std::fs::read(&self.resolv_conf).unwrap_or_default();
        Configuration::parse(&String::from_utf8_lossy(&text))
    }
}

impl Configuration {
    pub(super) fn parse(text: &str) -> Self {
        let mut configuration = Self {
            resolvers: Vec::new(),
            search: Vec::new(),
            ndots: 1,
            seconds: Seconds::default(),
        };
        for line in text.lines() {
            let line = line.split(['#', ';']).next().unwrap_or_default();
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") => {
                    let address = words.next().and_then(parse_address);
                    configuration.resolvers.extend(address);
                }
                Some("search" | "domain") => configuration.search = words.map(domain).collect(),
                Some("options") => {
                    let ndots = words.find_map(|word| word.strip_prefix("ndots:")?.parse().ok());
                    configuration.ndots = ndots.unwrap_or(configuration.ndots);
                }
                _ => {}
            }
        }
        configuration.search.retain(|domain| !domain.is_empty());
        configuration.resolvers.truncate(RESOLVERS);
        configuration.search.truncate(SEARCH);
        configuration
    }
}

/// An address with an optional zone, by index (RFC 4007 section 11.2); zone names need the interface list.
fn parse_address(text: &str) -> Option<SocketAddr> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(super::at_port_53(address));
    }
    format!("[{text}]:53").parse().ok()
}

fn domain(text: &str) -> String {
    text.trim_end_matches('.').to_ascii_lowercase()
}

fn hosts_of(text: &str, name: &str) -> Vec<IpAddr> {
    let mut found = Vec::new();
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default();
        let mut words = line.split_whitespace();
        let Some(address) = words.next().and_then(|word| word.parse().ok()) else {
            continue;
        };
        if words.any(|word| word.trim_end_matches('.').eq_ignore_ascii_case(name))
            && !found.contains(&address)
        {
            found.push(address);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolv_conf_is_read_as_the_c_library_reads_it() {
        let text = "# made by hand\nnameserver 192.0.2.1\nnameserver 2001:db8::1\nnameserver bad\n\
                    search Example.ORG. b.example ; c\noptions edns0 ndots:2\n";
        let read = Configuration::parse(text);
        let resolvers: Vec<String> = read.resolvers.iter().map(ToString::to_string).collect();
        assert_eq!(resolvers, ["192.0.2.1:53", "[2001:db8::1]:53"]);
        assert_eq!(read.search, ["example.org", "b.example"]);
        assert_eq!(read.ndots, 2);
    }

    #[test]
    fn the_hosts_file_may_have_several_addresses_for_a_name() {
        let text =
            "127.0.0.1 localhost\n::1 localhost ip6 # both\n192.0.2.1 mail.example mail\n# 10.0.0.1 mail\n";
        assert_eq!(hosts_of(text, "localhost").len(), 2);
        assert_eq!(hosts_of(text, "mail"), ["192.0.2.1".parse::<IpAddr>().unwrap()]);
        assert!(hosts_of(text, "absent").is_empty());
    }
}
