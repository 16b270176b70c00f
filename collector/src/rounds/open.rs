//! One round while results come in.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use jiff::{SignedDuration, Timestamp};
use parallax_model::check::CheckResult;
use parallax_model::observation::Observation;
use parallax_model::vantage::AgentName;
use uuid::Uuid;

use super::{AWAY, GRACE, Now};
use crate::checks::Expecting;
use crate::store::{CheckRecord, Fresh};

/// A round that is not closed.
#[derive(Debug)]
pub(super) struct OpenRound {
    pub(super) run_id: Uuid,
    pub(super) starts_at: Timestamp,
    /// Who is missing where nothing comes.
    pub(super) expected: BTreeSet<AgentName>,
    /// Who may have come to the check too late for this round: waited for, and never missing.
    pub(super) hoped: BTreeSet<AgentName>,
    pub(super) results: BTreeMap<AgentName, CheckResult>,
    pub(super) opened: Instant,
    /// When nobody is waited for any more.
    pub(super) closes: Instant,
    pub(super) weight: usize,
    /// It was over when it was opened.
    pub(super) late: bool,
}

/// When a round is closed at the latest.
pub(super) fn closes_at(record: &CheckRecord, starts_at: Timestamp) -> Timestamp {
    let definition = &record.definition;
    let spread = if definition.together {
        std::time::Duration::ZERO
    } else {
        definition.every
    };
    let hold = definition.spec.options.hold.unwrap_or_default();
    let after = spread + definition.spec.timeout + hold + GRACE;
    let after = SignedDuration::try_from(after).unwrap_or(SignedDuration::MAX);
    starts_at.saturating_add(after).unwrap_or(Timestamp::MAX)
}

impl OpenRound {
    pub(super) fn new(
        record: &CheckRecord,
        run_id: Uuid,
        starts_at: Timestamp,
        expecting: &Expecting,
        now: Now,
    ) -> Self {
        let expected = expecting.in_round(starts_at);
        Self {
            run_id,
            starts_at,
            hoped: expecting.all.difference(&expected).cloned().collect(),
            expected,
            results: BTreeMap::new(),
            opened: now.instant,
            closes: now.until(closes_at(record, starts_at)),
            weight: 0,
            late: false,
        }
    }

    /// The first result of each agent counts.
    pub(super) fn add(&mut self, fresh: Fresh) {
        self.weight += weight(&fresh.result.observation);
        self.results.entry(fresh.agent).or_insert(fresh.result);
    }

    pub(super) fn not_expected(&mut self, agent: &AgentName) {
        self.expected.remove(agent);
        self.hoped.remove(agent);
    }

    /// Nobody else repeats the check any more.
    pub(super) fn only(&mut self, agents: &BTreeSet<AgentName>) {
        self.expected.retain(|agent| agents.contains(agent));
        self.hoped.retain(|agent| agents.contains(agent));
    }

    /// What comes is taken; what does not is nobody's failure.
    pub(super) fn nobody_is_missed(&mut self) {
        self.hoped.append(&mut self.expected);
    }

    /// Whether everybody said something.
    pub(super) fn is_complete(&self) -> bool {
        let mut waited_for = self.expected.iter().chain(&self.hoped);
        waited_for.all(|agent| self.results.contains_key(agent))
    }

    /// Whether nobody is waited for.
    pub(super) fn is_over(&self, away: &BTreeMap<AgentName, Instant>, now: Now) -> bool {
        now.instant >= self.deadline(away)
    }

    /// When nobody is waited for any more, as it looks now.
    pub(super) fn deadline(&self, away: &BTreeMap<AgentName, Instant>) -> Instant {
        let mut deadline = self.opened;
        for agent in self.expected.iter().chain(&self.hoped) {
            if self.results.contains_key(agent) {
                continue;
            }
            let until = away.get(agent).map_or(self.closes, |&since| since + AWAY);
            deadline = deadline.max(until.min(self.closes));
        }
        deadline
    }
}

/// About how many bytes an observation takes.
pub(super) fn weight(observation: &Observation) -> usize {
    let attempts = observation.attempts.iter().map(|attempt| {
        let said = attempt.transcript.iter().map(|line| line.text.len() + 64);
        512 + attempt.stages.len() * 768 + said.sum::<usize>()
    });
    let hops = observation
        .network
        .paths
        .iter()
        .map(|path| 256 + path.hops.len() * 128);
    1024 + attempts.sum::<usize>() + hops.sum::<usize>()
}
