//! What did not come, or came too late, and what that makes of the stage.

use std::net::SocketAddr;

use parallax_model::evidence::{ConnectEvidence, Evidence};
use parallax_model::fault::{Fault, FaultKind, TcpFault};
use parallax_model::stage::Outcome;

use super::Session;
use super::wait::{Awaited, Wait};
use crate::exchange::{Lost, out_of_time, seconds};

impl Session {
    pub(super) fn not_connected(&mut self, fault: Fault, evidence: ConnectEvidence, wait: Wait) {
        let timed_out = fault.kind == FaultKind::Tcp(TcpFault::TimedOut);
        let fault = match wait.in_vain(self.now, &self.config.budgets) {
            Lost::OutOfTime(waited) if timed_out => {
                out_of_time(&format!("connect to {}", self.wire.peer), waited)
            }
            _ => fault,
        };
        self.end_stage_with(Outcome::Failed(fault), Some(Evidence::Connect(evidence)));
    }

    pub(super) fn late(&mut self, wait: Wait) {
        if wait.what == Awaited::Rest
            && let Some(exchange) = &mut self.exchange
        {
            let turn = exchange.rested(&mut self.wire);
            return self.follow(turn);
        }
        let lost = wait.in_vain(self.now, &self.config.budgets);
        let further = match &mut self.exchange {
            Some(exchange) if wait.what == Awaited::Bytes => exchange.silent(&lost, &mut self.wire),
            Some(_) | None => None,
        };
        match further {
            Some(turn) => self.follow(turn),
            None => self.lost(lost, wait),
        }
    }

    /// The connection is of no further use.
    pub(super) fn lost(&mut self, lost: Lost, wait: Wait) {
        match wait.what {
            Awaited::Connection => self.never_connected(&lost),
            Awaited::Login if matches!(lost, Lost::Late(_) | Lost::OutOfTime(_)) => {
                self.end_stage(Outcome::Skipped("no leave to log in came in time".to_owned()));
            }
            Awaited::Login | Awaited::Handshake | Awaited::Sent | Awaited::Bytes | Awaited::Rest => {
                self.break_off(lost);
            }
        }
    }

    fn never_connected(&mut self, lost: &Lost) {
        let what = format!("connect to {}", self.wire.peer);
        let fault = match lost {
            Lost::Broken(fault) => fault.clone(),
            Lost::OutOfTime(waited) => out_of_time(&what, *waited),
            Lost::Late(waited) => Fault::new(
                FaultKind::Tcp(TcpFault::TimedOut),
                format!("{what}: no answer in {}", seconds(*waited)),
            ),
            Lost::Closed | Lost::TooMuch(_) | Lost::Drip(_) | Lost::Bye(_) => {
                Fault::new(FaultKind::Tcp(TcpFault::ConnectionClosed), what)
            }
        };
        let evidence = tried(self.wire.peer);
        self.end_stage_with(Outcome::Failed(fault), Some(Evidence::Connect(evidence)));
    }

    pub(super) fn break_off(&mut self, lost: Lost) {
        let outcome = match &mut self.exchange {
            Some(exchange) => exchange.lost(lost, &self.wire),
            None => Outcome::Failed(lost.fault(&self.wire)),
        };
        self.wire.note("the dialogue breaks off");
        self.wire.end();
        self.end_stage(outcome);
    }
}

/// A connection of which nothing is known but where it was to go.
pub(super) const fn tried(peer: SocketAddr) -> ConnectEvidence {
    ConnectEvidence {
        peer,
        local: None,
        errno: None,
        icmp: None,
        interface: None,
        syn_retransmits: None,
        mss: None,
        on_link: None,
    }
}
