use parallax_model::audit::AuditEntry;

use super::error::WireError;
use super::read::microsecond;
use crate::v1;

impl From<AuditEntry> for v1::AuditEntry {
    fn from(entry: AuditEntry) -> Self {
        Self {
            id: entry.id,
            at_us: entry.at.as_microsecond(),
            actor: entry.actor,
            role: entry.role,
            peer: entry.peer,
            call: entry.call,
            subject: entry.subject,
            run_id: entry.run_id,
            result: entry.result,
            detail: entry.detail,
            took_us: entry.took_us,
            previous: entry.previous,
            hash: entry.hash,
        }
    }
}

impl TryFrom<v1::AuditEntry> for AuditEntry {
    type Error = WireError;

    fn try_from(wire: v1::AuditEntry) -> Result<Self, WireError> {
        Ok(Self {
            id: wire.id,
            at: microsecond("at_us", wire.at_us)?,
            actor: wire.actor,
            role: wire.role,
            peer: wire.peer,
            call: wire.call,
            subject: wire.subject,
            run_id: wire.run_id,
            result: wire.result,
            detail: wire.detail,
            took_us: wire.took_us,
            previous: wire.previous,
            hash: wire.hash,
        })
    }
}
