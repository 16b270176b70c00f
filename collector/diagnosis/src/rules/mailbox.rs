//! What goes wrong after the login.

use std::collections::{BTreeMap, BTreeSet};

use parallax_model::evidence::{Evidence, ListEvidence, QuotaFacts};
use parallax_model::fault::{FaultKind, MailboxFault};
use parallax_model::finding::{FindingKind, Segment, Severity};
use parallax_model::stage::StageName;

use crate::candidate::Candidate;
use crate::extent::Extent;
use crate::fact;
use crate::matrix::{CellId, Matrix};
use crate::product::Look;
use crate::trouble::{TroubleId, blocks_clients};
use crate::words;

const QUOTA: Look = Look::new("doveadm quota get -u USER").courier("authtest USER");

/// Claim: the login works and the mailbox does not, for the reason that the server gives.
/// Disproved by: the same command answered with OK.
pub(crate) fn faulty(matrix: &Matrix) -> Vec<Candidate> {
    let mut groups: BTreeMap<(FindingKind, Option<StageName>), Vec<TroubleId>> = BTreeMap::new();
    for (id, trouble) in matrix.troubles.iter().enumerate() {
        if let (Some(FaultKind::Mailbox(fault)), Some(stage)) = (trouble.kind(), trouble.stage)
            && super::sync::kind(FaultKind::Mailbox(fault)).is_none()
        {
            // A quota that is used up shows wherever it is asked for, and is one cause.
            let (kind, at) = match kind(stage, fault) {
                FindingKind::OverQuota => (FindingKind::OverQuota, None),
                other => (other, Some(stage)),
            };
            groups.entry((kind, at)).or_default().push(id);
        }
    }
    groups
        .into_iter()
        .filter_map(|((kind, _), mut troubles)| {
            // What failed tells more than what was merely seen.
            troubles.sort_by_key(|&id| matrix.troubles[id].failure().is_none());
            let stage = matrix.troubles[*troubles.first()?].stage?;
            Some(candidate(matrix, kind, stage, &troubles))
        })
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
        (MailboxFault::TooBig | MailboxFault::AppendMismatch, _) => FindingKind::AppendFailed,
        (_, StageName::Append) => FindingKind::AppendFailed,
        (
            MailboxFault::Unavailable | MailboxFault::ServerBug | MailboxFault::Refused | MailboxFault::Other,
            StageName::Sync,
        ) => FindingKind::AppendFailed,
        (
            MailboxFault::Unavailable
            | MailboxFault::ServerBug
            | MailboxFault::FetchMismatch
            | MailboxFault::Refused
            | MailboxFault::SyncDelayed
            | MailboxFault::SyncBroken
            | MailboxFault::IdleBroken
            | MailboxFault::Other,
            _,
        ) => FindingKind::FetchFailed,
    }
}

fn candidate(matrix: &Matrix, kind: FindingKind, stage: StageName, troubles: &[TroubleId]) -> Candidate {
    let extent = Extent::of(matrix, troubles);
    let phrase = phrase(matrix, kind, troubles);
    let works = troubles.iter().all(|&id| matrix.troubles[id].failure().is_none());
    let cause = troubles.iter().find_map(|&id| {
        let reply = fact::stage(matrix, &matrix.troubles[id])?
            .evidence
            .as_ref()
            .and_then(Evidence::reply)?;
        Some((reply.cause.clone(), reply.next_step.clone()))
    });
    let (cause, advice) = cause.unwrap_or_default();
    let found = Candidate::new(matrix, kind, extent.stated(), troubles.iter().copied())
        .stage(stage)
        .segment(Segment::Service)
        .summary(format!(
            "{}: {phrase}",
            if works {
                super::session::who_fails(matrix, &extent, stage, troubles).replacen(
                    " fails at ",
                    " works, with something to see, at ",
                    1,
                )
            } else {
                super::session::who_fails(matrix, &extent, stage, troubles)
            }
        ))
        .because(fact::first(troubles.iter().map(|&id| fact::trouble(matrix, id))))
        .because(cause.map(|cause| format!("it means: {}", words::quote(&cause))))
        .because(super::session::spared(matrix, &extent, stage))
        .told_apart_by("the same command at another vantage point")
        .next(advice.map(|advice| words::quote(&advice)))
        .next(step(matrix, kind, troubles));
    if kind == FindingKind::SpecialUseMissing && small_loss(matrix, troubles) {
        found.severity(Severity::Info)
    } else if blocks_clients(stage) {
        found
    } else {
        found.severity(Severity::Warning)
    }
}

fn phrase(matrix: &Matrix, kind: FindingKind, troubles: &[TroubleId]) -> String {
    let plain = match kind {
        FindingKind::MailboxMissing => "the mailbox does not exist",
        FindingKind::PermissionDenied => "no right to the mailbox",
        FindingKind::MailboxBusy => "the mailbox is in use",
        FindingKind::MailboxCorrupt => "the mailbox is damaged",
        FindingKind::MailboxReadOnly => "the mailbox can be read and not written",
        FindingKind::OverQuota => "the mailbox is full",
        FindingKind::SpecialUseMissing => return roles(matrix, troubles),
        FindingKind::AppendFailed => return stored(matrix, troubles),
        _ => "messages can't be read",
    };
    plain.to_owned()
}

/// Which roles have no mailbox, and which have several.
fn roles(matrix: &Matrix, troubles: &[TroubleId]) -> String {
    let facts = lists(matrix, troubles);
    let of = |roles: &dyn Fn(&ListEvidence) -> Vec<String>| {
        let roles: BTreeSet<String> = facts.iter().flat_map(|facts| roles(facts)).collect();
        let roles: Vec<String> = roles.iter().map(|role| words::quote(role)).collect();
        roles
    };
    let missing = of(&|facts| facts.missing_roles.clone());
    let doubled = of(&|facts| facts.doubled_roles.clone());
    match (missing.is_empty(), doubled.is_empty()) {
        (false, true) => format!("no mailbox is marked as {}", words::list(&missing)),
        (true, false) => format!("more than one mailbox is marked as {}", words::list(&doubled)),
        (false, false) => format!(
            "no mailbox is marked as {}, and more than one as {}",
            words::list(&missing),
            words::list(&doubled)
        ),
        (true, true) => "a role that clients look for has no mailbox, or several".to_owned(),
    }
}

/// Without a place for what is sent, drafted and thrown away, clients make mailboxes of their own; junk and archive
/// they can do without.
fn small_loss(matrix: &Matrix, troubles: &[TroubleId]) -> bool {
    let facts = lists(matrix, troubles);
    let plain = |role: &String| role.trim_start_matches('\\').to_ascii_lowercase();
    !facts.is_empty()
        && facts.iter().all(|facts| {
            facts.doubled_roles.is_empty()
                && !facts.missing_roles.is_empty()
                && !facts
                    .missing_roles
                    .iter()
                    .any(|role| matches!(plain(role).as_str(), "sent" | "drafts" | "trash"))
        })
}

fn lists<'a>(matrix: &Matrix<'a>, troubles: &[TroubleId]) -> Vec<&'a ListEvidence> {
    troubles
        .iter()
        .filter_map(|&id| fact::stage(matrix, &matrix.troubles[id])?.evidence.as_ref())
        .filter_map(|evidence| match evidence {
            Evidence::List(facts) => Some(facts),
            _ => None,
        })
        .collect()
}

/// What became of the message that the probe stored.
fn stored(matrix: &Matrix, troubles: &[TroubleId]) -> String {
    let faults: BTreeSet<FaultKind> = troubles
        .iter()
        .filter_map(|&id| matrix.troubles[id].kind())
        .collect();
    let facts = troubles.iter().find_map(|&id| {
        match fact::stage(matrix, &matrix.troubles[id])?.evidence.as_ref()? {
            Evidence::Append(facts) => Some(facts),
            _ => None,
        }
    });
    let intact = facts.is_some_and(|facts| facts.intact == Some(true));
    if faults.contains(&FaultKind::Mailbox(MailboxFault::AppendMismatch)) {
        let difference = facts.and_then(|facts| facts.difference.as_deref());
        match difference {
            Some(difference) => format!(
                "a stored message does not come back as it was sent: {}",
                words::quote(difference)
            ),
            None if intact => "a stored message has another number than APPEND was answered with".to_owned(),
            None => "a stored message is not found again as it was stored".to_owned(),
        }
    } else if facts.is_none() {
        "what was stored can't be changed, moved or removed as it should".to_owned()
    } else if faults.contains(&FaultKind::Mailbox(MailboxFault::TooBig)) {
        let size = facts.map_or_else(String::new, |facts| format!(" of {} bytes", facts.bytes));
        format!("the server does not take a message{size}: too big, or too many")
    } else {
        "messages can't be stored".to_owned()
    }
}

/// Claim: the mailbox will soon be full: nine tenths of a quota are used.
/// Disproved by: less use, or a larger limit.
pub(crate) fn nearly_full(matrix: &Matrix) -> Vec<Candidate> {
    let full = |id: CellId| {
        matrix
            .kinds_of(id)
            .any(|kind| kind == FaultKind::Mailbox(MailboxFault::OverQuota))
    };
    let hits: Vec<(CellId, &QuotaFacts)> = matrix
        .cells()
        .filter(|&id| !full(id))
        .flat_map(|id| quotas(matrix, id).iter().map(move |quota| (id, quota)))
        .filter(|(_, quota)| quota.limit > 0 && u128::from(quota.usage) * 10 >= u128::from(quota.limit) * 9)
        .collect();
    let Some(&(first, most)) = hits
        .iter()
        .max_by_key(|(_, quota)| u128::from(quota.usage) * 100 / u128::from(quota.limit))
    else {
        return Vec::new();
    };
    let percent = u128::from(most.usage) * 100 / u128::from(most.limit);
    let found = Candidate::new(matrix, FindingKind::OverQuota, 0.95, [])
        .severity(Severity::Warning)
        .also(hits.iter().map(|(id, _)| id.vantage))
        .sockets(hits.iter().map(|&(id, _)| matrix.cell(id).socket()))
        .stage(StageName::Select)
        .segment(Segment::Service)
        .summary(format!("{percent} % of the mailbox's quota are used"))
        .because(fact::first(hits.iter().map(|(id, quota)| {
            format!(
                "{}: {} of {} used of {} ({})",
                matrix.name(id.vantage),
                quota.usage,
                quota.limit,
                words::quote(&quota.resource),
                words::quote(&quota.root)
            )
        })))
        .next([QUOTA.on(matrix, matrix.cell(first).attempt.address)]);
    vec![found]
}

fn quotas<'a>(matrix: &Matrix<'a>, id: CellId) -> &'a [QuotaFacts] {
    let stage = matrix.cell(id).attempt.stage(StageName::Select);
    match stage.and_then(|stage| stage.evidence.as_ref()) {
        Some(Evidence::Select(facts)) => &facts.quota,
        _ => &[],
    }
}

fn step(matrix: &Matrix, kind: FindingKind, troubles: &[TroubleId]) -> Option<String> {
    let cell = troubles.iter().find_map(|&id| matrix.troubles[id].cell)?;
    let look = match kind {
        FindingKind::MailboxMissing => {
            Look::new("doveadm mailbox list -u USER").cyrus("ctl_mboxlist -d | grep USER")
        }
        FindingKind::PermissionDenied => {
            Look::new("doveadm acl get -u USER INBOX").cyrus("ctl_mboxlist -d | grep USER")
        }
        FindingKind::MailboxCorrupt => {
            Look::new("doveadm force-resync -u USER INBOX").cyrus("reconstruct -n user.USER")
        }
        FindingKind::OverQuota => QUOTA,
        FindingKind::MailboxReadOnly => {
            Look::new("doveadm acl get -u USER INBOX; mount | grep -E '\\bro\\b'")
                .courier("mount | grep -E '\\bro\\b'")
                .cyrus("ctl_mboxlist -d | grep USER; mount | grep -E '\\bro\\b'")
        }
        FindingKind::SpecialUseMissing => {
            Look::new("doveconf -n | grep -B2 special_use; doveadm mailbox list -u USER")
                .cyrus("cyr_info conf | grep -E 'specialuse|^xlist-'; ctl_mboxlist -d | grep USER")
        }
        _ => Look::new("journalctl -u dovecot -n 100; doveadm log errors"),
    };
    Some(look.on(matrix, matrix.cell(cell).attempt.address))
}
