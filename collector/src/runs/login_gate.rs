//! One wrong password is tried once by one agent: who of a run may log in, and who waits for what becomes of it.

use std::collections::{BTreeSet, VecDeque};

use parallax_model::fault::{Fault, FaultKind};
use parallax_model::stage::{Outcome, Stage, StageName};
use uuid::Uuid;

/// Whether an order may try the secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LoginAnswer {
    /// Go ahead.
    Granted,
    /// Leave it, and why.
    Withheld(String),
    /// Leave it: it has failed like this before, and would again.
    Known(Fault),
}

/// The gate of one run. The first to ask goes ahead; what the server says to it decides for the others.
#[derive(Debug, Default)]
pub(crate) struct LoginGate {
    state: State,
    waiting: VecDeque<Uuid>,
    trying: BTreeSet<Uuid>,
    /// The order of the agent that can tell whether the secret is one that was turned down before; it goes first.
    awaited: Option<Uuid>,
    news: Option<LoginNews>,
}

/// What the server said of the secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum LoginNews {
    /// It took it.
    Accepted,
    /// It turned it down, in this way.
    Rejected(String),
    /// It had turned it down in this way before, as the agent knows, and was not asked again.
    Known(String),
}

#[derive(Debug, Default)]
enum State {
    /// Nobody knows yet whether the secret is good.
    #[default]
    Unknown,
    /// The server took it.
    Accepted,
    /// Nobody tries it: what is answered to those who ask.
    Over(LoginAnswer),
}

impl LoginGate {
    /// Nobody may try; this is the answer to all.
    pub(crate) fn withhold(&mut self, answer: LoginAnswer) {
        self.state = State::Over(answer);
    }

    /// Nobody may try before this order has, or can't.
    pub(crate) const fn wait_for(&mut self, order: Uuid) {
        self.awaited = Some(order);
    }

    /// What the server said since this was last asked.
    pub(super) const fn news(&mut self) -> Option<LoginNews> {
        self.news.take()
    }

    /// An order stands before its login.
    pub(crate) fn asked(&mut self, order: Uuid) -> Vec<(Uuid, LoginAnswer)> {
        match &self.state {
            State::Accepted => vec![(order, LoginAnswer::Granted)],
            State::Over(answer) => vec![(order, answer.clone())],
            State::Unknown if self.trying.contains(&order) => vec![(order, LoginAnswer::Granted)],
            State::Unknown => {
                if !self.waiting.contains(&order) {
                    self.waiting.push_back(order);
                }
                self.grant_next()
            }
        }
    }

    /// A stage of an order has ended; `agent` is named to those who are held back because of it.
    pub(crate) fn stage(&mut self, order: Uuid, agent: &str, stage: &Stage) -> Vec<(Uuid, LoginAnswer)> {
        let failed = matches!(stage.outcome, Outcome::Failed(_));
        if self.awaited == Some(order) && failed && stage.name < StageName::Authenticate {
            // It may not come as far as the login.
            self.awaited = None;
            return self.grant_next();
        }
        if stage.name != StageName::Authenticate || !self.trying.contains(&order) {
            return Vec::new();
        }
        match &stage.outcome {
            Outcome::Ok | Outcome::Degraded(_) => {
                self.news = Some(LoginNews::Accepted);
                self.settle(State::Accepted)
            }
            Outcome::Failed(fault) if fault.kind.is_about_the_secret() => {
                let how = fault.kind.as_str().to_owned();
                self.news = Some(if stage.login_was_answered() {
                    LoginNews::Rejected(how)
                } else {
                    LoginNews::Known(how)
                });
                let reason = format!("the same secret was rejected for {agent} a moment ago");
                self.settle(State::Over(LoginAnswer::Withheld(reason)))
            }
            // The server answered without judging the secret, and would answer this agent so again.
            Outcome::Failed(fault) if matches!(fault.kind, FaultKind::Auth(_)) => self.ended(order),
            // Nothing was learned, and this agent may still try the secret at another address: the turn passes on
            // when its order ends, so that never two agents try what may be wrong.
            Outcome::Failed(_) | Outcome::Skipped(_) | Outcome::NotReached => Vec::new(),
        }
    }

    /// An order has ended, whatever way: it holds nobody up any more.
    pub(crate) fn ended(&mut self, order: Uuid) -> Vec<(Uuid, LoginAnswer)> {
        self.waiting.retain(|&waiting| waiting != order);
        self.trying.remove(&order);
        if self.awaited == Some(order) {
            self.awaited = None;
        }
        self.grant_next()
    }

    fn grant_next(&mut self) -> Vec<(Uuid, LoginAnswer)> {
        if !self.trying.is_empty() {
            return Vec::new();
        }
        let next = match self.awaited {
            Some(first) => {
                let before = self.waiting.len();
                self.waiting.retain(|&waiting| waiting != first);
                (self.waiting.len() < before).then_some(first)
            }
            None => self.waiting.pop_front(),
        };
        let Some(next) = next else {
            return Vec::new();
        };
        self.trying.insert(next);
        vec![(next, LoginAnswer::Granted)]
    }

    fn settle(&mut self, state: State) -> Vec<(Uuid, LoginAnswer)> {
        // An account that let somebody in is not closed again by a later no; a second yes changes nothing.
        if matches!(self.state, State::Accepted) {
            return Vec::new();
        }
        self.state = state;
        let answer = match &self.state {
            State::Over(answer) => answer.clone(),
            State::Unknown | State::Accepted => LoginAnswer::Granted,
        };
        self.waiting
            .drain(..)
            .map(|order| (order, answer.clone()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use parallax_model::fault::{AuthFault, ImapFault};

    use super::*;

    const A: Uuid = Uuid::from_u128(1);
    const B: Uuid = Uuid::from_u128(2);
    const C: Uuid = Uuid::from_u128(3);

    fn authenticate(outcome: Outcome) -> Stage {
        Stage::new(StageName::Authenticate, outcome, Duration::ZERO, Duration::ZERO)
    }

    fn failed(kind: FaultKind) -> Stage {
        authenticate(Outcome::Failed(Fault::new(kind, "no")))
    }

    fn withheld(answers: &[(Uuid, LoginAnswer)]) -> Vec<Uuid> {
        answers
            .iter()
            .filter(|(_, answer)| matches!(answer, LoginAnswer::Withheld(_)))
            .map(|&(order, _)| order)
            .collect()
    }

    fn one_goes_two_wait() -> LoginGate {
        let mut gate = LoginGate::default();
        assert_eq!(gate.asked(A), [(A, LoginAnswer::Granted)]);
        assert!(gate.asked(B).is_empty());
        assert!(gate.asked(C).is_empty());
        gate
    }

    #[test]
    fn a_rejected_secret_is_tried_once() {
        let mut gate = one_goes_two_wait();
        let answers = gate.stage(
            A,
            "fra-1",
            &failed(FaultKind::Auth(AuthFault::CredentialsRejected)),
        );
        assert_eq!(withheld(&answers), [B, C]);
        assert_eq!(
            withheld(&gate.asked(Uuid::from_u128(4))),
            [Uuid::from_u128(4)],
            "also for late askers"
        );
    }

    #[test]
    fn an_accepted_secret_opens_the_gate_for_all() {
        let mut gate = one_goes_two_wait();
        assert_eq!(
            gate.stage(A, "fra-1", &authenticate(Outcome::Ok)),
            [(B, LoginAnswer::Granted), (C, LoginAnswer::Granted)]
        );
        assert_eq!(
            gate.asked(Uuid::from_u128(4)),
            [(Uuid::from_u128(4), LoginAnswer::Granted)]
        );
    }

    #[test]
    fn trouble_with_the_connection_passes_the_turn_on_when_the_order_ends() {
        let mut gate = one_goes_two_wait();
        let answers = gate.stage(A, "fra-1", &failed(FaultKind::Imap(ImapFault::ConnectionClosed)));
        assert!(answers.is_empty(), "A may have another address to try");
        assert_eq!(gate.ended(A), [(B, LoginAnswer::Granted)]);
        assert_eq!(gate.ended(B), [(C, LoginAnswer::Granted)]);
    }

    #[test]
    fn a_server_that_can_not_judge_the_secret_passes_the_turn_on() {
        let mut gate = one_goes_two_wait();
        let answers = gate.stage(
            A,
            "fra-1",
            &failed(FaultKind::Auth(AuthFault::BackendUnavailable)),
        );
        assert_eq!(answers, [(B, LoginAnswer::Granted)]);
        assert!(gate.ended(A).is_empty(), "B is trying");
    }

    #[test]
    fn a_lost_holder_passes_the_turn_on_and_a_lost_waiter_is_forgotten() {
        let mut gate = one_goes_two_wait();
        assert!(gate.ended(B).is_empty());
        assert_eq!(gate.ended(A), [(C, LoginAnswer::Granted)]);
        assert!(gate.ended(C).is_empty());
    }

    #[test]
    fn the_agent_that_can_tell_goes_first_and_what_it_knows_is_for_all() {
        let mut gate = LoginGate::default();
        gate.wait_for(B);
        assert!(gate.asked(A).is_empty());
        assert_eq!(gate.asked(B), [(B, LoginAnswer::Granted)]);
        let known = failed(FaultKind::Auth(AuthFault::CredentialsRejected));
        assert_eq!(withheld(&gate.stage(B, "fra-1", &known)), [A]);
        assert_eq!(
            gate.news(),
            Some(LoginNews::Known("credentials_rejected".to_owned()))
        );
        assert_eq!(gate.news(), None);
    }

    #[test]
    fn what_is_known_of_the_secret_is_the_answer_to_all() {
        let mut gate = LoginGate::default();
        let fault = Fault::new(FaultKind::Auth(AuthFault::CredentialsRejected), "before");
        gate.withhold(LoginAnswer::Known(fault.clone()));
        for order in [A, B] {
            assert_eq!(gate.asked(order), [(order, LoginAnswer::Known(fault.clone()))]);
            assert!(gate.stage(order, "fra-1", &failed(fault.kind)).is_empty());
        }
        assert_eq!(gate.news(), None, "nobody heard it from the server");
    }

    #[test]
    fn an_agent_that_does_not_come_to_its_login_is_not_waited_for() {
        let mut gate = LoginGate::default();
        gate.wait_for(B);
        assert!(gate.asked(A).is_empty());
        let fault = Fault::new(FaultKind::Imap(ImapFault::Timeout), "nothing");
        let greeting = Stage::new(
            StageName::Greeting,
            Outcome::Failed(fault),
            Duration::ZERO,
            Duration::ZERO,
        );
        assert_eq!(gate.stage(B, "fra-1", &greeting), [(A, LoginAnswer::Granted)]);
        let mut gone = LoginGate::default();
        gone.wait_for(B);
        assert!(gone.asked(A).is_empty());
        assert_eq!(gone.ended(B), [(A, LoginAnswer::Granted)]);
    }

    #[test]
    fn only_the_one_that_tries_decides() {
        let mut gate = one_goes_two_wait();
        assert!(
            gate.stage(B, "ams-1", &authenticate(Outcome::Ok)).is_empty(),
            "B was never let through"
        );
    }
}
