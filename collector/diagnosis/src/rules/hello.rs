//! How a handshake broke off before the server said anything to the hello.

use parallax_model::fault::{FaultKind, TcpFault, TlsFault};
use parallax_model::stage::{Stage, StageName};

use crate::matrix::{CellId, Matrix};
use crate::symptom::Reach;

/// How the connection went that carried the hello.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Reset,
    Closed,
    Silent,
}

/// A handshake that ended with nothing said to the hello.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lost<'a> {
    pub(super) end: End,
    pub(super) stage: &'a Stage,
}

impl<'a> Lost<'a> {
    /// Of an attempt that was connected.
    pub(super) fn of(matrix: &Matrix<'a>, id: CellId) -> Option<Self> {
        let cell = matrix.cell(id);
        let stage = cell.attempt.failed_stage()?;
        let in_time = matches!(stage.name, StageName::Tls | StageName::Starttls);
        let said_something = stage
            .evidence
            .as_ref()
            .and_then(|evidence| evidence.tls())
            .is_some_and(|facts| facts.bytes_received > 0 || !facts.chain.is_empty());
        if cell.reach != Reach::Connected || !in_time || said_something {
            return None;
        }
        let end = end(stage.outcome.fault()?.kind)?;
        Some(Self { end, stage })
    }

    /// Whether the port begins with TLS, and the other side's kernel is known not to have taken the hello.
    pub(super) fn untaken(&self) -> bool {
        self.stage.name == StageName::Tls && self.stage.tcp.as_ref().is_some_and(|tcp| tcp.bytes_acked <= 1)
    }
}

pub(super) const fn end(kind: FaultKind) -> Option<End> {
    match kind {
        FaultKind::Tls(TlsFault::ConnectionReset) | FaultKind::Tcp(TcpFault::ConnectionReset) => {
            Some(End::Reset)
        }
        FaultKind::Tls(TlsFault::ConnectionClosed) | FaultKind::Tcp(TcpFault::ConnectionClosed) => {
            Some(End::Closed)
        }
        FaultKind::Tls(TlsFault::TimedOut) | FaultKind::Tcp(TcpFault::TimedOut) => Some(End::Silent),
        _ => None,
    }
}
