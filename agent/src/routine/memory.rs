//! What the schedule knows when the process starts again.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use parallax_identity::{Readers, write_whole};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use uuid::Uuid;

use crate::moment::Moment;
use crate::schedule::Anchor;

/// In the state directory.
const FILE: &str = "schedule.json";

/// The collector's clock as it was last known, and the rounds that were.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Memory {
    /// When this was.
    moment: Moment,
    /// The collector's wall clock then.
    collector: Timestamp,
    /// When the last round of each check began.
    pub(super) last: BTreeMap<Uuid, Timestamp>,
}

impl Memory {
    pub(super) fn of(anchor: &Anchor, last: BTreeMap<Uuid, Timestamp>) -> Self {
        Self {
            moment: Moment::now(),
            collector: anchor.wall_at(Instant::now()),
            last,
        }
    }

    /// Nothing is remembered where there is no file, or one that makes no sense: it is only there to be exact sooner.
    pub(super) fn load(state_dir: &Path) -> Option<Self> {
        let path = path(state_dir);
        let bytes = std::fs::read(&path).ok()?;
        let memory = serde_json::from_slice(&bytes);
        if let Err(error) = &memory {
            tracing::warn!(path = %path.display(), %error, "the collector's clock is not known until it answers");
        }
        memory.ok()
    }

    pub(super) fn keep(&self, state_dir: &Path) -> io::Result<()> {
        let text = serde_json::to_vec(self)?;
        write_whole(&path(state_dir), &text, Readers::Owner)
    }

    /// The collector's clock now, as far as this host's clocks can tell.
    pub(super) fn anchor(&self) -> Anchor {
        let (at, age) = (Instant::now(), self.moment.age(&Moment::now()));
        let age = SignedDuration::try_from(age).unwrap_or_default();
        Anchor {
            at,
            wall: self.collector.checked_add(age).unwrap_or(self.collector),
        }
    }
}

fn path(state_dir: &Path) -> PathBuf {
    state_dir.join(FILE)
}
