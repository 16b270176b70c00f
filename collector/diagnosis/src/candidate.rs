//! One possible explanation, with the troubles that it would explain.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use parallax_model::finding::{Alternative, Finding, FindingKind, Location, Scope, Segment, Severity};
use parallax_model::observation::Family;
use parallax_model::stage::StageName;
use parallax_model::vantage::AgentName;

use crate::extent;
use crate::matrix::Matrix;
use crate::trouble::{TroubleId, What};

/// Whose fault it would be. Only the target's faults, the way to it included, can make the target down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Blame {
    /// The target, or the way to it.
    Target,
    /// The agent's own host.
    Agent,
    /// Nobody: it was not found out.
    Nobody,
}

/// One possible explanation.
#[derive(Debug, Clone)]
pub(crate) struct Candidate {
    pub(crate) kind: FindingKind,
    /// How well it explains what was seen, failures and successes, 0 to 1.
    pub(crate) confidence: f64,
    /// Fixed where the kind decides it; else it follows from whether clients can still work.
    pub(crate) severity: Option<Severity>,
    pub(crate) blame: Blame,
    /// The troubles it would explain; none for a remark on something that works.
    pub(crate) explains: BTreeSet<TroubleId>,
    /// Vantage points it concerns beside those of its troubles.
    pub(crate) also: BTreeSet<usize>,
    /// Endpoints it concerns beside those of its troubles.
    pub(crate) sockets: BTreeSet<SocketAddr>,
    pub(crate) stage: Option<StageName>,
    pub(crate) location: Location,
    pub(crate) summary: String,
    pub(crate) because: Vec<String>,
    pub(crate) alternatives: Vec<Alternative>,
    pub(crate) next_steps: Vec<String>,
    /// What would tell it apart from a better explanation of the same troubles.
    pub(crate) told_apart_by: String,
}

impl Candidate {
    /// An explanation of some troubles; its stage is the first at which they show.
    pub(crate) fn new(
        matrix: &Matrix,
        kind: FindingKind,
        confidence: f64,
        troubles: impl IntoIterator<Item = TroubleId>,
    ) -> Self {
        let explains: BTreeSet<_> = troubles.into_iter().collect();
        let stage = explains.iter().filter_map(|&id| matrix.troubles[id].stage).min();
        Self {
            kind,
            confidence,
            severity: None,
            blame: Blame::Target,
            explains,
            also: BTreeSet::new(),
            sockets: BTreeSet::new(),
            stage,
            location: Location::segment(Segment::Unknown),
            summary: String::new(),
            because: Vec::new(),
            alternatives: Vec::new(),
            next_steps: Vec::new(),
            told_apart_by: "the same stage at other vantage points".to_owned(),
        }
    }

    pub(crate) fn severity(mut self, severity: Severity) -> Self {
        self.severity = Some(severity);
        self
    }

    pub(crate) fn blame(mut self, blame: Blame) -> Self {
        self.blame = blame;
        self
    }

    pub(crate) fn also(mut self, vantages: impl IntoIterator<Item = usize>) -> Self {
        self.also.extend(vantages);
        self
    }

    pub(crate) fn sockets(mut self, sockets: impl IntoIterator<Item = SocketAddr>) -> Self {
        self.sockets.extend(sockets);
        self
    }

    pub(crate) fn stage(mut self, stage: StageName) -> Self {
        self.stage = Some(stage);
        self
    }

    pub(crate) fn at(mut self, location: Location) -> Self {
        self.location = location;
        self
    }

    pub(crate) fn segment(self, segment: Segment) -> Self {
        self.at(Location::segment(segment))
    }

    pub(crate) fn summary(mut self, summary: impl Into<String>) -> Self {
        self.summary = summary.into();
        self
    }

    pub(crate) fn because(mut self, facts: impl IntoIterator<Item = String>) -> Self {
        self.because.extend(facts);
        self
    }

    pub(crate) fn or(mut self, kind: FindingKind, confidence: f64, told_apart_by: impl Into<String>) -> Self {
        self.alternatives.push(Alternative {
            kind,
            confidence,
            told_apart_by: told_apart_by.into(),
        });
        self
    }

    pub(crate) fn next(mut self, steps: impl IntoIterator<Item = String>) -> Self {
        self.next_steps.extend(steps);
        self
    }

    pub(crate) fn told_apart_by(mut self, test: impl Into<String>) -> Self {
        self.told_apart_by = test.into();
        self
    }

    /// The vantage points it concerns.
    pub(crate) fn affected(&self, matrix: &Matrix) -> BTreeSet<usize> {
        self.explains
            .iter()
            .map(|&id| matrix.troubles[id].vantage)
            .chain(self.also.iter().copied())
            .collect()
    }

    /// How bad it is: critical when clients at an affected vantage point can't work on an endpoint concerned.
    pub(crate) fn bites(&self, matrix: &Matrix) -> Severity {
        self.severity.unwrap_or_else(|| {
            if self.explains.iter().any(|&id| cuts_off(matrix, id)) {
                Severity::Critical
            } else {
                Severity::Warning
            }
        })
    }

    /// The finding that it becomes.
    pub(crate) fn into_finding(self, matrix: &Matrix) -> Finding {
        let severity = self.bites(matrix);
        let affected: Vec<usize> = self.affected(matrix).into_iter().collect();
        let troubles: Vec<TroubleId> = self.explains.iter().copied().collect();
        let mut sockets = extent::sockets(matrix, &troubles);
        sockets.extend(&self.sockets);
        let spared = extent::spared(matrix, &affected, self.stage, &sockets);
        let families: BTreeSet<Family> = sockets.iter().map(|socket| Family::of(socket.ip())).collect();
        Finding {
            kind: self.kind,
            severity,
            confidence: rounded(self.confidence),
            summary: self.summary,
            scope: Scope {
                affected: names(matrix, &affected),
                unaffected: names(matrix, &spared),
                endpoints: sockets.iter().map(SocketAddr::to_string).collect(),
                families: families.into_iter().collect(),
            },
            stage: self.stage,
            location: self.location,
            because: self.because,
            alternatives: ordered(self.alternatives, 1.0 - self.confidence),
            next_steps: distinct(self.next_steps),
        }
    }
}

fn cuts_off(matrix: &Matrix, id: TroubleId) -> bool {
    let trouble = &matrix.troubles[id];
    let Some(cell) = trouble.cell else {
        return trouble.blocks();
    };
    let endpoint = matrix.cell(cell).attempt.endpoint;
    let stopped = trouble.blocks() && !matches!(trouble.what, What::Degraded(_));
    stopped
        && !matrix
            .cells_of(trouble.vantage)
            .any(|other| matrix.cell(other).attempt.endpoint == endpoint && matrix.usable(other))
}

fn names(matrix: &Matrix, vantages: &[usize]) -> Vec<AgentName> {
    let mut names: Vec<AgentName> = Vec::new();
    for &vantage in vantages {
        let name = &matrix.vantage(vantage).seen.agent;
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    names
}

/// The likeliest first, each kind once, and together no likelier than what the finding leaves open.
fn ordered(mut alternatives: Vec<Alternative>, left: f64) -> Vec<Alternative> {
    alternatives.sort_by(|one, other| other.confidence.total_cmp(&one.confidence));
    let mut seen = BTreeSet::new();
    alternatives.retain(|alternative| seen.insert(alternative.kind));
    let sum: f64 = alternatives
        .iter()
        .map(|alternative| alternative.confidence)
        .sum();
    let scale = if sum > left { left.max(0.0) / sum } else { 1.0 };
    for alternative in &mut alternatives {
        alternative.confidence = rounded(alternative.confidence * scale);
    }
    alternatives
}

fn distinct(steps: Vec<String>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    steps
        .into_iter()
        .filter(|step| seen.insert(step.clone()))
        .collect()
}

fn rounded(confidence: f64) -> f64 {
    (confidence.clamp(0.0, 1.0) * 100.0).round() / 100.0
}
