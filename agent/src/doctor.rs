//! What this host can and cannot do, said before it matters.

use std::fmt;
use std::path::Path;

use crate::config::{Config, StatedPolicy};

mod collector;
mod host;
mod policy;

/// How a thing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// As it should be.
    Ok,
    /// The agent works, with less than it could.
    Warn,
    /// The agent can't do its work.
    Fail,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What.
    pub subject: &'static str,
    /// How it is.
    pub state: State,
    /// What was seen, and what to do.
    pub note: String,
}

/// Everything that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnosis(pub Vec<Check>);

/// Looks at this host as the agent would find it.
pub async fn examine(config: &Config) -> Diagnosis {
    parallax_identity::install_provider();
    let mut checks = vec![host::state_dir(&config.state_dir)];
    checks.push(host::spool(&config.state_dir, config.spool));
    checks.extend(host::sealing_key(&config.state_dir));
    checks.extend(host::credentials(&config.credentials));
    checks.extend(collector::checks(config).await);
    checks.push(host::resolver().await);
    checks.extend(host::routes());
    checks.extend(host::trust(&config.ca_files));
    checks.push(host::raw_sockets());
    let in_force = &config.policy.policy;
    checks.push(policy::understood(in_force, &config.credentials));
    checks.extend(policy::writers(&config.policy, &config.state_dir));
    checks.push(host::paths(in_force).await);
    checks.push(host::captures(in_force));
    Diagnosis(checks)
}

/// Says in the log what the doctor would say, where somebody beside root may write the policy.
pub(crate) fn warn_of_writers(stated: &StatedPolicy, state_dir: &Path) {
    if let Some(check) = policy::writers(stated, state_dir).filter(|check| check.state == State::Warn) {
        tracing::warn!("{}", check.note);
    }
}

impl Check {
    fn ok(subject: &'static str, note: impl Into<String>) -> Self {
        Self::new(subject, State::Ok, note)
    }

    fn warn(subject: &'static str, note: impl Into<String>) -> Self {
        Self::new(subject, State::Warn, note)
    }

    fn fail(subject: &'static str, note: impl Into<String>) -> Self {
        Self::new(subject, State::Fail, note)
    }

    fn new(subject: &'static str, state: State, note: impl Into<String>) -> Self {
        Self {
            subject,
            state,
            note: note.into(),
        }
    }
}

impl Diagnosis {
    /// Whether the agent can do its work here.
    pub fn is_fit(&self) -> bool {
        self.0.iter().all(|check| check.state != State::Fail)
    }
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self
            .0
            .iter()
            .map(|check| check.subject.len())
            .max()
            .unwrap_or_default();
        for check in &self.0 {
            let state = match check.state {
                State::Ok => "ok",
                State::Warn => "warn",
                State::Fail => "FAIL",
            };
            writeln!(f, "{state:<4}  {:<width$}  {}", check.subject, check.note)?;
        }
        let failed = self.0.iter().filter(|check| check.state == State::Fail).count();
        match failed {
            0 => writeln!(f, "this host is fit for an agent"),
            1 => writeln!(f, "1 thing keeps the agent from its work"),
            many => writeln!(f, "{many} things keep the agent from its work"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_said_in_capitals_and_counted() {
        let diagnosis = Diagnosis(vec![
            Check::ok("clock", "2 s ahead"),
            Check::fail("state directory", "not writable"),
        ]);
        assert!(!diagnosis.is_fit());
        assert_eq!(
            diagnosis.to_string(),
            "ok    clock            2 s ahead\nFAIL  state directory  not writable\n\
             1 thing keeps the agent from its work\n"
        );
    }

    #[test]
    fn a_warning_leaves_the_host_fit() {
        let diagnosis = Diagnosis(vec![Check::warn("IPv6", "no route")]);
        assert!(diagnosis.is_fit());
        assert!(diagnosis.to_string().ends_with("this host is fit for an agent\n"));
    }
}
