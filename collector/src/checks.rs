//! Which agents repeat which checks, and what each of them has been told of that.

mod assign;
mod doubts;
mod expecting;
mod logins;
mod parts;
mod refusals;
mod trials;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use parallax_model::observation::Observation;
use parallax_model::vantage::{AgentName, Labels};
use parallax_proto::v1;
use uuid::Uuid;

use crate::agents::{Agent, Agents};
use crate::runs::LoginSettled;
use crate::store::CheckRecord;
use assign::{Place, Placement};
use expecting::Said;
pub(crate) use expecting::{Expected, Expecting};
use logins::Logins;
pub(crate) use logins::{CredentialsNow, LoginWord};
pub(crate) use parts::{ANCHORS_AT_MOST, CHECK_AT_MOST, CHECKS_AT_MOST, parts};
use refusals::Refusals;
use trials::Trials;

/// What an agent can do that repeats checks.
const CAPABILITY: &str = "checks";

/// How often the sums of an agent's heartbeat may be off before everything is sent again: an update may be on its way.
const PATIENCE: u8 = 2;

/// A check as it stands at the agents.
#[derive(Debug, Clone)]
pub(crate) struct CheckView {
    pub(crate) check: Uuid,
    pub(crate) agents: Vec<CheckAgent>,
    /// It is not paused, and nothing will come of it.
    pub(crate) run_by_nobody: bool,
}

/// A check at one agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CheckAgent {
    pub(crate) agent: AgentName,
    pub(crate) state: CheckState,
    /// Why, in words.
    pub(crate) note: String,
    /// When the last result of it came, since the collector started.
    pub(crate) last_result: Option<Timestamp>,
}

/// How a check stands at an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CheckState {
    /// The agent said that it has it.
    Running,
    /// It was sent, and the agent did not say anything yet.
    Sent,
    /// The agent is not connected; it goes on by itself if it has it.
    Offline,
    /// Its login waits, or must not be tried.
    Withheld,
    /// The agent can't.
    Unable,
    /// The agent's own policy forbids it.
    Refused,
}

impl CheckState {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Sent => "sent",
            Self::Offline => "offline",
            Self::Withheld => "withheld",
            Self::Unable => "unable",
            Self::Refused => "refused",
        }
    }
}

/// What an agent is known to have.
pub(crate) enum Known<'a> {
    /// What it said itself when it connected.
    Said(&'a [(Uuid, u64)]),
    /// What it was sent last.
    Sent,
}

/// Every check, whom it goes to, and what those were told.
#[derive(Debug, Default)]
pub(crate) struct Checks {
    records: BTreeMap<Uuid, Arc<CheckRecord>>,
    logins: Logins,
    /// Of each agent that was seen: what it is chosen by.
    faces: BTreeMap<AgentName, Face>,
    placements: BTreeMap<Uuid, Placement>,
    trials: Trials,
    told: BTreeMap<AgentName, Told>,
    last_results: BTreeMap<(Uuid, AgentName), Timestamp>,
    refusals: Refusals,
}

/// What an agent is chosen by.
#[derive(Debug, Clone, PartialEq)]
struct Face {
    labels: Labels,
    connected: bool,
    able: bool,
    own_credentials: Vec<parallax_model::credential::LocalCredential>,
    sealing_key: Vec<u8>,
}

/// What an agent was told, and what it made of it.
#[derive(Debug, Default)]
struct Told {
    digests: BTreeMap<Uuid, u64>,
    /// The sum that it last said.
    applied: Option<u64>,
    /// The checks that it last said it has.
    said: Said,
    problems: Vec<String>,
    /// Heartbeats one after another whose sum is another.
    off: u8,
}

impl Told {
    fn sum(&self) -> u64 {
        self.digests.values().fold(0, |sum, digest| sum ^ digest)
    }
}

impl Checks {
    /// Begins with what is stored.
    pub(crate) fn restored(records: Vec<Arc<CheckRecord>>, credentials: CredentialsNow) -> Self {
        let mut checks = Self {
            logins: Logins::new(credentials),
            ..Self::default()
        };
        checks.changed(records);
        checks
    }

    /// These are the checks now.
    pub(crate) fn changed(&mut self, records: Vec<Arc<CheckRecord>>) {
        self.records = records.into_iter().map(|record| (record.id, record)).collect();
        let known = &self.records;
        self.last_results
            .retain(|(check, _), _| known.contains_key(check));
        self.refusals.only(|check, _| known.contains_key(&check));
        self.place();
    }

    /// These are the credentials now, and what is known of them.
    pub(crate) fn credentials_changed(&mut self, credentials: CredentialsNow) {
        self.logins.changed(credentials);
        self.place();
    }

    /// The agents may have changed; whether that changes who repeats what.
    pub(crate) fn agents_changed(&mut self, agents: &Agents) -> bool {
        let faces: BTreeMap<AgentName, Face> = agents
            .iter()
            .map(|(name, agent)| (name.clone(), Face::of(agent)))
            .collect();
        if faces == self.faces {
            return false;
        }
        self.told.retain(|name, _| faces.contains_key(name));
        self.last_results
            .retain(|(_, agent), _| faces.contains_key(agent));
        self.refusals.only(|_, agent| faces.contains_key(agent));
        for (name, agent) in agents.iter() {
            if agent.link.is_none() && !self.faces.contains_key(name) {
                self.remember(name, agent.last_seen);
            }
        }
        self.faces = faces;
        self.place();
        true
    }

    /// The checks that are there.
    pub(crate) fn records(&self) -> impl Iterator<Item = &Arc<CheckRecord>> {
        self.records.values()
    }

    /// Whom each check is expected from.
    pub(crate) fn expected(&self) -> Expected {
        let of = |check: Uuid, placement: &Placement| {
            let mut expecting = Expecting::default();
            for (agent, _) in placement.places.iter().filter(|(_, place)| place.runs()) {
                expecting.all.insert(agent.clone());
                if let Some(since) = self.since(check, agent) {
                    expecting.since.insert(agent.clone(), since);
                }
            }
            expecting
        };
        self.placements
            .iter()
            .map(|(&check, placement)| (check, of(check, placement)))
            .collect()
    }

    /// Since when an agent has a check. Who is away goes on with the form it has; who is there is told of another at once.
    fn since(&self, check: Uuid, agent: &AgentName) -> Option<Timestamp> {
        let told = self.told.get(agent)?;
        let connected = self.faces.get(agent).is_some_and(|face| face.connected);
        let meant = told.digests.get(&check).filter(|_| connected);
        told.said.since(check, meant.copied())
    }

    /// An agent that was there before this process has what it was told then.
    fn remember(&mut self, agent: &AgentName, last_seen: Option<Timestamp>) {
        let seen = last_seen.unwrap_or(Timestamp::MIN);
        let records = self.records.values();
        let there = records.filter(|record| record.changed_at <= seen);
        let said = Said::before(there.map(|record| (record.id, record.changed_at)));
        self.told.entry(agent.clone()).or_default().said = said;
    }

    /// The labels of an agent.
    pub(crate) fn labels(&self, agent: &AgentName) -> Option<&Labels> {
        self.faces.get(agent).map(|face| &face.labels)
    }

    /// What an agent must be told so that it repeats what it should; nothing if it does. It counts as told.
    pub(crate) fn update_for(&mut self, agent: &AgentName, known: Known<'_>) -> Option<v1::ChecksUpdate> {
        let wanted = self.assignments(agent);
        let told = self.told.entry(agent.clone()).or_default();
        let said = matches!(known, Known::Said(_));
        let known: BTreeMap<Uuid, u64> = match known {
            Known::Said(said) => said.iter().copied().collect(),
            Known::Sent => std::mem::take(&mut told.digests),
        };
        told.digests = wanted.iter().map(|(&check, one)| (check, one.digest)).collect();
        told.off = 0;
        let removed: Vec<Vec<u8>> = known
            .keys()
            .filter(|check| !wanted.contains_key(check))
            .map(|check| check.as_bytes().to_vec())
            .collect();
        let set: Vec<v1::CheckAssignment> = wanted
            .iter()
            .filter(|(check, one)| known.get(check) != Some(&one.digest))
            .map(|(_, one)| one.clone())
            .collect();
        if set.is_empty() && removed.is_empty() {
            if said {
                told.applied = Some(told.sum());
            }
            return None;
        }
        told.applied = None;
        let sum = told.sum();
        let full = (set.len() + removed.len()) * 2 > wanted.len().max(known.len());
        Some(if full {
            everything(wanted, sum)
        } else {
            v1::ChecksUpdate {
                full,
                set,
                removed,
                sum,
                ..v1::ChecksUpdate::default()
            }
        })
    }

    /// An agent that connects says what it has.
    pub(crate) fn says(&mut self, agent: &AgentName, checks: &[(Uuid, u64)], now: Timestamp) {
        let told = self.told.entry(agent.clone()).or_default();
        told.said.is_now(checks.iter().copied(), now);
    }

    /// An agent says what it now has.
    pub(crate) fn applied(&mut self, agent: &AgentName, applied: v1::ChecksApplied, now: Timestamp) {
        self.confirmed(agent, applied.sum, now);
        let told = self.told.entry(agent.clone()).or_default();
        told.applied = Some(applied.sum);
        told.problems = applied.problems;
    }

    /// An agent says a sum: whether that is news, and means that it has all that it should.
    pub(crate) fn confirmed(&mut self, agent: &AgentName, sum: u64, now: Timestamp) -> bool {
        let Some(told) = self.told.get_mut(agent) else {
            return false;
        };
        if told.sum() != sum || told.applied == Some(sum) {
            return false;
        }
        told.applied = Some(sum);
        told.said
            .is_now(told.digests.iter().map(|(&check, &digest)| (check, digest)), now);
        true
    }

    /// The wall clock was set back to this time.
    pub(crate) fn set_back(&mut self, to: Timestamp) {
        for told in self.told.values_mut() {
            told.said.set_back(to);
        }
        self.refusals.set_back(to);
    }

    /// An agent says the sum of what it has in its heartbeat: everything, where that is not what it should have.
    pub(crate) fn beat(&mut self, agent: &AgentName, sum: u64) -> Option<v1::ChecksUpdate> {
        let told = self.told.get_mut(agent)?;
        if told.sum() == sum {
            told.off = 0;
            return None;
        }
        told.off += 1;
        if told.off < PATIENCE {
            return None;
        }
        told.off = 0;
        told.applied = None;
        let sum = told.sum();
        Some(everything(self.assignments(agent), sum))
    }

    /// A result came: what it says of the check's login, where that is news.
    pub(crate) fn heard(
        &mut self,
        agent: &AgentName,
        result: &parallax_model::check::CheckResult,
        received_at: Timestamp,
    ) -> Option<LoginWord> {
        let record = self.records.get(&result.check)?;
        self.last_results
            .insert((result.check, agent.clone()), received_at);
        self.refusals.heard(agent, result);
        // What was carried out may be an older form, with another secret.
        let told = self
            .told
            .get(agent)
            .and_then(|told| told.digests.get(&result.check));
        if told != Some(&result.digest) {
            return None;
        }
        let login = self.login_of(record, agent)?;
        let word = self.logins.heard(record, &login, (agent, received_at), result)?;
        if let LoginWord::Accepted {
            check, generation, ..
        } = &word
            && let Some(record) = self.records.get_mut(check)
        {
            *record = Arc::new(CheckRecord {
                cleared: generation.clone(),
                ..(**record).clone()
            });
        }
        self.place();
        Some(word)
    }

    /// A round of a check is over: whether that changes who sends its secret.
    pub(crate) fn round_closed(&mut self, check: Uuid, seen: &[Observation], at: Timestamp) -> bool {
        let Some(record) = self.records.get(&check) else {
            return false;
        };
        let logins: Vec<_> = seen
            .iter()
            .filter_map(|observation| Some((self.login_of(record, &observation.agent)?, observation)))
            .collect();
        let changed = self.logins.round_closed(logins.into_iter(), at);
        if changed {
            self.place();
        }
        changed
    }

    /// What a server said of a secret to somebody who asked by hand.
    pub(crate) fn login_settled(&mut self, settled: &LoginSettled) {
        self.logins.settled(settled, Timestamp::now());
        self.place();
    }

    /// Each check with where it stands.
    pub(crate) fn views(&self) -> Vec<CheckView> {
        let view = |(&check, placement): (&Uuid, &Placement)| CheckView {
            check,
            agents: placement
                .places
                .iter()
                .map(|(agent, place)| self.view(check, agent, place))
                .collect(),
            run_by_nobody: self.records.get(&check).is_some_and(|record| !record.paused)
                && !placement
                    .places
                    .iter()
                    .any(|(agent, place)| place.runs() && self.can_have(check, agent)),
        };
        self.placements.iter().map(view).collect()
    }

    /// Of an agent that has it: whether it runs it.
    fn running(&self, check: Uuid, agent: &AgentName, told: &Told) -> (CheckState, String) {
        match self.refusals.of(check, agent, told.digests.get(&check).copied()) {
            Some(refusal) => (CheckState::Refused, refusal.to_owned()),
            None => (CheckState::Running, String::new()),
        }
    }

    /// Whether an agent is told the check, or was before it went away.
    fn can_have(&self, check: Uuid, agent: &AgentName) -> bool {
        let connected = self.faces.get(agent).is_some_and(|face| face.connected);
        connected || self.since(check, agent).is_some()
    }

    fn view(&self, check: Uuid, agent: &AgentName, place: &Place) -> CheckAgent {
        let connected = self.faces.get(agent).is_some_and(|face| face.connected);
        let told = self.told.get(agent);
        let problem = |told: &Told| {
            let name = &self.records.get(&check)?.definition.name;
            let its = told
                .problems
                .iter()
                .find(|problem| problem.starts_with(&format!("{name}:")));
            its.cloned()
        };
        let (state, note) = match place {
            Place::Unable(why) => (CheckState::Unable, why.clone()),
            Place::Withheld(why) => (CheckState::Withheld, why.clone()),
            Place::Rejected(fault) => (CheckState::Withheld, fault.message.clone()),
            Place::Runs if !connected => (CheckState::Offline, "not connected".to_owned()),
            Place::Runs => match told {
                Some(told) if told.applied == Some(told.sum()) => match problem(told) {
                    Some(problem) => (CheckState::Unable, problem),
                    None => self.running(check, agent, told),
                },
                Some(_) | None => (CheckState::Sent, "it has not said that it has it".to_owned()),
            },
        };
        CheckAgent {
            agent: agent.clone(),
            state,
            note,
            last_result: self.last_results.get(&(check, agent.clone())).copied(),
        }
    }
}

fn everything(wanted: BTreeMap<Uuid, v1::CheckAssignment>, sum: u64) -> v1::ChecksUpdate {
    v1::ChecksUpdate {
        full: true,
        set: wanted.into_values().collect(),
        sum,
        ..v1::ChecksUpdate::default()
    }
}

impl Face {
    fn of(agent: &Agent) -> Self {
        Self {
            labels: agent.labels(),
            connected: agent.link.is_some(),
            able: agent.introduction.capabilities.contains(CAPABILITY),
            own_credentials: agent.introduction.local_credentials.clone(),
            sealing_key: agent.introduction.sealing_key.clone(),
        }
    }
}

#[cfg(test)]
mod tests;
