//! Secrets whose logins nobody answers: each may count as a wrong one, and all agents together would soon close the account.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use parallax_model::fault::{Fault, FaultKind};
use parallax_model::observation::Observation;
use parallax_model::stage::{Outcome, StageName};
use parallax_model::vantage::AgentName;

use crate::store::Account;

/// Those of which a round saw no login that was taken, and at least one without an answer.
#[derive(Debug, Default)]
pub(super) struct Doubts {
    of: BTreeMap<Account, Doubt>,
}

/// Who got no answer, when, and what came instead.
#[derive(Debug)]
pub(super) struct Doubt {
    pub(super) agent: AgentName,
    at: Timestamp,
    kind: FaultKind,
}

/// What came of the logins of one vantage point.
enum Came {
    Taken,
    Answered,
    Silence(FaultKind),
    Nothing,
}

impl Doubts {
    pub(super) fn find(&self, account: &Account) -> Option<&Doubt> {
        self.of.get(account)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.of.is_empty()
    }

    /// Whether there was one to end.
    pub(super) fn end(&mut self, account: &Account) -> bool {
        self.of.remove(account).is_some()
    }

    pub(super) fn retain(&mut self, is_used: impl Fn(&Account) -> bool) {
        self.of.retain(|account, _| is_used(account));
    }

    /// A round is over. What one agent was let in with is not doubted: then the fault is of a way. Whether a doubt is new.
    pub(super) fn round_closed<'a>(
        &mut self,
        seen: impl Iterator<Item = (Account, &'a Observation)>,
        at: Timestamp,
    ) -> bool {
        let mut taken = BTreeSet::new();
        let mut silent: BTreeMap<Account, Doubt> = BTreeMap::new();
        for (account, observation) in seen {
            match came_of(observation) {
                Came::Taken => {
                    taken.insert(account);
                }
                Came::Silence(kind) => {
                    let agent = observation.agent.clone();
                    silent.entry(account).or_insert(Doubt { agent, at, kind });
                }
                Came::Answered | Came::Nothing => {}
            }
        }
        silent.retain(|account, _| !taken.contains(account) && !self.of.contains_key(account));
        let is_new = !silent.is_empty();
        self.of.append(&mut silent);
        is_new
    }
}

impl Doubt {
    /// What is said of a login that is left to somebody else.
    pub(super) fn left_to(&self, who: Option<&AgentName>) -> Fault {
        let (agent, at) = (&self.agent, self.at);
        let who = who.map_or("an agent that is connected", AgentName::as_str);
        Fault::new(
            self.kind,
            format!(
                "no answer came to the login for {agent} on {at:.0}; it may have counted, and only {who} sends the secret until \
                 a server takes it"
            ),
        )
    }
}

fn came_of(observation: &Observation) -> Came {
    let logins = observation
        .requested()
        .flat_map(|attempt| &attempt.stages)
        .filter(|stage| stage.name == StageName::Authenticate);
    let mut came = Came::Nothing;
    for stage in logins {
        match &stage.outcome {
            Outcome::Ok | Outcome::Degraded(_) => return Came::Taken,
            Outcome::Failed(fault)
                if stage.login_was_answered() || matches!(fault.kind, FaultKind::Auth(_)) =>
            {
                came = Came::Answered;
            }
            Outcome::Failed(fault) if matches!(came, Came::Nothing) => came = Came::Silence(fault.kind),
            Outcome::Failed(_) | Outcome::Skipped(_) | Outcome::NotReached => {}
        }
    }
    came
}
