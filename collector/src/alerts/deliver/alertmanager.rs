//! Alertmanager, API v2: it is told what is, again and again, not what changed.

use hyper::Uri;
use jiff::{SignedDuration, Timestamp};
use parallax_model::alert::{Alert, AlertState};
use serde_json::{Value, json};

use super::http::Http;
use super::{Refusal, source};

/// How long what is said holds without being said again: a collector that restarts resolves nothing, one that is gone
/// leaves nothing behind.
const HOLDS: SignedDuration = SignedDuration::from_mins(15);

/// One Alertmanager.
pub(super) struct Alertmanager {
    http: Http,
    alerts: Uri,
    page: Option<String>,
}

impl Alertmanager {
    /// By its base URL; `page` is where people find the collector.
    pub(super) fn new(http: Http, base: &str, page: Option<String>) -> Result<Self, String> {
        let url = format!("{}/api/v2/alerts", base.trim_end_matches('/'));
        let alerts = url.parse().map_err(|error| format!("{url}: {error}"))?;
        Ok(Self { http, alerts, page })
    }

    /// Says how it stands with alerts.
    pub(super) async fn post(&self, alerts: &[Alert], now: Timestamp) -> Result<(), Refusal> {
        let page = self.page.as_deref();
        let body: Vec<Value> = alerts.iter().map(|alert| to_json(alert, page, now)).collect();
        let body = serde_json::to_vec(&body).map_err(|error| Refusal::Final(error.to_string()))?;
        self.http.post(&self.alerts, &[], body).await
    }
}

fn to_json(alert: &Alert, page: Option<&str>, now: Timestamp) -> Value {
    // By a clock that was set back meanwhile it has not begun yet, and would end before that.
    let starts = alert.fired_at.unwrap_or(alert.since).min(now);
    let ends = match alert.state {
        AlertState::Firing | AlertState::Pending => alert.resolved_at.unwrap_or(now + HOLDS),
        // An end before its beginning is refused.
        AlertState::Resolved => alert.resolved_at.unwrap_or(now).max(starts),
    };
    let mut value = json!({
        "labels": alert.labels,
        "annotations": alert.annotations,
        "startsAt": starts,
        "endsAt": ends,
    });
    if let Some(page) = source(alert, page) {
        value["generatorURL"] = page.into();
    }
    value
}

#[cfg(test)]
mod tests {
    use super::super::test;
    use super::*;

    #[test]
    fn what_fires_since_a_time_that_the_clock_was_set_back_from_ends_behind_its_beginning() {
        let now: Timestamp = "2026-12-01T12:00:00Z".parse().unwrap();
        let mut alert = test(now + SignedDuration::from_hours(3));
        alert.resolved_at = None;
        let posted = to_json(&alert, None, now);
        assert_eq!(posted["startsAt"], now.to_string());
        assert_eq!(posted["endsAt"], (now + HOLDS).to_string());
    }
}
