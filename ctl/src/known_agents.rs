//! To which keys this operator has sealed secrets before. Who gets a password is not the collector's to say: it names
//! the agents' keys, and one that is not the one of last time is not sealed to until the operator has looked.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use parallax_identity::seal::fingerprint;
use parallax_identity::{CollectorAddress, ProofError, Readers, write_whole};
use parallax_proto::v1;
use serde::{Deserialize, Serialize};

use crate::exit::Trouble;

/// In the operator's home.
pub(crate) const FILE: &str = "known_agents.toml";

/// The agents of one collector, and the fingerprint of each one's sealing key.
#[derive(Debug)]
pub(crate) struct KnownAgents {
    path: PathBuf,
    collector: String,
    all: File,
}

/// By collector, then by agent.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
struct File(BTreeMap<String, BTreeMap<String, String>>);

impl KnownAgents {
    /// Those that are kept in the operator's home.
    pub(crate) fn load(home: &Path, collector: &CollectorAddress) -> Result<Self, Trouble> {
        let path = home.join(FILE);
        let all = match std::fs::read_to_string(&path) {
            Ok(text) => toml::from_str(&text)
                .map_err(|error| Trouble::new(format!("{}: {}", path.display(), error.message())))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => File::default(),
            Err(error) => return Err(Trouble::new(format!("read {}: {error}", path.display()))),
        };
        Ok(Self {
            path,
            collector: collector.to_string(),
            all,
        })
    }

    /// Looks at the keys of the agents that are chosen to get a secret, and takes the key away from those to which none
    /// may be sealed. At the first sight of a collector all keys are taken that an agent's certificate proves; an agent
    /// that turns up later may be an invention of whoever has the collector. What the operator should know is returned.
    pub(crate) fn meet(
        &mut self,
        agents: &mut [v1::Agent],
        chosen: impl Fn(&v1::Agent) -> bool,
        proved: impl Fn(&v1::Agent) -> Result<(), ProofError>,
    ) -> Result<Option<String>, Trouble> {
        let Some(ours) = self.all.0.get(&self.collector) else {
            return self.meet_all(agents, chosen, proved);
        };
        let (mut new, mut changed) = (Vec::new(), Vec::new());
        for agent in agents.iter_mut().filter(|agent| chosen(agent)) {
            let key = fingerprint(&agent.sealing_key);
            match ours.get(&agent.name) {
                Some(known) if *known == key => {}
                Some(known) => changed.push((agent.name.clone(), known.clone(), key)),
                None => {
                    agent.sealing_key.clear();
                    new.push(format!("  ctl agents trust {} --key {key}\n", agent.name));
                }
            }
        }
        if let Some(first) = changed.first() {
            return Err(refusal(first, changed.len() - 1));
        }
        Ok((!new.is_empty()).then(|| warning("agents that are new here", &new.concat())))
    }

    fn meet_all(
        &mut self,
        agents: &mut [v1::Agent],
        chosen: impl Fn(&v1::Agent) -> bool,
        proved: impl Fn(&v1::Agent) -> Result<(), ProofError>,
    ) -> Result<Option<String>, Trouble> {
        let (mut keys, mut unproved, mut said) = (BTreeMap::new(), String::new(), String::new());
        for agent in agents.iter_mut().filter(|agent| !agent.sealing_key.is_empty()) {
            let key = fingerprint(&agent.sealing_key);
            let Err(why) = proved(agent) else {
                keys.insert(agent.name.clone(), key);
                continue;
            };
            if chosen(agent) {
                let name = &agent.name;
                unproved.push_str(&format!("  ctl agents trust {name} --key {key}   ({why})\n"));
            }
            agent.sealing_key.clear();
        }
        if !keys.is_empty() {
            said = format!(
                "note: the keys of {} agents, to which secrets are sealed, are taken as their certificates prove them, and \
                 kept in {}\n",
                keys.len(),
                self.path.display()
            );
            self.all.0.insert(self.collector.clone(), keys);
            self.save()?;
        }
        if !unproved.is_empty() {
            said.push_str(&warning("agents whose keys nothing proves", &unproved));
        }
        Ok((!said.is_empty()).then_some(said))
    }

    /// Whether this key is the agent's as far as is known here; none of an agent that is not known.
    pub(crate) fn knows(&self, agent: &str, key: &str) -> Option<bool> {
        let known = self.all.0.get(&self.collector)?.get(agent)?;
        Some(known == key)
    }

    /// Takes a key for the agent's from now on.
    pub(crate) fn trust(&mut self, agent: &str, key: &str) -> Result<(), Trouble> {
        let ours = self.all.0.entry(self.collector.clone()).or_default();
        ours.insert(agent.to_owned(), key.to_owned());
        self.save()
    }

    fn save(&self) -> Result<(), Trouble> {
        let wrong = |error: io::Error| Trouble::new(format!("write {}: {error}", self.path.display()));
        write_whole(&self.path, toml::to_string(&self.all)?.as_bytes(), Readers::Owner).map_err(wrong)
    }
}

fn warning(who: &str, commands: &str) -> String {
    format!(
        "warning: no secret is sealed to {who}; compare with `parallax-agent fingerprint` on their hosts, then:\n{commands}"
    )
}

fn refusal((agent, known, key): &(String, String, String), others: usize) -> Trouble {
    let others = match others {
        0 => String::new(),
        others => format!(" (and {others} more)"),
    };
    Trouble::new(format!(
        "no secret is sealed: the key of {agent}{others} was {known} and is {key}"
    ))
    .hint(format!(
        "an agent that joined anew has a new key, and so has a thief: compare with `parallax-agent fingerprint` on its \
         host, then: ctl agents trust {agent} --key {key}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent(name: &str, key: u8) -> v1::Agent {
        v1::Agent {
            name: name.to_owned(),
            sealing_key: vec![key; 32],
            ..v1::Agent::default()
        }
    }

    fn known(home: &Path, collector: &str) -> KnownAgents {
        KnownAgents::load(home, &collector.parse().unwrap()).unwrap()
    }

    /// Who of these agents gets a secret, and what is said of it.
    fn meet(known: &mut KnownAgents, agents: &[v1::Agent]) -> Result<(Vec<String>, Option<String>), Trouble> {
        let mut agents = agents.to_vec();
        let proved = |agent: &v1::Agent| match agent.version.as_str() {
            "unproved" => Err(ProofError::Signature),
            _ => Ok(()),
        };
        let said = known.meet(&mut agents, |_| true, proved)?;
        let able = agents.into_iter().filter(|agent| !agent.sealing_key.is_empty());
        Ok((able.map(|agent| agent.name).collect(), said))
    }

    #[test]
    fn at_first_sight_the_keys_are_kept_for_the_owner_alone_and_said_once() {
        use std::os::unix::fs::PermissionsExt as _;
        let home = tempfile::tempdir().unwrap();
        let agents = [agent("fra-1", 1), agent("ams.1", 2)];
        let (able, said) = meet(&mut known(home.path(), "mon.example.org"), &agents).unwrap();
        assert_eq!(able, ["fra-1", "ams.1"]);
        assert!(said.unwrap().contains("the keys of 2 agents"));
        let (able, said) = meet(&mut known(home.path(), "mon.example.org"), &agents).unwrap();
        assert_eq!((able.len(), said), (2, None));
        let mode = std::fs::metadata(home.path().join(FILE))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        let (_, said) = meet(&mut known(home.path(), "other.example.org"), &agents).unwrap();
        assert!(said.is_some(), "another collector's agents are others");
    }

    /// A collector that puts a key of its own in the place of an agent's has no signature for it.
    #[test]
    fn at_first_sight_no_secret_is_sealed_to_a_key_that_nothing_proves() {
        let home = tempfile::tempdir().unwrap();
        let mut books = known(home.path(), "mon.example.org");
        let swapped = v1::Agent {
            version: "unproved".into(),
            ..agent("ams-1", 9)
        };
        let (able, said) = meet(&mut books, std::slice::from_ref(&swapped)).unwrap();
        assert!(able.is_empty());
        let said = said.unwrap();
        assert!(
            said.contains("ctl agents trust ams-1 --key SHA256:") && said.contains("signature"),
            "{said}"
        );
        let both = [agent("fra-1", 1), swapped];
        assert_eq!(meet(&mut books, &both).unwrap().0, ["fra-1"]);
        assert_eq!(meet(&mut books, &both).unwrap().0, ["fra-1"], "nor later");
        books.trust("ams-1", &fingerprint(&[9; 32])).unwrap();
        assert_eq!(meet(&mut books, &both).unwrap().0, ["fra-1", "ams-1"]);
    }

    #[test]
    fn an_agent_that_turns_up_later_gets_no_secret_until_the_operator_has_looked() {
        let home = tempfile::tempdir().unwrap();
        let mut books = known(home.path(), "mon.example.org");
        meet(&mut books, &[agent("fra-1", 1)]).unwrap();
        let both = [agent("fra-1", 1), agent("invented", 9)];
        for _ in 0..2 {
            let (able, said) = meet(&mut books, &both).unwrap();
            assert_eq!(able, ["fra-1"]);
            assert!(said.unwrap().contains("ctl agents trust invented --key SHA256:"));
        }
        books.trust("invented", &fingerprint(&[9; 32])).unwrap();
        let (able, said) = meet(&mut known(home.path(), "mon.example.org"), &both).unwrap();
        assert_eq!((able.len(), said), (2, None));
    }

    #[test]
    fn a_key_that_changed_is_refused_until_the_operator_takes_it() {
        let home = tempfile::tempdir().unwrap();
        let mut books = known(home.path(), "mon.example.org");
        meet(&mut books, &[agent("fra-1", 1)]).unwrap();
        let thief = [agent("fra-1", 2)];
        let lines = meet(&mut books, &thief).unwrap_err().lines();
        assert!(
            lines.contains(&fingerprint(&[1; 32])) && lines.contains(&fingerprint(&[2; 32])),
            "{lines}"
        );
        assert!(lines.contains("ctl agents trust fra-1 --key SHA256:"), "{lines}");
        assert!(meet(&mut books, &thief).is_err(), "asking again is no consent");
        books.trust("fra-1", &fingerprint(&[2; 32])).unwrap();
        assert!(meet(&mut known(home.path(), "mon.example.org"), &thief).is_ok());
    }
}
