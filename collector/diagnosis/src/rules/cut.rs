//! Flows that die after so many bytes.

use parallax_model::experiment::ExperimentKind;
use parallax_model::fault::{FaultKind, ImapFault, TcpFault};
use parallax_model::finding::{FindingKind, Segment};
use parallax_model::stage::{Stage, StageName};

use crate::candidate::Candidate;
use crate::command;
use crate::extent::Extent;
use crate::fact;
use crate::matrix::{Cell, CellId, Matrix};
use crate::overlay;
use crate::symptom::{self, Reach, Stall};
use crate::varied::{self, Varied};
use crate::words;

const CAPTURED: &str = "a packet capture on the mail host: whether it sends the reset";

/// Claim: a flow is dropped once it has carried so many bytes: the answer to the hello begins and stands still with nothing
/// out of order, what is sent is no more acknowledged either, and with small segments it stands still as well.
/// Disproved by: small segments that come through (then it is their size), or a session that goes on.
pub(crate) fn in_the_handshake(matrix: &Matrix) -> Vec<Candidate> {
    let cells: Vec<CellId> = matrix
        .cells()
        .filter(|&id| dies(matrix.cell(id)) && !varied::heals_by_itself(matrix, id))
        .filter(|&id| varied::attempts(matrix, id, ExperimentKind::SmallMss).any(dies))
        .collect();
    let troubles = matrix.troubles_of_all(&cells);
    let Some(&first) = cells.first() else {
        return Vec::new();
    };
    let extent = Extent::of(matrix, &troubles);
    let names = matrix.names(&extent.affected);
    let attempt = matrix.cell(first).attempt;
    let small = varied::attempts(matrix, first, ExperimentKind::SmallMss).next();
    let lines = [(Some(matrix.cell(first)), ""), (small, " with small segments")];
    let found = Candidate::new(matrix, FindingKind::FlowCut, 0.78, troubles.iter().copied())
        .summary(format!(
            "connections of {} with {} die after some bytes, large and small segments alike",
            words::list(&names),
            matrix.host()
        ))
        .because(fact::first(troubles.iter().map(|&id| fact::trouble(matrix, id))))
        .because(lines.into_iter().filter_map(|(cell, how)| {
            let received = stage(cell?)?.tcp.as_ref()?.bytes_received;
            Some(format!(
                "{}: {} came{how}, then nothing, and what was sent was acknowledged no more",
                matrix.name(first.vantage),
                words::count(usize::try_from(received).ok()?, "byte")
            ))
        }))
        .because(super::session::spared(matrix, &extent, StageName::Tls))
        .told_apart_by("whether it always ends after the same number of bytes")
        .or(
            FindingKind::PacketLoss,
            0.08,
            "repeating over minutes: loss comes and goes, and hits other targets too",
        )
        .or(
            FindingKind::TlsHandshakeFailed,
            0.06,
            "a packet capture on the mail host: whether it sends on",
        )
        .next([
            command::on(
                matrix.name(first.vantage),
                &command::openssl(matrix, attempt.address, attempt.endpoint),
            ),
            command::on(
                &attempt.address.to_string(),
                &command::capture(attempt.address, attempt.endpoint.port),
            ),
        ]);
    vec![found]
}

/// Claim: the handshake is done, and what is sent next is answered with a reset, again when it is repeated, for those who come
/// over the network, while who stands beside the host is served: a device on the way resets the flow.
/// Disproved by: a session beside the host that ends the same way, or a repetition that goes on.
pub(crate) fn reset_behind_the_handshake(matrix: &Matrix) -> Vec<Candidate> {
    let cells: Vec<CellId> = matrix
        .cells()
        .filter(|&id| reset_late(matrix.cell(id)) && overlay::only_inside_is_served(matrix, id))
        .filter(|&id| !varied::heals_by_itself(matrix, id))
        .collect();
    let troubles = matrix.troubles_of_all(&cells);
    let again = |&id: &CellId| {
        [
            ExperimentKind::Serial,
            ExperimentKind::Later,
            ExperimentKind::Repeat,
        ]
        .into_iter()
        .any(|kind| varied::with(matrix, id, kind) == Varied::Same)
    };
    let Some(&first) = cells.iter().find(|id| again(id)) else {
        return Vec::new();
    };
    let extent = Extent::of(matrix, &troubles);
    let attempt = matrix.cell(first).attempt;
    let found = Candidate::new(matrix, FindingKind::FlowCut, 0.72, troubles.iter().copied())
        .segment(Segment::Unknown)
        .summary(format!(
            "connections of {} with {} are reset behind the handshake: who stands beside the host is served",
            words::list(&matrix.names(&extent.affected)),
            matrix.host()
        ))
        .because(fact::first(troubles.iter().map(|&id| fact::trouble(matrix, id))))
        .because(super::session::spared(matrix, &extent, StageName::Greeting))
        .told_apart_by("whether it always ends after the same number of bytes")
        .or(FindingKind::ClosedBeforeGreeting, 0.12, CAPTURED)
        .or(FindingKind::ResetInjected, 0.1, CAPTURED)
        .next([command::on(
            &attempt.address.to_string(),
            &command::capture(attempt.address, attempt.endpoint.port),
        )]);
    vec![found]
}

/// Whether TLS was there, and the session ended with a reset before it was greeted.
fn reset_late(cell: &Cell) -> bool {
    let fault = cell
        .attempt
        .failed_stage()
        .and_then(|stage| stage.outcome.fault());
    let reset = fault.is_some_and(|fault| {
        matches!(
            fault.kind,
            FaultKind::Imap(ImapFault::ConnectionReset) | FaultKind::Tcp(TcpFault::ConnectionReset)
        )
    });
    reset && cell.passed(StageName::Tls) && !cell.passed(StageName::Greeting)
}

/// Whether a handshake stood still after some bytes, in both directions and with none out of order.
fn dies(cell: &Cell) -> bool {
    cell.reach == Reach::Connected
        && stage(cell).is_some_and(|stage| {
            stage.tcp.as_ref().is_some_and(|tcp| tcp.bytes_received > 0)
                && symptom::stall(stage.tcp.as_ref()) == Stall::Unacknowledged
        })
}

fn stage<'a>(cell: &Cell<'a>) -> Option<&'a Stage> {
    let stage = cell.attempt.failed_stage()?;
    matches!(stage.name, StageName::Tls | StageName::Starttls).then_some(stage)
}
