//! What each check's agents saw last, for as long as that says something.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use parallax_model::finding::Verdict;
use parallax_model::observation::VantageOutcome;
use parallax_model::round::SET_BACK;
use parallax_model::vantage::AgentName;
use uuid::Uuid;

use crate::rounds::{RoundOutcome, VantagePart};
use crate::store::CheckRecord;

/// After so many intervals without another, what was seen says nothing any more.
const INTERVALS: u32 = 3;

/// What one agent saw of one check.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) check: Arc<CheckRecord>,
    pub(super) part: VantagePart,
    round_at: Timestamp,
    noted: Instant,
}

/// How the last round of a check ended.
#[derive(Debug, Clone, Copy)]
struct Judged {
    verdict: Verdict,
    round_at: Timestamp,
    noted: Instant,
    every: Duration,
}

/// By check and agent.
#[derive(Debug, Default)]
pub(super) struct Latest {
    seen: BTreeMap<(Uuid, AgentName), Seen>,
    judged: BTreeMap<Uuid, Judged>,
}

impl Latest {
    /// Takes over what a round saw. Who is missing in it keeps what was seen before, until that is stale.
    pub(super) fn note(&mut self, outcome: &RoundOutcome, now: Instant) {
        let judged = Judged {
            verdict: outcome.verdict,
            round_at: outcome.starts_at,
            noted: now,
            every: outcome.check.definition.every,
        };
        // What is said to have begun after this was closed was by a clock that was set back.
        let is_newer = |before: Timestamp| {
            before <= outcome.starts_at || before.duration_since(outcome.closed_at) > SET_BACK
        };
        let before = self.judged.get(&outcome.check.id);
        if before.is_none_or(|before| is_newer(before.round_at)) {
            self.judged.insert(outcome.check.id, judged);
        }
        for part in outcome.vantages.iter().filter(|part| answered(part)) {
            let key = (outcome.check.id, part.agent.clone());
            if self.seen.get(&key).is_some_and(|seen| !is_newer(seen.round_at)) {
                continue;
            }
            let seen = Seen {
                check: Arc::clone(&outcome.check),
                part: part.clone(),
                round_at: outcome.starts_at,
                noted: now,
            };
            self.seen.insert(key, seen);
        }
    }

    /// What is not stale.
    pub(super) fn alive(&self, now: Instant) -> impl Iterator<Item = &Seen> {
        self.seen.values().filter(move |seen| {
            let age = now.saturating_duration_since(seen.noted);
            age <= seen.check.definition.every.saturating_mul(INTERVALS)
        })
    }

    /// Vantage points of a check: those that work, those that don't, those of which nothing was heard lately.
    pub(super) fn agents(&self, check: Uuid, now: Instant) -> [(&'static str, usize); 3] {
        let known = self.seen.keys().filter(|(of, _)| *of == check).count();
        let alive: Vec<_> = self.alive(now).filter(|seen| seen.check.id == check).collect();
        let failed = alive.iter().filter(|seen| !works(&seen.part)).count();
        [
            ("ok", alive.len() - failed),
            ("fail", failed),
            ("stale", known - alive.len()),
        ]
    }

    /// Whether most vantage points reach the target, as the last round was judged; `None` when nobody can say.
    pub(super) fn is_up(&self, check: Uuid, now: Instant) -> Option<bool> {
        let judged = self.judged.get(&check)?;
        let age = now.saturating_duration_since(judged.noted);
        match judged.verdict {
            _ if age > judged.every.saturating_mul(INTERVALS) => None,
            Verdict::Healthy | Verdict::Partial => Some(true),
            Verdict::Down => Some(false),
            Verdict::Inconclusive => None,
        }
    }

    /// Forgets every check but these.
    pub(super) fn keep_checks(&mut self, checks: &BTreeSet<Uuid>) {
        self.seen.retain(|(check, _), _| checks.contains(check));
        self.judged.retain(|check, _| checks.contains(check));
    }

    /// Forgets an agent.
    pub(super) fn forget_agent(&mut self, agent: &AgentName) {
        self.seen.retain(|(_, of), _| of != agent);
    }
}

/// Whether the part shows the target at all.
pub(super) const fn answered(part: &VantagePart) -> bool {
    match part.outcome {
        VantageOutcome::Ok | VantageOutcome::Degraded | VantageOutcome::Failed => true,
        VantageOutcome::Missing | VantageOutcome::Refused => false,
    }
}

/// Whether the target can be used from there.
pub(super) const fn works(part: &VantagePart) -> bool {
    matches!(part.outcome, VantageOutcome::Ok | VantageOutcome::Degraded)
}
