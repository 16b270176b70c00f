//! What a check remembers from round to round.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use parallax_model::fault::FaultKind;
use parallax_model::finding::Verdict;
use parallax_model::observation::{Observation, VantageOutcome};
use parallax_model::round::RoundSummary;
use parallax_model::run::{RunDocument, RunRef};
use parallax_model::stage::StageName;
use parallax_model::vantage::AgentName;

use super::VantagePart;
use crate::runs::LastGood;

/// How often a round in which all is well is kept whole.
const SAMPLE_EVERY: SignedDuration = SignedDuration::from_hours(1);

/// Of trouble that lasts, every so many rounds are kept whole and looked into again, after so many first ones.
const AGAIN: u32 = 10;

/// What is known of a check from before the collector started.
#[derive(Debug, Default)]
pub(crate) struct Restored {
    pub(crate) last: Option<RoundSummary>,
    pub(crate) good: Option<LastGood>,
    /// The newest run that is kept of it.
    pub(crate) newest: Option<RunDocument>,
}

/// Who had which trouble.
pub(super) type Trouble = BTreeMap<AgentName, (VantageOutcome, Option<(StageName, FaultKind)>)>;

/// What a check remembers.
#[derive(Debug, Default)]
pub(super) struct Memory {
    trouble: Trouble,
    /// Rounds one after another in which something was wrong.
    bad: u32,
    sampled_at: Option<Timestamp>,
    pub(super) good: Option<LastGood>,
}

/// How a round stands to those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Standing {
    /// Something is wrong, at somebody, that was not wrong in the round before.
    pub(super) new_trouble: bool,
    /// It is worth experiments.
    pub(super) look_into: bool,
    /// It is kept whole.
    pub(super) keep: bool,
    /// It is the first of an incident, or of a time in which all is well.
    pub(super) first: bool,
}

impl Standing {
    /// It says nothing of how the target is.
    pub(super) const NOTHING: Self = Self {
        new_trouble: false,
        look_into: false,
        keep: false,
        first: false,
    };
}

impl Memory {
    pub(super) fn restored(restored: Restored) -> Self {
        let is_bad = |verdict| verdict != Verdict::Healthy;
        let was_bad = restored.last.is_some_and(|last| is_bad(last.verdict));
        // A round with new trouble is kept, and so is the first that is well again: what is kept last is what it was.
        let newest = restored.newest.filter(|run| was_bad && is_bad(run.verdict));
        let seen = newest.iter().flat_map(|run| &run.vantages);
        let parts: Vec<VantagePart> = seen
            .map(|seen| VantagePart::of(seen, Timestamp::UNIX_EPOCH))
            .collect();
        Self {
            trouble: trouble(&parts),
            bad: u32::from(was_bad),
            good: restored.good,
            ..Self::default()
        }
    }

    /// Takes in what a round that was closed in its time saw.
    pub(super) fn judge(&mut self, parts: &[VantagePart], starts_at: Timestamp) -> Standing {
        let mut trouble = trouble(parts);
        // What was wrong at who left this round out is still open.
        let left_out = |agent: &AgentName| parts.iter().any(|part| part.skipped && part.agent == *agent);
        let before = self.trouble.iter().filter(|(agent, _)| left_out(agent));
        let open: Trouble = before.map(|(agent, what)| (agent.clone(), *what)).collect();
        if trouble.is_empty() {
            let nobody_looked = parts.iter().all(|part| part.skipped);
            return match nobody_looked || !open.is_empty() {
                true => Standing::NOTHING,
                false => self.well(starts_at),
            };
        }
        let new_trouble = trouble
            .iter()
            .any(|(agent, what)| self.trouble.get(agent) != Some(what));
        let first = self.bad == 0;
        let again = self.bad < AGAIN || self.bad.is_multiple_of(AGAIN);
        // Where every policy forbids it, nothing is seen however often it is looked at.
        let again = again && !all_refuse(parts);
        let look_into = (new_trouble || self.bad.is_multiple_of(AGAIN)) && !all_refuse(parts);
        self.bad = self.bad.saturating_add(1);
        trouble.extend(open);
        self.trouble = trouble;
        Standing {
            new_trouble,
            look_into,
            keep: new_trouble || again,
            first,
        }
    }

    fn well(&mut self, starts_at: Timestamp) -> Standing {
        let after_trouble = self.bad > 0;
        self.bad = 0;
        self.trouble.clear();
        let due = self
            .sampled_at
            .is_none_or(|at| starts_at.duration_since(at).abs() >= SAMPLE_EVERY);
        let keep = after_trouble || due;
        if keep {
            self.sampled_at = Some(starts_at);
        }
        Standing {
            new_trouble: false,
            look_into: false,
            keep,
            first: keep,
        }
    }

    /// This is how the target is when all is well.
    pub(super) fn was_good(&mut self, run: RunRef, seen: &[Observation]) {
        self.good = Some(LastGood {
            runs: vec![(run, seen.to_vec())],
        });
    }
}

fn all_refuse(parts: &[VantagePart]) -> bool {
    parts
        .iter()
        .all(|part| part.outcome == VantageOutcome::Refused && !part.skipped)
}

/// Who saw something wrong, or nothing at all, but for who was still at the round before.
fn trouble(parts: &[VantagePart]) -> Trouble {
    parts
        .iter()
        .filter(|part| part.outcome != VantageOutcome::Ok && !part.skipped)
        .map(|part| (part.agent.clone(), (part.outcome, part.failed)))
        .collect()
}
