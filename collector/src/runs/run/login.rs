//! What is known of the account's secret, and who is told.

use jiff::SignedDuration;
use parallax_model::observation::Observation;
use parallax_model::vantage::AgentName;
use uuid::Uuid;

use super::super::Effect;
use super::super::inquiry::{Cast, LoginSettled};
use super::super::login_gate::{LoginAnswer, LoginNews};
use super::Run;

/// How long after a rejection a typed secret is taken for the rejected one, where nobody can tell.
const MAY_BE_THE_SAME: SignedDuration = SignedDuration::from_mins(15);

impl Run {
    /// A secret of the account was turned down before, and it may be this one.
    pub(super) fn consider_the_past(&mut self, cast: &Cast) {
        let past = &self.inquiry.past;
        if let Some(fault) = &past.withheld {
            self.gate.withhold(LoginAnswer::Known(fault.clone()));
            return;
        }
        let Some(seen) = past.seen_rejected.as_ref().filter(|_| !past.retry) else {
            return;
        };
        let asked = cast.participants.iter().any(|one| one.choice.agent == seen.agent);
        if !asked && self.inquiry.started_at.duration_since(seen.at) < MAY_BE_THE_SAME {
            let (agent, at) = (&seen.agent, seen.at);
            let reason = format!(
                "a secret of this user was rejected for {agent} on {at:.0}, and {agent}, which could tell whether this is the \
                 same, is not asked: ask it too, or use --retry-login"
            );
            self.gate.withhold(LoginAnswer::Withheld(reason));
        }
    }

    /// A login that was not reported as it ended is read from the whole.
    pub(super) fn settle_login(
        &mut self,
        agent: &AgentName,
        order: Uuid,
        observation: &Observation,
    ) -> Vec<Effect> {
        let stages = observation.attempts.iter().flat_map(|attempt| &attempt.stages);
        let answers: Vec<_> = stages
            .flat_map(|stage| self.gate.stage(order, agent.as_str(), stage))
            .collect();
        let mut effects = self.answer(answers);
        effects.extend(self.login_settled(agent));
        effects
    }

    /// What the server said of the secret, where that is news for later runs.
    pub(super) fn login_settled(&mut self, agent: &AgentName) -> Option<Effect> {
        let past = &self.inquiry.past;
        let rejected = match self.gate.news()? {
            LoginNews::Accepted if past.was_accepted => return None,
            LoginNews::Accepted if !past.had_circuit && !past.is_named() => return None,
            LoginNews::Accepted => None,
            // It is no news, and must not stand against what came after it: a request to try it, or a server that took it.
            LoginNews::Known(_) if past.is_named() && (past.had_circuit || past.was_accepted) => return None,
            LoginNews::Rejected(how) | LoginNews::Known(how) => Some(how),
        };
        Some(Effect::Settled(Box::new(LoginSettled {
            run: self.inquiry.run_id,
            agent: agent.clone(),
            account: self.inquiry.past.account.clone()?,
            rejected,
        })))
    }

    pub(super) fn answer(&self, answers: Vec<(Uuid, LoginAnswer)>) -> Vec<Effect> {
        answers
            .into_iter()
            .filter_map(|(order, answer)| {
                let agent = self.open.holder(order)?.clone();
                Some(Effect::Answer { agent, order, answer })
            })
            .collect()
    }
}
