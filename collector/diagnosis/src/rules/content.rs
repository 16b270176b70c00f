//! Connections that are made and on which nothing that we send is heard.

use parallax_model::evidence::{Evidence, Nudge};
use parallax_model::experiment::ExperimentKind;
use parallax_model::fault::{FaultKind, ImapFault};
use parallax_model::finding::FindingKind;
use parallax_model::stage::StageName;

use super::hello::{End, Lost};
use crate::candidate::Candidate;
use crate::command;
use crate::extent::Extent;
use crate::fact;
use crate::matrix::{CellId, Matrix};
use crate::symptom::{self, Reach, Stall};
use crate::varied::{self, Varied};
use crate::words;

const EVERY_PORT: &str = "whether connections to every port stall the same way";

/// Claim: the hello is lost for what it is, neither for its name nor for its size: with another name and with small segments
/// it is lost too. Where another port of the host carries a dialogue, somebody drops what looks like TLS; where that stands
/// still too, a device that sees one half of each connection drops the rest of all.
/// A command that was sent into the silence of a plain port, and that nobody took, is as good as a hello.
/// Disproved by: a hello that is acknowledged.
pub(crate) fn half_open(matrix: &Matrix) -> Vec<Candidate> {
    let cells: Vec<CellId> = matrix
        .cells()
        .filter(|&id| unheard(matrix, id) && neither_name_nor_size(matrix, id) || nudged_in_vain(matrix, id))
        .collect();
    let told = |talks: bool| -> Vec<CellId> {
        let of = |id: &&CellId| other_port_talks(matrix, **id) == Some(talks);
        cells.iter().filter(of).copied().collect()
    };
    let (nudged, hellos): (Vec<CellId>, Vec<CellId>) =
        told(true).into_iter().partition(|&id| nudged_in_vain(matrix, id));
    // Connections that one port alone leaves half made are the server's: its queue of them is full.
    let overloaded = candidate(matrix, FindingKind::ServerOverloaded, &nudged);
    candidate(matrix, FindingKind::ContentFiltered, &hellos)
        .into_iter()
        .chain(overloaded)
        .chain(candidate(matrix, FindingKind::AsymmetricPath, &told(false)))
        .collect()
}

/// Whether not even the other side's kernel took what was sent where no greeting came.
pub(super) fn nudged_in_vain(matrix: &Matrix, id: CellId) -> bool {
    let cell = matrix.cell(id);
    let greeting = cell.attempt.stage(StageName::Greeting);
    cell.reach == Reach::Connected
        && matches!(
            greeting.and_then(|stage| stage.evidence.as_ref()),
            Some(Evidence::Greeting(facts)) if facts.nudge == Some(Nudge::Unacknowledged)
        )
}

fn candidate(matrix: &Matrix, kind: FindingKind, cells: &[CellId]) -> Option<Candidate> {
    let troubles = matrix.troubles_of_all(cells);
    let &first = cells.first()?;
    let extent = Extent::of(matrix, &troubles);
    let names = matrix.names(&extent.affected);
    let attempt = matrix.cell(first).attempt;
    let (phrase, other) = match kind {
        FindingKind::ContentFiltered => (
            "what looks like TLS is dropped on the way, another port of the host carries a dialogue",
            FindingKind::AsymmetricPath,
        ),
        FindingKind::ServerOverloaded => (
            "connections are half made: nothing that is sent on them is taken, another port of the host carries a dialogue",
            FindingKind::AsymmetricPath,
        ),
        FindingKind::ResetInjected => (
            "a reset answers the hello before the host has acknowledged it, another port of the host carries a dialogue",
            FindingKind::SourceBanned,
        ),
        _ => (
            "nothing that is sent on an open connection arrives, on no port: a device on the way sees one half of it",
            FindingKind::ServerOverloaded,
        ),
    };
    let place = super::names::hello_place(matrix, cells);
    let capture = command::capture(attempt.address, attempt.endpoint.port);
    let reset = kind == FindingKind::ResetInjected;
    let confidence = match kind {
        FindingKind::ResetInjected => 0.71,
        FindingKind::ServerOverloaded => 0.55,
        _ => 0.72,
    };
    let found = Candidate::new(matrix, kind, confidence, troubles.iter().copied())
        .next(super::names::looks(matrix, &place, cells))
        .at(place)
        .summary(format!(
            "{} with {}: {phrase}",
            words::list(&names),
            matrix.host()
        ))
        .because(fact::first(troubles.iter().map(|&id| fact::trouble(matrix, id))))
        .because([format!(
            "{}: {}",
            matrix.name(first.vantage),
            if reset {
                "with another name it is reset too"
            } else if nudged_in_vain(matrix, first) {
                "a command that was sent into the silence was not acknowledged"
            } else {
                "with another name and with small segments it stands still too"
            }
        )])
        .told_apart_by(EVERY_PORT)
        .or(other, 0.1, EVERY_PORT)
        .or(
            FindingKind::TlsHandshakeFailed,
            0.12,
            "a packet capture on the mail host: whether the hello arrives",
        )
        .next([command::on(&attempt.address.to_string(), &capture)]);
    Some(found)
}

/// Whether the hello was sent again and again, and never acknowledged.
fn unheard(matrix: &Matrix, id: CellId) -> bool {
    Lost::of(matrix, id).is_some_and(|lost| {
        lost.end == End::Silent
            && lost.untaken()
            && symptom::stall(lost.stage.tcp.as_ref()) == Stall::Unacknowledged
    })
}

/// Claim: a command was taken by the host, and its answer does not arrive, where others get it at the same address: what the
/// answer says is dropped on the way.
/// Disproved by: the same answer arriving, or nobody getting it.
pub(crate) fn answer_lost(matrix: &Matrix) -> Vec<Candidate> {
    let cells: Vec<CellId> = matrix
        .cells()
        .filter(|&id| starttls_unanswered(matrix, id) && !varied::heals_by_itself(matrix, id))
        .filter(|&id| {
            matrix
                .beside(id)
                .any(|other| matrix.cell(other).passed(StageName::Starttls))
        })
        .collect();
    let troubles = matrix.troubles_of_all(&cells);
    let Some(&first) = cells.first() else {
        return Vec::new();
    };
    let extent = Extent::of(matrix, &troubles);
    let names = matrix.names(&extent.affected);
    let attempt = matrix.cell(first).attempt;
    let several = extent.affected.len() > 1;
    let found = Candidate::new(
        matrix,
        FindingKind::ContentFiltered,
        if several { 0.82 } else { 0.81 },
        troubles.iter().copied(),
    )
    .summary(format!(
        "the answer of {} to STARTTLS does not arrive at {}, others get it: it is dropped on the way",
        matrix.host(),
        words::list(&names)
    ))
    .because(fact::first(troubles.iter().map(|&id| fact::trouble(matrix, id))))
    .because([format!(
        "{}: the host took STARTTLS, as it took and answered what came before",
        matrix.name(first.vantage)
    )])
    .because(super::session::spared(matrix, &extent, StageName::Starttls))
    .told_apart_by("a packet capture on the mail host: whether the answer leaves it")
    .or(
        FindingKind::StarttlsFailed,
        0.1,
        "a packet capture on the mail host: whether the answer leaves it",
    )
    .or(
        FindingKind::FlowCut,
        0.06,
        "whether it always ends after the same number of bytes",
    )
    .next([
        command::on(
            &attempt.address.to_string(),
            &command::capture(attempt.address, attempt.endpoint.port),
        ),
        command::on(
            matrix.name(first.vantage),
            &command::openssl(matrix, attempt.address, attempt.endpoint),
        ),
    ]);
    vec![found]
}

/// Whether STARTTLS was taken by the host's kernel, after a dialogue, and nothing came back.
fn starttls_unanswered(matrix: &Matrix, id: CellId) -> bool {
    let cell = matrix.cell(id);
    cell.passed(StageName::Capability)
        && cell.attempt.failed_stage().is_some_and(|stage| {
            stage.name == StageName::Starttls
                && stage.tcp.is_some()
                && symptom::stall(stage.tcp.as_ref()) == Stall::Acknowledged
                && stage
                    .outcome
                    .fault()
                    .is_some_and(|fault| fault.kind == FaultKind::Imap(ImapFault::Timeout))
        })
}

/// Claim: a hello is answered with a reset before the host has acknowledged it, whatever the name in it, and other ports
/// of the host carry a dialogue: somebody on the way resets what looks like TLS.
/// Disproved by: a hello that the host acknowledges before the reset, or a reset from as far away as its SYN-ACK (a server
/// that resets whom it accepts looks the same without that).
pub(crate) fn reset_at_the_hello(matrix: &Matrix) -> Vec<Candidate> {
    let cells: Vec<CellId> = matrix
        .cells()
        .filter(|&id| reset_unheard(matrix, id) && other_port_talks(matrix, id) == Some(true))
        .filter(|&id| {
            let same = |kind| varied::with(matrix, id, kind) == Varied::Same;
            (same(ExperimentKind::OtherSni) || same(ExperimentKind::NoSni))
                && varied::with(matrix, id, ExperimentKind::OtherSource) != Varied::Cured
                && !varied::heals_by_itself(matrix, id)
        })
        .collect();
    candidate(matrix, FindingKind::ResetInjected, &cells)
        .into_iter()
        .collect()
}

fn reset_unheard(matrix: &Matrix, id: CellId) -> bool {
    Lost::of(matrix, id).is_some_and(|lost| lost.end == End::Reset && lost.untaken())
}

fn neither_name_nor_size(matrix: &Matrix, id: CellId) -> bool {
    let same = |kind| varied::with(matrix, id, kind) == Varied::Same;
    (same(ExperimentKind::OtherSni) || same(ExperimentKind::NoSni))
        && same(ExperimentKind::SmallMss)
        && !varied::heals_by_itself(matrix, id)
}

/// Whether another IMAP port of the same host was heard and answered, where that was tried.
fn other_port_talks(matrix: &Matrix, id: CellId) -> Option<bool> {
    let attempt = matrix.cell(id).attempt;
    let vantage = matrix.vantage(id.vantage);
    let others = vantage
        .cells
        .iter()
        .chain(vantage.experiments(ExperimentKind::OtherPort))
        .filter(|cell| cell.attempt.address == attempt.address)
        .filter(|cell| cell.attempt.endpoint.port != attempt.endpoint.port && cell.reach == Reach::Connected);
    others
        .map(|cell| cell.passed(StageName::Capability) || cell.passed(StageName::Starttls))
        .reduce(|one, other| one || other)
}
