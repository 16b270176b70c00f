//! What goes wrong after the login.

use std::collections::BTreeMap;

use parallax_model::evidence::Evidence;
use parallax_model::fault::{FaultKind, MailboxFault};
use parallax_model::finding::{FindingKind, Segment, Severity};
use parallax_model::stage::StageName;

use crate::candidate::Candidate;
use crate::command;
use crate::extent::Extent;
use crate::fact;
use crate::matrix::Matrix;
use crate::trouble::{TroubleId, blocks_clients};
use crate::words;

/// Claim: the login works and the mailbox does not, for the reason that the server gives.
/// Disproved by: the same command answered with OK.
pub(crate) fn faulty(matrix: &Matrix) -> Vec<Candidate> {
    let mut groups: BTreeMap<(FindingKind, StageName), Vec<TroubleId>> = BTreeMap::new();
    for (id, trouble) in matrix.troubles.iter().enumerate() {
        if let (Some(FaultKind::Mailbox(fault)), Some(stage)) = (trouble.kind(), trouble.stage) {
            groups.entry((kind(stage, fault), stage)).or_default().push(id);
        }
    }
    groups
        .into_iter()
        .map(|((kind, stage), troubles)| candidate(matrix, kind, stage, &troubles))
        .collect()
}

const fn kind(stage: StageName, fault: MailboxFault) -> FindingKind {
    match (fault, stage) {
        (MailboxFault::Missing, _) => FindingKind::MailboxMissing,
        (MailboxFault::PermissionDenied, _) => FindingKind::PermissionDenied,
        (MailboxFault::InUse, _) => FindingKind::MailboxBusy,
        (MailboxFault::Corruption, _) => FindingKind::MailboxCorrupt,
        (MailboxFault::OverQuota, _) => FindingKind::OverQuota,
        (MailboxFault::ReadOnly, _) => FindingKind::MailboxReadOnly,
        (MailboxFault::SpecialUse, _) => FindingKind::SpecialUseMissing,
        (MailboxFault::SyncDelayed, _) => FindingKind::SyncDelayed,
        (MailboxFault::SyncBroken, _) => FindingKind::SyncBroken,
        (MailboxFault::IdleBroken, _) => FindingKind::IdleBroken,
        (MailboxFault::TooBig | MailboxFault::AppendMismatch, _) => FindingKind::AppendFailed,
        (_, StageName::Append) => FindingKind::AppendFailed,
        (
            MailboxFault::Unavailable
            | MailboxFault::ServerBug
            | MailboxFault::FetchMismatch
            | MailboxFault::Refused
            | MailboxFault::Other,
            _,
        ) => FindingKind::FetchFailed,
    }
}

fn candidate(matrix: &Matrix, kind: FindingKind, stage: StageName, troubles: &[TroubleId]) -> Candidate {
    let extent = Extent::of(matrix, troubles);
    let phrase = match kind {
        FindingKind::MailboxMissing => "the mailbox does not exist",
        FindingKind::PermissionDenied => "no right to the mailbox",
        FindingKind::MailboxBusy => "the mailbox is in use",
        FindingKind::MailboxCorrupt => "the mailbox is damaged",
        FindingKind::OverQuota => "the mailbox is full",
        FindingKind::AppendFailed => "messages can't be stored",
        _ => "messages can't be read",
    };
    let cause = troubles.iter().find_map(|&id| {
        let reply = fact::stage(matrix, &matrix.troubles[id])?
            .evidence
            .as_ref()
            .and_then(Evidence::reply)?;
        Some((reply.cause.clone(), reply.next_step.clone()))
    });
    let (cause, advice) = cause.unwrap_or_default();
    let found = Candidate::new(matrix, kind, extent.stated(), troubles.iter().copied())
        .segment(Segment::Service)
        .summary(format!(
            "{}: {phrase}",
            super::session::who_fails(matrix, &extent, stage, troubles)
        ))
        .because(fact::first(troubles.iter().map(|&id| fact::trouble(matrix, id))))
        .because(cause.map(|cause| format!("it means: {}", words::quote(&cause))))
        .because(super::session::spared(matrix, &extent, stage))
        .told_apart_by("the same command at another vantage point")
        .next(advice.map(|advice| words::quote(&advice)))
        .next(step(matrix, kind, troubles));
    if blocks_clients(stage) {
        found
    } else {
        found.severity(Severity::Warning)
    }
}

fn step(matrix: &Matrix, kind: FindingKind, troubles: &[TroubleId]) -> Option<String> {
    let cell = troubles.iter().find_map(|&id| matrix.troubles[id].cell)?;
    let command = match kind {
        FindingKind::MailboxMissing => "doveadm mailbox list -u USER",
        FindingKind::PermissionDenied => "doveadm acl get -u USER INBOX",
        FindingKind::MailboxCorrupt => "doveadm force-resync -u USER INBOX",
        FindingKind::OverQuota => "doveadm quota get -u USER",
        _ => "journalctl -u dovecot -n 100; doveadm log errors",
    };
    Some(command::on(
        &matrix.cell(cell).attempt.address.to_string(),
        command,
    ))
}
