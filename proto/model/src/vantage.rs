//! Where an agent stands.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Labels of a vantage point, `key=value`.
pub type Labels = BTreeMap<String, String>;

/// The unique name of an agent: 1 to 63 of `A-Z a-z 0-9 . _ -`, beginning and ending with a letter or a digit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct AgentName(String);

/// Why a name or a label could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Not a name.
    #[error(
        "{0:?} is not a name: 1 to 63 of A-Z a-z 0-9 . _ -, beginning and ending with a letter or a digit"
    )]
    Name(String),
    /// Not a label.
    #[error(
        "{0:?} is not a label: write key=value, the key as a name, the value at most 63 of A-Z a-z 0-9 . _ -"
    )]
    Label(String),
}

impl AgentName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for AgentName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if is_name(text) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NameError::Name(text.to_owned()))
        }
    }
}

impl TryFrom<String> for AgentName {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<AgentName> for String {
    fn from(name: AgentName) -> Self {
        name.0
    }
}

impl fmt::Display for AgentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Reads one `key=value`.
pub fn parse_label(text: &str) -> Result<(String, String), NameError> {
    let wrong = || NameError::Label(text.to_owned());
    let (key, value) = text.split_once('=').ok_or_else(wrong)?;
    let value_fits = value.len() <= 63 && value.bytes().all(is_name_byte);
    if is_name(key) && value_fits {
        Ok((key.to_owned(), value.to_owned()))
    } else {
        Err(wrong())
    }
}

pub(crate) fn is_name(text: &str) -> bool {
    let edge = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    (1..=63).contains(&text.len())
        && text.bytes().all(is_name_byte)
        && edge(text.bytes().next())
        && edge(text.bytes().last())
}

const fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_metacharacters_are_refused_at_the_door() {
        for good in ["fra-1", "a", "edge_2.ams"] {
            assert!(good.parse::<AgentName>().is_ok(), "{good}");
        }
        for bad in ["", "-a", "a-", "a b", "a/b", "a*", &"x".repeat(64)] {
            assert!(bad.parse::<AgentName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn labels_are_key_equals_value() {
        assert_eq!(parse_label("site=fra"), Ok(("site".into(), "fra".into())));
        assert_eq!(parse_label("empty="), Ok(("empty".into(), String::new())));
        assert!(parse_label("site").is_err());
        assert!(parse_label("=x").is_err());
    }
}
