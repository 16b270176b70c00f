//! Mixtures: attempts that fail beside others that work, and work when they are made one after another.

use std::time::Duration;

use parallax_model::experiment::ExperimentKind;
use parallax_model::finding::{FindingKind, Segment, Severity};

use super::hello::{End, Lost};
use super::{content, flows, quality};
use crate::candidate::Candidate;
use crate::command;
use crate::extent::Extent;
use crate::fact;
use crate::matrix::{CellId, Matrix};
use crate::overlay;
use crate::product::Look;
use crate::symptom::{self, Reach, Stall};
use crate::varied::{self, Varied};
use crate::words;

const FLOWS: &str = "the same from many source ports, twice: a fault of one flow stays with its port";
const LIMITS: Look = Look::new("doveconf -n | grep -iE 'limit|max_user'; journalctl -u dovecot -n 100")
    .courier("grep -E '^MAX(DAEMONS|PERIP)' /etc/courier/imapd")
    .cyrus("grep -nE 'maxchild|maxfork' /etc/cyrus.conf");

/// A refusal within this time waited for nothing.
const AT_ONCE: Duration = Duration::from_secs(1);

const SERIAL: &str =
    "the same attempt several times, one after another: a limit lets them through, loss does not";

/// Claim: connections of one source made at once are refused beyond a number, or beyond a rate: one after another they
/// are all answered. A refusal by reset is a limit on connections; silence is more likely one on their rate.
/// Disproved by: a failure among connections made one after another, or one while nothing else was connected.
pub(crate) fn at_once(matrix: &Matrix) -> Vec<Candidate> {
    let limited = |id: &CellId| {
        let alone_it_works = varied::with(matrix, *id, ExperimentKind::Serial) == Varied::Cured
            || matrix.cell(*id).reach == Reach::Reset
                && (overlay::answers_now(matrix, *id) || opens_to_all_but_at_once(matrix, *id));
        let port = matrix.cell(*id).attempt.endpoint.port;
        alone_it_works && matrix.connects_otherwise(*id) && !flows::known(matrix, port)
    };
    let cells: Vec<CellId> = matrix.cells().filter(limited).collect();
    let after_a_while: Vec<CellId> = matrix
        .cells()
        .filter(|id| !cells.contains(id) && let_in_later(matrix, *id))
        .collect();
    let by_time = candidate(matrix, FindingKind::RateLimited, 0.72, &after_a_while).map(|found| {
        found
            .or(FindingKind::ConnectionLimit, 0.12, SERIAL)
            .or(FindingKind::OneBackendBroken, 0.08, FLOWS)
            .or(FindingKind::PacketLoss, 0.04, SERIAL)
    });
    let (reset, silent): (Vec<CellId>, Vec<CellId>) = cells
        .into_iter()
        .filter(|&id| matches!(matrix.cell(id).reach, Reach::Reset | Reach::Silent))
        .partition(|&id| matrix.cell(id).reach == Reach::Reset);
    let by_reset = candidate(matrix, FindingKind::ConnectionLimit, 0.8, &reset).map(|found| {
        found.or(FindingKind::RateLimited, 0.1, SERIAL).or(
            FindingKind::ServerOverloaded,
            0.05,
            "the accept queue on the mail host: ss -ltn",
        )
    });
    let by_silence = candidate(matrix, FindingKind::RateLimited, 0.5, &silent).map(|found| {
        found
            .or(FindingKind::PacketLoss, 0.2, SERIAL)
            .or(FindingKind::ConnectionLimit, 0.15, SERIAL)
            .or(
                FindingKind::ServerOverloaded,
                0.1,
                "the accept queue on the mail host: ss -ltn",
            )
    });
    by_reset.into_iter().chain(by_silence).chain(by_time).collect()
}

/// Whether several vantage points were all refused at once, and one of them, or from its other address, was let in later: a
/// ban of them all would stay, and a port that is closed would too.
pub(crate) fn opens_to_all_but_at_once(matrix: &Matrix, id: CellId) -> bool {
    let mut column: Vec<CellId> = matrix.beside(id).chain([id]).collect();
    column.retain(|&other| !matches!(matrix.cell(other).reach, Reach::Local(_) | Reach::Untried));
    let refused = |&other: &CellId| matrix.cell(other).reach == Reach::Reset;
    let opens = |&other: &CellId| {
        overlay::answers_now(matrix, other)
            || varied::attempts(matrix, other, ExperimentKind::OtherSource)
                .any(|cell| cell.reach == Reach::Connected)
    };
    column.len() > 1 && column.iter().all(refused) && column.iter().any(opens)
}

/// Whether a refusal was repeated at once, and no more after a while.
fn let_in_later(matrix: &Matrix, id: CellId) -> bool {
    let stage = matrix.cell(id).attempt.failed_stage();
    stage.is_some_and(|stage| stage.duration < AT_ONCE)
        && varied::with(matrix, id, ExperimentKind::Later) == Varied::Cured
        && varied::with(matrix, id, ExperimentKind::Repeat) != Varied::Cured
}

/// Claim: the queue of connections that the server has not taken yet is full: at one address and port some are not answered
/// at all and others are made on this side only, so that nothing that is sent on them is taken.
/// Disproved by: the same symptom each time.
pub(crate) fn half_made(matrix: &Matrix) -> Vec<Candidate> {
    let mut cells: Vec<CellId> = Vec::new();
    for column in matrix.columns() {
        let silent = |id: &CellId| matrix.cell(*id).reach == Reach::Silent;
        let untaken = |id: &CellId| {
            let lost = Lost::of(matrix, *id);
            lost.is_some_and(|lost| {
                let stall = symptom::stall(lost.stage.tcp.as_ref());
                lost.end == End::Silent && lost.untaken() && stall == Stall::Unacknowledged
            }) || content::nudged_in_vain(matrix, *id)
        };
        let fits = |id: &CellId| silent(id) || untaken(id);
        if column.cells.iter().any(silent) && column.cells.iter().any(untaken) {
            cells.extend(column.cells.iter().copied().filter(fits));
        }
    }
    let found = candidate(matrix, FindingKind::ServerOverloaded, 0.72, &cells);
    found
        .map(|mut found| {
            // Whom it keeps out it keeps out.
            found.severity = None;
            found
                .segment(Segment::Service)
                .or(FindingKind::PacketLoss, 0.12, SERIAL)
                .or(FindingKind::RateLimited, 0.08, SERIAL)
        })
        .into_iter()
        .collect()
}

/// Claim: the same attempt works one time and fails another. Where other connections lose packets too and go on, packets are
/// lost at random; where a connection is either made at once or not at all, it is one of several paths or backends.
/// Disproved by: the same attempts failing each time.
pub(crate) fn chance(matrix: &Matrix) -> Vec<Candidate> {
    let random = |id: &CellId| {
        varied::with(matrix, *id, ExperimentKind::Serial) == Varied::Sometimes
            || matrix.cell(*id).reach == Reach::Silent && overlay::answers_now(matrix, *id)
            || varied::heals_by_itself(matrix, *id) && others_lose(matrix, *id)
    };
    let cells: Vec<CellId> = matrix.cells().filter(random).collect();
    let (lossy, whole): (Vec<CellId>, Vec<CellId>) =
        cells.into_iter().partition(|&id| others_lose(matrix, id));
    let lost = candidate(matrix, FindingKind::PacketLoss, 0.7, &lossy).map(|found| {
        found
            .segment(Segment::Unknown)
            .or(FindingKind::RateLimited, 0.12, SERIAL)
            .or(FindingKind::OnePathBroken, 0.08, FLOWS)
    });
    let seen_to_answer = whole.iter().any(|&id| overlay::answers_now(matrix, id));
    let sure = if seen_to_answer { 0.79 } else { 0.68 };
    let by_flow = candidate(matrix, FindingKind::OnePathBroken, sure, &whole).map(|found| {
        found
            .segment(Segment::Unknown)
            .or(FindingKind::OneBackendBroken, 0.2, FLOWS)
            .or(FindingKind::PacketLoss, 0.12, FLOWS)
            .or(FindingKind::RateLimited, 0.06, SERIAL)
    });
    lost.into_iter().chain(by_flow).collect()
}

fn candidate(matrix: &Matrix, kind: FindingKind, confidence: f64, cells: &[CellId]) -> Option<Candidate> {
    let troubles = matrix.troubles_of_all(cells);
    let &first = cells.first()?;
    if troubles.is_empty() {
        return None;
    }
    let extent = Extent::of(matrix, &troubles);
    let names = matrix.names(&extent.affected);
    let attempt = matrix.cell(first).attempt;
    let phrase = match kind {
        FindingKind::ConnectionLimit => "connections made at once are refused, one after another they work",
        FindingKind::RateLimited => {
            "some connections are refused, or not answered; one after another, or after a while, they are"
        }
        FindingKind::ServerOverloaded => {
            "some connections are not answered, others are made and never taken up: the queue of the server is full"
        }
        _ => "the same connection works one time and fails another",
    };
    let made = varied::attempts(matrix, first, ExperimentKind::Serial)
        .chain(varied::attempts(matrix, first, ExperimentKind::Repeat))
        .map(|cell| {
            format!(
                "{} (once more)",
                fact::connection(matrix.name(first.vantage), cell)
            )
        });
    let found = Candidate::new(matrix, kind, confidence, troubles.iter().copied())
        .severity(Severity::Warning)
        .summary(format!("{} of {}: {phrase}", words::list(&names), matrix.host()))
        .because(fact::first(troubles.iter().map(|&id| fact::trouble(matrix, id))))
        .because(fact::first(made))
        .told_apart_by(SERIAL)
        .next([
            command::on(
                &attempt.address.to_string(),
                &format!(
                    "{}; nft list ruleset | grep -nE 'limit|ct count|connlimit'",
                    command::listening(attempt.endpoint.port)
                ),
            ),
            LIMITS.on(matrix, attempt.address),
            command::on(
                matrix.name(first.vantage),
                &command::trace(attempt.address, attempt.endpoint.port),
            ),
        ]);
    Some(found)
}

/// Whether another connection of the same vantage point lost packets too.
fn others_lose(matrix: &Matrix, id: CellId) -> bool {
    let vantage = matrix.vantage(id.vantage);
    let this = matrix.cell(id).attempt;
    vantage
        .cells
        .iter()
        .chain(&vantage.follow_ups)
        .filter(|cell| !std::ptr::eq(cell.attempt, this))
        .any(quality::lost_something)
}
