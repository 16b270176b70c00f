//! What was ordered in each round of experiments, what came of it, and what that changed.

use std::net::SocketAddr;

use parallax_model::experiment::{Experiment, ExperimentOutcome, ExperimentRecord};
use parallax_model::finding::{Finding, FindingKind, Location};
use parallax_model::observation::Observation;
use parallax_model::vantage::AgentName;

/// Explanations named as the reason of an experiment.
const REASONS: usize = 3;

/// Confidences that differ by less are the same to a reader.
const AS_SURE: f64 = 0.005;

/// Every experiment of a run, and the findings that its present round was ordered for.
#[derive(Debug, Default)]
pub(super) struct Records {
    kept: Vec<ExperimentRecord>,
    findings: Vec<Finding>,
}

impl Records {
    /// A round is ordered, since these are the findings. Nothing has come of it yet.
    pub(super) fn ordered(&mut self, round: u32, experiments: &[Experiment], findings: Vec<Finding>) {
        let records = experiments.iter().map(|experiment| ExperimentRecord {
            round,
            experiment: experiment.clone(),
            because: because(experiment, &findings),
            outcome: ExperimentOutcome::Missing,
            changed: None,
        });
        self.kept.extend(records);
        self.findings = findings;
    }

    /// An agent has done its part of a round; what it left out it would not or could not do.
    pub(super) fn done(&mut self, round: u32, agent: &AgentName, seen: &Observation) {
        for record in self.of(round, agent) {
            record.outcome = if parallax_diagnosis::is_answered(seen, &record.experiment) {
                ExperimentOutcome::Done
            } else {
                ExperimentOutcome::Refused
            };
        }
    }

    /// An agent will not do its part of a round.
    pub(super) fn refused(&mut self, round: u32, agent: &AgentName) {
        for record in self.of(round, agent) {
            record.outcome = ExperimentOutcome::Refused;
        }
    }

    /// A round is over, and these are the findings now.
    pub(super) fn over(&mut self, round: u32, findings: &[Finding]) {
        let changed = difference(&self.findings, findings);
        for record in self.kept.iter_mut().filter(|record| record.round == round) {
            record.changed.clone_from(&changed);
        }
    }

    /// All of them, in the order in which they were ordered.
    pub(super) fn all(&self) -> Vec<ExperimentRecord> {
        self.kept.clone()
    }

    fn of(&mut self, round: u32, agent: &AgentName) -> impl Iterator<Item = &mut ExperimentRecord> {
        let is_its =
            move |record: &&mut ExperimentRecord| record.round == round && record.experiment.agent == *agent;
        self.kept.iter_mut().filter(is_its)
    }
}

/// The explanations between which the agent, or the place that it asks, stands: "packets_dropped or source_banned".
fn because(experiment: &Experiment, findings: &[Finding]) -> String {
    let place = SocketAddr::new(experiment.address, experiment.endpoint.port).to_string();
    let of_agent = |finding: &&Finding| finding.scope.affected.contains(&experiment.agent);
    let of_place = |finding: &&Finding| finding.scope.endpoints.contains(&place);
    let finding = findings
        .iter()
        .find(of_agent)
        .or_else(|| findings.iter().find(of_place))
        .or_else(|| findings.first());
    let Some(finding) = finding else {
        return String::new();
    };
    let rivals = finding.alternatives.iter().map(|other| other.kind);
    let mut kinds: Vec<FindingKind> = vec![finding.kind];
    kinds.extend(rivals.filter(|&kind| kind != finding.kind));
    kinds.dedup();
    let words: Vec<_> = kinds.iter().take(REASONS).map(|kind| kind.as_str()).collect();
    words.join(" or ")
}

/// "mtu_black_hole 0.45 -> 0.93; flow_cut is gone"; `None` where nothing changed.
fn difference(before: &[Finding], after: &[Finding]) -> Option<String> {
    let mut unmatched: Vec<&Finding> = before.iter().collect();
    let mut changes = Vec::new();
    for finding in after {
        let same = |earlier: &&Finding| {
            earlier.kind == finding.kind && earlier.scope.affected == finding.scope.affected
        };
        match unmatched.iter().position(same) {
            None => changes.push(format!("{} {:.2} is new", finding.kind, finding.confidence)),
            Some(at) => changes.extend(one_difference(unmatched.remove(at), finding)),
        }
    }
    changes.extend(
        unmatched
            .iter()
            .map(|finding| format!("{} is gone", finding.kind)),
    );
    (!changes.is_empty()).then(|| changes.join("; "))
}

fn one_difference(before: &Finding, after: &Finding) -> Option<String> {
    let mut said = after.kind.to_string();
    let as_sure = (before.confidence - after.confidence).abs() < AS_SURE;
    let as_before = before.location == after.location;
    if as_sure && as_before {
        return None;
    }
    if !as_sure {
        said.push_str(&format!(" {:.2} -> {:.2}", before.confidence, after.confidence));
    }
    if !as_before {
        said.push_str(&format!(" in {}", place(&after.location)));
    }
    Some(said)
}

fn place(location: &Location) -> String {
    let mut said = location.segment.to_string();
    for (word, hop) in [("after", location.after), ("before", location.before)] {
        if let Some(hop) = hop {
            said.push_str(&format!(" {word} {hop}"));
        }
    }
    said
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use parallax_model::experiment::ExperimentKind;
    use parallax_model::finding::{Alternative, Scope, Segment, Severity};
    use parallax_model::target::{Endpoint, Security};

    use super::*;

    fn finding(kind: FindingKind, confidence: f64) -> Finding {
        Finding {
            kind,
            severity: Severity::Critical,
            confidence,
            summary: String::new(),
            scope: Scope {
                affected: vec!["ams-1".parse().unwrap()],
                endpoints: vec!["10.9.0.10:993".into()],
                ..Scope::default()
            },
            stage: None,
            location: Location::segment(Segment::Unknown),
            because: Vec::new(),
            alternatives: vec![Alternative {
                kind: FindingKind::FlowCut,
                confidence: 0.3,
                told_apart_by: String::new(),
            }],
            next_steps: Vec::new(),
        }
    }

    #[test]
    fn a_round_changes_what_is_surer_newly_placed_new_or_gone() {
        let before = [
            finding(FindingKind::MtuBlackHole, 0.45),
            finding(FindingKind::PacketsDropped, 0.5),
            finding(FindingKind::FlowCut, 0.4),
            finding(FindingKind::PortClosed, 0.9),
        ];
        let placed = Location {
            segment: Segment::Transit,
            after: Some("10.0.1.1".parse().unwrap()),
            before: None,
        };
        let after = [
            finding(FindingKind::MtuBlackHole, 0.93),
            Finding {
                location: placed,
                ..finding(FindingKind::PacketsDropped, 0.5)
            },
            finding(FindingKind::PortClosed, 0.902),
            finding(FindingKind::SourceBanned, 0.7),
        ];
        assert_eq!(
            difference(&before, &after).as_deref(),
            Some(
                "mtu_black_hole 0.45 -> 0.93; packets_dropped in transit after 10.0.1.1; source_banned 0.70 is new; \
                 flow_cut is gone"
            )
        );
        assert_eq!(difference(&before, &before), None);
    }

    #[test]
    fn an_experiment_is_ordered_because_of_the_explanations_that_it_parts() {
        let experiment = |agent: &str| Experiment {
            kind: ExperimentKind::SmallMss,
            agent: agent.parse().unwrap(),
            address: "10.9.0.10".parse().unwrap(),
            endpoint: Endpoint {
                port: 993,
                security: Security::Tls,
            },
            variation: Default::default(),
        };
        let findings = [finding(FindingKind::MtuBlackHole, 0.45)];
        for agent in ["ams-1", "fra-1"] {
            assert_eq!(
                because(&experiment(agent), &findings),
                "mtu_black_hole or flow_cut"
            );
        }
        assert_eq!(because(&experiment("ams-1"), &[]), "");
    }
}
