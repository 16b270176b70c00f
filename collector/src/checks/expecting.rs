//! Whom a check is expected from, and since when.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use parallax_model::vantage::AgentName;
use uuid::Uuid;

/// By check.
pub(crate) type Expected = BTreeMap<Uuid, Expecting>;

/// Those who repeat one check.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Expecting {
    /// Everybody who is to.
    pub(crate) all: BTreeSet<AgentName>,
    /// Since when each has it in this form, as far as it said so; on the collector's wall clock.
    pub(crate) since: BTreeMap<AgentName, Timestamp>,
}

impl Expecting {
    /// Who is missing where nothing comes of a round that began then. The others may have come to the check too late
    /// for it.
    pub(crate) fn in_round(&self, starts_at: Timestamp) -> BTreeSet<AgentName> {
        let had_it = |agent: &&AgentName| self.since.get(*agent).is_some_and(|&since| since <= starts_at);
        self.all.iter().filter(had_it).cloned().collect()
    }
}

/// Those who have had it all along.
impl FromIterator<AgentName> for Expecting {
    fn from_iter<I: IntoIterator<Item = AgentName>>(agents: I) -> Self {
        let all: BTreeSet<AgentName> = agents.into_iter().collect();
        let since = all.iter().map(|agent| (agent.clone(), Timestamp::MIN));
        Self {
            since: since.collect(),
            all,
        }
    }
}

/// What an agent said that it has.
#[derive(Debug, Default)]
pub(super) struct Said {
    forms: BTreeMap<Uuid, Form>,
}

#[derive(Debug, Clone, Copy)]
struct Form {
    /// `None`: it said so to a process before this one.
    digest: Option<u64>,
    since: Timestamp,
}

impl Said {
    /// It has had these since then, in whichever form.
    pub(super) fn before(checks: impl Iterator<Item = (Uuid, Timestamp)>) -> Self {
        let form = |since| Form { digest: None, since };
        Self {
            forms: checks.map(|(check, since)| (check, form(since))).collect(),
        }
    }

    /// It has these, and no others.
    pub(super) fn is_now(&mut self, digests: impl Iterator<Item = (Uuid, u64)>, now: Timestamp) {
        let forms = digests.map(|(check, digest)| {
            let known = self.forms.get(&check);
            let same = known.filter(|form| form.digest.is_none_or(|known| known == digest));
            let form = Form {
                digest: Some(digest),
                since: same.map_or(now, |form| form.since),
            };
            (check, form)
        });
        self.forms = forms.collect();
    }

    /// Since when it has a check, in this form where one is given.
    pub(super) fn since(&self, check: Uuid, digest: Option<u64>) -> Option<Timestamp> {
        let form = self.forms.get(&check)?;
        let is_it = match (form.digest, digest) {
            (Some(said), Some(meant)) => said == meant,
            (None, _) | (_, None) => true,
        };
        is_it.then_some(form.since)
    }

    /// The wall clock was set back to this time: what it has by then it had before.
    pub(super) fn set_back(&mut self, to: Timestamp) {
        for form in self.forms.values_mut() {
            form.since = form.since.min(to);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHECK: Uuid = Uuid::from_u128(1);

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn who_came_to_a_check_after_a_round_began_is_not_missed_in_it() {
        let [fra, nyc]: [AgentName; 2] = ["fra-1", "nyc-1"].map(|name| name.parse().unwrap());
        let expecting = Expecting {
            all: [fra.clone(), nyc.clone()].into(),
            since: [(fra.clone(), at(10))].into(),
        };
        assert_eq!(expecting.in_round(at(9)), [].into());
        assert_eq!(expecting.in_round(at(10)), [fra].into(), "nyc-1 never said it");
    }

    #[test]
    fn another_form_begins_anew_and_the_same_does_not() {
        let mut said = Said::default();
        assert_eq!(said.since(CHECK, None), None);
        said.is_now([(CHECK, 7)].into_iter(), at(10));
        said.is_now([(CHECK, 7)].into_iter(), at(20));
        assert_eq!(said.since(CHECK, Some(7)), Some(at(10)));
        assert_eq!(said.since(CHECK, Some(8)), None);
        assert_eq!(
            said.since(CHECK, None),
            Some(at(10)),
            "it goes on with what it has"
        );
        said.is_now([(CHECK, 8)].into_iter(), at(30));
        assert_eq!(said.since(CHECK, Some(8)), Some(at(30)));
        said.set_back(at(5));
        assert_eq!(said.since(CHECK, Some(8)), Some(at(5)));
        said.is_now([].into_iter(), at(40));
        assert_eq!(said.since(CHECK, None), None);
    }

    #[test]
    fn what_was_said_before_a_restart_holds() {
        let mut said = Said::before([(CHECK, at(10))].into_iter());
        assert_eq!(said.since(CHECK, Some(7)), Some(at(10)));
        said.is_now([(CHECK, 7)].into_iter(), at(20));
        assert_eq!(said.since(CHECK, Some(7)), Some(at(10)));
    }
}
