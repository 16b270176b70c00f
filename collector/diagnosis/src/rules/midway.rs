//! Open connections of which an ICMP message says that they go no further.

use std::collections::BTreeMap;

use parallax_model::fault::{FaultKind, ImapFault, TcpFault, TlsFault};
use parallax_model::finding::{FindingKind, Segment};
use parallax_model::stage::StageName;

use crate::candidate::Candidate;
use crate::command;
use crate::extent::Extent;
use crate::fact;
use crate::matrix::{CellId, Matrix};
use crate::symptom::Reach;
use crate::trouble::{Trouble, TroubleId};
use crate::words;

/// Claim: a router or a firewall refuses the packets of a connection that is open: TCP was told so by ICMP while it waited in
/// vain. Before the dialogue has begun it is a refusal; later the flow is cut. Who said it is not known.
/// Disproved by: a session that goes on without such a message.
pub(crate) fn refused(matrix: &Matrix) -> Vec<Candidate> {
    let mut groups: BTreeMap<(FindingKind, String), Vec<TroubleId>> = BTreeMap::new();
    for (id, trouble) in matrix.troubles.iter().enumerate() {
        if let Some((kind, errno)) = told(matrix, trouble) {
            groups.entry((kind, errno.to_owned())).or_default().push(id);
        }
    }
    groups
        .iter()
        .filter_map(|((kind, errno), troubles)| candidate(matrix, *kind, errno, troubles))
        .collect()
}

fn told<'a>(matrix: &Matrix<'a>, trouble: &Trouble<'a>) -> Option<(FindingKind, &'a str)> {
    let connected = trouble
        .cell
        .is_some_and(|cell| matrix.cell(cell).reach == Reach::Connected);
    if !connected || !stands_still(trouble.failure()?.kind) {
        return None;
    }
    let stage = fact::stage(matrix, trouble)?;
    let errno = stage.tcp.as_ref()?.soft_error.as_deref()?;
    let kind = if stage.name <= StageName::Greeting {
        FindingKind::RejectedWithIcmp
    } else {
        FindingKind::FlowCut
    };
    Some((kind, errno))
}

const fn stands_still(kind: FaultKind) -> bool {
    matches!(
        kind,
        FaultKind::Tcp(TcpFault::TimedOut)
            | FaultKind::Tls(TlsFault::TimedOut)
            | FaultKind::Imap(ImapFault::Timeout)
    )
}

fn candidate(matrix: &Matrix, kind: FindingKind, errno: &str, troubles: &[TroubleId]) -> Option<Candidate> {
    let extent = Extent::of(matrix, troubles);
    let cells: Vec<CellId> = troubles
        .iter()
        .filter_map(|&id| matrix.troubles[id].cell)
        .collect();
    let &first = cells.first()?;
    let stage = matrix.troubles[*troubles.first()?].stage?;
    let attempt = matrix.cell(first).attempt;
    let name = matrix.name(first.vantage);
    let other = match kind {
        FindingKind::FlowCut => FindingKind::RejectedWithIcmp,
        _ => FindingKind::ContentFiltered,
    };
    let found = Candidate::new(matrix, kind, 0.74, troubles.iter().copied())
        .segment(Segment::Unknown)
        .summary(format!(
            "{}: while it was waited for, somebody on the way said by ICMP that it goes no further ({})",
            super::session::who_fails(matrix, &extent, stage, troubles),
            words::quote(errno)
        ))
        .because(fact::first(troubles.iter().map(|&id| fact::trouble(matrix, id))))
        .because([format!(
            "{name}: the open connection to {} was told {} by ICMP",
            matrix.cell(first).socket(),
            words::quote(errno)
        )])
        .because(super::session::spared(matrix, &extent, stage))
        .told_apart_by("a packet capture at the vantage point: who sends the ICMP message")
        .or(
            other,
            0.15,
            "whether it always ends after the same number of bytes, or at the same words",
        )
        .next([
            command::on(name, &command::capture(attempt.address, attempt.endpoint.port)),
            command::on(name, &command::trace(attempt.address, attempt.endpoint.port)),
        ]);
    Some(found)
}
