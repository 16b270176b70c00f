//! Who alone sends a secret that was turned down or is doubted: of all checks and all agents one.

use std::collections::BTreeMap;

use parallax_model::vantage::AgentName;
use uuid::Uuid;

use super::Checks;
use super::assign::Able;
use super::logins::Standing;
use crate::store::Account;

/// For each such secret the check and the agent.
pub(super) type Trials = BTreeMap<Account, (Uuid, AgentName)>;

impl Checks {
    /// Whoever was chosen stays while it is connected, since it may have sent the secret already.
    pub(super) fn chosen_for_trials(&self, able: &BTreeMap<Uuid, Able>) -> Trials {
        let mut chosen: BTreeMap<Account, (u8, (Uuid, AgentName))> = BTreeMap::new();
        if !self.logins.has_trials() {
            return Trials::new();
        }
        for (&check, agent) in able
            .iter()
            .flat_map(|(check, able)| able.agents.iter().map(move |agent| (check, agent)))
        {
            let login = self
                .records
                .get(&check)
                .filter(|_| self.is_connected(agent))
                .and_then(|record| self.login_of(record, agent));
            let Some(login) = login else { continue };
            let account = login.account();
            if !matches!(self.logins.standing(account), Standing::Trial { .. }) {
                continue;
            }
            let trial = (check, agent.clone());
            let rank = if self.trials.get(account) == Some(&trial) {
                0
            } else if self.logins.goes_first(account, agent) {
                1
            } else {
                2
            };
            let best = chosen.get(account).is_none_or(|(best, _)| rank < *best);
            if best {
                chosen.insert(account.clone(), (rank, trial));
            }
        }
        chosen
            .into_iter()
            .map(|(account, (_, trial))| (account, trial))
            .collect()
    }
}
