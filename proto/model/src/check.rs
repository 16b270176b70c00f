//! A question that agents repeat: how it is written down, what an agent is told of it, and what comes back.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::alert::AlertRules;
use crate::credential::SealedSecret;
use crate::fault::Fault;
use crate::kinds::kinds;
use crate::observation::{Observation, VantageOutcome};
use crate::round::Cadence;
use crate::selector::Selector;
use crate::spec::{CaptureChoice, Depth, ProbeSpec};
use crate::vantage::{Labels, is_name};

/// The shortest and the longest round.
pub const EVERY: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_hours(24);

/// The shortest round of a check that writes.
pub const SYNC_EVERY: Duration = Duration::from_secs(60);

/// The name of a check: 1 to 63 of `A-Z a-z 0-9 . _ -`, beginning and ending with a letter or a digit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct CheckName(String);

/// What can't be the name of a check.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no name for a check: 1 to 63 of A-Z a-z 0-9 . _ -, beginning and ending with a letter or a digit"
)]
pub struct CheckNameError(String);

impl CheckName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for CheckName {
    type Err = CheckNameError;

    fn from_str(text: &str) -> Result<Self, CheckNameError> {
        if is_name(text) {
            Ok(Self(text.to_owned()))
        } else {
            Err(CheckNameError(text.to_owned()))
        }
    }
}

impl TryFrom<String> for CheckName {
    type Error = CheckNameError;

    fn try_from(text: String) -> Result<Self, CheckNameError> {
        text.parse()
    }
}

impl From<CheckName> for String {
    fn from(name: CheckName) -> Self {
        name.0
    }
}

impl fmt::Display for CheckName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A check as it is written down.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckDefinition {
    /// Unique among those that are there.
    pub name: CheckName,
    /// What is asked.
    pub spec: ProbeSpec,
    /// Whom.
    pub from: Selector,
    /// At most so many agents.
    pub limit: Option<u32>,
    /// Length of a round.
    pub every: Duration,
    /// Whether all vantage points begin at once, instead of spread over the interval.
    pub together: bool,
    /// Whether the diagnosis of an unhealthy round may order experiments.
    pub follow_up: bool,
    /// The credential to log in with, by name.
    pub credential: Option<String>,
    /// When it alerts.
    pub rules: AlertRules,
    /// Labels of its alerts.
    pub labels: Labels,
    /// Where its alerts send people, a URL.
    pub runbook: Option<String>,
    /// When its alerts tell nobody.
    pub maintenance: Vec<Window>,
}

/// A time that may come again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// When it first begins.
    pub from: Timestamp,
    /// How long it is.
    pub length: Duration,
    /// From one beginning to the next; without it, it comes once.
    pub every: Option<Duration>,
}

impl Window {
    /// Whether a time is inside, and until when it then is.
    pub fn holds(&self, now: Timestamp) -> Option<Timestamp> {
        let since = now.as_microsecond().checked_sub(self.from.as_microsecond())?;
        let since = u64::try_from(since).ok()?;
        let length = micros(self.length);
        let inside = self.every.map_or(since, |every| since % micros(every).max(1));
        let left = length.checked_sub(inside).filter(|&left| left > 0)?;
        let until = now.as_microsecond().saturating_add_unsigned(left);
        Some(Timestamp::from_microsecond(until).unwrap_or(Timestamp::MAX))
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// Why a definition can't be.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum DefinitionError {
    /// The interval is out of range.
    #[error("every {0:?} is out of range: from 1 s to 24 h")]
    Every(Duration),
    /// It writes too often.
    #[error("every {0:?} is too often for depth sync: it writes, so at least 60 s")]
    SyncTooOften(Duration),
    /// All would try a secret at the same moment.
    #[error("a check that logs in is never together: a wrong password would be tried by all at once")]
    LoginTogether,
    /// It goes as far as a login and has none.
    #[error("depth {0} needs a credential: say which, it is kept with `ctl credential set`")]
    NoCredential(Depth),
    /// It has a credential that it does not come to.
    #[error("a credential is of no use at depth {0}: depth login is the first that needs one")]
    UnusedCredential(Depth),
    /// Two agents can't be synchronised without a run.
    #[error("a check has no second agent to watch: leave sync_with out")]
    SyncWith,
    /// Packets would have no run to be kept beside.
    #[error("a check records no packets: ask with `ctl probe --capture`")]
    Capture,
    /// The session is kept open longer than a round.
    #[error("a hold of {0:?} is as long as a round: hold less, or check less often")]
    Hold(Duration),
    /// A window without a length, or one that begins again before it ends.
    #[error("{}", window(*length, *every))]
    Window {
        /// How long it is.
        length: Duration,
        /// From one beginning to the next.
        every: Option<Duration>,
    },
    /// A rule.
    #[error("{0}")]
    Rule(#[from] crate::alert::RuleError),
}

/// What a window is, and what it must be.
fn window(length: Duration, every: Option<Duration>) -> String {
    let length = typed(length);
    match every {
        Some(every) => format!(
            "maintenance: a window of {length} every {every}: give it a length over 0s, and no more than {every}",
            every = typed(every)
        ),
        None => format!("maintenance: a window of {length}: give it a length over 0s"),
    }
}

/// `8d`, `90s`, `1500ms`.
fn typed(time: Duration) -> String {
    let seconds = time.as_secs();
    match [(86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")]
        .iter()
        .find(|(unit, _)| seconds.is_multiple_of(*unit))
    {
        _ if time.subsec_millis() > 0 => format!("{}ms", time.as_millis()),
        _ if seconds == 0 => "0s".to_owned(),
        Some((unit, name)) => format!("{}{name}", seconds / unit),
        None => format!("{seconds}s"),
    }
}

impl CheckDefinition {
    /// Whether agents can repeat it.
    ///
    /// # Errors
    /// The first thing that stands against it.
    pub fn check(&self) -> Result<(), DefinitionError> {
        let depth = self.spec.depth;
        let logs_in = depth >= Depth::Login;
        if !EVERY.contains(&self.every) {
            return Err(DefinitionError::Every(self.every));
        }
        if depth == Depth::Sync && self.every < SYNC_EVERY {
            return Err(DefinitionError::SyncTooOften(self.every));
        }
        if logs_in && self.together {
            return Err(DefinitionError::LoginTogether);
        }
        if logs_in && self.credential.is_none() {
            return Err(DefinitionError::NoCredential(depth));
        }
        if !logs_in && self.credential.is_some() {
            return Err(DefinitionError::UnusedCredential(depth));
        }
        if self.spec.options.sync_with.is_some() {
            return Err(DefinitionError::SyncWith);
        }
        if self.spec.options.capture != CaptureChoice::Never {
            return Err(DefinitionError::Capture);
        }
        if let Some(hold) = self.spec.options.hold.filter(|&hold| hold >= self.every) {
            return Err(DefinitionError::Hold(hold));
        }
        let fits = |window: &Window| {
            !window.length.is_zero() && window.every.is_none_or(|every| every >= window.length)
        };
        if let Some(window) = self.maintenance.iter().find(|window| !fits(window)) {
            return Err(DefinitionError::Window {
                length: window.length,
                every: window.every,
            });
        }
        Ok(self.rules.check()?)
    }
}

/// A check, for one agent.
#[derive(Debug, Clone, PartialEq)]
pub struct Assignment {
    /// The check.
    pub check: Uuid,
    /// Tells one form of it from another; made by who assigns it.
    pub digest: u64,
    /// What it is called.
    pub name: CheckName,
    /// How often it was changed.
    pub version: u64,
    /// What is asked.
    pub spec: ProbeSpec,
    /// Length of a round.
    pub every: Duration,
    /// Whether all begin at once.
    pub together: bool,
    /// The secret of its login, sealed to this agent.
    pub secret: Option<SealedSecret>,
    /// The credential that the agent keeps by itself, by name.
    pub credential: Option<String>,
    /// Whether it may log in: the secret was taken once, or this agent is the first to try.
    pub login_cleared: bool,
    /// That a server turned the secret down before: what is said of the login, which nobody tries then.
    pub login_rejected: Option<Fault>,
    /// Since when the secret may be sent once more although this agent saw it turned down; once for each such time.
    pub login_retry: Option<Timestamp>,
}

impl Assignment {
    /// When it is due.
    pub const fn cadence(&self) -> Cadence {
        Cadence {
            check: self.check,
            every: self.every,
            together: self.together,
        }
    }
}

/// One vantage point's part of a round.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckResult {
    /// UUID version 7, made with the result.
    pub id: Uuid,
    /// The check.
    pub check: Uuid,
    /// The round's.
    pub run_id: Uuid,
    /// Of the assignment that was carried out.
    pub digest: u64,
    /// When the round began, on the collector's wall clock.
    pub round_at: Timestamp,
    /// When this part of it began, on the collector's wall clock.
    pub started_at: Timestamp,
    /// What was seen.
    pub observation: Observation,
}

kinds! {
    /// The two queues of a spool: failures are told first and kept longest.
    Chain, fallback Failures {
        /// Everything that was not ok.
        Failures = "failures",
        /// What was.
        Successes = "successes",
    }
}

impl Chain {
    /// Where a result waits.
    pub fn of(observation: &Observation) -> Self {
        match observation.outcome {
            VantageOutcome::Ok => Self::Successes,
            VantageOutcome::Degraded
            | VantageOutcome::Failed
            | VantageOutcome::Missing
            | VantageOutcome::Refused => Self::Failures,
        }
    }
}

/// The results that wait at an agent. Of a spool's life: made = acknowledged + waiting + dropped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SpoolState {
    /// Results ever made.
    pub made: u64,
    /// Those that no collector has acknowledged yet.
    pub waiting: u64,
    /// Size on disk.
    pub bytes: u64,
    /// Given up for want of room or for their age.
    pub dropped: u64,
    /// Of those, results that were not ok.
    pub dropped_failures: u64,
    /// When the oldest that waits was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub oldest_at: Option<Timestamp>,
}

/// How an agent keeps up with its checks, since it started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ScheduleState {
    /// All digests of its checks, by exclusive or.
    #[serde(skip)]
    pub sum: u64,
    /// How many checks it has.
    pub checks: u32,
    /// Probes started.
    pub started: u64,
    /// Rounds left out.
    pub skipped: u64,
    /// How often its wall clock went another way than its monotonic one.
    pub clock_jumps: u64,
    /// How late the latest start of the last minute was, microseconds.
    pub latest_us: u64,
}

/// Which round of which check a run is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RunCheck {
    /// What the check was called.
    pub name: CheckName,
    /// The check.
    pub check_id: Uuid,
    /// When the round began, RFC 3339 UTC.
    #[schemars(with = "String")]
    pub round_at: Timestamp,
    /// Whether it was closed so long after its end that nobody was alerted.
    pub late: bool,
}
