//! Evidence of what is written, watched and held open.

use parallax_model::evidence::{AppendEvidence, HoldEvidence, IdleEvidence, SyncEvent, SyncEvidence};

use super::error::WireError;
use super::read::{every, finite, some_finite};
use super::write::all;
use crate::v1;

impl From<AppendEvidence> for v1::AppendEvidence {
    fn from(facts: AppendEvidence) -> Self {
        Self {
            mailbox: facts.mailbox,
            bytes: facts.bytes,
            go_ahead_ms: facts.go_ahead_ms,
            stored_ms: facts.stored_ms,
            uid_validity: facts.uid_validity,
            uid: facts.uid,
            intact: facts.intact,
            difference: facts.difference,
            left_over: facts.left_over,
            reply: facts.reply.map(Into::into),
        }
    }
}

impl TryFrom<v1::AppendEvidence> for AppendEvidence {
    type Error = WireError;

    fn try_from(wire: v1::AppendEvidence) -> Result<Self, WireError> {
        Ok(Self {
            mailbox: wire.mailbox,
            bytes: wire.bytes,
            go_ahead_ms: some_finite("go_ahead_ms", wire.go_ahead_ms)?,
            stored_ms: some_finite("stored_ms", wire.stored_ms)?,
            uid_validity: wire.uid_validity,
            uid: wire.uid,
            intact: wire.intact,
            difference: wire.difference,
            left_over: wire.left_over,
            reply: wire.reply.map(Into::into),
        })
    }
}

impl From<SyncEvent> for v1::SyncEvent {
    fn from(event: SyncEvent) -> Self {
        Self {
            event: event.event,
            seen: event.seen,
            latency_ms: event.latency_ms,
        }
    }
}

impl TryFrom<v1::SyncEvent> for SyncEvent {
    type Error = WireError;

    fn try_from(wire: v1::SyncEvent) -> Result<Self, WireError> {
        Ok(Self {
            event: wire.event,
            seen: wire.seen,
            latency_ms: some_finite("latency_ms", wire.latency_ms)?,
        })
    }
}

impl From<SyncEvidence> for v1::SyncEvidence {
    fn from(facts: SyncEvidence) -> Self {
        Self {
            watcher: facts.watcher,
            events: all(facts.events),
            uncertainty_ms: facts.uncertainty_ms,
            flags_kept: facts.flags_kept,
            copy: facts.copy,
            r#move: facts.r#move,
            cleaned_up: facts.cleaned_up,
            left_over: facts.left_over,
            old_removed: facts.old_removed,
            watcher_fault: facts.watcher_fault.map(Into::into),
            reply: facts.reply.map(Into::into),
        }
    }
}

impl TryFrom<v1::SyncEvidence> for SyncEvidence {
    type Error = WireError;

    fn try_from(wire: v1::SyncEvidence) -> Result<Self, WireError> {
        Ok(Self {
            watcher: wire.watcher,
            events: every("events", wire.events)?,
            uncertainty_ms: some_finite("uncertainty_ms", wire.uncertainty_ms)?,
            flags_kept: wire.flags_kept,
            copy: wire.copy,
            r#move: wire.r#move,
            cleaned_up: wire.cleaned_up,
            left_over: wire.left_over,
            old_removed: wire.old_removed,
            watcher_fault: wire.watcher_fault.map(Into::into),
            reply: wire.reply.map(Into::into),
        })
    }
}

impl From<IdleEvidence> for v1::IdleEvidence {
    fn from(facts: IdleEvidence) -> Self {
        Self {
            offered: facts.offered,
            go_ahead_ms: facts.go_ahead_ms,
            events: facts.events,
            keepalive_ms: facts.keepalive_ms,
            done_ms: facts.done_ms,
            reply: facts.reply.map(Into::into),
        }
    }
}

impl TryFrom<v1::IdleEvidence> for IdleEvidence {
    type Error = WireError;

    fn try_from(wire: v1::IdleEvidence) -> Result<Self, WireError> {
        Ok(Self {
            offered: wire.offered,
            go_ahead_ms: some_finite("go_ahead_ms", wire.go_ahead_ms)?,
            events: wire.events,
            keepalive_ms: some_finite("keepalive_ms", wire.keepalive_ms)?,
            done_ms: some_finite("done_ms", wire.done_ms)?,
            reply: wire.reply.map(Into::into),
        })
    }
}

impl From<HoldEvidence> for v1::HoldEvidence {
    fn from(facts: HoldEvidence) -> Self {
        Self {
            asked_ms: facts.asked_ms,
            held_ms: facts.held_ms,
            logged_in: facts.logged_in,
            end: facts.end,
            bye: facts.bye.map(Into::into),
            answer_ms: facts.answer_ms,
        }
    }
}

impl TryFrom<v1::HoldEvidence> for HoldEvidence {
    type Error = WireError;

    fn try_from(wire: v1::HoldEvidence) -> Result<Self, WireError> {
        Ok(Self {
            asked_ms: finite("asked_ms", wire.asked_ms)?,
            held_ms: finite("held_ms", wire.held_ms)?,
            logged_in: wire.logged_in,
            end: wire.end,
            bye: wire.bye.map(Into::into),
            answer_ms: some_finite("answer_ms", wire.answer_ms)?,
        })
    }
}
