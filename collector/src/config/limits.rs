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
    /// Runs of one operator a minute; twice as many at once after a rest.
    pub runs_per_operator: usize,
    /// Runs of one target a minute, whoever asks; twice as many at once after a rest.
    pub runs_per_target: usize,
    /// Runs of one operator at the same time.
    pub runs_at_once_per_operator: usize,
    /// Failed attempts to join a minute from one address (IPv6: one /64); twice as many at once after a rest.
    pub failed_joins: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 16_384,
            without_certificate: 256,
            per_identity: 64,
            runs_per_operator: 120,
            runs_per_target: 60,
            runs_at_once_per_operator: 32,
            failed_joins: 30,
        }
    }
}

impl Limits {
    /// Each with its key.
    fn all(&self) -> [(&'static str, usize); 7] {
        [
            ("connections", self.connections),
            ("without_certificate", self.without_certificate),
            ("per_identity", self.per_identity),
            ("runs_per_operator", self.runs_per_operator),
            ("runs_per_target", self.runs_per_target),
            ("runs_at_once_per_operator", self.runs_at_once_per_operator),
            ("failed_joins", self.failed_joins),
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
