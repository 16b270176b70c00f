//! Rounds of checks: what all vantage points saw in one, from its first result to its answer.
//!
//! Nothing here waits or sends: a result, an agent, or the time comes in, effects come out, and the hub carries them
//! out.

mod close;
mod memory;
mod open;
mod outcome;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use parallax_model::check::RunCheck;
use parallax_model::observation::Observation;
use parallax_model::round::SET_BACK;
use parallax_model::run::RunDocument;
use parallax_model::vantage::{AgentName, Labels};
use uuid::Uuid;

pub(crate) use close::ClosedRound;
use memory::Memory;
pub(crate) use memory::Restored;
use open::OpenRound;
pub(crate) use outcome::{LeafFacts, RoundOutcome, VantagePart};

use crate::checks::{Expected, Expecting};
use crate::runs::{Inquiry, LastGood, LoginPast};
use crate::store::{CheckRecord, Fresh};

/// How long the last answers may take on their way, behind the end of a round's probes.
const GRACE: Duration = Duration::from_secs(5);

/// How long an agent that is away is waited for: its link may come back.
const AWAY: Duration = Duration::from_secs(10);

/// Of a round that is over already, how long after the last result of that kind, and after its own first, it is closed.
const BACKLOG_QUIET: Duration = Duration::from_secs(10);
const BACKLOG_AT_MOST: Duration = Duration::from_secs(600);

/// Open rounds of one check, and what all of them may weigh, in bytes.
const OPEN_AT_MOST: usize = 64;
const BACKLOG_OPEN_AT_MOST: usize = 512;
const WEIGHT_AT_MOST: usize = 64 << 20;

/// Rounds of one check that are answered while the answer of one before them is still looked for.
const BEHIND_AT_MOST: usize = 64;

/// Diagnoses with experiments at the same time.
const EXPERIMENTS_AT_MOST: usize = 16;

/// The time, on both clocks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Now {
    pub(crate) instant: Instant,
    pub(crate) wall: Timestamp,
}

impl Now {
    /// When the wall clock says so, on the other.
    fn until(self, wall: Timestamp) -> Instant {
        let wait = Duration::try_from(wall.duration_since(self.wall)).unwrap_or_default();
        self.instant + wait
    }
}

/// What is to be done.
#[derive(Debug)]
pub(crate) enum RoundEffect {
    /// Find the answer; it comes back with [`Rounds::concluded`].
    Diagnose(Box<ToDiagnose>),
    /// Keep it, tell of it.
    Close(Box<ClosedRound>),
    /// The wall clock was set back to this time so far that rounds after it come again.
    SetBack(Timestamp),
}

/// A round whose answer is not plain.
#[derive(Debug)]
pub(crate) struct ToDiagnose {
    pub(crate) check: Arc<CheckRecord>,
    pub(crate) run_id: Uuid,
    pub(crate) starts_at: Timestamp,
    /// Everybody who was expected.
    pub(crate) seen: Vec<Observation>,
    /// Whether experiments may be ordered.
    pub(crate) follow_up: bool,
    /// The target as it was when it last worked.
    pub(crate) before: Option<LastGood>,
    pub(crate) late: bool,
}

impl ToDiagnose {
    /// As a question to be diagnosed, with what was seen already.
    pub(crate) fn ask(self) -> (Inquiry, Vec<Observation>) {
        let definition = &self.check.definition;
        let inquiry = Inquiry {
            run_id: self.run_id,
            // It is in the document once the round is closed.
            trace_id: None,
            spec: Arc::new(definition.spec.clone()),
            follow_up: self.follow_up,
            secrets: BTreeMap::default(),
            own_credential: None,
            client_identities: BTreeMap::default(),
            before: self.before,
            past: LoginPast::default(),
            started_at: self.starts_at,
            check: Some(RunCheck {
                name: definition.name.clone(),
                check_id: self.check.id,
                round_at: self.starts_at,
                late: self.late,
            }),
        };
        (inquiry, self.seen)
    }
}

/// Every round that is open, or whose answer is looked for.
#[derive(Debug, Default)]
pub(crate) struct Rounds {
    checks: BTreeMap<Uuid, Watched>,
    labels: BTreeMap<AgentName, Labels>,
    /// Agents without a link, and since when.
    away: BTreeMap<AgentName, Instant>,
    /// When the last result of a round came that was over.
    backlog_heard: Option<Instant>,
    weight: usize,
    /// Rounds whose answer is looked for, by run.
    diagnosing: BTreeMap<Uuid, (Uuid, bool)>,
    /// The latest time of the wall clock, since it was set back last.
    latest: Option<Timestamp>,
}

/// A check, and its rounds.
#[derive(Debug)]
struct Watched {
    record: Arc<CheckRecord>,
    expected: Expecting,
    /// It is not there any more; only what is open is closed.
    removed: bool,
    /// The next round that begins by itself, and when.
    next: i64,
    next_at: Timestamp,
    /// The newest round that was closed in its time.
    closed: Option<i64>,
    live: BTreeMap<i64, OpenRound>,
    backlog: BTreeMap<(Timestamp, Uuid), OpenRound>,
    /// Closed, in order, from the first whose answer is still looked for.
    behind: VecDeque<Behind>,
    memory: Memory,
}

/// A round on its way to its answer.
#[derive(Debug)]
enum Behind {
    Waiting(Box<close::Judged>),
    Ready(Box<ClosedRound>),
}

impl Rounds {
    /// Begins with what is known of the last rounds.
    pub(crate) fn restored(
        records: impl IntoIterator<Item = Arc<CheckRecord>>,
        mut restored: BTreeMap<Uuid, Restored>,
        now: Now,
    ) -> Self {
        let mut rounds = Self::default();
        for record in records {
            let restored = restored.remove(&record.id).unwrap_or_default();
            let last = restored.last.as_ref().map(|last| last.started_at);
            rounds.latest = rounds.latest.max(last);
            let watched = Watched::new(record, restored, now);
            rounds.checks.insert(watched.record.id, watched);
        }
        rounds
    }

    /// These are the checks, and whom they are expected from.
    pub(crate) fn checks<'a>(
        &mut self,
        records: impl IntoIterator<Item = &'a Arc<CheckRecord>>,
        mut expected: Expected,
        now: Now,
    ) -> Vec<RoundEffect> {
        let mut there = BTreeSet::new();
        for record in records {
            there.insert(record.id);
            let watched = self
                .checks
                .entry(record.id)
                .or_insert_with(|| Watched::new(Arc::clone(record), Restored::default(), now));
            watched.is_now(record, expected.remove(&record.id).unwrap_or_default(), now);
        }
        for (id, watched) in &mut self.checks {
            if !there.contains(id) {
                watched.removed = true;
                watched.expected = Expecting::default();
            }
        }
        let effects = self.tick(now);
        let idle = |watched: &Watched| {
            watched.live.is_empty() && watched.backlog.is_empty() && watched.behind.is_empty()
        };
        self.checks
            .retain(|_, watched| !watched.removed || !idle(watched));
        effects
    }

    /// An agent is known under these labels.
    pub(crate) fn known(&mut self, agent: &AgentName, labels: Labels) {
        self.labels.insert(agent.clone(), labels);
    }

    /// The link of an agent is up, or down.
    pub(crate) fn agent(&mut self, agent: &AgentName, connected: bool, now: Now) {
        if connected {
            self.away.remove(agent);
        } else {
            self.away.entry(agent.clone()).or_insert(now.instant);
        }
    }

    /// An agent does not take part any more: nobody waits for it.
    pub(crate) fn removed(&mut self, agent: &AgentName, now: Now) -> Vec<RoundEffect> {
        self.away.remove(agent);
        self.labels.remove(agent);
        for watched in self.checks.values_mut() {
            watched.expected.all.remove(agent);
            for round in watched.live.values_mut().chain(watched.backlog.values_mut()) {
                round.not_expected(agent);
            }
        }
        self.tick(now)
    }

    /// A result was stored whose round is not closed.
    pub(crate) fn result(&mut self, fresh: Fresh, now: Now) -> Vec<RoundEffect> {
        let id = fresh.result.check;
        let Some(watched) = self.checks.get_mut(&id) else {
            return Vec::new();
        };
        let weight = open::weight(&fresh.result.observation);
        if watched.take(fresh, now) {
            self.backlog_heard = Some(now.instant);
        }
        self.weight += weight;
        let mut effects = self.look_at_the_clock(now);
        while self.weight > WEIGHT_AT_MOST && self.close_heaviest(now, &mut effects) {}
        self.tick_one(id, now, &mut effects);
        effects
    }

    /// Time has passed.
    pub(crate) fn tick(&mut self, now: Now) -> Vec<RoundEffect> {
        let mut effects = self.look_at_the_clock(now);
        let ids: Vec<Uuid> = self.checks.keys().copied().collect();
        for id in ids {
            self.tick_one(id, now, &mut effects);
        }
        effects
    }

    /// The answer of a round that was diagnosed.
    pub(crate) fn concluded(&mut self, run: Box<RunDocument>, now: Now) -> Vec<RoundEffect> {
        let mut effects = Vec::new();
        let Some((check, _)) = self.diagnosing.remove(&run.run_id) else {
            return effects;
        };
        if let Some(watched) = self.checks.get_mut(&check) {
            watched.answered(run, now);
            watched.flush(&mut effects);
        }
        effects
    }

    /// Whether a run is the diagnosis of a round.
    pub(crate) fn waits_for(&self, run: Uuid) -> bool {
        self.diagnosing.contains_key(&run)
    }

    /// When time matters next.
    pub(crate) fn next_deadline(&self, now: Now) -> Option<Instant> {
        let quiet = self.backlog_heard.map(|heard| heard + BACKLOG_QUIET);
        self.checks
            .values()
            .filter_map(|watched| watched.next_deadline(&self.away, quiet, now))
            .min()
    }

    /// A little is waited for; agents do the same.
    fn look_at_the_clock(&mut self, now: Now) -> Vec<RoundEffect> {
        let latest = self.latest.unwrap_or(now.wall);
        if latest.duration_since(now.wall) > SET_BACK {
            self.latest = Some(now.wall);
            return vec![RoundEffect::SetBack(now.wall)];
        }
        self.latest = Some(latest.max(now.wall));
        Vec::new()
    }

    fn tick_one(&mut self, id: Uuid, now: Now, effects: &mut Vec<RoundEffect>) {
        let quiet = self
            .backlog_heard
            .is_none_or(|heard| now.instant.saturating_duration_since(heard) >= BACKLOG_QUIET);
        let Some(watched) = self.checks.get_mut(&id) else {
            return;
        };
        watched.begin_due(now);
        let mut over = watched.over_in_time(&self.away, now);
        over.extend(watched.over_in_the_past(quiet, now));
        for round in over {
            self.close(id, round, now, effects);
        }
    }

    fn close(&mut self, id: Uuid, round: OpenRound, now: Now, effects: &mut Vec<RoundEffect>) {
        self.weight = self.weight.saturating_sub(round.weight);
        let free = self
            .diagnosing
            .values()
            .filter(|(_, experiments)| *experiments)
            .count()
            < EXPERIMENTS_AT_MOST;
        let Some(watched) = self.checks.get_mut(&id) else {
            return;
        };
        if let Some(question) = watched.close(round, (&self.labels, &self.away), free, now) {
            self.diagnosing.insert(question.run_id, (id, question.follow_up));
            effects.push(RoundEffect::Diagnose(Box::new(question)));
        }
        watched.flush(effects);
    }

    /// There is no room: the oldest round of all is closed as it is.
    fn close_heaviest(&mut self, now: Now, effects: &mut Vec<RoundEffect>) -> bool {
        let oldest = self
            .checks
            .iter()
            .filter_map(|(&id, watched)| Some((watched.oldest()?, id)))
            .min();
        let Some((_, id)) = oldest else {
            return false;
        };
        let watched = self.checks.get_mut(&id);
        let round = watched.and_then(|watched| watched.take_oldest(now));
        match round {
            Some(round) => self.close(id, round, now, effects),
            None => return false,
        }
        true
    }
}

impl Watched {
    fn new(record: Arc<CheckRecord>, restored: Restored, now: Now) -> Self {
        let cadence = record.cadence();
        let closed = restored
            .last
            .as_ref()
            .map(|last| cadence.at(last.started_at).number);
        let next = cadence.at(now.wall).number + 1;
        Self {
            next,
            next_at: cadence.round(next).starts_at,
            closed,
            memory: Memory::restored(restored),
            record,
            expected: Expecting::default(),
            removed: false,
            live: BTreeMap::new(),
            backlog: BTreeMap::new(),
            behind: VecDeque::new(),
        }
    }

    /// The check is as this record says. Rounds of another rhythm are over.
    fn is_now(&mut self, record: &Arc<CheckRecord>, expected: Expecting, now: Now) {
        let (before, after) = (self.record.cadence(), record.cadence());
        if before != after {
            // Who has the check in its new rhythm by now says nothing of them any more.
            let live = std::mem::take(&mut self.live).into_values();
            self.backlog.extend(live.map(|mut round| {
                round.nobody_is_missed();
                ((round.starts_at, round.run_id), round)
            }));
            self.closed = None;
        }
        self.record = Arc::clone(record);
        if before != after {
            self.begins_with(after.at(now.wall).number + 1);
        }
        for round in self.live.values_mut().chain(self.backlog.values_mut()) {
            round.only(&expected.all);
        }
        self.expected = expected;
        self.removed = false;
    }

    /// Opens what begins by itself. A clock that jumped ahead begins nothing that is over.
    fn begin_due(&mut self, now: Now) {
        if self.closed.is_some_and(|closed| self.is_ahead(closed, now)) {
            let current = self.record.cadence().at(now.wall).number;
            self.closed = Some(current - 1);
            self.begins_with(current + 1);
        }
        let every = SignedDuration::try_from(self.record.definition.every).unwrap_or_default();
        let wait = self.next_at.duration_since(now.wall);
        if wait.is_positive() && wait <= every {
            return;
        }
        let cadence = self.record.cadence();
        let current = cadence.at(now.wall).number;
        if self.expected.all.is_empty() || self.record.paused {
            self.begins_with(current + 1);
            return;
        }
        if self.next > current + 1 {
            // A clock that was set back.
            self.next = current + 1;
        }
        self.next = self.next.max(current - 1);
        while self.next <= current {
            let number = self.next;
            self.next += 1;
            if self.closed.is_none_or(|closed| number > closed) && !self.live.contains_key(&number) {
                let round = cadence.round(number);
                let open = OpenRound::new(&self.record, round.run_id, round.starts_at, &self.expected, now);
                // One that nobody had the check for is there once somebody says something of it.
                if !open.expected.is_empty() {
                    self.live.insert(number, open);
                }
            }
        }
        self.begins_with(self.next);
    }

    /// Whether a round begins so much later that the clock was set back since it was.
    fn is_ahead(&self, number: i64, now: Now) -> bool {
        let starts_at = self.record.cadence().ends_at(number - 1);
        starts_at.duration_since(now.wall) > SET_BACK
    }

    /// What is closed now, or of the time before the clock was set back.
    fn was_closed(&mut self, number: i64, now: Now) {
        if !self.is_ahead(number, now) {
            self.closed = Some(self.closed.map_or(number, |closed| closed.max(number)));
        }
    }

    fn begins_with(&mut self, next: i64) {
        self.next = next;
        self.next_at = self.record.cadence().round(next).starts_at;
    }

    /// Puts a result into its round; whether that is one that was over.
    fn take(&mut self, fresh: Fresh, now: Now) -> bool {
        let cadence = self.record.cadence();
        let round = cadence.at(fresh.result.round_at);
        let of_this_rhythm = round.run_id == fresh.result.run_id;
        let past = self.closed.is_some_and(|closed| round.number <= closed);
        let over = open::closes_at(&self.record, round.starts_at) <= now.wall
            || (self.is_ahead(round.number, now) && !self.live.contains_key(&round.number));
        let (run_id, starts_at) = (fresh.result.run_id, fresh.result.round_at);
        if of_this_rhythm && !past && !over {
            let (record, expected) = (&self.record, &self.expected);
            self.live
                .entry(round.number)
                .or_insert_with(|| OpenRound::new(record, run_id, starts_at, expected, now))
                .add(fresh);
            return false;
        }
        let (record, nobody) = (&self.record, Expecting::default());
        let expected = if of_this_rhythm { &self.expected } else { &nobody };
        self.backlog
            .entry((starts_at, run_id))
            .or_insert_with(|| OpenRound::new(record, run_id, starts_at, expected, now))
            .add(fresh);
        true
    }

    /// Rounds that nobody waits for any more, oldest first; none before one that is still waited for.
    fn over_in_time(&mut self, away: &BTreeMap<AgentName, Instant>, now: Now) -> Vec<OpenRound> {
        let mut over = Vec::new();
        while let Some(first) = self.live.first_entry() {
            if !self.removed && !first.get().is_over(away, now) {
                break;
            }
            let (number, round) = first.remove_entry();
            self.was_closed(number, now);
            over.push(round);
        }
        while self.live.len() > OPEN_AT_MOST
            && let Some((number, round)) = self.live.pop_first()
        {
            self.was_closed(number, now);
            over.push(round);
        }
        over
    }

    /// Rounds that were over when their first result came, and of which nothing came for a while.
    fn over_in_the_past(&mut self, quiet: bool, now: Now) -> Vec<OpenRound> {
        let mut over = Vec::new();
        let old = |round: &OpenRound| now.instant.saturating_duration_since(round.opened) >= BACKLOG_AT_MOST;
        let keys: Vec<_> = self
            .backlog
            .iter()
            .filter(|(_, round)| quiet || self.removed || round.is_complete() || old(round))
            .map(|(&key, _)| key)
            .collect();
        for key in keys {
            over.extend(self.backlog.remove(&key));
        }
        while self.backlog.len() > BACKLOG_OPEN_AT_MOST
            && let Some((_, round)) = self.backlog.pop_first()
        {
            over.push(round);
        }
        for round in &mut over {
            round.late = true;
        }
        over
    }

    fn oldest(&self) -> Option<Timestamp> {
        let live = self.live.first_key_value().map(|(_, round)| round.starts_at);
        let backlog = self.backlog.first_key_value().map(|(_, round)| round.starts_at);
        live.into_iter().chain(backlog).min()
    }

    fn take_oldest(&mut self, now: Now) -> Option<OpenRound> {
        if let Some((_, mut round)) = self.backlog.pop_first() {
            round.late = true;
            return Some(round);
        }
        let (number, round) = self.live.pop_first()?;
        self.was_closed(number, now);
        Some(round)
    }

    fn next_deadline(
        &self,
        away: &BTreeMap<AgentName, Instant>,
        quiet: Option<Instant>,
        now: Now,
    ) -> Option<Instant> {
        // A clock that was set back is followed at once.
        let ahead = now.wall.saturating_add(self.record.definition.every);
        let next_at = self.next_at.min(ahead.unwrap_or(self.next_at));
        let begins = (!self.expected.all.is_empty() && !self.record.paused).then(|| now.until(next_at));
        let first = self.live.first_key_value().map(|(_, round)| round.deadline(away));
        let past = self
            .backlog
            .values()
            .map(|round| round.opened + BACKLOG_AT_MOST)
            .chain(quiet.filter(|_| !self.backlog.is_empty()))
            .min();
        begins.into_iter().chain(first).chain(past).min()
    }

    /// Hands on what has its answer, in order.
    fn flush(&mut self, effects: &mut Vec<RoundEffect>) {
        while let Some(Behind::Ready(_)) = self.behind.front()
            && let Some(Behind::Ready(closed)) = self.behind.pop_front()
        {
            effects.push(RoundEffect::Close(closed));
        }
        while self.behind.len() > BEHIND_AT_MOST {
            // Its diagnosis takes longer than any may: it goes without one.
            match self.behind.pop_front() {
                Some(Behind::Ready(closed)) => effects.push(RoundEffect::Close(closed)),
                Some(Behind::Waiting(judged)) => effects.push(RoundEffect::Close(judged.without_an_answer())),
                None => break,
            }
        }
    }
}

/// Whether a round that is closed now is closed so late that nobody is to be alerted.
fn is_late(record: &CheckRecord, starts_at: Timestamp, now: Timestamp) -> bool {
    let every = SignedDuration::try_from(record.definition.every).unwrap_or(SignedDuration::MAX);
    let after_end = now.duration_since(starts_at).saturating_sub(every);
    after_end
        > every
            .saturating_mul(2)
            .saturating_add(SignedDuration::from_secs(60))
}

#[cfg(test)]
mod tests;
