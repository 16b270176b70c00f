use std::time::Duration;

use jiff::Timestamp;
use parallax_model::alert::{
    Alert, AlertRules, AlertState, CertificateRule, FailRule, LatencyRule, Silence, Threshold,
};
use parallax_model::finding::Severity;
use parallax_model::stage::StageName;
use uuid::Uuid;

use super::error::WireError;
use super::read::{every, finite, microsecond, non_empty, optional, parse, share, unreadable};
use super::write::{all, by_reference, millis};
use crate::v1;

/// What a latency rule measures when it is no single stage.
const TOTAL: &str = "total";

impl From<AlertRules> for v1::AlertRules {
    fn from(rules: AlertRules) -> Self {
        Self {
            none: rules == AlertRules::none(),
            failing: rules.failing.map(Into::into),
            degraded: rules.degraded.map(Into::into),
            latency: all(rules.latency),
            certificate: rules.certificate.map(Into::into),
        }
    }
}

impl TryFrom<v1::AlertRules> for AlertRules {
    type Error = WireError;

    fn try_from(wire: v1::AlertRules) -> Result<Self, WireError> {
        if wire.none {
            return Ok(Self::none());
        }
        Ok(Self {
            failing: optional("failing", wire.failing)?,
            degraded: optional("degraded", wire.degraded)?,
            latency: every("latency", wire.latency)?,
            certificate: optional("certificate", wire.certificate)?,
        })
    }
}

impl From<FailRule> for v1::FailRule {
    fn from(rule: FailRule) -> Self {
        let (vantages, share) = match rule.from {
            Threshold::Vantages(least) => (least, 0.0),
            Threshold::Share(share) => (0, share),
        };
        Self {
            vantages,
            share,
            rounds: rule.rounds,
            recover_rounds: rule.recover_rounds,
        }
    }
}

impl TryFrom<v1::FailRule> for FailRule {
    type Error = WireError;

    fn try_from(wire: v1::FailRule) -> Result<Self, WireError> {
        let share = share("share", wire.share)?;
        Ok(Self {
            from: if share > 0.0 {
                Threshold::Share(share)
            } else {
                Threshold::Vantages(wire.vantages)
            },
            rounds: wire.rounds,
            recover_rounds: wire.recover_rounds,
        })
    }
}

impl From<LatencyRule> for v1::LatencyRule {
    fn from(rule: LatencyRule) -> Self {
        Self {
            stage: rule.stage.map_or(TOTAL, StageName::as_str).to_owned(),
            above_ms: rule.above.map(millis).unwrap_or_default(),
            above_baseline: rule.above_baseline.unwrap_or_default(),
            rounds: rule.rounds,
        }
    }
}

impl TryFrom<v1::LatencyRule> for LatencyRule {
    type Error = WireError;

    /// A stage that is not known is an error: another one would be measured.
    fn try_from(wire: v1::LatencyRule) -> Result<Self, WireError> {
        let stage = match wire.stage.as_str() {
            TOTAL => None,
            name => {
                Some(StageName::known(name).ok_or_else(|| unreadable("stage", name, "a stage, or total"))?)
            }
        };
        let times = finite("above_baseline", wire.above_baseline)?;
        Ok(Self {
            stage,
            above: (wire.above_ms > 0).then(|| Duration::from_millis(wire.above_ms.into())),
            above_baseline: (times != 0.0).then_some(times),
            rounds: wire.rounds,
        })
    }
}

impl From<CertificateRule> for v1::CertificateRule {
    fn from(rule: CertificateRule) -> Self {
        Self {
            days: rule.days,
            critical_days: rule.critical_days,
            lifetime_left: rule.lifetime_left,
        }
    }
}

impl TryFrom<v1::CertificateRule> for CertificateRule {
    type Error = WireError;

    fn try_from(wire: v1::CertificateRule) -> Result<Self, WireError> {
        Ok(Self {
            days: wire.days,
            critical_days: wire.critical_days,
            lifetime_left: share("lifetime_left", wire.lifetime_left)?,
        })
    }
}

impl From<Alert> for v1::Alert {
    fn from(alert: Alert) -> Self {
        let moment = |at: Option<Timestamp>| at.map_or(0, Timestamp::as_microsecond);
        Self {
            fingerprint: alert.fingerprint,
            name: alert.name,
            check: alert.check.map(Into::into).unwrap_or_default(),
            state: alert.state.to_string(),
            severity: alert.severity.to_string(),
            summary: alert.summary,
            labels: alert.labels.into_iter().collect(),
            annotations: alert.annotations.into_iter().collect(),
            since_us: alert.since.as_microsecond(),
            fired_at_us: moment(alert.fired_at),
            resolved_at_us: moment(alert.resolved_at),
            run_id: alert.run_id.map(|id| id.to_string()).unwrap_or_default(),
            trace_id: alert.trace_id.unwrap_or_default(),
            flapping: alert.flapping,
            silenced_by: alert.silenced_by.unwrap_or_default(),
        }
    }
}

impl TryFrom<v1::Alert> for Alert {
    type Error = WireError;

    fn try_from(wire: v1::Alert) -> Result<Self, WireError> {
        let moment = |field, at| match at {
            0 => Ok(None),
            at => microsecond(field, at).map(Some),
        };
        let check = non_empty(wire.check).map(|name| parse("check", &name, "a check's name"));
        let run_id = non_empty(wire.run_id).map(|id| parse("run_id", &id, "a UUID"));
        Ok(Self {
            fingerprint: wire.fingerprint,
            name: wire.name,
            check: check.transpose()?,
            state: AlertState::from_name(&wire.state),
            severity: Severity::from_name(&wire.severity),
            summary: wire.summary,
            labels: wire.labels.into_iter().collect(),
            annotations: wire.annotations.into_iter().collect(),
            since: microsecond("since_us", wire.since_us)?,
            fired_at: moment("fired_at_us", wire.fired_at_us)?,
            resolved_at: moment("resolved_at_us", wire.resolved_at_us)?,
            run_id: run_id.transpose()?,
            trace_id: non_empty(wire.trace_id),
            flapping: wire.flapping,
            silenced_by: non_empty(wire.silenced_by),
        })
    }
}

impl From<Silence> for v1::Silence {
    fn from(silence: Silence) -> Self {
        Self {
            id: silence.id.to_string(),
            matchers: silence.matchers.into_iter().collect(),
            starts_at_us: silence.starts_at.as_microsecond(),
            ends_at_us: silence.ends_at.as_microsecond(),
            comment: silence.comment,
            created_by: silence.created_by,
        }
    }
}

impl TryFrom<v1::Silence> for Silence {
    type Error = WireError;

    fn try_from(wire: v1::Silence) -> Result<Self, WireError> {
        let id = non_empty(wire.id).map_or(Ok(Uuid::nil()), |id| parse("id", &id, "a UUID"))?;
        Ok(Self {
            id,
            matchers: wire.matchers.into_iter().collect(),
            starts_at: microsecond("starts_at_us", wire.starts_at_us)?,
            ends_at: microsecond("ends_at_us", wire.ends_at_us)?,
            comment: wire.comment,
            created_by: wire.created_by,
        })
    }
}

by_reference! {
    AlertRules => v1::AlertRules,
    Alert => v1::Alert,
    Silence => v1::Silence,
}
