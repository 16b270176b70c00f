//! Which stage comes next, and how it begins.

use std::time::Duration;

use parallax_model::stage::{Outcome, StageName};

use super::wait::Awaited;
use super::{Session, State};
use crate::action::Action;
use crate::exchange::{self, LoginRequest, Lost, Part, out_of_time};

impl Session {
    /// Begins the next stage, or says why it does not begin.
    pub(super) fn advance(&mut self) {
        let Some(name) = self.ahead.pop_front() else {
            self.say_farewell("the session is over");
            if self.connected {
                self.ready.push_back(Action::Close);
            }
            self.state = State::Over;
            return;
        };
        self.timeline.begin(name, self.now);
        let failed = self.timeline.failed();
        if name == StageName::Logout {
            return self.leave(failed);
        }
        if failed || self.wire.ended() {
            return self.end_stage(Outcome::NotReached);
        }
        if self.now >= self.config.deadline {
            let what = format!("{name} with {}", self.wire.peer);
            return self.end_stage(Outcome::Failed(out_of_time(&what, Duration::ZERO)));
        }
        if let Some(reply) = self.wire.bye.clone() {
            return self.end_stage(Outcome::Failed(Lost::Bye(reply).fault(&self.wire)));
        }
        if name == StageName::Connect {
            let wait = self.wait(Awaited::Connection, self.config.budgets.connect);
            return self.ready.push_back(Action::Connect {
                dial: self.config.dial,
                until: wait.until,
            });
        }
        self.begin(name);
    }

    /// Leaves as a server likes it, wherever it still listens.
    fn leave(&mut self, failed: bool) {
        let over = self.now >= self.config.deadline;
        match self.wire.bye.clone() {
            Some(reply) if !failed && !self.wire.ended() => {
                self.end_stage(Outcome::Failed(Lost::Bye(reply).fault(&self.wire)));
            }
            _ if over || !self.wire.usable() => self.end_stage(Outcome::NotReached),
            _ => self.begin(StageName::Logout),
        }
    }

    fn begin(&mut self, name: StageName) {
        let mut exchange = exchange::of(name, self.login_request(name), self.part());
        let turn = exchange.begin(&mut self.wire);
        self.exchange = Some(exchange);
        self.follow(turn);
    }

    fn part(&self) -> Part {
        Part {
            sync: self.config.sync.clone(),
            hold: self.config.hold,
            began: self.config.wall,
            experiment: self.config.experiment,
            reference: self.config.reference.clone(),
            seed: self.config.seed,
        }
    }

    fn login_request(&mut self, name: StageName) -> LoginRequest {
        if name != StageName::Authenticate {
            return LoginRequest::default();
        }
        LoginRequest {
            credential: self.config.login.take(),
            mechanism: self.config.mechanism,
            nonce: self.config.nonce,
            host: self.config.reference.to_string(),
            for_the_mailbox: self.config.plan.has(StageName::Select),
        }
    }
}
