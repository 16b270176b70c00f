//! Checks as they are kept.

use std::sync::Arc;

use jiff::Timestamp;
use parallax_model::check::{CheckDefinition, CheckName};
use parallax_model::round::Cadence;
use uuid::Uuid;

use super::Answer;

/// A check that is there.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct CheckRecord {
    /// UUID version 7; a check that is removed and made again has another.
    pub(crate) id: Uuid,
    /// Short, for large tables; never used again.
    pub(crate) no: i64,
    /// How often it was put down or changed.
    pub(crate) version: u64,
    /// What it is.
    pub(crate) definition: CheckDefinition,
    /// Whether it rests.
    pub(crate) paused: bool,
    /// Generation of the secret that a server took; empty: none yet.
    pub(crate) cleared: String,
    /// When it was last changed.
    pub(crate) changed_at: Timestamp,
    /// SPIFFE URI of who did.
    pub(crate) changed_by: String,
}

impl CheckRecord {
    /// When it is due.
    pub(crate) const fn cadence(&self) -> Cadence {
        Cadence {
            check: self.id,
            every: self.definition.every,
            together: self.definition.together,
        }
    }
}

/// A change of what checks there are.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum CheckWrite {
    /// A new check, or a new version of the one of that name.
    Put(Box<CheckDefinition>),
    /// It rests, or goes on.
    Pause(CheckName, bool),
    /// It is no more.
    Remove(CheckName),
    /// A server took the secret of this generation.
    Cleared(Uuid, String),
}

/// Where checks are kept.
pub(crate) trait CheckStore: Send + Sync + 'static {
    /// Every check that is there, by name.
    fn checks(&self) -> Answer<'_, Vec<Arc<CheckRecord>>>;
    /// Writes all or none, and answers with every check as it is then. A change of what is not there changes nothing.
    fn write_checks(
        &self,
        writes: Vec<CheckWrite>,
        by: String,
        now: Timestamp,
    ) -> Answer<'_, Vec<Arc<CheckRecord>>>;
}
