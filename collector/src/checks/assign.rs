//! Whom a check goes to, and in which form.

use std::collections::BTreeMap;

use parallax_model::check::Assignment;
use parallax_model::fault::Fault;
use parallax_model::vantage::AgentName;
use parallax_proto::convert::digest;
use parallax_proto::v1;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::logins::{Login, Standing};
use super::{Checks, Face};
use crate::store::CheckRecord;

/// Everybody whom a check is for.
#[derive(Debug, Default)]
pub(super) struct Placement {
    pub(super) places: BTreeMap<AgentName, Place>,
}

/// Who is able to repeat a check, in the order in which they are chosen, and who is not.
#[derive(Debug, Default)]
pub(super) struct Able {
    pub(super) agents: Vec<AgentName>,
    others: BTreeMap<AgentName, Place>,
}

/// How a check stands with an agent that it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// The agent repeats it, with or without a link.
    Runs,
    /// The same as far as the login, which is not tried and counts as failed like this.
    Rejected(Fault),
    /// It must wait, in words.
    Withheld(String),
    /// The agent can't, in words.
    Unable(String),
}

impl Place {
    pub(super) const fn runs(&self) -> bool {
        matches!(self, Self::Runs | Self::Rejected(_))
    }
}

impl Checks {
    /// Decides for every check anew.
    pub(super) fn place(&mut self) {
        let able: BTreeMap<Uuid, Able> = self
            .records
            .values()
            .map(|record| (record.id, self.able(record)))
            .collect();
        self.trials = self.chosen_for_trials(&able);
        let of = |(check, able)| {
            let record = self.records.get(&check)?;
            Some((check, self.placement(record, able)))
        };
        self.placements = able.into_iter().filter_map(of).collect();
    }

    /// What an agent is to repeat.
    pub(super) fn assignments(&self, agent: &AgentName) -> BTreeMap<Uuid, v1::CheckAssignment> {
        let its = self.placements.iter().filter_map(|(check, placement)| {
            let place = placement.places.get(agent)?;
            place.runs().then_some((check, place))
        });
        its.filter_map(|(check, place)| {
            let record = self.records.get(check)?;
            Some((*check, self.assignment(record, agent, place)))
        })
        .collect()
    }

    /// The login of a check at an agent, where it has one there.
    pub(super) fn login_of(&self, record: &CheckRecord, agent: &AgentName) -> Option<Login> {
        let credential = record.definition.credential.as_deref()?;
        let face = self.faces.get(agent)?;
        let host = record.definition.spec.target.host.to_string();
        self.logins.login(credential, &host, agent, face)
    }

    fn assignment(&self, record: &CheckRecord, agent: &AgentName, place: &Place) -> v1::CheckAssignment {
        let definition = &record.definition;
        let mut assignment = Assignment {
            check: record.id,
            digest: 0,
            name: definition.name.clone(),
            version: record.version,
            spec: definition.spec.clone(),
            every: definition.every,
            together: definition.together,
            secret: None,
            credential: None,
            login_cleared: false,
            login_rejected: None,
            login_retry: None,
        };
        if let Some(login) = self.login_of(record, agent) {
            if *place == Place::Runs {
                assignment.login_retry = self.logins.standing(login.account()).retry();
            }
            login.put_into(&mut assignment);
            match place {
                Place::Rejected(fault) => assignment.login_rejected = Some(fault.clone()),
                Place::Runs | Place::Withheld(_) | Place::Unable(_) => assignment.login_cleared = true,
            }
        }
        let mut wire = v1::CheckAssignment::from(assignment);
        wire.digest = digest(&wire);
        wire
    }

    /// Of those that are able, so many as the limit says, always the same ones while they are known.
    fn able(&self, record: &CheckRecord) -> Able {
        if record.paused {
            return Able::default();
        }
        let definition = &record.definition;
        let mut others = BTreeMap::new();
        let mut able: Vec<([u8; 32], &AgentName)> = Vec::new();
        for (agent, face) in &self.faces {
            if !definition.from.matches(agent.as_str(), &face.labels) {
                continue;
            }
            match self.obstacle(record, agent, face) {
                Some(why) => {
                    others.insert(agent.clone(), Place::Unable(why));
                }
                None => able.push((rank(record.id, agent), agent)),
            }
        }
        able.sort_unstable();
        if let Some(limit) = definition.limit.and_then(|limit| usize::try_from(limit).ok()) {
            able.truncate(limit);
            if able.len() == limit {
                others.clear();
            }
        }
        let agents = able.into_iter().map(|(_, agent)| agent.clone()).collect();
        Able { agents, others }
    }

    fn placement(&self, record: &CheckRecord, able: Able) -> Placement {
        let Able { agents, others } = able;
        let standing = self.standing(record, &agents);
        let mut places = others;
        places.extend(agents.into_iter().zip(standing));
        Placement { places }
    }

    fn obstacle(&self, record: &CheckRecord, agent: &AgentName, face: &Face) -> Option<String> {
        if !face.able {
            return Some("the agent does not know how to repeat checks".to_owned());
        }
        let credential = record.definition.credential.as_deref()?;
        let host = record.definition.spec.target.host.to_string();
        match self.logins.login(credential, &host, agent, face) {
            Some(_) => None,
            None => Some(self.logins.why_not(credential, &host, agent)),
        }
    }

    /// One agent alone tries a secret that no server took yet, or that one turned down: a wrong one is not tried by all.
    fn standing(&self, record: &CheckRecord, able: &[AgentName]) -> Vec<Place> {
        if record.definition.credential.is_none() {
            return vec![Place::Runs; able.len()];
        }
        let lead = able.iter().find(|agent| self.is_connected(agent));
        able.iter()
            .map(|agent| {
                let Some(login) = self.login_of(record, agent) else {
                    return Place::Unable("its credential is gone".to_owned());
                };
                let account = login.account();
                match self.logins.standing(account) {
                    Standing::Rejected(fault) => return Place::Rejected(fault),
                    Standing::Trial { .. } => {
                        return match self.trials.get(account) {
                            Some((check, chosen)) if *check == record.id && chosen == agent => Place::Runs,
                            trial => {
                                let who = trial.map(|(_, chosen)| chosen);
                                Place::Rejected(self.logins.left_to(account, who))
                            }
                        };
                    }
                    Standing::Free { .. } => {}
                }
                let cleared = record.cleared == login.generation();
                match lead {
                    _ if cleared => Place::Runs,
                    Some(lead) if lead == agent => Place::Runs,
                    Some(lead) => Place::Withheld(format!("{lead} tries the secret first")),
                    None => Place::Withheld("nobody who could try the secret first is connected".to_owned()),
                }
            })
            .collect()
    }

    pub(super) fn is_connected(&self, agent: &AgentName) -> bool {
        self.faces.get(agent).is_some_and(|face| face.connected)
    }
}

fn rank(check: Uuid, agent: &AgentName) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update(check.as_bytes());
    hasher.update(agent.as_str().as_bytes());
    hasher.finalize().into()
}
