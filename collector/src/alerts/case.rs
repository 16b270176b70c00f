//! One rule of one check, or one agent: how it stands, and what was said of it.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use parallax_model::alert::{Alert, AlertState};
use parallax_model::check::Window;
use parallax_model::vantage::AgentName;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::machine::{Machine, Phase};
use super::rules::Rule;

/// The shape of what is kept.
const VERSION: u8 = 1;

/// What a case is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Subject {
    /// A rule of a check.
    Check(Uuid, Rule),
    /// One agent.
    Agent(AgentName),
    /// Agents that were lost together.
    Agents,
}

/// As it is kept.
impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Check(check, rule) => write!(f, "check/{check}/{rule}"),
            Self::Agent(agent) => write!(f, "agent/{agent}"),
            Self::Agents => f.write_str("agents"),
        }
    }
}

impl Subject {
    /// Reads what was kept.
    pub(super) fn read(text: &str) -> Option<Self> {
        if text == "agents" {
            return Some(Self::Agents);
        }
        match text.split_once('/')? {
            ("agent", agent) => Some(Self::Agent(agent.parse().ok()?)),
            ("check", rest) => {
                let (check, rule) = rest.split_once('/')?;
                Some(Self::Check(check.parse().ok()?, Rule::read(rule)?))
            }
            _ => None,
        }
    }
}

/// How it stands.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Case {
    pub(super) machine: Machine,
    /// Whether its receivers know that it fires.
    pub(super) told: bool,
    /// What is said of it while it is not quiet.
    pub(super) alert: Option<Alert>,
    /// The maintenance of its check.
    pub(super) windows: Vec<Window>,
    /// Since when an agent that flaps is back.
    pub(super) back_at: Option<Timestamp>,
    /// The agents that are lost together.
    pub(super) members: BTreeSet<AgentName>,
}

/// What is kept of it, beside its alert.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    v: u8,
    machine: Machine,
    #[serde(default)]
    told: bool,
    /// Of what fires, by which its alert is found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fingerprint: Option<String>,
    /// What is pending: it is no alert yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pending: Option<Alert>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    windows: Vec<KeptWindow>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    back_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    members: BTreeSet<AgentName>,
}

#[derive(Debug, Serialize, Deserialize)]
struct KeptWindow {
    from: Timestamp,
    length: Duration,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    every: Option<Duration>,
}

impl Case {
    /// Whether there is an alert where there must be one.
    pub(super) fn is_whole(&self) -> bool {
        self.machine.phase == Phase::Quiet || self.alert.is_some()
    }

    /// What is to be kept; nothing when there is nothing to remember.
    pub(super) fn to_memory(&self) -> Option<Value> {
        let plain = Self {
            windows: self.windows.clone(),
            ..Self::default()
        };
        if *self == plain {
            return None;
        }
        let (pending, alert) = match &self.alert {
            Some(alert) if alert.state == AlertState::Pending => (Some(alert), None),
            alert => (None, alert.as_ref()),
        };
        let kept = Kept {
            v: VERSION,
            machine: self.machine.clone(),
            told: self.told,
            fingerprint: alert.map(|alert| alert.fingerprint.clone()),
            pending: pending.cloned(),
            windows: self.windows.iter().map(KeptWindow::of).collect(),
            back_at: self.back_at,
            members: self.members.clone(),
        };
        serde_json::to_value(kept).ok()
    }

    /// Reads what was kept; `alert` finds an alert by its fingerprint.
    pub(super) fn read(memory: Value, alert: impl FnOnce(&str) -> Option<Alert>) -> Option<Self> {
        let kept: Kept = serde_json::from_value(memory).ok()?;
        (kept.v == VERSION).then(|| Self {
            machine: kept.machine,
            told: kept.told,
            alert: kept.pending.or_else(|| alert(&kept.fingerprint?)),
            windows: kept.windows.into_iter().map(KeptWindow::into_window).collect(),
            back_at: kept.back_at,
            members: kept.members,
        })
    }
}

impl KeptWindow {
    const fn of(window: &Window) -> Self {
        let Window { from, length, every } = *window;
        Self { from, length, every }
    }

    const fn into_window(self) -> Window {
        let Self { from, length, every } = self;
        Window { from, length, every }
    }
}

#[cfg(test)]
mod tests {
    use parallax_model::stage::StageName;

    use super::*;

    #[test]
    fn every_subject_reads_back() {
        let check = Uuid::from_u128(7);
        let rules = [
            Rule::Failing,
            Rule::Degraded,
            Rule::Latency(None),
            Rule::Latency(Some(StageName::Connect)),
            Rule::CertificateEnds,
            Rule::CertificateEndsNow,
        ];
        let subjects = rules
            .map(|rule| Subject::Check(check, rule))
            .into_iter()
            .chain([Subject::Agents, Subject::Agent("fra-1".parse().unwrap())]);
        for subject in subjects {
            assert_eq!(Subject::read(&subject.to_string()), Some(subject));
        }
        assert_eq!(Subject::read("check/7/failing"), None);
    }
}
