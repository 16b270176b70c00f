//! What a case or a recorded run expects of its conclusion.

use std::collections::BTreeMap;
use std::net::IpAddr;

use parallax_model::experiment::Experiment;
use parallax_model::finding::{Conclusion, Finding};
use serde::Deserialize;

/// What must follow.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    pub verdict: String,
    /// A part of the summary.
    pub summary: Option<String>,
    /// All findings, in their order.
    #[serde(default)]
    pub finding: Vec<ExpectedFinding>,
    /// All experiments: `control_port edge-ams 10.9.0.10:7`.
    pub experiments: Option<Vec<String>>,
    /// What is said of some families of clients, by name: `works`, `fails: a part of a reason`; with `@ams` behind
    /// the outcome, where it holds for that vantage point only.
    #[serde(default)]
    pub clients: BTreeMap<String, String>,
}

/// What must be said in one finding; what is left out may be anything.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ExpectedFinding {
    pub kind: String,
    pub severity: Option<String>,
    pub affected: Option<Vec<String>>,
    pub unaffected: Option<Vec<String>>,
    pub endpoints: Option<Vec<String>>,
    pub families: Option<Vec<String>>,
    pub stage: Option<String>,
    pub segment: Option<String>,
    pub after: Option<IpAddr>,
    pub before: Option<IpAddr>,
    /// Lowest and highest.
    pub confidence: Option<[f64; 2]>,
    /// Kinds that must be among them.
    pub alternatives: Vec<String>,
    /// Parts of facts that must be told.
    pub because: Vec<String>,
    /// Parts of steps that must be named.
    pub next: Vec<String>,
}

impl Expected {
    /// Everything in which the conclusion differs, in words.
    pub fn differences(&self, conclusion: &Conclusion, experiments: &[Experiment]) -> Vec<String> {
        let mut wrong = Vec::new();
        let verdict = conclusion.verdict.as_str();
        if verdict != self.verdict {
            wrong.push(format!("the verdict is {verdict}, not {}", self.verdict));
        }
        if let Some(part) = &self.summary
            && !conclusion.summary.contains(part.as_str())
        {
            wrong.push(format!(
                "the summary {:?} does not say {part:?}",
                conclusion.summary
            ));
        }
        let kinds: Vec<&str> = conclusion
            .findings
            .iter()
            .map(|finding| finding.kind.as_str())
            .collect();
        let expected: Vec<&str> = self.finding.iter().map(|finding| finding.kind.as_str()).collect();
        if kinds == expected {
            for (finding, expected) in conclusion.findings.iter().zip(&self.finding) {
                wrong.extend(expected.differences(finding));
            }
        } else {
            wrong.push(format!("the findings are {kinds:?}, not {expected:?}"));
        }
        if let Some(expected) = &self.experiments {
            let planned: Vec<String> = experiments.iter().map(spelled).collect();
            if planned != *expected {
                wrong.push(format!("the experiments are {planned:?}, not {expected:?}"));
            }
        }
        for (client, expected) in &self.clients {
            wrong.extend(standing(conclusion, client, expected));
        }
        wrong
    }
}

/// How a family's report differs from what is expected of it.
fn standing(conclusion: &Conclusion, client: &str, expected: &str) -> Option<String> {
    let (outcome, reason) = expected.split_once(": ").unwrap_or((expected, ""));
    let Some(report) = conclusion.clients.iter().find(|report| report.client == client) else {
        return Some(format!("nothing is said of {client}"));
    };
    let mut seen = report.outcome.to_string();
    for agent in &report.affected {
        seen.push_str(&format!(" @{agent}"));
    }
    let told = reason.is_empty() || report.because.iter().any(|line| line.contains(reason));
    (seen != outcome || !told).then(|| {
        format!(
            "{client}: {seen}, because {:#?}, not {expected:?}",
            report.because
        )
    })
}

fn spelled(experiment: &Experiment) -> String {
    let socket = std::net::SocketAddr::new(experiment.address, experiment.endpoint.port);
    format!("{} {} {socket}", experiment.kind, experiment.agent)
}

impl ExpectedFinding {
    fn differences(&self, finding: &Finding) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut differs = |what: &str, seen: String, expected: String| {
            if seen != expected {
                wrong.push(format!("{}: {what} is {seen}, not {expected}", finding.kind));
            }
        };
        let names = |names: &[parallax_model::vantage::AgentName]| {
            names
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(" ")
        };
        if let Some(severity) = &self.severity {
            differs("severity", finding.severity.to_string(), severity.clone());
        }
        if let Some(affected) = &self.affected {
            differs("affected", names(&finding.scope.affected), affected.join(" "));
        }
        if let Some(unaffected) = &self.unaffected {
            differs(
                "unaffected",
                names(&finding.scope.unaffected),
                unaffected.join(" "),
            );
        }
        if let Some(endpoints) = &self.endpoints {
            differs(
                "endpoints",
                finding.scope.endpoints.join(" "),
                endpoints.join(" "),
            );
        }
        if let Some(families) = &self.families {
            let seen: Vec<&str> = finding
                .scope
                .families
                .iter()
                .map(|family| family.as_str())
                .collect();
            differs("families", seen.join(" "), families.join(" "));
        }
        if let Some(stage) = &self.stage {
            let seen = finding.stage.map(|stage| stage.to_string()).unwrap_or_default();
            differs("stage", seen, stage.clone());
        }
        if let Some(segment) = &self.segment {
            differs("segment", finding.location.segment.to_string(), segment.clone());
        }
        if let Some(after) = self.after {
            differs(
                "after",
                format!("{:?}", finding.location.after),
                format!("{:?}", Some(after)),
            );
        }
        if let Some(before) = self.before {
            differs(
                "before",
                format!("{:?}", finding.location.before),
                format!("{:?}", Some(before)),
            );
        }
        self.said(finding, &mut wrong);
        wrong
    }

    fn said(&self, finding: &Finding, wrong: &mut Vec<String>) {
        let kind = finding.kind;
        if let Some([lowest, highest]) = self.confidence
            && !(lowest..=highest).contains(&finding.confidence)
        {
            wrong.push(format!(
                "{kind}: confidence {} is not within {lowest} to {highest}",
                finding.confidence
            ));
        }
        for alternative in &self.alternatives {
            if !finding
                .alternatives
                .iter()
                .any(|other| other.kind.as_str() == alternative)
            {
                wrong.push(format!("{kind}: {alternative} is not among the alternatives"));
            }
        }
        for (parts, lines, what) in [
            (&self.because, &finding.because, "because"),
            (&self.next, &finding.next_steps, "next steps"),
        ] {
            for part in parts {
                if !lines.iter().any(|line| line.contains(part.as_str())) {
                    wrong.push(format!("{kind}: {part:?} is not said in its {what}: {lines:#?}"));
                }
            }
        }
    }
}
