//! A run that begins with what was seen: the rounds of checks are diagnosed like any other question.

use std::time::Instant;

use parallax_model::observation::{Observation, Reason};

use super::super::Effect;
use super::super::inquiry::{Cast, Inquiry};
use super::Run;
use super::vantage::Vantage;

impl Run {
    /// Takes over what the vantage points saw by themselves. Those of the cast's participants can be asked for more.
    pub(in crate::runs) fn adopted(
        inquiry: Inquiry,
        cast: &Cast,
        seen: Vec<Observation>,
        now: Instant,
    ) -> (Self, Vec<Effect>) {
        let mut run = Self::new(inquiry, cast, now);
        for choice in &cast.absent {
            run.vantages.insert(choice.agent.clone(), Vantage::absent(choice));
        }
        for observation in seen {
            let Some(vantage) = run.vantages.get_mut(&observation.agent) else {
                continue;
            };
            if observation.answered() {
                vantage.saw(observation);
            } else {
                let reason = observation.reason.unwrap_or(Reason::Offline);
                let note = observation.note.unwrap_or_default();
                vantage.saw_nothing(observation.outcome, reason, &note);
            }
        }
        let effects = run.go_on(now);
        (run, effects)
    }
}
