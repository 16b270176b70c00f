//! How much of the collector one caller can have.

use serde::{Deserialize, Serialize};

use super::ConfigError;

/// The table `[limits]`. The defaults are far above what people and fleets do, and far below what hurts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Connections of agents, operators and joiners in all.
    pub connections: usize,
    /// Connections without a certificate, which is how a joiner comes.
    pub without_certificate: usize,
    /// Connections of one identity: an agent has one, an operator one for each `ctl` that runs.
    pub per_identity: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 16_384,
            without_certificate: 256,
            per_identity: 64,
        }
    }
}

impl Limits {
    /// Each with its key.
    fn all(&self) -> [(&'static str, usize); 3] {
        [
            ("connections", self.connections),
            ("without_certificate", self.without_certificate),
            ("per_identity", self.per_identity),
        ]
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        match self.all().into_iter().find(|(_, limit)| *limit == 0) {
            None => Ok(()),
            Some((key, _)) => Err(ConfigError::Value {
                key,
                value: "0".to_owned(),
                wanted: "a limit: nobody at all could do anything",
            }),
        }
    }

    pub(super) fn to_toml(self) -> String {
        let lines = self.all().map(|(key, limit)| format!("{key} = {limit}\n"));
        format!("\n[limits]\n{}", lines.concat())
    }
}
