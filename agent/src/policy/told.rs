//! The policy in one line, for people.

use std::fmt;

use crate::policy::Policy;

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "allows")?;
        for rule in &self.allow {
            write!(f, " {rule}")?;
        }
        if self.allow.is_empty() {
            write!(f, " nothing")?;
        }
        write!(f, "; denies")?;
        for network in &self.deny {
            write!(f, " {network}")?;
        }
        if self.deny.is_empty() {
            write!(f, " nothing")?;
        }
        for limit in self.limits() {
            write!(f, "; {limit}")?;
        }
        Ok(())
    }
}

impl Policy {
    /// What is narrower than the default.
    fn limits(&self) -> Vec<String> {
        let default = Self::default();
        [
            (self.max_depth < default.max_depth).then(|| format!("max_depth = \"{}\"", self.max_depth)),
            (self.login != default.login).then(|| self.login.rule()),
            (!self.experiments).then(|| "experiments = false".to_owned()),
            (!self.trace).then(|| "trace = false".to_owned()),
            self.max_probes.map(|most| format!("max_probes = {most}")),
            (self.rate < default.rate).then(|| format!("rate = {}", self.rate)),
            (self.rate_per_target < default.rate_per_target)
                .then(|| format!("rate_per_target = {}", self.rate_per_target)),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}
