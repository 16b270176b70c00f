//! Servers that turn one source away and serve the others.

use parallax_model::experiment::ExperimentKind;
use parallax_model::fault::{FaultKind, ImapFault, TlsFault};
use parallax_model::finding::{FindingKind, Location, Segment};
use parallax_model::observation::AttemptOutcome;

use super::{flows, not_tls};
use crate::candidate::Candidate;
use crate::command;
use crate::extent::Extent;
use crate::fact;
use crate::matrix::{CellId, Matrix};
use crate::overlay::{self, Answerer};
use crate::product::Look;
use crate::symptom::Reach;
use crate::varied::{self, Varied};
use crate::words;

/// Claim: the server itself turns away these sources, again when asked again, and serves others at the same
/// address.
/// Disproved by: the repeated attempt getting through, others being turned away as well, or somebody who answers from nearer
/// than the server.
pub(crate) fn source(matrix: &Matrix) -> Vec<Candidate> {
    let cells: Vec<CellId> = matrix
        .cells()
        .filter(|&id| turned_away(matrix, id) && turned_away_again(matrix, id))
        .filter(|&id| matrix.beside(id).any(|other| matrix.served(other)))
        .filter(|&id| !matches!(overlay::answerer(matrix, id), Answerer::Nearer(_)))
        .collect();
    let troubles = matrix.troubles_of_all(&cells);
    if troubles.is_empty() {
        return Vec::new();
    }
    let extent = Extent::of(matrix, &troubles);
    let in_words = cells.iter().all(|&id| {
        not_tls::says_bye(matrix, id)
            || matrix
                .kinds_of(id)
                .any(|kind| kind == FaultKind::Imap(ImapFault::Bye))
    });
    let names = matrix.names(&extent.affected);
    let stage = matrix.troubles[troubles[0]].stage;
    let spared = stage
        .map(|stage| super::session::spared(matrix, &extent, stage))
        .unwrap_or_default();
    let Some(address) = cells.first().map(|&id| matrix.cell(id).attempt.address) else {
        return Vec::new();
    };
    let host = address.to_string();
    let found = Candidate::new(
        matrix,
        FindingKind::SourceBanned,
        if in_words { 0.65 } else { 0.55 },
        troubles.iter().copied(),
    )
    .segment(Segment::Service)
    .summary(format!(
        "{} turns {} away and serves others",
        matrix.host(),
        words::list(&names)
    ))
    .because(fact::first(troubles.iter().map(|&id| fact::trouble(matrix, id))))
    .because(spared)
    .told_apart_by("the same attempt from there once more, and the ban list on the mail host")
    .or(
        FindingKind::ConnectionLimit,
        0.15,
        "how many connections this source holds: the server's log",
    )
    .next([
        command::on(
            &host,
            &command::bans(cells.first().and_then(|&id| fact::local(matrix.cell(id)))),
        ),
        Look::new("journalctl -u dovecot -n 100").on(matrix, address),
        format!(
            "in ten minutes, when most bans are over: {}",
            command::probe_from_all(matrix)
        ),
    ]);
    vec![found]
}

/// Claim: from another address at the same place the same attempt works, so that the address is refused, not the way.
/// Disproved by: the first address getting through when it tries again, or anything that shows that the flow decides: another
/// address is another flow as well.
pub(crate) fn other_source_passes(matrix: &Matrix) -> Vec<Candidate> {
    let cells: Vec<CellId> = matrix
        .cells()
        .filter(|&id| varied::with(matrix, id, ExperimentKind::OtherSource) == Varied::Cured)
        .filter(|&id| !varied::heals_by_itself(matrix, id) && !flows::decides(matrix, id))
        .collect();
    let troubles = matrix.troubles_of_all(&cells);
    let Some(&first) = cells.first().filter(|_| !troubles.is_empty()) else {
        return Vec::new();
    };
    let extent = Extent::of(matrix, &troubles);
    let names = matrix.names(&extent.affected);
    let host = matrix.cell(first).attempt.address;
    let place = overlay::silence(matrix, first);
    let location = match matrix.cell(first).reach {
        Reach::Connected => Location::segment(Segment::Service),
        _ => place.map_or_else(|| Location::segment(Segment::Unknown), |place| place.location()),
    };
    let found = Candidate::new(matrix, FindingKind::SourceBanned, 0.9, troubles.iter().copied())
        .at(location)
        .summary(format!(
            "{} refuses the address of {}: from another address there it works",
            matrix.host(),
            words::list(&names)
        ))
        .because(fact::first(troubles.iter().map(|&id| fact::trouble(matrix, id))))
        .because(
            varied::attempts(matrix, first, ExperimentKind::OtherSource).map(|cell| {
                format!(
                    "{} (from another address)",
                    fact::connection(matrix.name(first.vantage), cell)
                )
            }),
        )
        .told_apart_by("another source address at the same place, or the ban list on the mail host")
        .or(
            FindingKind::OneBackendBroken,
            0.06,
            "a balancer that gives this source a backend of its own: the backends one by one",
        )
        .next([
            command::on(&host.to_string(), &command::bans(fact::local(matrix.cell(first)))),
            Look::new("journalctl -u dovecot -n 100").on(matrix, host),
        ]);
    vec![found]
}

fn turned_away(matrix: &Matrix, id: CellId) -> bool {
    let said = matrix.kinds_of(id).any(|kind| {
        matches!(
            kind,
            FaultKind::Imap(ImapFault::Bye | ImapFault::ConnectionClosed)
                | FaultKind::Tls(TlsFault::ConnectionClosed)
        )
    });
    (said || not_tls::says_bye(matrix, id)) && !matrix.served(id)
}

fn turned_away_again(matrix: &Matrix, id: CellId) -> bool {
    if varied::with(matrix, id, ExperimentKind::Later) == Varied::Cured {
        return false;
    }
    let failed = matrix.cell(id).attempt.failed_stage().map(|stage| stage.name);
    matrix.repeat_of(id).is_some_and(|again| {
        again.attempt.outcome() == AttemptOutcome::Failed
            && again.attempt.failed_stage().map(|stage| stage.name) == failed
    })
}
