//! What was done, by whom, from where, with what result; each entry sealed by a hash that the next one repeats.

use std::time::Duration;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Serialize, Serializer};
use sha2::{Digest as _, Sha256};

/// One line of the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct AuditEntry {
    /// Counts up by one.
    pub id: i64,
    /// When.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// Name of who called; empty without a certificate.
    pub actor: String,
    /// Role of who called.
    pub role: String,
    /// Where the call came from.
    pub peer: String,
    /// `RunProbe`, `Join`, ...
    pub call: String,
    /// What it was about.
    pub subject: String,
    /// The run it is about; empty without one.
    pub run_id: String,
    /// `begun`, `done`, `refused`, `failed` or `cancelled`; of a run, its verdict.
    pub result: String,
    /// The result in words.
    pub detail: String,
    /// How long it took, in microseconds; 0 where it has only begun.
    pub took_us: u64,
    /// Hash of the entry before; empty for the first.
    #[serde(serialize_with = "hexadecimal")]
    #[schemars(with = "String")]
    pub previous: Vec<u8>,
    /// SHA-256 over `previous` and every field above.
    #[serde(serialize_with = "hexadecimal")]
    #[schemars(with = "String")]
    pub hash: Vec<u8>,
}

/// Where a chain of entries is not what was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuditBreak {
    /// An entry was changed.
    #[error("entry {0} is not what was written: its hash is of something else")]
    Changed(i64),
    /// Something before an entry was changed or taken out.
    #[error("before entry {0} something was changed or taken out")]
    Torn(i64),
}

impl AuditEntry {
    /// The hash that the entry must have. Every field has its length before it, so that no two entries read alike.
    pub fn digest(&self) -> [u8; 32] {
        let mut hasher = Sha256::new();
        let mut add = |bytes: &[u8]| {
            hasher.update(u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_be_bytes());
            hasher.update(bytes);
        };
        add(&self.previous);
        add(&self.id.to_be_bytes());
        add(&self.at.as_microsecond().to_be_bytes());
        for text in [
            &self.actor,
            &self.role,
            &self.peer,
            &self.call,
            &self.subject,
            &self.run_id,
            &self.result,
            &self.detail,
        ] {
            add(text.as_bytes());
        }
        add(&self.took_us.to_be_bytes());
        hasher.finalize().into()
    }

    /// How long it took.
    pub const fn took(&self) -> Duration {
        Duration::from_micros(self.took_us)
    }

    /// Whether entries, oldest first, are what was written, one after the other. `before` is the hash that the first
    /// must follow, where that is known.
    pub fn verify(entries: &[Self], before: Option<&[u8]>) -> Result<(), AuditBreak> {
        let mut before = before;
        for (number, entry) in entries.iter().enumerate() {
            if before.is_some_and(|hash| hash != entry.previous) {
                return Err(AuditBreak::Torn(entry.id));
            }
            if number > 0 && entries[number - 1].id + 1 != entry.id {
                return Err(AuditBreak::Torn(entry.id));
            }
            if entry.digest()[..] != entry.hash[..] {
                return Err(AuditBreak::Changed(entry.id));
            }
            before = Some(&entry.hash);
        }
        Ok(())
    }
}

fn hexadecimal<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&hex::encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain() -> Vec<AuditEntry> {
        let mut entries: Vec<AuditEntry> = Vec::new();
        for id in 1..=3 {
            let mut entry = AuditEntry {
                id,
                at: Timestamp::UNIX_EPOCH,
                actor: "ada".into(),
                role: "admin".into(),
                peer: "192.0.2.1:4000".into(),
                call: "CreateToken".into(),
                subject: "3f2a9c01".into(),
                run_id: String::new(),
                result: "done".into(),
                detail: String::new(),
                took_us: 7,
                previous: entries.last().map(|last| last.hash.clone()).unwrap_or_default(),
                hash: Vec::new(),
            };
            entry.hash = entry.digest().to_vec();
            entries.push(entry);
        }
        entries
    }

    #[test]
    fn a_chain_that_was_changed_or_cut_is_seen() {
        assert_eq!(AuditEntry::verify(&chain(), Some(&[])), Ok(()));
        let mut changed = chain();
        changed[1].actor = "eve".into();
        assert_eq!(AuditEntry::verify(&changed, None), Err(AuditBreak::Changed(2)));
        changed[1].hash = changed[1].digest().to_vec();
        assert_eq!(AuditEntry::verify(&changed, None), Err(AuditBreak::Torn(3)));
        let mut cut = chain();
        cut.remove(1);
        assert_eq!(AuditEntry::verify(&cut, None), Err(AuditBreak::Torn(3)));
        assert_eq!(
            AuditEntry::verify(&chain()[1..], Some(&[])),
            Err(AuditBreak::Torn(2))
        );
    }

    #[test]
    fn what_stands_in_one_field_is_not_taken_for_another() {
        let mut one = chain().remove(0);
        let mut other = one.clone();
        (one.actor, one.role) = ("ada".into(), "admin".into());
        (other.actor, other.role) = ("adaad".into(), "min".into());
        assert_ne!(one.digest(), other.digest());
    }
}
