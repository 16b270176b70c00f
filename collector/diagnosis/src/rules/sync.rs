//! What one session writes and another does not learn, or learns late.

use std::collections::BTreeMap;

use parallax_model::evidence::{Evidence, SyncEvent, SyncEvidence};
use parallax_model::fault::{FaultKind, MailboxFault};
use parallax_model::finding::{FindingKind, Segment, Severity};
use parallax_model::stage::StageName;

use crate::candidate::Candidate;
use crate::extent::Extent;
use crate::fact;
use crate::matrix::{CellId, Matrix};
use crate::product::Look;
use crate::trouble::TroubleId;
use crate::words;

/// Courier and Cyrus only look once a minute where nothing tells them of changes.
const NOTIFICATION: Look = Look::new(
    "doveadm replicator status '*'; sysctl fs.inotify; doveconf -n | grep -E 'notify|replica|mail_location|mail_path'",
)
.courier("grep IMAP_ENHANCEDIDLE /etc/courier/imapd; pgrep -a 'gam_server|famd'; sysctl fs.inotify")
.cyrus("pgrep -a idled; grep -n idled /etc/cyrus.conf; cyr_info conf-all | grep imapidlepoll");

/// Claim: changes that one session makes reach another late, never, or not by IDLE. Writer and watcher are named:
/// where they stand in two networks, the server's backends may be two as well.
/// Disproved by: the same change told at once by IDLE.
pub(crate) fn unheard(matrix: &Matrix) -> Vec<Candidate> {
    let mut groups: BTreeMap<(FindingKind, Option<String>), Vec<TroubleId>> = BTreeMap::new();
    for (id, trouble) in matrix.troubles.iter().enumerate() {
        if let Some(kind) = trouble.kind().and_then(kind) {
            let watcher = trouble
                .cell
                .and_then(|cell| facts(matrix, cell))
                .and_then(|facts| facts.watcher.clone());
            groups.entry((kind, watcher)).or_default().push(id);
        }
    }
    groups
        .into_iter()
        .map(|((kind, watcher), troubles)| candidate(matrix, kind, watcher.as_deref(), &troubles))
        .collect()
}

/// The faults that are told here.
pub(crate) const fn kind(fault: FaultKind) -> Option<FindingKind> {
    match fault {
        FaultKind::Mailbox(MailboxFault::SyncDelayed) => Some(FindingKind::SyncDelayed),
        FaultKind::Mailbox(MailboxFault::SyncBroken) => Some(FindingKind::SyncBroken),
        FaultKind::Mailbox(MailboxFault::IdleBroken) => Some(FindingKind::IdleBroken),
        _ => None,
    }
}

fn facts<'a>(matrix: &Matrix<'a>, cell: CellId) -> Option<&'a SyncEvidence> {
    match matrix
        .cell(cell)
        .attempt
        .stage(StageName::Sync)?
        .evidence
        .as_ref()?
    {
        Evidence::Sync(facts) => Some(facts),
        _ => None,
    }
}

fn candidate(matrix: &Matrix, kind: FindingKind, watcher: Option<&str>, troubles: &[TroubleId]) -> Candidate {
    let extent = Extent::of(matrix, troubles);
    let names = matrix.names(&extent.affected);
    let writer = words::list(&names);
    let apart = watcher
        .filter(|watcher| !names.contains(watcher))
        .map(words::quote);
    let listener = apart
        .as_ref()
        .map_or_else(|| format!("a second session at {writer}"), Clone::clone);
    let all: Vec<&SyncEvidence> = troubles
        .iter()
        .filter_map(|&id| facts(matrix, matrix.troubles[id].cell?))
        .collect();
    let deaf = all.iter().find_map(|facts| facts.watcher_fault.as_ref());
    let confidence = if deaf.is_some() { 0.4 } else { extent.stated() };
    let found = Candidate::new(matrix, kind, confidence, troubles.iter().copied())
        .severity(Severity::Warning)
        .segment(if deaf.is_some() {
            Segment::Unknown
        } else {
            Segment::Service
        })
        .summary(summary(kind, &writer, &listener, &all))
        .because(fact::first(troubles.iter().map(|&id| fact::trouble(matrix, id))))
        .because(fact::first(all.iter().flat_map(|facts| {
            facts.events.iter().map(|event| told(&writer, &listener, event))
        })))
        .because(all.iter().find_map(|facts| facts.uncertainty_ms).map(|apart| {
            format!(
                "the two clocks may be {} apart",
                words::time(parallax_model::millis::to_duration(apart))
            )
        }))
        .because(deaf.map(|fault| {
            format!(
                "the watching session itself had trouble: {}",
                words::message(fault)
            )
        }))
        .told_apart_by("the same with writer and watcher at one vantage point")
        .next(steps(matrix, &names, apart.as_deref(), troubles));
    let found = if deaf.is_some() {
        found.or(
            FindingKind::SessionDropped,
            0.4,
            "the watching session's own stages",
        )
    } else {
        found
    };
    if apart.is_some() {
        found.or(
            FindingKind::OneBackendBroken,
            0.15,
            "whether writer and watcher reach the same backend: the same with both at one vantage point",
        )
    } else {
        found
    }
}

fn summary(kind: FindingKind, writer: &str, listener: &str, all: &[&SyncEvidence]) -> String {
    let which = |fits: &dyn Fn(&SyncEvent) -> bool| {
        let mut events: Vec<String> = Vec::new();
        for event in all
            .iter()
            .flat_map(|facts| &facts.events)
            .filter(|event| fits(event))
        {
            let change = change(&event.event);
            if !events.contains(&change) {
                events.push(change);
            }
        }
        if events.is_empty() {
            "changes".to_owned()
        } else {
            words::list(&events)
        }
    };
    match kind {
        FindingKind::SyncBroken => format!(
            "{listener} never learns of {} that {writer} makes",
            which(&|event| event.seen == "never")
        ),
        FindingKind::IdleBroken => format!(
            "IDLE does not tell {listener} of {} that {writer} makes",
            which(&|event| event.seen != "idle")
        ),
        _ => {
            let longest = all
                .iter()
                .flat_map(|facts| &facts.events)
                .filter_map(|event| event.latency_ms)
                .max_by(f64::total_cmp)
                .map(|late| {
                    format!(
                        ", up to {} later",
                        words::time(parallax_model::millis::to_duration(late))
                    )
                })
                .unwrap_or_default();
            format!("{listener} learns late of changes that {writer} makes{longest}")
        }
    }
}

fn told(writer: &str, listener: &str, event: &SyncEvent) -> String {
    let what = change(&event.event);
    let how = match event.seen.as_str() {
        "idle" => "was told by IDLE",
        "noop" => "was told only when it asked (NOOP)",
        "select" => "saw it only in the mailbox opened anew",
        "never" => "never saw it",
        _ => "saw it some other way",
    };
    let when = event
        .latency_ms
        .map(|late| {
            format!(
                ", {} after the writer",
                words::time(parallax_model::millis::to_duration(late))
            )
        })
        .unwrap_or_default();
    format!("{writer} made {what}, {listener} {how}{when}")
}

fn change(event: &str) -> String {
    match event {
        "exists" => "a new message".to_owned(),
        "flags" => "a change of flags".to_owned(),
        "expunge" => "a removal".to_owned(),
        other => words::quote(other),
    }
}

fn steps(matrix: &Matrix, writers: &[&str], apart: Option<&str>, troubles: &[TroubleId]) -> Vec<String> {
    let writer = writers.first().copied().unwrap_or("all");
    let host = matrix.host();
    let mut steps = vec![format!(
        "ctl probe {host} --depth sync --from {writer} --user USER --password-stdin"
    )];
    if let Some(watcher) = apart {
        steps.push(format!(
            "ctl probe {host} --depth sync --from {watcher} --sync-with {writer} --user USER --password-stdin"
        ));
    }
    if let Some(cell) = troubles.iter().find_map(|&id| matrix.troubles[id].cell) {
        steps.push(NOTIFICATION.on(matrix, matrix.cell(cell).attempt.address));
    }
    steps
}
