//! One step of an attempt: its outcome, its time, its evidence.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::evidence::{Evidence, TcpInfo};
use crate::fault::Fault;
use crate::kinds::kinds;
use crate::millis;

kinds! {
    /// The stages of a probe, in their order.
    StageName, fallback Logout {
        /// The name becomes addresses.
        Resolve = "resolve",
        /// A TCP connection.
        Connect = "connect",
        /// The TLS handshake.
        Tls = "tls",
        /// The server's first line.
        Greeting = "greeting",
        /// CAPABILITY (RFC 9051 section 6.1.1).
        Capability = "capability",
        /// STARTTLS (RFC 9051 section 6.2.1) and the handshake behind it.
        Starttls = "starttls",
        /// ID (RFC 2971).
        Id = "id",
        /// AUTHENTICATE or LOGIN (RFC 9051 section 6.2).
        Authenticate = "authenticate",
        /// NAMESPACE (RFC 2342).
        Namespace = "namespace",
        /// LIST (RFC 9051 section 6.3.9).
        List = "list",
        /// EXAMINE (RFC 9051 section 6.3.3).
        Select = "select",
        /// UID FETCH of headers, with PEEK.
        Fetch = "fetch",
        /// APPEND.
        Append = "append",
        /// A second session sees what the first one did.
        Sync = "sync",
        /// IDLE (RFC 2177).
        Idle = "idle",
        /// The session is kept open.
        Hold = "hold",
        /// LOGOUT.
        Logout = "logout",
    }
}

/// How a stage ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// As it should.
    Ok,
    /// It worked, but an operator must see this.
    Degraded(Fault),
    /// It did not work.
    Failed(Fault),
    /// It was not asked for, or must not be done here; the reason says which.
    Skipped(String),
    /// An earlier stage failed.
    NotReached,
}

impl Outcome {
    /// The name in the run document.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Degraded(_) => "degraded",
            Self::Failed(_) => "failed",
            Self::Skipped(_) => "skipped",
            Self::NotReached => "not_reached",
        }
    }

    /// The fault of a failed or degraded stage.
    pub const fn fault(&self) -> Option<&Fault> {
        match self {
            Self::Degraded(fault) | Self::Failed(fault) => Some(fault),
            Self::Ok | Self::Skipped(_) | Self::NotReached => None,
        }
    }
}

/// One step of an attempt, as it was reported.
#[derive(Debug, Clone, PartialEq)]
pub struct Stage {
    /// Which step.
    pub name: StageName,
    /// How it ended.
    pub outcome: Outcome,
    /// When it began, counted from the start of the probe.
    pub start: Duration,
    /// How long it took.
    pub duration: Duration,
    /// What was seen.
    pub evidence: Option<Evidence>,
    /// The kernel's account of the connection at the end of the stage.
    pub tcp: Option<TcpInfo>,
}

impl Stage {
    /// A stage without evidence.
    pub const fn new(name: StageName, outcome: Outcome, start: Duration, duration: Duration) -> Self {
        Self {
            name,
            outcome,
            start,
            duration,
            evidence: None,
            tcp: None,
        }
    }

    /// A stage that an earlier failure kept from happening.
    pub const fn not_reached(name: StageName, at: Duration) -> Self {
        Self::new(name, Outcome::NotReached, at, Duration::ZERO)
    }

    /// A stage that was left out, and why.
    pub fn skipped(name: StageName, at: Duration, reason: impl Into<String>) -> Self {
        Self::new(name, Outcome::Skipped(reason.into()), at, Duration::ZERO)
    }

    /// Whether the stage failed.
    pub const fn failed(&self) -> bool {
        matches!(self.outcome, Outcome::Failed(_))
    }

    /// Whether the server answered a login, as the evidence has it. What is said of a secret without an answer was
    /// known before, and nothing was sent.
    pub const fn login_was_answered(&self) -> bool {
        matches!(&self.evidence, Some(Evidence::Authenticate(facts)) if facts.reply.is_some())
    }
}

/// The JSON shape of a stage.
// It is read with the name as it stands there, which may be a newer program's.
#[derive(Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Stage")]
pub(crate) struct StageShape<N = StageName> {
    stage: N,
    /// ok, degraded, failed, skipped or not_reached
    outcome: OutcomeName,
    /// milliseconds from the start of the probe
    start_ms: f64,
    /// milliseconds
    duration_ms: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fault: Option<Fault>,
    /// why it was skipped
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// what was seen; the keys depend on the stage
    #[serde(default, skip_serializing_if = "Option::is_none")]
    evidence: Option<serde_json::Map<String, serde_json::Value>>,
}

#[derive(Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "StageOutcome")]
enum OutcomeName {
    Ok,
    Degraded,
    Failed,
    Skipped,
    NotReached,
}

impl Serialize for Stage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut evidence = match &self.evidence {
            Some(evidence) => evidence.to_map().map_err(serde::ser::Error::custom)?,
            None => serde_json::Map::new(),
        };
        if let Some(tcp) = &self.tcp {
            evidence.insert(
                "tcp".into(),
                serde_json::to_value(tcp).map_err(serde::ser::Error::custom)?,
            );
        }
        let outcome = match self.outcome {
            Outcome::Ok => OutcomeName::Ok,
            Outcome::Degraded(_) => OutcomeName::Degraded,
            Outcome::Failed(_) => OutcomeName::Failed,
            Outcome::Skipped(_) => OutcomeName::Skipped,
            Outcome::NotReached => OutcomeName::NotReached,
        };
        let reason = if let Outcome::Skipped(reason) = &self.outcome {
            Some(reason.clone())
        } else {
            None
        };
        StageShape {
            stage: self.name,
            outcome,
            start_ms: millis::of(self.start),
            duration_ms: millis::of(self.duration),
            fault: self.outcome.fault().cloned(),
            reason,
            evidence: (!evidence.is_empty()).then_some(evidence),
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Stage {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let shape = StageShape::<String>::deserialize(deserializer)?;
        let fault = || {
            shape
                .fault
                .clone()
                .ok_or_else(|| serde::de::Error::missing_field("fault"))
        };
        let outcome = match shape.outcome {
            OutcomeName::Ok => Outcome::Ok,
            OutcomeName::Degraded => Outcome::Degraded(fault()?),
            OutcomeName::Failed => Outcome::Failed(fault()?),
            OutcomeName::Skipped => Outcome::Skipped(shape.reason.clone().unwrap_or_default()),
            OutcomeName::NotReached => Outcome::NotReached,
        };
        let mut map = shape.evidence.unwrap_or_default();
        let tcp = map
            .remove("tcp")
            .map(serde_json::from_value)
            .transpose()
            .map_err(serde::de::Error::custom)?;
        // What a newer program's stage has seen, nothing here can name.
        let evidence = match StageName::known(&shape.stage) {
            Some(name) if !map.is_empty() => {
                Some(Evidence::from_map(name, map).map_err(serde::de::Error::custom)?)
            }
            Some(_) | None => None,
        };
        Ok(Self {
            name: StageName::from_name(&shape.stage),
            outcome,
            start: millis::to_duration(shape.start_ms),
            duration: millis::to_duration(shape.duration_ms),
            evidence,
            tcp,
        })
    }
}

impl JsonSchema for Stage {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        StageShape::<StageName>::schema_name()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        StageShape::<StageName>::json_schema(generator)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_programs_stage_leaves_the_document_readable() {
        let json = r#"{"stage":"telepathy","outcome":"ok","start_ms":1.5,"duration_ms":2,"evidence":{"aura":"blue"}}"#;
        let stage: Stage = serde_json::from_str(json).unwrap();
        assert_eq!((stage.name, stage.evidence), (StageName::Logout, None));
        let known = json.replace("telepathy", "greeting").replace("\"blue\"", "{}");
        assert!(
            serde_json::from_str::<Stage>(&known).is_err(),
            "a stage known here has facts known here"
        );
    }
}
