//! PROXY protocol that one side speaks and the other does not.

use parallax_model::fault::{FaultKind, ImapFault};
use parallax_model::finding::{FindingKind, Segment};

use crate::candidate::Candidate;
use crate::command;
use crate::extent::Extent;
use crate::fact;
use crate::matrix::Matrix;
use crate::product::Look;

const HEADER: Look = Look::new("doveconf -n | grep -nE 'haproxy|service imap-login'")
    .cyrus("grep -nE 'imap.* -H' /etc/cyrus.conf")
    .courier("grep -rn HAPROXY /etc/courier");

/// Claim: the balancer sends a PROXY header to a server that does not read one, or the server waits for a header
/// that nobody sends: what stands before the server and the server disagree.
/// Disproved by: a greeting without a trace of the header, or the same with the balancer left out.
pub(crate) fn mismatch(matrix: &Matrix) -> Vec<Candidate> {
    let troubles =
        matrix.troubles_where(|trouble| trouble.kind() == Some(FaultKind::Imap(ImapFault::ProxyProtocol)));
    let Some(cell) = troubles.iter().find_map(|&id| matrix.troubles[id].cell) else {
        return Vec::new();
    };
    let extent = Extent::of(matrix, &troubles);
    let address = matrix.cell(cell).attempt.address;
    let found = Candidate::new(
        matrix,
        FindingKind::ProxyProtocolMismatch,
        extent.stated(),
        troubles.iter().copied(),
    )
    .segment(Segment::Service)
    .summary(format!(
        "{} and what stands before it do not agree on the PROXY protocol",
        matrix.host()
    ))
    .because(fact::first(troubles.iter().map(|&id| fact::trouble(matrix, id))))
    .told_apart_by("the server asked directly, without the balancer")
    .next([
        HEADER.on(matrix, address),
        command::on(
            "the balancer",
            "grep -rnE 'send-proxy|proxy_protocol' /etc/haproxy /etc/nginx",
        ),
    ]);
    vec![found]
}
