//! What was made, held against what is stored: each result once.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};

use crate::routine::{Spool, Stored};
use crate::world::World;

/// What an agent says when a result is on its disk.
const MADE: &str = "result made";

/// Everything that is known of the results of one agent.
#[derive(Debug, Default)]
struct Account {
    /// Ids that its log has.
    witnessed: BTreeSet<String>,
    stored: Vec<String>,
    /// Results in the hours of the history.
    rolled_up: u64,
    spool: Option<Spool>,
}

/// The books of a world in which every check is paused.
#[derive(Debug, Default)]
pub struct Ledger {
    accounts: BTreeMap<String, Account>,
}

impl Ledger {
    /// Reads what agents, collector and history say of these checks.
    pub fn read(world: &World, agents: &[&str], checks: &[&str]) -> Result<Self> {
        let mut accounts = BTreeMap::new();
        for agent in agents {
            let account = Account {
                witnessed: witnessed(&world.log_of(&format!("agent-{agent}"))),
                spool: world.spool_of(agent)?,
                ..Account::default()
            };
            accounts.insert((*agent).to_owned(), account);
        }
        let mut ledger = Self { accounts };
        for check in checks {
            for Stored { agent, id, .. } in world.results(check)? {
                ledger.account(&agent)?.stored.push(id);
            }
            for row in world.hours(check)? {
                let count = ["ok", "degraded", "failed", "refused"]
                    .iter()
                    .filter_map(|key| row[key].as_u64())
                    .sum::<u64>();
                let agent = row["agent"].as_str().context("a row has an agent")?;
                ledger.account(agent)?.rolled_up += count;
            }
        }
        Ok(ledger)
    }

    fn account(&mut self, agent: &str) -> Result<&mut Account> {
        self.accounts
            .get_mut(agent)
            .with_context(|| format!("nobody knows {agent}"))
    }

    /// Whether every result is in one place, and in the history once.
    pub fn balance(&self) -> Result<()> {
        self.accounts.iter().try_for_each(|(agent, account)| {
            account
                .balance()
                .with_context(|| format!("{agent}: {}", account.say()))
        })
    }

    /// Results that are stored.
    pub fn stored(&self) -> usize {
        self.accounts.values().map(|account| account.stored.len()).sum()
    }

    /// The books in a few lines.
    pub fn say(&self) -> String {
        self.accounts
            .iter()
            .map(|(agent, account)| format!("{agent}: {}\n", account.say()))
            .collect()
    }
}

impl Account {
    fn balance(&self) -> Result<()> {
        let unique: BTreeSet<&String> = self.stored.iter().collect();
        ensure!(unique.len() == self.stored.len(), "a result is stored twice");
        let Spool {
            made,
            waiting,
            dropped,
        } = self.spool.context("no word of its spool")?;
        ensure!(waiting == 0, "results wait");
        let stored = self.stored.len() as u64;
        ensure!(made == stored + dropped, "made is not stored and dropped");
        let missing = self.witnessed.iter().filter(|id| !unique.contains(id)).count() as u64;
        ensure!(
            missing <= dropped,
            "{missing} results that were on the disk are nowhere"
        );
        ensure!(self.rolled_up == stored, "the history counts otherwise");
        Ok(())
    }

    fn say(&self) -> String {
        let Self {
            witnessed,
            stored,
            rolled_up,
            spool,
        } = self;
        let (witnessed, stored) = (witnessed.len(), stored.len());
        format!("witnessed {witnessed}, stored {stored}, in the history {rolled_up}, spool {spool:?}")
    }
}

/// The ids in an agent's log; its lines are text.
fn witnessed(log: &str) -> BTreeSet<String> {
    let made = log.lines().filter(|line| line.contains(MADE));
    let id = |line: &str| {
        Some(
            line.split("result=")
                .nth(1)?
                .split_whitespace()
                .next()?
                .to_owned(),
        )
    };
    made.filter_map(id).collect()
}
