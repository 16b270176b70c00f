//! TLS from the first byte (RFC 8314 section 3.2).

use parallax_model::evidence::{Evidence, TlsEvidence};
use parallax_model::fault::{Fault, FaultKind, TcpFault, TlsFault};
use parallax_model::stage::Outcome;

use super::lost::{out_of_time, seconds};
use super::{Exchange, Lost, Turn};
use crate::handshake::Judgement;
use crate::wire::{Channel, Heard, Wire};

/// The handshake.
#[derive(Debug, Default)]
pub(super) struct Tls {
    facts: Option<TlsEvidence>,
}

impl Exchange for Tls {
    fn begin(&mut self, _wire: &mut Wire) -> Turn {
        Turn::Handshake
    }

    fn hear(&mut self, _heard: Heard<'_>, _wire: &mut Wire) -> Turn {
        Turn::Listen
    }

    fn secured(&mut self, judgement: Judgement, wire: &mut Wire) -> Turn {
        let (outcome, facts) = enter(judgement, wire);
        self.facts = Some(facts);
        Turn::End(outcome)
    }

    fn lost(&mut self, lost: Lost, wire: &Wire) -> Outcome {
        Outcome::Failed(broken_off(&lost, wire))
    }

    fn evidence(&mut self, _wire: &Wire) -> Option<Evidence> {
        self.facts.take().map(|facts| Evidence::Tls(Box::new(facts)))
    }
}

/// The connection is TLS from now on. One with a stranger is of no further use.
pub(super) fn enter(judgement: Judgement, wire: &mut Wire) -> (Outcome, TlsEvidence) {
    wire.channel = judgement.verified.map_or(Channel::Unverified, Channel::Verified);
    let what = match &judgement.evidence.version {
        Some(version) => format!("handshake: {version}"),
        None => "handshake".to_owned(),
    };
    wire.note(&what);
    if matches!(judgement.outcome, Outcome::Failed(_)) {
        wire.end();
    }
    (judgement.outcome, judgement.evidence)
}

/// What broke a handshake off, in the words of TLS.
pub(super) fn broken_off(lost: &Lost, wire: &Wire) -> Fault {
    let what = format!("handshake with {}", wire.peer);
    let (kind, why) = match lost {
        Lost::OutOfTime(waited) => return out_of_time(&what, *waited),
        Lost::Late(waited) => (TlsFault::TimedOut, format!("not done in {}", seconds(*waited))),
        Lost::Closed => (TlsFault::ConnectionClosed, "the connection was closed".to_owned()),
        Lost::Broken(fault) => {
            let kind = match fault.kind {
                FaultKind::Tls(kind) => kind,
                FaultKind::Tcp(TcpFault::ConnectionReset) => TlsFault::ConnectionReset,
                FaultKind::Tcp(TcpFault::ConnectionClosed) => TlsFault::ConnectionClosed,
                FaultKind::Tcp(TcpFault::TimedOut) => TlsFault::TimedOut,
                _ => TlsFault::Other,
            };
            (kind, fault.message.clone())
        }
        Lost::TooMuch(_) | Lost::Drip(_) | Lost::Bye(_) => return lost.fault(wire),
    };
    Fault::new(FaultKind::Tls(kind), format!("{what}: {why}"))
}
