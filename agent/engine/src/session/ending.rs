//! What a stage came to, by its exchange and by what the session saw beside it.

use std::time::Duration;

use parallax_model::evidence::Evidence;
use parallax_model::fault::{Fault, FaultKind, ImapFault};
use parallax_model::stage::{Outcome, StageName};

use super::{Session, State, SyncPart};
use crate::action::Action;
use crate::exchange::seconds;

impl Session {
    pub(super) fn end_stage(&mut self, outcome: Outcome) {
        let evidence = match &mut self.exchange {
            Some(exchange) => exchange.evidence(&self.wire),
            None => None,
        };
        self.end_stage_with(outcome, evidence);
    }

    pub(super) fn end_stage_with(&mut self, outcome: Outcome, evidence: Option<Evidence>) {
        self.exchange = None;
        self.state = State::Between;
        let name = self.timeline.running();
        let outcome = self.seen_again(outcome);
        if let Some(reason) = self.end_of_watch(name, &outcome) {
            self.say_farewell(&reason);
        }
        if let Some(stage) = self.timeline.end(outcome, evidence, self.now) {
            self.ready.push_back(Action::Report(stage));
        }
    }

    /// Why nothing more is to be expected of this session by the other one, if that is so.
    fn end_of_watch(&self, name: Option<StageName>, outcome: &Outcome) -> Option<String> {
        let watches = matches!(self.config.sync, Some(SyncPart::Watcher { .. }));
        let needed = matches!(
            name,
            Some(StageName::Authenticate | StageName::Select | StageName::Idle)
        );
        match outcome {
            Outcome::Failed(fault) => Some(fault.message.clone()),
            Outcome::Skipped(reason) if watches && needed => Some(reason.clone()),
            Outcome::Ok | Outcome::Degraded(_) | Outcome::Skipped(_) | Outcome::NotReached => None,
        }
    }

    /// What the session knows of a stage beyond its exchange.
    fn seen_again(&mut self, outcome: Outcome) -> Outcome {
        let name = self.timeline.running();
        match outcome {
            // Servers close on whoever failed; that is no second fault.
            Outcome::Failed(_) if name == Some(StageName::Logout) && self.timeline.failed() => {
                Outcome::NotReached
            }
            Outcome::Ok => match self.worth_a_look(name) {
                Some((kind, what)) => Outcome::Degraded(Fault::new(FaultKind::Imap(kind), what)),
                None => Outcome::Ok,
            },
            outcome => outcome,
        }
    }

    /// What an operator must see of a stage that worked.
    fn worth_a_look(&mut self, name: Option<StageName>) -> Option<(ImapFault, String)> {
        let peer = self.wire.peer;
        let garbled = self.wire.garbled.take();
        if std::mem::take(&mut self.wire.proxied) {
            let what = format!(
                "{peer} took a PROXY header for a command: the balancer sends one, the server expects none"
            );
            return Some((ImapFault::ProxyProtocol, what));
        }
        if let Some(keyword) = self.wire.smuggled.take() {
            let what = format!(
                "{peer} sends mailbox data before a login ({keyword}): somebody on the way may have put it there"
            );
            return Some((ImapFault::ProtocolError, what));
        }
        if let Some(line) = garbled {
            let what = format!("{peer} sends lines that are no IMAP: \"{line}\"");
            return Some((ImapFault::ProtocolError, what));
        }
        let took = self.slow(name)?;
        Some((ImapFault::Slow, format!("{peer} took {}", seconds(took))))
    }

    fn slow(&self, name: Option<StageName>) -> Option<Duration> {
        let took = self.timeline.elapsed(self.now);
        let judged = matches!(name, Some(StageName::Greeting | StageName::Authenticate));
        (judged && took >= self.config.budgets.patience).then_some(took)
    }
}
