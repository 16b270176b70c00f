//! What only the last good run tells: a mailbox that was made anew, a way that became long.

use std::collections::BTreeMap;
use std::time::Duration;

use parallax_model::evidence::{Evidence, SelectEvidence};
use parallax_model::finding::{FindingKind, Segment, Severity};
use parallax_model::observation::Attempt;
use parallax_model::stage::{Outcome, StageName};

use crate::candidate::Candidate;
use crate::command;
use crate::fact;
use crate::matrix::{CellId, Matrix};
use crate::product::Look;
use crate::symptom::Reach;
use crate::words;

/// A way became long when every connection takes so many times what it took, and so much more.
const LONGER: u32 = 5;
const LONGER_BY: Duration = Duration::from_millis(100);

/// A stage takes what it took while it is not more than so many times as long.
const AS_LONG: u32 = 2;

const MAILBOXES: Look = Look::new("doveadm mailbox status -u USER 'uidvalidity messages' INBOX");

/// Claim: the mailbox was made anew since it last worked, so every client fetches all of it again.
/// Disproved by: the same UIDVALIDITY; another account (without a MAILBOXID it may be one, so it is a remark then).
pub(crate) fn mailbox_made_anew(matrix: &Matrix) -> Vec<Candidate> {
    let mut changed: BTreeMap<bool, Vec<(CellId, u64, u64)>> = BTreeMap::new();
    for id in matrix.cells() {
        let Some(earlier) = matrix.attempt_before(id).and_then(selected) else {
            continue;
        };
        let Some(now) = selected(matrix.cell(id).attempt) else {
            continue;
        };
        if let (Some(then), Some(value)) = (earlier.uid_validity, now.uid_validity)
            && then != value
        {
            let same = now.mailbox_id.is_some() && now.mailbox_id == earlier.mailbox_id;
            changed.entry(same).or_default().push((id, then, value));
        }
    }
    let anew = changed
        .iter()
        .map(|(&same, cells)| made_anew(matrix, same, cells));
    anew.collect()
}

fn selected(attempt: &Attempt) -> Option<&SelectEvidence> {
    match attempt.stage(StageName::Select)?.evidence.as_ref()? {
        Evidence::Select(facts) => Some(facts),
        _ => None,
    }
}

fn made_anew(matrix: &Matrix, same: bool, cells: &[(CellId, u64, u64)]) -> Candidate {
    let lines = cells.iter().map(|&(id, then, now)| {
        format!(
            "{}: UIDVALIDITY is {now} at {}, and was {then} when it last worked",
            matrix.name(id.vantage),
            matrix.cell(id).socket()
        )
    });
    let (confidence, severity, phrase) = if same {
        (0.9, Severity::Warning, "was made anew")
    } else {
        (
            0.5,
            Severity::Info,
            "was made anew, unless it is another account's",
        )
    };
    let look = cells
        .first()
        .map(|&(id, ..)| MAILBOXES.on(matrix, matrix.cell(id).attempt.address));
    Candidate::new(matrix, FindingKind::UidvalidityChanged, confidence, [])
        .severity(severity)
        .also(cells.iter().map(|(id, ..)| id.vantage))
        .sockets(cells.iter().map(|&(id, ..)| matrix.cell(id).socket()))
        .stage(StageName::Select)
        .segment(Segment::Service)
        .summary(format!(
            "the mailbox at {} {phrase}: clients fetch all of it again",
            matrix.host()
        ))
        .because(fact::first(lines))
        .told_apart_by("whether it is the same account and mailbox")
        .next(look)
}

/// Claim: the way of these vantage points became long: every connection takes several times what it took.
/// Disproved by: one connection as quick as before (then it was chance), or a SYN sent again (then it is loss).
pub(crate) fn longer_way(matrix: &Matrix) -> Vec<Candidate> {
    let mut lines = Vec::new();
    let mut cells = Vec::new();
    for vantage in matrix.answered() {
        let compared: Vec<(CellId, Duration, Duration)> = matrix
            .cells_of(vantage)
            .filter_map(|id| times(matrix, id))
            .collect();
        let longer = |&(_, then, now): &(CellId, Duration, Duration)| {
            now > then.saturating_mul(LONGER) && now > then.saturating_add(LONGER_BY)
        };
        if compared.is_empty() || !compared.iter().all(longer) {
            continue;
        }
        lines.extend(compared.iter().map(|&(id, then, now)| {
            format!(
                "{}: connected to {} in {}, and in {} when it last worked",
                matrix.name(vantage),
                matrix.cell(id).socket(),
                words::time(now),
                words::time(then)
            )
        }));
        cells.extend(compared.iter().map(|&(id, ..)| id));
    }
    let Some(&first) = cells.first() else {
        return Vec::new();
    };
    let attempt = matrix.cell(first).attempt;
    let mut names: Vec<&str> = cells.iter().map(|id| matrix.name(id.vantage)).collect();
    names.dedup();
    let found = Candidate::new(matrix, FindingKind::LatencyHigh, 0.75, [])
        .severity(Severity::Warning)
        .also(cells.iter().map(|id| id.vantage))
        .sockets(cells.iter().map(|&id| matrix.cell(id).socket()))
        .stage(StageName::Connect)
        .summary(format!(
            "the way from {} to {} takes several times what it took",
            words::list(&names),
            matrix.host()
        ))
        .because(fact::first(lines))
        .told_apart_by("the time of a connection to another host from there")
        .or(
            FindingKind::PacketLoss,
            0.1,
            "repeating over minutes: loss comes and goes",
        )
        .next([command::on(
            matrix.name(first.vantage),
            &command::trace(attempt.address, attempt.endpoint.port),
        )]);
    vec![found]
}

/// What a connection took then, and takes now.
fn times(matrix: &Matrix, id: CellId) -> Option<(CellId, Duration, Duration)> {
    let cell = matrix.cell(id);
    let at_once = cell.connect()?.syn_retransmits.unwrap_or(0) == 0;
    let then = took(matrix.attempt_before(id)?, StageName::Connect)?;
    (at_once && cell.reach == Reach::Connected).then_some((id, then, cell.connect_time()?))
}

/// Whether what a vantage point needs for its slowest stage behind the connection is what it always needs.
pub(super) fn always_so(matrix: &Matrix, id: CellId, slowest: Duration) -> bool {
    matrix.attempt_before(id).is_some_and(|before| {
        let stages = before
            .stages
            .iter()
            .filter(|stage| stage.name > StageName::Connect);
        stages
            .filter_map(|stage| took(before, stage.name))
            .max()
            .is_some_and(|then| slowest <= then.saturating_mul(AS_LONG))
    })
}

fn took(attempt: &Attempt, stage: StageName) -> Option<Duration> {
    let stage = attempt.stage(stage)?;
    matches!(stage.outcome, Outcome::Ok | Outcome::Degraded(_)).then_some(stage.duration)
}
