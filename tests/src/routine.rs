//! Checks in a world, as `ctl` has them.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::site::TARGET;
use crate::world::World;

/// How it stands with an agent's spool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spool {
    /// Results made since the spool began.
    pub made: u64,
    /// Not acknowledged yet.
    pub waiting: u64,
    /// Given up.
    pub dropped: u64,
}

/// A result that the collector keeps.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stored {
    /// Whose it is.
    pub agent: String,
    /// Its id.
    pub id: String,
    /// What became of the probe.
    pub outcome: String,
    /// When it began, RFC 3339 UTC.
    pub started_at: String,
}

impl World {
    /// Has every vantage point repeat a probe of the usual target.
    pub fn add_check(&self, name: &str, extra: &[&str]) -> Result<()> {
        self.add_check_of(TARGET, name, extra)
    }

    /// Has every vantage point repeat a probe.
    pub fn add_check_of(&self, target: &str, name: &str, extra: &[&str]) -> Result<()> {
        let usual = ["check", "add", name, "--target", target];
        self.done(&[&usual, extra].concat())
    }

    /// Runs `ctl`, which is to succeed.
    pub fn done(&self, args: &[&str]) -> Result<()> {
        let answer = self.ctl(args)?;
        ensure!(answer.status == Some(0), "{answer}");
        Ok(())
    }

    /// Every result of a check that is kept, of the last day and the hours that a clock may be ahead.
    pub fn results(&self, check: &str) -> Result<Vec<Stored>> {
        let args = [
            "check",
            "history",
            check,
            "--results",
            "--since",
            "24h",
            "--limit",
            "100000",
        ];
        let answer = self.ctl(&[&args[..], &["-o", "jsonl"]].concat())?;
        ensure!(answer.status == Some(0), "{answer}");
        answer
            .stdout
            .lines()
            .map(|line| stored(&serde_json::from_str(line)?))
            .collect()
    }

    /// The rows of a check's history, by the hour.
    pub fn hours(&self, check: &str) -> Result<Vec<Value>> {
        let answer = self.ctl(&[
            "check", "history", check, "--step", "hour", "--limit", "100000", "-o", "json",
        ])?;
        ensure!(answer.status == Some(0), "{answer}");
        Ok(answer.json()["rows"].as_array().cloned().unwrap_or_default())
    }

    /// How it stands with an agent's spool, as its last heartbeat said.
    pub fn spool_of(&self, agent: &str) -> Result<Option<Spool>> {
        let answer = self.ctl(&["agents", "show", agent, "-o", "json"])?;
        ensure!(answer.status == Some(0), "{answer}");
        Ok(spool(&answer.json()))
    }
}

fn stored(line: &Value) -> Result<Stored> {
    let text = |key: &str| {
        let text = line[key].as_str().map(str::to_owned);
        text.with_context(|| format!("{key} of {line}"))
    };
    Ok(Stored {
        agent: text("agent")?,
        id: text("id")?,
        outcome: text("outcome")?,
        started_at: text("started_at")?,
    })
}

fn spool(agent: &Value) -> Option<Spool> {
    let spool = agent.get("spool")?;
    Some(Spool {
        made: spool["made"].as_u64()?,
        waiting: spool["waiting"].as_u64()?,
        dropped: spool["dropped"].as_u64()?,
    })
}
