//! With which secrets an agent logs in.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// The key `login`: `true`, `false`, or the names of the agent's own credentials with which it may.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "true, false, or a list of names of this agent's own [[credentials]]"
)]
pub enum Logins {
    /// With whatever an operator seals to it, and with its own; or not at all.
    Any(bool),
    /// With these of its own alone.
    Own(BTreeSet<String>),
}

impl Logins {
    /// Whether it may log in with the credential of its own that is named, or with a secret that an order brings.
    pub(super) fn has(&self, own: Option<&str>) -> bool {
        match (self, own) {
            (Self::Any(any), _) => *any,
            (Self::Own(names), Some(own)) => names.contains(own),
            (Self::Own(_), None) => false,
        }
    }

    /// The names that it has, where it has some.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        let names = match self {
            Self::Any(_) => None,
            Self::Own(names) => Some(names),
        };
        names.into_iter().flatten().map(String::as_str)
    }

    /// As the policy writes it.
    pub(super) fn rule(&self) -> String {
        match self {
            Self::Any(any) => format!("login = {any}"),
            Self::Own(names) => format!("login = {names:?}").replace('{', "[").replace('}', "]"),
        }
    }
}
