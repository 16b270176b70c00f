//! What an alert says.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use parallax_model::alert::{Alert, AlertState};
use parallax_model::finding::Severity;
use parallax_model::text::escape_str;
use parallax_model::vantage::AgentName;

use super::labels::{fingerprint, labels as all_labels};
use super::rules::{Judged, Rule};
use crate::rounds::RoundOutcome;

/// Characters of a summary, and of a description.
const SUMMARY_AT_MOST: usize = 300;
const DESCRIPTION_AT_MOST: usize = 2000;

/// Agents that are named; a fleet does not fit into a notice.
const NAMED: usize = 20;

/// The labels of the alert of a rule: nothing in them is of one run.
pub(super) fn labels(outcome: &RoundOutcome, rule: Rule) -> BTreeMap<String, String> {
    let definition = &outcome.check.definition;
    let target = &definition.spec.target;
    let (host, endpoint) = (target.host.to_string(), target.endpoints.first());
    let port = endpoint
        .map(|endpoint| endpoint.port.to_string())
        .unwrap_or_default();
    let about = [
        ("alertname", rule.alert()),
        ("severity", rule.severity().as_str()),
        ("check", definition.name.as_str()),
        ("target", host.as_str()),
        ("port", port.as_str()),
        (
            "security",
            endpoint.map_or("", |endpoint| endpoint.security.as_str()),
        ),
        ("stage", rule.stage()),
    ];
    all_labels(&definition.labels, &about)
}

/// A new alert, pending.
pub(super) fn alert(
    outcome: &RoundOutcome,
    judged: &Judged,
    labels: BTreeMap<String, String>,
    now: Timestamp,
) -> Alert {
    let mut alert = Alert {
        name: judged.rule.alert().to_owned(),
        check: Some(outcome.check.definition.name.clone()),
        severity: judged.rule.severity(),
        ..pending(labels, now)
    };
    renew(&mut alert, outcome, judged);
    alert
}

/// Says what the latest run shows.
pub(super) fn renew(alert: &mut Alert, outcome: &RoundOutcome, judged: &Judged) {
    alert.summary = summary(judged);
    alert.run_id = outcome.kept.then_some(outcome.run_id);
    alert.trace_id = outcome.trace_id();
    let because = outcome.findings.first().map(|finding| finding.because.join("; "));
    let texts = [
        (
            "description",
            because.map(|text| escape_str(&text, DESCRIPTION_AT_MOST)),
        ),
        ("vantages", Some(names(&judged.vantages))),
        ("run_id", alert.run_id.map(|run| run.to_string())),
        ("run", alert.run_id.map(|run| format!("ctl runs show {run}"))),
        ("trace_id", alert.trace_id.clone()),
        ("runbook_url", outcome.check.definition.runbook.clone()),
    ];
    alert.annotations = annotations(texts);
    alert
        .annotations
        .insert("summary".to_owned(), alert.summary.clone());
}

/// One line.
pub(super) fn summary(judged: &Judged) -> String {
    escape_str(&judged.summary, SUMMARY_AT_MOST)
}

/// Whether what it says changes with time alone.
pub(super) const fn tells_time(rule: Rule) -> bool {
    match rule {
        Rule::CertificateEnds | Rule::CertificateEndsNow => true,
        Rule::Failing | Rule::Degraded | Rule::Latency(_) => false,
    }
}

/// One agent is lost.
pub(super) fn lost(agent: &AgentName, since: Timestamp) -> Alert {
    let about = [
        ("alertname", "ParallaxAgentLost"),
        ("severity", Severity::Warning.as_str()),
        ("probe", agent.as_str()),
    ];
    let summary = format!("agent {agent} is lost since {since:.0}");
    let next = format!("on its host: parallax-agent doctor; here: ctl agents show {agent}");
    let texts = [("summary", Some(summary.clone())), ("description", Some(next))];
    Alert {
        name: "ParallaxAgentLost".to_owned(),
        summary,
        annotations: annotations(texts),
        ..pending(all_labels(&BTreeMap::new(), &about), since)
    }
}

/// Agents are lost together.
pub(super) fn lost_together(agents: &BTreeSet<AgentName>, everybody: bool, since: Timestamp) -> Alert {
    let about = [
        ("alertname", "ParallaxAgentsLost"),
        ("severity", Severity::Critical.as_str()),
    ];
    let description = if everybody {
        "every agent went at once: look at the collector's own network first"
    } else {
        "they went at once: look for what they have in common"
    };
    let mut alert = Alert {
        name: "ParallaxAgentsLost".to_owned(),
        severity: Severity::Critical,
        annotations: annotations([("description", Some(description.to_owned()))]),
        ..pending(all_labels(&BTreeMap::new(), &about), since)
    };
    still_lost(&mut alert, agents);
    alert
}

/// These of them are lost still.
pub(super) fn still_lost(alert: &mut Alert, agents: &BTreeSet<AgentName>) {
    let all = names(agents);
    let word = if agents.len() == 1 {
        "agent is"
    } else {
        "agents are"
    };
    alert.summary = format!("{} {word} lost: {all}", agents.len());
    alert
        .annotations
        .insert("summary".to_owned(), alert.summary.clone());
    alert.annotations.insert("vantages".to_owned(), all);
}

fn pending(labels: BTreeMap<String, String>, since: Timestamp) -> Alert {
    Alert {
        fingerprint: fingerprint(&labels),
        name: String::new(),
        check: None,
        state: AlertState::Pending,
        severity: Severity::Warning,
        summary: String::new(),
        labels,
        annotations: BTreeMap::new(),
        since,
        fired_at: None,
        resolved_at: None,
        run_id: None,
        trace_id: None,
        flapping: false,
        silenced_by: None,
    }
}

fn annotations<const N: usize>(texts: [(&str, Option<String>); N]) -> BTreeMap<String, String> {
    let there = texts
        .into_iter()
        .filter_map(|(name, text)| Some((name.to_owned(), text?)));
    there.filter(|(_, text)| !text.is_empty()).collect()
}

fn names<'a>(agents: impl IntoIterator<Item = &'a AgentName>) -> String {
    let all: Vec<&str> = agents.into_iter().map(AgentName::as_str).collect();
    let named = all[..all.len().min(NAMED)].join(", ");
    match all.len().saturating_sub(NAMED) {
        0 => named,
        rest => format!("{named} and {rest} more"),
    }
}
