//! What is written, watched and held open.

use parallax_model::evidence::{AppendEvidence, HoldEvidence, IdleEvidence, SyncEvent, SyncEvidence};

use super::Told;
use crate::render::words;

pub(super) fn appended(facts: &AppendEvidence, told: &mut Told) {
    let mut said = vec![format!(
        "{} bytes into {}",
        facts.bytes,
        words::quote(&facts.mailbox)
    )];
    if let Some(wait) = facts.go_ahead_ms {
        said.push(format!("leave to send after {}", words::millis(wait)));
    }
    if let Some(wait) = facts.stored_ms {
        said.push(format!("stored after {}", words::millis(wait)));
    }
    match (facts.uid, facts.uid_validity) {
        (Some(uid), Some(validity)) => said.push(format!("uid {uid} of uidvalidity {validity}")),
        (Some(uid), None) => said.push(format!("uid {uid}")),
        (None, _) => {}
    }
    told.beside(said.join(", "));
    match (facts.intact, &facts.difference) {
        (Some(true), _) => told.beside("came back byte for byte"),
        (Some(false), Some(difference)) => {
            told.below(format!("came back changed: {}", words::safe(difference)));
        }
        (Some(false), None) => told.below("came back changed"),
        (None, _) => {}
    }
}

pub(super) fn synchronised(facts: &SyncEvidence, told: &mut Told) {
    told.beside(match &facts.watcher {
        Some(watcher) => format!("watched by {}", words::quote(watcher)),
        None => "watched by a second session".to_owned(),
    });
    if let Some(uncertainty) = facts.uncertainty_ms.filter(|&millis| millis > 0.0) {
        told.beside(format!(
            "latencies are known to within {}",
            words::millis(uncertainty)
        ));
    }
    facts.events.iter().for_each(|event| told.below(seen(event)));
    if let Some(fault) = &facts.watcher_fault {
        told.below(format!("the watcher: {}", words::quote(&fault.message)));
    }
    let done = written(facts);
    if !done.is_empty() {
        told.below(done.join(", "));
    }
    match facts.cleaned_up {
        Some(true) => told.below("everything that the probe made is gone again"),
        Some(false) if facts.left_over.is_empty() => told.below("NOT cleaned up"),
        Some(false) | None => {}
    }
    if !facts.left_over.is_empty() {
        let names: Vec<_> = facts.left_over.iter().map(|name| words::quote(name)).collect();
        told.below(format!("LEFT BEHIND: {}", names.join(", ")));
    }
    if facts.old_removed > 0 {
        told.below(format!(
            "{} of earlier probes removed",
            words::mailboxes(facts.old_removed)
        ));
    }
}

pub(super) fn idled(facts: &IdleEvidence, told: &mut Told) {
    if !facts.offered {
        told.beside("not offered");
        return;
    }
    if let Some(wait) = facts.go_ahead_ms {
        told.beside(format!("begun after {}", words::millis(wait)));
    }
    if facts.events > 0 {
        told.beside(format!("{} told", words::count(facts.events as usize, "change")));
    }
    if let Some(every) = facts.keepalive_ms {
        told.beside(format!("a sign of life every {}", words::millis(every)));
    }
    if let Some(wait) = facts.done_ms {
        told.beside(format!("ended {} after DONE", words::millis(wait)));
    }
}

pub(super) fn held(facts: &HoldEvidence, told: &mut Told) {
    told.beside(end(facts));
    told.beside(if facts.logged_in {
        "logged in"
    } else {
        "not logged in"
    });
}

/// How a session that was quiet ended, and when.
pub(super) fn end(facts: &HoldEvidence) -> String {
    let (held, asked) = (words::millis(facts.held_ms), words::millis(facts.asked_ms));
    match facts.end.as_str() {
        "alive" => {
            let answer = facts
                .answer_ms
                .map(|wait| format!(", NOOP answered in {}", words::millis(wait)));
            format!("alive after {held} of silence{}", answer.unwrap_or_default())
        }
        "bye" => format!("BYE after {held} of {asked}"),
        "closed" => format!("closed without BYE after {held} of {asked}"),
        "reset" => format!("reset after {held} of {asked}"),
        "silent" => format!("dead when tried after {held} of silence: NOOP was not answered"),
        other => format!("{} after {held} of {asked}", words::quote(other)),
    }
}

fn seen(event: &SyncEvent) -> String {
    let what = match event.event.as_str() {
        "exists" => "new message".to_owned(),
        "flags" => "new flags".to_owned(),
        "expunge" => "removed message".to_owned(),
        other => words::quote(other),
    };
    let how = match event.seen.as_str() {
        "idle" => "told by IDLE".to_owned(),
        "noop" => "told only when asked (NOOP)".to_owned(),
        "select" => "seen only when the mailbox was opened anew".to_owned(),
        "never" => "NEVER seen".to_owned(),
        other => words::quote(other),
    };
    let after = event
        .latency_ms
        .map(|wait| format!(", after {}", words::millis(wait)));
    format!("{what}: {how}{}", after.unwrap_or_default())
}

fn written(facts: &SyncEvidence) -> Vec<String> {
    let flags = facts.flags_kept.map(|kept| {
        let said = if kept {
            "flags came back as set"
        } else {
            "flags were NOT kept"
        };
        said.to_owned()
    });
    let copy = facts.copy.as_deref().map(|how| match how {
        "copied" => "copied (COPYUID)".to_owned(),
        "copied_without_uid" => "copied, without COPYUID".to_owned(),
        "refused" => "copy refused".to_owned(),
        other => format!("copy {}", words::quote(other)),
    });
    let moved = facts.r#move.as_deref().map(|how| match how {
        "moved" => "moved (MOVE)".to_owned(),
        "copied_and_expunged" => "moved by copy and expunge, there is no MOVE".to_owned(),
        "refused" => "move refused".to_owned(),
        other => format!("move {}", words::quote(other)),
    });
    [flags, copy, moved].into_iter().flatten().collect()
}
