//! What this agent repeats, kept so that it goes on without the collector and after a restart.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parallax_identity::{Readers, write_whole};
use parallax_model::check::Assignment;
use parallax_proto::convert;
use parallax_proto::v1;
use prost::Message as _;
use uuid::Uuid;

use crate::circuit::Asker;
use crate::order::Order;

/// In the state directory.
const FILE: &str = "checks.pb";
/// Checks of one agent.
const MOST: usize = 4096;
/// Bytes before the content: its length and its CRC-32, both little-endian.
const HEAD: usize = 8;
/// Problems that are told at a time.
const TOLD: usize = 16;

/// All checks of this agent, each once.
pub(crate) struct Checks {
    path: PathBuf,
    held: BTreeMap<Uuid, Held>,
}

/// One of them: as it came, and as it is understood.
struct Held {
    wire: v1::CheckAssignment,
    read: Result<Task, String>,
}

/// A check that this agent knows how to carry out.
#[derive(Debug, Clone)]
pub(crate) struct Task {
    pub(crate) assignment: Arc<Assignment>,
    /// What each of its rounds asks for.
    pub(crate) order: Arc<Order>,
}

impl Task {
    /// Reads an assignment through the door that all orders come through: a word that this agent does not know is
    /// none that it may guess at.
    fn read(wire: &v1::CheckAssignment) -> Result<Self, String> {
        let order = Order::read(v1::Order {
            spec: wire.spec.clone(),
            secret: wire.secret.clone(),
            credential: wire.credential.clone(),
            ..v1::Order::default()
        });
        let mut order = order.map_err(|refusal| refusal.note)?;
        order.budget = order.spec.timeout + order.spec.options.hold.unwrap_or_default();
        let assignment = Assignment::try_from(wire.clone()).map_err(|error| error.to_string())?;
        order.asker = Asker::Routine {
            once: assignment.login_retry,
        };
        Ok(Self {
            assignment: Arc::new(assignment),
            order: Arc::new(order),
        })
    }
}

impl Checks {
    /// Those that were kept. A file that is torn is left aside: the collector tells them again.
    ///
    /// # Errors
    /// When the file is there and can't be read, or can't be put aside.
    pub(crate) fn load(state_dir: &Path) -> io::Result<Self> {
        let path = state_dir.join(FILE);
        let mut checks = Self {
            path,
            held: BTreeMap::new(),
        };
        let bytes = match std::fs::read(&checks.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(checks),
            Err(error) => return Err(error),
        };
        match unpacked(&bytes) {
            Some(update) => {
                checks.take(update);
            }
            None => checks.put_aside()?,
        }
        Ok(checks)
    }

    fn put_aside(&self) -> io::Result<()> {
        let aside = self.path.with_extension("pb.damaged");
        std::fs::rename(&self.path, &aside)?;
        tracing::error!(
            kept = %aside.display(),
            "the file of this agent's checks is damaged: none runs until the collector tells them again"
        );
        Ok(())
    }

    /// Takes a change, or everything, and keeps it. What could not be read or kept is among the problems; what could
    /// be read is carried out all the same.
    pub(crate) fn apply(&mut self, update: v1::ChecksUpdate) -> Vec<String> {
        let mut problems = self.take(update);
        if let Err(error) = self.keep() {
            tracing::error!(path = %self.path.display(), %error, "the checks of this agent are not kept");
            problems.push(format!(
                "the checks run, but are lost at a restart: write {}: {error}",
                self.path.display()
            ));
        }
        problems
    }

    fn take(&mut self, update: v1::ChecksUpdate) -> Vec<String> {
        let mut problems = Vec::new();
        if update.full {
            self.held.clear();
        }
        for id in update.removed.iter().filter_map(|id| Uuid::from_slice(id).ok()) {
            self.held.remove(&id);
        }
        for wire in update.set {
            let Ok(id) = Uuid::from_slice(&wire.check_id) else {
                problems.push(format!("the check {:?} has an id that is none", wire.name));
                continue;
            };
            if self.held.len() >= MOST && !self.held.contains_key(&id) {
                problems.push(format!(
                    "an agent has room for {MOST} checks: {:?} is not among them",
                    wire.name
                ));
                continue;
            }
            let read = Task::read(&wire);
            self.held.insert(id, Held { wire, read });
        }
        problems.truncate(TOLD);
        problems
    }

    fn keep(&self) -> io::Result<()> {
        let set = self.held.values().map(|held| held.wire.clone()).collect();
        let all = v1::ChecksUpdate {
            full: true,
            set,
            sum: self.sum(),
            ..v1::ChecksUpdate::default()
        };
        write_whole(&self.path, &packed(&all), Readers::Owner)
    }

    /// What is told in the hello. One that a newer collector wrote with more than this program kept of it is said to be
    /// another: a later program must not go without the rest.
    pub(crate) fn known(&self) -> Vec<v1::KnownCheck> {
        self.held
            .values()
            .map(|held| v1::KnownCheck {
                check_id: held.wire.check_id.clone(),
                digest: convert::digest(&held.wire),
            })
            .collect()
    }

    /// All digests, as the collector gave them, by exclusive or.
    pub(crate) fn sum(&self) -> u64 {
        self.held.values().fold(0, |sum, held| sum ^ held.wire.digest)
    }

    pub(crate) fn len(&self) -> usize {
        self.held.len()
    }

    /// Those that this agent knows how to carry out.
    pub(crate) fn tasks(&self) -> impl Iterator<Item = &Task> {
        self.held.values().filter_map(|held| held.read.as_ref().ok())
    }

    /// Why the others are not carried out.
    pub(crate) fn problems(&self) -> Vec<String> {
        let problem = |held: &Held| {
            let problem = held.read.as_ref().err()?;
            Some(format!("{}: {problem}", held.wire.name))
        };
        self.held.values().filter_map(problem).take(TOLD).collect()
    }
}

fn packed(all: &v1::ChecksUpdate) -> Vec<u8> {
    let content = all.encode_to_vec();
    let length = u32::try_from(content.len()).unwrap_or(u32::MAX);
    let mut bytes = Vec::with_capacity(HEAD + content.len());
    bytes.extend(length.to_le_bytes());
    bytes.extend(crc32fast::hash(&content).to_le_bytes());
    bytes.extend(content);
    bytes
}

fn unpacked(bytes: &[u8]) -> Option<v1::ChecksUpdate> {
    let (head, content) = bytes.split_at_checked(HEAD)?;
    let number = |at: usize| Some(u32::from_le_bytes(head.get(at..at + 4)?.try_into().ok()?));
    let whole = usize::try_from(number(0)?) == Ok(content.len()) && number(4)? == crc32fast::hash(content);
    whole.then(|| v1::ChecksUpdate::decode(content).ok())?
}

#[cfg(test)]
mod tests;
