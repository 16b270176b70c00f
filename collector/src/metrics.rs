//! What the collector counts.

mod classic;
mod labels;
mod latest;
mod probes;
mod summary;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use jiff::Timestamp;
use parallax_model::alert::{Alert, AlertState};
use parallax_model::finding::Verdict;
use parallax_model::run::AgentSummary;
use parallax_model::vantage::AgentName;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use crate::agents::Pulse;
use crate::rounds::RoundOutcome;
use crate::runs::{OrderEnd, Rejection};
use crate::store::{CheckRecord, Committed};
use probes::Probes;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Probe {
    probe: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Round {
    check: String,
    verdict: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByVerdict {
    verdict: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByOutcome {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Notified {
    receiver: String,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByState {
    state: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByKind {
    kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByReason {
    reason: &'static str,
}

/// What agents and operators hand in for the OTLP backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum HandedIn {
    /// Spans.
    Spans,
    /// Data points of metrics.
    Points,
}

impl std::fmt::Display for HandedIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Spans => "spans",
            Self::Points => "metrics",
        })
    }
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RelayOutcome {
    /// Passed on.
    Relayed,
    /// The queue was full.
    Dropped,
    /// The backend did not take it.
    Failed,
    /// There is no backend.
    NoBackend,
    /// It was said to be another's.
    Refused,
}

impl RelayOutcome {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Relayed => "relayed",
            Self::Dropped => "dropped",
            Self::Failed => "failed",
            Self::NoBackend => "no_backend",
            Self::Refused => "refused",
        }
    }
}

/// Counters and gauges, and the page that shows them.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    probes: Probes,
    connected: Family<Probe, Gauge>,
    clock_offset: Family<Probe, Gauge<f64, std::sync::atomic::AtomicU64>>,
    in_flight: Family<Probe, Gauge>,
    runs: Family<ByVerdict, Counter>,
    orders: Family<ByOutcome, Counter>,
    rejected: Family<ByReason, Counter>,
    links_cut: Family<ByReason, Counter>,
    joins: Family<ByOutcome, Counter>,
    handshakes: Family<ByOutcome, Counter>,
    connections_refused: Family<ByReason, Counter>,
    visitors_sent_away: Family<ByReason, Counter>,
    spans: Family<ByOutcome, Counter>,
    points: Family<ByOutcome, Counter>,
    exports: Family<ByOutcome, Counter>,
    live_dropped: Counter,
    captures: Family<ByOutcome, Counter>,
    records_dropped: Family<ByKind, Counter>,
    runs_refused: Family<ByReason, Counter>,
    reports_dropped: Family<Probe, Counter>,
    messages_delayed: Family<Probe, Counter>,
    store_bytes: Gauge,
    notifications: Family<Notified, Counter>,
    alerts: Family<ByState, Gauge>,
    rounds: Family<Round, Counter>,
    results: Counter,
    results_duplicate: Counter,
    reload_successful: Gauge,
    reload_success_at: Gauge<f64, std::sync::atomic::AtomicU64>,
    /// What of all this was lost, refused or cut, by what it was.
    drops: Mutex<BTreeMap<String, u64>>,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::default();
        let probes = Probes::register(&mut registry);
        let mut metrics = Self {
            registry,
            probes,
            connected: Family::default(),
            clock_offset: Family::default(),
            in_flight: Family::default(),
            runs: Family::default(),
            orders: Family::default(),
            rejected: Family::default(),
            links_cut: Family::default(),
            joins: Family::default(),
            handshakes: Family::default(),
            connections_refused: Family::default(),
            visitors_sent_away: Family::default(),
            spans: Family::default(),
            points: Family::default(),
            exports: Family::default(),
            live_dropped: Counter::default(),
            captures: Family::default(),
            records_dropped: Family::default(),
            runs_refused: Family::default(),
            reports_dropped: Family::default(),
            messages_delayed: Family::default(),
            store_bytes: Gauge::default(),
            notifications: Family::default(),
            alerts: Family::default(),
            rounds: Family::default(),
            results: Counter::default(),
            results_duplicate: Counter::default(),
            reload_successful: Gauge::default(),
            reload_success_at: Gauge::default(),
            drops: Mutex::default(),
        };
        metrics.register();
        metrics
    }

    fn register(&mut self) {
        let registry = &mut self.registry;
        registry.register(
            "parallax_build",
            "The running program",
            Info::new([("version", env!("CARGO_PKG_VERSION"))]),
        );
        registry.register(
            "parallax_agent_connected",
            "Whether an agent's link is up; probe is the agent's name",
            self.connected.clone(),
        );
        registry.register(
            "parallax_agent_clock_offset_seconds",
            "The agent's wall clock minus the collector's",
            self.clock_offset.clone(),
        );
        registry.register(
            "parallax_agent_probes_in_flight",
            "Probes the agent runs now",
            self.in_flight.clone(),
        );
        registry.register("parallax_runs", "Runs answered", self.runs.clone());
        registry.register("parallax_orders", "Orders ended", self.orders.clone());
        registry.register(
            "parallax_results_rejected",
            "Reports not taken from agents",
            self.rejected.clone(),
        );
        registry.register(
            "parallax_links_cut",
            "Links that the collector ended",
            self.links_cut.clone(),
        );
        registry.register(
            "parallax_captures",
            "Recorded packets of an attempt, kept or dropped since the database is behind",
            self.captures.clone(),
        );
        registry.register("parallax_joins", "Attempts to join", self.joins.clone());
        registry.register(
            "parallax_tls_handshakes",
            "TLS handshakes on the gRPC port",
            self.handshakes.clone(),
        );
        registry.register(
            "parallax_connections_refused",
            "Connections to the gRPC port that the collector did not take or ended, since a limit was reached",
            self.connections_refused.clone(),
        );
        registry.register(
            "parallax_http_refused",
            "Requests to the HTTP port that the page was not shown to",
            self.visitors_sent_away.clone(),
        );
        registry.register(
            "parallax_otlp_spans",
            "Spans sent to the collector",
            self.spans.clone(),
        );
        registry.register(
            "parallax_otlp_metric_points",
            "Data points of metrics that agents sent to the collector",
            self.points.clone(),
        );
        registry.register(
            "parallax_otlp_exports",
            "Times that this page was sent to the OTLP endpoint",
            self.exports.clone(),
        );
        registry.register(
            "parallax_live_events_dropped",
            "Live events that a slow reader of a run did not get",
            self.live_dropped.clone(),
        );
        registry.register(
            "parallax_records_dropped",
            "What was not kept, since the database was too far behind",
            self.records_dropped.clone(),
        );
        registry.register(
            "parallax_runs_refused",
            "Runs that were not begun, since a limit was reached",
            self.runs_refused.clone(),
        );
        registry.register(
            "parallax_agent_reports_dropped",
            "Reports that an agent had no room for, as it says itself",
            self.reports_dropped.clone(),
        );
        registry.register(
            "parallax_agent_messages_delayed",
            "Messages of an agent that were read later, since it sends too many",
            self.messages_delayed.clone(),
        );
        registry.register(
            "parallax_store_bytes",
            "Bytes in use by the database; its file may be larger",
            self.store_bytes.clone(),
        );
        registry.register(
            "parallax_alert_notifications",
            "Tries to tell a receiver of an alert, by what became of them; dropped is what waited for one that is told no more",
            self.notifications.clone(),
        );
        registry.register(
            "parallax_alerts",
            "Alerts that are not over: pending, firing, or silenced, that is firing and held back by a silence, a \
             maintenance or a stronger one",
            self.alerts.clone(),
        );
        registry.register(
            "parallax_rounds",
            "Rounds of checks that are over",
            self.rounds.clone(),
        );
        registry.register(
            "parallax_results",
            "Results of checks that were stored",
            self.results.clone(),
        );
        registry.register(
            "parallax_results_duplicate",
            "Results of checks that came once more",
            self.results_duplicate.clone(),
        );
        registry.register(
            "parallax_config_last_reload_successful",
            "Whether the configuration could be used when it was last read",
            self.reload_successful.clone(),
        );
        registry.register(
            "parallax_config_last_reload_success_timestamp_seconds",
            "When a configuration was last read that could be used",
            self.reload_success_at.clone(),
        );
    }

    /// The configuration was read, and can be used.
    pub(crate) fn configured(&self, now: Timestamp) {
        self.reload_successful.set(1);
        self.reload_success_at.set(now.as_duration().as_secs_f64());
    }

    /// The configuration was read again, and can't be used.
    pub(crate) fn configuration_refused(&self) {
        self.reload_successful.set(0);
    }

    /// The page in OpenMetrics text format.
    pub(crate) fn text(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        encode_registry(&mut text, &self.registry)?;
        text.push_str(&self.probes.summaries());
        encode_eof(&mut text)?;
        Ok(text)
    }

    /// The page in the format of before that: without exemplars.
    pub(crate) fn classic_text(&self) -> Result<String, std::fmt::Error> {
        Ok(classic::classic(&self.text()?))
    }

    /// The checks that do not rest and the agents that are known, for the next page.
    pub(crate) fn set_scene(&self, checks: Vec<Arc<CheckRecord>>, agents: Vec<AgentSummary>) {
        self.probes.set_scene(checks, agents);
    }

    /// The alerts that are not over, for the next page.
    pub(crate) fn set_alerts(&self, alerts: &[Alert]) {
        let state = |alert: &Alert| match alert.state {
            AlertState::Pending => Some("pending"),
            AlertState::Firing if alert.silenced_by.is_some() => Some("silenced"),
            AlertState::Firing => Some("firing"),
            AlertState::Resolved => None,
        };
        for name in ["pending", "firing", "silenced"] {
            let count = alerts.iter().filter(|alert| state(alert) == Some(name)).count();
            self.alerts
                .get_or_create(&ByState { state: name })
                .set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }

    pub(crate) fn agent_connected(&self, agent: &AgentName, connected: bool) {
        self.connected
            .get_or_create(&probe(agent))
            .set(i64::from(connected));
        if !connected {
            self.in_flight.get_or_create(&probe(agent)).set(0);
        }
    }

    pub(crate) fn agent_removed(&self, agent: &AgentName) {
        self.connected.remove(&probe(agent));
        self.clock_offset.remove(&probe(agent));
        self.in_flight.remove(&probe(agent));
        self.reports_dropped.remove(&probe(agent));
        self.messages_delayed.remove(&probe(agent));
        self.probes.forget_agent(agent);
    }

    /// What was lost, refused or cut for want of room since the start, by what it was.
    pub(crate) fn drops(&self) -> BTreeMap<String, u64> {
        self.drops.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn dropped(&self, what: impl Into<String>, number: u64) {
        if number > 0 {
            let mut drops = self.drops.lock().unwrap_or_else(PoisonError::into_inner);
            *drops.entry(what.into()).or_default() += number;
        }
    }

    pub(crate) fn record_dropped(&self, kind: &'static str) {
        self.dropped(format!("records_{kind}"), 1);
        self.records_dropped.get_or_create(&ByKind { kind }).inc();
    }

    pub(crate) fn run_refused(&self, reason: &'static str) {
        self.dropped(format!("runs_refused_{reason}"), 1);
        self.runs_refused.get_or_create(&ByReason { reason }).inc();
    }

    pub(crate) fn agent_reports_dropped(&self, agent: &AgentName, number: u64) {
        if number > 0 {
            self.dropped("agent_reports", number);
            self.reports_dropped.get_or_create(&probe(agent)).inc_by(number);
        }
    }

    pub(crate) fn agent_message_delayed(&self, agent: &AgentName) {
        self.dropped("agent_messages_delayed", 1);
        self.messages_delayed.get_or_create(&probe(agent)).inc();
    }

    pub(crate) fn join_kept_out(&self) {
        self.dropped("joins_refused", 1);
        self.joined("kept_out");
    }

    pub(crate) fn agent_pulse(&self, agent: &AgentName, pulse: Pulse) {
        self.in_flight
            .get_or_create(&probe(agent))
            .set(i64::from(pulse.probes_in_flight));
        if let Some(offset) = pulse.wall_offset_us {
            #[expect(clippy::cast_precision_loss, reason = "microseconds of a clock offset")]
            self.clock_offset
                .get_or_create(&probe(agent))
                .set(offset as f64 / 1e6);
        }
    }

    /// A round is over and kept.
    pub(crate) fn round_closed(&self, outcome: &RoundOutcome) {
        let round = Round {
            check: outcome.check.definition.name.to_string(),
            verdict: outcome.verdict.as_str(),
        };
        self.rounds.get_or_create(&round).inc();
        self.probes.round(outcome, Instant::now());
    }

    /// Results came and are kept.
    pub(crate) fn results_kept(&self, committed: &Committed, count: u64) {
        self.results
            .inc_by(count.saturating_sub(committed.duplicates + committed.unknown));
        self.results_duplicate.inc_by(committed.duplicates);
        if committed.unknown > 0 {
            self.dropped("results_unknown", committed.unknown);
        }
    }

    pub(crate) fn store_bytes(&self, bytes: u64) {
        self.store_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    pub(crate) fn run_concluded(&self, verdict: Verdict) {
        self.runs
            .get_or_create(&ByVerdict {
                verdict: verdict.as_str(),
            })
            .inc();
    }

    pub(crate) fn order_ended(&self, end: OrderEnd) {
        self.orders
            .get_or_create(&ByOutcome {
                outcome: end.as_str(),
            })
            .inc();
    }

    pub(crate) fn report_rejected(&self, rejection: Rejection) {
        self.rejected
            .get_or_create(&ByReason {
                reason: rejection.as_str(),
            })
            .inc();
    }

    pub(crate) fn report_unreadable(&self) {
        self.rejected
            .get_or_create(&ByReason { reason: "unreadable" })
            .inc();
    }

    pub(crate) fn link_cut(&self, reason: &'static str) {
        if reason == "does_not_read" {
            self.dropped("links_that_do_not_read", 1);
        }
        self.links_cut.get_or_create(&ByReason { reason }).inc();
    }

    pub(crate) fn joined(&self, outcome: &'static str) {
        self.joins.get_or_create(&ByOutcome { outcome }).inc();
    }

    pub(crate) fn handshake(&self, outcome: &'static str) {
        self.handshakes.get_or_create(&ByOutcome { outcome }).inc();
    }

    pub(crate) fn connection_refused(&self, reason: &'static str) {
        self.dropped(format!("connections_refused_{reason}"), 1);
        self.connections_refused.get_or_create(&ByReason { reason }).inc();
    }

    pub(crate) fn visitor_sent_away(&self, reason: &'static str) {
        self.visitors_sent_away.get_or_create(&ByReason { reason }).inc();
    }

    pub(crate) fn handed_in(&self, what: HandedIn, outcome: RelayOutcome, number: usize) {
        let number = u64::try_from(number).unwrap_or(u64::MAX);
        let (family, name) = match what {
            HandedIn::Spans => (&self.spans, "spans"),
            HandedIn::Points => (&self.points, "metric_points"),
        };
        if outcome == RelayOutcome::Dropped {
            self.dropped(name, number);
        }
        let outcome = outcome.as_str();
        family.get_or_create(&ByOutcome { outcome }).inc_by(number);
    }

    pub(crate) fn page_sent(&self, whole: bool) {
        let outcome = if whole { "sent" } else { "failed" };
        self.exports.get_or_create(&ByOutcome { outcome }).inc();
    }

    pub(crate) fn notification(&self, receiver: &str, outcome: &'static str) {
        let receiver = receiver.to_owned();
        self.notifications
            .get_or_create(&Notified { receiver, outcome })
            .inc();
    }

    /// What waited for a receiver that is told no more.
    pub(crate) fn notifications_dropped(&self, receiver: &str, number: u64) {
        self.dropped("notifications", number);
        let notified = Notified {
            receiver: receiver.to_owned(),
            outcome: "dropped",
        };
        self.notifications.get_or_create(&notified).inc_by(number);
    }

    pub(crate) fn capture(&self, kept: bool) {
        if !kept {
            self.dropped("captures", 1);
        }
        let outcome = if kept { "kept" } else { "dropped" };
        self.captures.get_or_create(&ByOutcome { outcome }).inc();
    }

    pub(crate) fn live_event_dropped(&self) {
        self.dropped("live_events", 1);
        self.live_dropped.inc();
    }
}

fn probe(agent: &AgentName) -> Probe {
    Probe {
        probe: agent.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_lost_is_told_by_name_and_what_was_not_is_not() {
        let metrics = Metrics::new();
        assert!(metrics.drops().is_empty());
        metrics.live_event_dropped();
        metrics.live_event_dropped();
        metrics.record_dropped("run");
        metrics.capture(true);
        metrics.handed_in(HandedIn::Spans, RelayOutcome::Relayed, 3);
        let drops: Vec<_> = metrics.drops().into_iter().collect();
        assert_eq!(
            drops,
            [("live_events".to_owned(), 2), ("records_run".to_owned(), 1)]
        );
    }

    #[test]
    fn the_page_names_agents_and_verdicts() {
        let metrics = Metrics::new();
        metrics.agent_connected(&"fra-1".parse().unwrap(), true);
        metrics.run_concluded(Verdict::Partial);
        metrics.handed_in(HandedIn::Spans, RelayOutcome::NoBackend, 3);
        let text = metrics.text().unwrap();
        for line in [
            "parallax_agent_connected{probe=\"fra-1\"} 1",
            "parallax_runs_total{verdict=\"partial\"} 1",
            "parallax_otlp_spans_total{outcome=\"no_backend\"} 3",
            concat!(
                "parallax_build_info{version=\"",
                env!("CARGO_PKG_VERSION"),
                "\"} 1"
            ),
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
    }
}
