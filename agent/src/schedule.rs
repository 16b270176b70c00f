//! When each check begins its rounds at this agent. It only computes: time comes in as a value.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use parallax_model::check::{Assignment, ScheduleState};
use parallax_model::round::{Cadence, Round, SET_BACK};
use parallax_model::vantage::AgentName;
use tokio::time::Instant;
use uuid::Uuid;

pub(crate) use anchor::Anchor;

mod anchor;

/// How late a round may begin; at most half its interval.
const LATEST: Duration = Duration::from_secs(5);
const MINUTE: Duration = Duration::from_secs(60);
/// Rounds of one check that are told one by one when so many were missed; the others are counted only.
const TOLD: i64 = 16;

/// One round of a check that is to begin now, or is left out.
#[derive(Debug, Clone)]
pub(crate) struct Due {
    pub(crate) assignment: Arc<Assignment>,
    pub(crate) round: Round,
    pub(crate) planned: Instant,
    pub(crate) skipped: Option<Skip>,
}

/// Why a round is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Skip {
    /// The one before still runs.
    NotDone,
    /// This process came to it too late.
    TooLate,
}

/// All checks of an agent in time.
pub(crate) struct Schedule {
    agent: AgentName,
    anchor: Anchor,
    /// When the last round began that was there before this process; what is not known of a check is in here.
    before: BTreeMap<Uuid, Timestamp>,
    entries: BTreeMap<Uuid, Entry>,
    queue: BTreeSet<(Instant, Uuid)>,
    started: u64,
    skipped: u64,
    clock_jumps: u64,
    lateness: Lateness,
}

/// How late rounds began, of the last minute and what is there of this one.
#[derive(Debug, Clone, Copy)]
struct Lateness {
    since: Instant,
    now: Duration,
    before: Duration,
}

impl Lateness {
    const fn new(since: Instant) -> Self {
        Self {
            since,
            now: Duration::ZERO,
            before: Duration::ZERO,
        }
    }

    fn learn(&mut self, late: Duration, now: Instant) {
        let age = now.saturating_duration_since(self.since);
        if age >= MINUTE {
            let before = if age < MINUTE * 2 {
                self.now
            } else {
                Duration::ZERO
            };
            *self = Self {
                before,
                ..Self::new(now)
            };
        }
        self.now = self.now.max(late);
    }

    fn worst(&self) -> Duration {
        self.now.max(self.before)
    }
}

struct Entry {
    assignment: Arc<Assignment>,
    pace: Pace,
    next: i64,
    planned: Instant,
    running: bool,
}

/// A check's rounds as this agent begins them.
struct Pace {
    cadence: Cadence,
    offset: Duration,
}

impl Pace {
    fn new(assignment: &Assignment, agent: &AgentName) -> Self {
        let cadence = assignment.cadence();
        Self {
            offset: cadence.offset(agent),
            cadence,
        }
    }

    /// When this agent begins the round.
    fn begins(&self, number: i64) -> Timestamp {
        anchor::shifted(self.cadence.round(number).starts_at, anchor::signed(self.offset))
    }

    /// The last round that began by then.
    fn begun(&self, wall: Timestamp) -> i64 {
        let at = anchor::shifted(wall, -anchor::signed(self.offset));
        self.cadence.at(at).number
    }

    fn latest(&self) -> Duration {
        LATEST.min(self.cadence.every / 2)
    }

    /// The round that is next by this clock. `last` is the number of the last one that was there; it is never repeated.
    fn next(&self, wall: Timestamp, last: Option<i64>) -> i64 {
        let just_begun = anchor::shifted(wall, -anchor::signed(self.latest()));
        let Some(last) = last else {
            return self.begun(wall) + 1;
        };
        let by_clock = self.begun(just_begun) + 1;
        let wait = self.begins(last).duration_since(wall);
        if wait > SET_BACK {
            by_clock
        } else {
            by_clock.max(last + 1)
        }
    }
}

impl Schedule {
    /// A schedule of no check yet. `last` says when the last round of each began that this agent was part of.
    pub(crate) fn new(agent: AgentName, anchor: Anchor, last: BTreeMap<Uuid, Timestamp>) -> Self {
        Self {
            agent,
            anchor,
            before: last,
            entries: BTreeMap::new(),
            queue: BTreeSet::new(),
            started: 0,
            skipped: 0,
            clock_jumps: 0,
            lateness: Lateness::new(anchor.at),
        }
    }

    /// From now on these are the checks. One that is the same as before keeps its place.
    pub(crate) fn set(&mut self, assignments: &[Arc<Assignment>], now: Instant) {
        let mut kept = BTreeMap::new();
        for assignment in assignments {
            let entry = match self.entries.remove(&assignment.check) {
                Some(entry) if entry.assignment.cadence() == assignment.cadence() => Entry {
                    assignment: assignment.clone(),
                    ..entry
                },
                before => self.entry(assignment.clone(), before, now),
            };
            kept.insert(assignment.check, entry);
        }
        self.entries = kept;
        self.queue = self
            .entries
            .iter()
            .map(|(check, entry)| (entry.planned, *check))
            .collect();
    }

    fn entry(&mut self, assignment: Arc<Assignment>, before: Option<Entry>, now: Instant) -> Entry {
        let pace = Pace::new(&assignment, &self.agent);
        let last = match &before {
            Some(entry) => Some(entry.pace.cadence.round(entry.next - 1).starts_at),
            None => self.before.remove(&assignment.check),
        };
        let last = last.map(|at| pace.cadence.at(at).number);
        let wall = self.anchor.wall_at(now);
        // A round that has begun is not for one who has just come.
        let next = pace.next(wall, last).max(pace.begun(wall) + 1);
        Entry {
            planned: self.anchor.instant_of(pace.begins(next)),
            assignment,
            pace,
            next,
            running: before.is_some_and(|entry| entry.running),
        }
    }

    /// The collector's clock is elsewhere than was thought. Rounds that it jumped over are counted, those that were are
    /// not repeated.
    pub(crate) fn anchored(&mut self, anchor: Anchor) {
        self.anchor = anchor;
        self.clock_jumps += 1;
        self.queue.clear();
        for (check, entry) in &mut self.entries {
            let next = entry.pace.next(anchor.wall, Some(entry.next - 1));
            let jumped = u64::try_from(next - entry.next).unwrap_or_default();
            self.skipped = self.skipped.saturating_add(jumped);
            entry.next = next;
            entry.planned = anchor.instant_of(entry.pace.begins(next));
            self.queue.insert((entry.planned, *check));
        }
    }

    /// The collector's wall clock, as far as it is known.
    pub(crate) const fn anchor(&self) -> &Anchor {
        &self.anchor
    }

    /// When the next round is due.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.queue.first().map(|(planned, _)| *planned)
    }

    /// What is due by now. The numbers of a check ascend, from call to call too.
    pub(crate) fn due(&mut self, now: Instant) -> Vec<Due> {
        let mut due = Vec::new();
        while let Some((planned, check)) = self.queue.first().copied()
            && planned <= now
        {
            self.queue.pop_first();
            let Some(entry) = self.entries.get_mut(&check) else {
                continue;
            };
            let rounds = entry.take(&self.anchor, now);
            self.skipped = self.skipped.saturating_add(rounds.passed);
            for round in &rounds.told {
                match round.skipped {
                    Some(_) => self.skipped += 1,
                    None => {
                        self.started += 1;
                        self.lateness.learn(now.duration_since(round.planned), now);
                    }
                }
            }
            due.extend(rounds.told);
            self.queue.insert((entry.planned, check));
        }
        due
    }

    /// The round of a check that was started is over.
    pub(crate) fn done(&mut self, check: Uuid) {
        if let Some(entry) = self.entries.get_mut(&check) {
            entry.running = false;
        }
    }

    /// When the last round of each check began, for the next process.
    pub(crate) fn last(&self) -> BTreeMap<Uuid, Timestamp> {
        let last = |entry: &Entry| entry.pace.cadence.round(entry.next - 1).starts_at;
        self.entries
            .iter()
            .map(|(check, entry)| (*check, last(entry)))
            .collect()
    }

    /// What is told of it; the sum of the checks is not known here.
    pub(crate) fn state(&self) -> ScheduleState {
        ScheduleState {
            sum: 0,
            checks: u32::try_from(self.entries.len()).unwrap_or(u32::MAX),
            started: self.started,
            skipped: self.skipped,
            clock_jumps: self.clock_jumps,
            latest_us: u64::try_from(self.lateness.worst().as_micros()).unwrap_or(u64::MAX),
        }
    }
}

/// Rounds that came due together.
struct Rounds {
    /// Left out, and too many to be told one by one.
    passed: u64,
    told: Vec<Due>,
}

impl Entry {
    /// Takes the rounds that have begun by now: all are late but the last.
    fn take(&mut self, anchor: &Anchor, now: Instant) -> Rounds {
        let newest = self.pace.begun(anchor.wall_at(now)).max(self.next);
        let first_told = (newest - TOLD + 1).max(self.next);
        let passed = u64::try_from(first_told - self.next).unwrap_or_default();
        let told = (first_told..=newest)
            .map(|number| self.due(number, newest, anchor, now))
            .collect();
        self.next = newest + 1;
        self.planned = anchor.instant_of(self.pace.begins(self.next));
        Rounds { passed, told }
    }

    fn due(&mut self, number: i64, newest: i64, anchor: &Anchor, now: Instant) -> Due {
        let planned = anchor.instant_of(self.pace.begins(number));
        let late = now.saturating_duration_since(planned);
        let skipped = if self.running {
            Some(Skip::NotDone)
        } else if number < newest || late > self.pace.latest() {
            Some(Skip::TooLate)
        } else {
            None
        };
        self.running |= skipped.is_none();
        Due {
            assignment: self.assignment.clone(),
            round: self.pace.cadence.round(number),
            planned,
            skipped,
        }
    }
}

#[cfg(test)]
mod tests;
