//! What agents' policies forbid of checks: as the last result of each says.

use std::collections::BTreeMap;

use jiff::Timestamp;
use parallax_model::check::CheckResult;
use parallax_model::observation::{Observation, Reason, VantageOutcome};
use parallax_model::refusal::PolicyMatter;
use parallax_model::vantage::AgentName;
use uuid::Uuid;

/// By check and agent.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    last: BTreeMap<(Uuid, AgentName), Last>,
}

/// What the last result says.
#[derive(Debug)]
struct Last {
    at: Timestamp,
    digest: u64,
    refusal: Option<String>,
}

impl Refusals {
    /// A result came. One that was on its way for longer than the last says nothing.
    pub(super) fn heard(&mut self, agent: &AgentName, result: &CheckResult) {
        let key = (result.check, agent.clone());
        if self
            .last
            .get(&key)
            .is_some_and(|last| last.at > result.started_at)
        {
            return;
        }
        let last = Last {
            at: result.started_at,
            digest: result.digest,
            refusal: refusal(&result.observation),
        };
        self.last.insert(key, last);
    }

    /// The rule by which an agent does not run this form of a check, in words.
    pub(super) fn of(&self, check: Uuid, agent: &AgentName, digest: Option<u64>) -> Option<&str> {
        let last = self.last.get(&(check, agent.clone()))?;
        let is_of_it = digest.is_none_or(|digest| digest == last.digest);
        last.refusal.as_deref().filter(|_| is_of_it)
    }

    /// Forgets what is of no check, or no agent, any more.
    pub(super) fn only(&mut self, is_there: impl Fn(Uuid, &AgentName) -> bool) {
        self.last.retain(|(check, agent), _| is_there(*check, agent));
    }

    /// The wall clock was set back to this time: whatever comes is newer.
    pub(super) fn set_back(&mut self, to: Timestamp) {
        for last in self.last.values_mut() {
            last.at = last.at.min(to);
        }
    }
}

/// What lasts: that there were too many probes at one time is no refusal of the check.
fn refusal(observation: &Observation) -> Option<String> {
    if observation.outcome != VantageOutcome::Refused || observation.reason != Some(Reason::Policy) {
        return None;
    }
    let note = observation.note.clone().unwrap_or_default();
    match &observation.refusal {
        Some(rule) if matches!(rule.what, PolicyMatter::Rate | PolicyMatter::Probes) => None,
        Some(rule) => Some(format!("{note}: {rule}")),
        None => Some(note),
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use parallax_model::refusal::PolicyRefusal;
    use parallax_model::vantage::Labels;

    use super::*;
    use crate::measure::sample;

    fn result(seconds: i64, what: Option<PolicyMatter>) -> CheckResult {
        let check = sample::record(Uuid::from_u128(1), sample::definition("one"));
        let at = Timestamp::UNIX_EPOCH + SignedDuration::from_secs(seconds);
        let seen = sample::result(&check, 1, at);
        let Some(what) = what else { return seen };
        let refused = Observation::unseen(
            sample::agent(1),
            Labels::new(),
            VantageOutcome::Refused,
            Reason::Policy,
            "this agent's policy does not allow imap.example.org port 25",
        );
        CheckResult {
            observation: Observation {
                refusal: Some(PolicyRefusal {
                    what,
                    rule: "allow *:143,993".into(),
                    value: "25".into(),
                    address: None,
                    port: None,
                }),
                ..refused
            },
            ..seen
        }
    }

    #[test]
    fn the_last_result_says_by_which_rule_and_of_which_form() {
        let (agent, check) = (sample::agent(1), Uuid::from_u128(1));
        let mut refusals = Refusals::default();
        refusals.heard(&agent, &result(60, Some(PolicyMatter::Port)));
        let said = refusals.of(check, &agent, Some(1)).unwrap();
        assert!(
            said.starts_with("this agent's policy does not allow imap.example.org port 25: ")
                && said.contains("allow *:143,993"),
            "{said}"
        );
        assert_eq!(refusals.of(check, &agent, Some(2)), None, "it was changed since");
        refusals.heard(&agent, &result(0, None));
        assert!(
            refusals.of(check, &agent, Some(1)).is_some(),
            "that one was before"
        );
        refusals.heard(&agent, &result(120, None));
        assert_eq!(refusals.of(check, &agent, Some(1)), None);
        refusals.heard(&agent, &result(180, Some(PolicyMatter::Rate)));
        assert_eq!(refusals.of(check, &agent, Some(1)), None, "it passes");
        refusals.heard(&agent, &result(240, Some(PolicyMatter::Port)));
        refusals.only(|_, _| false);
        assert_eq!(refusals.of(check, &agent, None), None);
    }
}
