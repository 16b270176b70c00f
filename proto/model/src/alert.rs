//! When a check alerts, and what an alert says.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::check::CheckName;
use crate::finding::Severity;
use crate::kinds::kinds;
use crate::selector::glob_matches;
use crate::stage::StageName;

/// When a check alerts. A rule that is absent never does.
#[derive(Debug, Clone, PartialEq)]
pub struct AlertRules {
    /// The target does not work.
    pub failing: Option<FailRule>,
    /// It works, with something to be seen.
    pub degraded: Option<FailRule>,
    /// It is slow.
    pub latency: Vec<LatencyRule>,
    /// Its certificate ends.
    pub certificate: Option<CertificateRule>,
}

/// So many vantage points for so many rounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FailRule {
    /// From how many vantage points on.
    pub from: Threshold,
    /// Rounds one after another until it fires.
    pub rounds: u32,
    /// Good rounds one after another until it is over.
    pub recover_rounds: u32,
}

/// How many vantage points are enough.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Threshold {
    /// So many, or all where fewer are expected: who says nothing is no reason to be content with less.
    Vantages(u32),
    /// This share of those that answered, 0 to 1.
    Share(f64),
}

impl Threshold {
    /// Whether so many of those that answered are enough, in a round that so many were expected in. None is never enough.
    pub fn reached(self, count: u32, answered: u32, expected: u32) -> bool {
        let enough = match self {
            Self::Vantages(least) => count >= least.min(expected),
            Self::Share(share) => f64::from(count) >= share * f64::from(answered),
        };
        count > 0 && enough
    }
}

/// Something takes too long.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LatencyRule {
    /// What is measured: a stage, or all of it.
    pub stage: Option<StageName>,
    /// Longer than this.
    pub above: Option<Duration>,
    /// Longer than so many times what is usual there.
    pub above_baseline: Option<f64>,
    /// Rounds one after another until it fires.
    pub rounds: u32,
}

/// A certificate ends soon. What is 0 is not asked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CertificateRule {
    /// A warning within so many days.
    pub days: u32,
    /// Critical within so many days.
    pub critical_days: u32,
    /// A warning when less than this part of its life is left.
    pub lifetime_left: f64,
}

impl Default for AlertRules {
    fn default() -> Self {
        Self {
            failing: Some(FailRule {
                from: Threshold::Vantages(2),
                rounds: 2,
                recover_rounds: 2,
            }),
            degraded: None,
            latency: Vec::new(),
            certificate: Some(CertificateRule {
                days: 14,
                critical_days: 3,
                lifetime_left: 0.1,
            }),
        }
    }
}

/// Why a rule can't be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// It would always fire, or never.
    #[error("a rule needs at least one vantage point, or a share above 0 and up to 1")]
    Threshold,
    /// No round at all.
    #[error("a rule needs at least one round, and one to recover")]
    Rounds,
    /// Nothing to be above of.
    #[error("a latency rule needs a time, or how many times what is usual (above 1)")]
    Latency,
    /// Not a part.
    #[error("the part of a certificate's life that is left is from 0 to 1")]
    LifetimeLeft,
}

impl AlertRules {
    /// No rule at all.
    pub const fn none() -> Self {
        Self {
            failing: None,
            degraded: None,
            latency: Vec::new(),
            certificate: None,
        }
    }

    /// Whether the rules can be kept.
    ///
    /// # Errors
    /// The first thing that stands against it.
    pub fn check(&self) -> Result<(), RuleError> {
        for rule in self.failing.iter().chain(&self.degraded) {
            let fits = match rule.from {
                Threshold::Vantages(least) => least > 0,
                Threshold::Share(share) => share > 0.0 && share <= 1.0,
            };
            if !fits {
                return Err(RuleError::Threshold);
            }
            if rule.rounds == 0 || rule.recover_rounds == 0 {
                return Err(RuleError::Rounds);
            }
        }
        for rule in &self.latency {
            if rule.rounds == 0 {
                return Err(RuleError::Rounds);
            }
            let fits = match (rule.above, rule.above_baseline) {
                (None, None) => false,
                (above, times) => {
                    above.is_none_or(|above| !above.is_zero()) && times.is_none_or(|times| times > 1.0)
                }
            };
            if !fits {
                return Err(RuleError::Latency);
            }
        }
        let left = self.certificate.map_or(0.0, |rule| rule.lifetime_left);
        if (0.0..=1.0).contains(&left) {
            Ok(())
        } else {
            Err(RuleError::LifetimeLeft)
        }
    }
}

kinds! {
    /// How it stands with an alert.
    AlertState, fallback Firing {
        /// The trouble has not lasted long enough yet.
        Pending = "pending",
        /// It has.
        Firing = "firing",
        /// It is over.
        Resolved = "resolved",
    }
}

/// Something that is wrong with what a check watches, or with an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Alert {
    /// 16 hexadecimal digits; the same for the same trouble, always.
    pub fingerprint: String,
    /// `ImapTargetFailing`, ...
    pub name: String,
    /// The check it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<CheckName>,
    /// How it stands.
    pub state: AlertState,
    /// How bad it is.
    pub severity: Severity,
    /// One line a person can act on.
    pub summary: String,
    /// What it is told apart and routed by.
    pub labels: BTreeMap<String, String>,
    /// What else there is to know.
    pub annotations: BTreeMap<String, String>,
    /// When the trouble was first seen.
    #[schemars(with = "String")]
    pub since: Timestamp,
    /// When it fired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub fired_at: Option<Timestamp>,
    /// When it was over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub resolved_at: Option<Timestamp>,
    /// The run that shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<Uuid>,
    /// Its trace, 32 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    /// Whether it comes and goes so often that it is told less.
    pub flapping: bool,
    /// What keeps it from being told: a silence, a maintenance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silenced_by: Option<String>,
}

/// For a time, alerts like these tell nobody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Silence {
    /// Nil until it is added.
    pub id: Uuid,
    /// Labels to what their values must look like: `*` is any text, `?` one character. All must match.
    pub matchers: BTreeMap<String, String>,
    /// From when on.
    #[schemars(with = "String")]
    pub starts_at: Timestamp,
    /// Until when.
    #[schemars(with = "String")]
    pub ends_at: Timestamp,
    /// Why.
    pub comment: String,
    /// SPIFFE URI of who made it.
    pub created_by: String,
}

impl Silence {
    /// Whether it counts at a time.
    pub fn holds(&self, now: Timestamp) -> bool {
        self.starts_at <= now && now < self.ends_at
    }

    /// Whether an alert with these labels is meant. A label that is not there is as good as empty; without matchers
    /// none is.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        !self.matchers.is_empty()
            && self.matchers.iter().all(|(label, pattern)| {
                let value = labels.get(label).map_or("", String::as_str);
                glob_matches(pattern.as_bytes(), value.as_bytes())
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_of_those_expected_and_a_share_of_those_that_answered() {
        let two = Threshold::Vantages(2);
        assert!(two.reached(2, 5, 6) && two.reached(1, 1, 1));
        assert!(!two.reached(1, 2, 2) && !two.reached(1, 1, 2) && !two.reached(0, 0, 0));
        let half = Threshold::Share(0.5);
        assert!(half.reached(2, 4, 9) && !half.reached(2, 5, 5) && !half.reached(0, 0, 1));
    }

    #[test]
    fn rules_that_make_no_sense_are_refused() {
        assert_eq!(AlertRules::default().check(), Ok(()));
        assert_eq!(AlertRules::none().check(), Ok(()));
        let failing = |from, rounds| AlertRules {
            failing: Some(FailRule {
                from,
                rounds,
                recover_rounds: 1,
            }),
            ..AlertRules::none()
        };
        assert_eq!(
            failing(Threshold::Vantages(0), 1).check(),
            Err(RuleError::Threshold)
        );
        assert_eq!(
            failing(Threshold::Share(f64::NAN), 1).check(),
            Err(RuleError::Threshold)
        );
        assert_eq!(failing(Threshold::Vantages(1), 0).check(), Err(RuleError::Rounds));
    }

    #[test]
    fn a_silence_is_for_what_matches_all_of_it() {
        let silence = |matchers: &[(&str, &str)]| Silence {
            id: Uuid::nil(),
            matchers: matchers.iter().map(|&(k, v)| (k.into(), v.into())).collect(),
            starts_at: Timestamp::UNIX_EPOCH,
            ends_at: Timestamp::from_second(9).unwrap(),
            comment: String::new(),
            created_by: String::new(),
        };
        let labels = BTreeMap::from([("check".into(), "imap-fra".into())]);
        assert!(silence(&[("check", "imap-*")]).matches(&labels));
        assert!(!silence(&[("check", "imap-*"), ("team", "mail")]).matches(&labels));
        assert!(!silence(&[]).matches(&labels));
        assert!(silence(&[]).holds(Timestamp::from_second(8).unwrap()));
        assert!(!silence(&[]).holds(Timestamp::from_second(9).unwrap()));
    }
}
