//! The families of clients, as `data/clients.toml` has them.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

const DATA: &str = include_str!("../../data/clients.toml");

/// All of them, in the order of the report; a test holds the file to its form.
pub(super) static FAMILIES: LazyLock<Vec<Family>> =
    LazyLock::new(|| toml::from_str::<File>(DATA).map_or_else(|_| Vec::new(), |file| file.family));

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// Kept for those who read the file, and for the test that holds each need to one.
    #[serde(rename = "source")]
    _source: BTreeMap<String, String>,
    family: Vec<Family>,
}

/// Clients that behave alike.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Family {
    pub(super) name: String,
    /// Whether few people are concerned.
    #[serde(default)]
    pub(super) minor: bool,
    /// Domains with whose servers it logs in by OAuth; `*` for any.
    pub(super) oauth_hosts: Vec<String>,
    pub(super) needs: Vec<Need>,
}

/// One thing that a family needs.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Need {
    pub(super) what: What,
    /// Any of these will do.
    #[serde(default)]
    pub(super) one_of: Vec<String>,
    pub(super) without: Without,
    /// What becomes of the client without it.
    pub(super) lost: String,
    /// The key of where this is known from.
    #[serde(rename = "source")]
    _source: String,
}

/// What is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum What {
    TlsVersion,
    Security,
    Certificate,
    Mechanism,
    Protocol,
    Capability,
    Role,
}

/// What becomes of the client without it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Without {
    Fails,
    Degraded,
}

impl Family {
    /// Whether it logs in by OAuth with a server of this name.
    pub(super) fn speaks_oauth_with(&self, host: &str) -> bool {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        self.oauth_hosts.iter().any(|domain| {
            domain == "*"
                || host == *domain
                || host
                    .strip_suffix(domain.as_str())
                    .is_some_and(|front| front.ends_with('.'))
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_family_can_be_read_and_every_need_has_a_source_and_a_consequence() {
        let file: File = toml::from_str(DATA).unwrap();
        assert!(file.family.len() >= 12);
        for family in &file.family {
            for need in &family.needs {
                assert!(
                    file._source.contains_key(&need._source),
                    "{}: {}",
                    family.name,
                    need._source
                );
                assert!(!need.lost.is_empty(), "{}", family.name);
                assert_eq!(need.one_of.is_empty(), need.what == What::Certificate);
            }
            for what in [
                What::TlsVersion,
                What::Certificate,
                What::Protocol,
                What::Mechanism,
            ] {
                assert!(
                    family.needs.iter().any(|need| need.what == what),
                    "{}",
                    family.name
                );
            }
        }
        for source in file._source.keys() {
            let used = |family: &Family| family.needs.iter().any(|need| need._source == *source);
            assert!(file.family.iter().any(used), "nobody needs {source}");
        }
    }

    #[test]
    fn oauth_goes_by_whole_domains() {
        let thunderbird = &FAMILIES[0];
        assert!(thunderbird.speaks_oauth_with("imap.gmail.com"));
        assert!(!thunderbird.speaks_oauth_with("imap.notgmail.com"));
        assert!(!thunderbird.speaks_oauth_with("imap.example.org"));
    }
}
