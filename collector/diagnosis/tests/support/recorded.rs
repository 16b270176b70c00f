//! Runs that were recorded.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use parallax_diagnosis::Question;
use parallax_model::finding::{Conclusion, Finding, Severity};
use parallax_model::run::RunDocument;
use parallax_model::target::Target;
use serde::Deserialize;

/// What was asked in a recorded run.
pub(crate) fn question(run: &RunDocument, login: bool) -> Question {
    Question {
        target: Target {
            input: run.target.input.clone(),
            host: run.target.host.parse().unwrap(),
            endpoints: run.target.endpoints.clone(),
        },
        depth: run.depth,
        login,
        now: run.started_at,
    }
}

/// A run of the lab's catalogue, and what is to be said of it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Recording {
    pub(crate) claim: String,
    pub(crate) login: bool,
    pub(crate) says: Vec<Says>,
    pub(crate) known_wrong: Option<String>,
    pub(crate) run: RunDocument,
}

/// One thing that must be said.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Says {
    kinds: Vec<String>,
    affected: Option<BTreeSet<String>>,
}

/// Every run of the catalogue, by its file.
pub(crate) fn catalogue() -> Vec<(PathBuf, Recording)> {
    let recorded = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recorded");
    let files = ["catalogue", "held_out"]
        .into_iter()
        .filter_map(|folder| std::fs::read_dir(recorded.join(folder)).ok())
        .flatten()
        .map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = files.collect();
    files.sort_unstable();
    let read = |path: PathBuf| {
        let recording = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        (path, recording)
    };
    files.into_iter().map(read).collect()
}

impl Recording {
    /// What is concluded of it.
    pub(crate) fn judged(&self) -> Conclusion {
        let question = question(&self.run, self.login);
        parallax_diagnosis::conclude(&question, &self.run.vantages, &[])
    }

    /// What is to be acted on first must be right; of two faults both must be told, in any order.
    pub(crate) fn is_met_by(&self, conclusion: &Conclusion) -> bool {
        let blamed: Vec<&Finding> = conclusion
            .findings
            .iter()
            .filter(|finding| finding.severity != Severity::Info)
            .collect();
        match &self.says[..] {
            [] => blamed.is_empty(),
            [says] => blamed
                .first()
                .copied()
                .or(conclusion.findings.first())
                .is_some_and(|finding| says.is_met_by(finding)),
            several => several
                .iter()
                .all(|says| conclusion.findings.iter().any(|finding| says.is_met_by(finding))),
        }
    }

    /// Whether a finding is one of those that are to be said, whomever it names.
    pub(crate) fn expects(&self, finding: &Finding) -> bool {
        self.says
            .iter()
            .any(|says| says.kinds.iter().any(|kind| kind == finding.kind.as_str()))
    }
}

impl Says {
    fn is_met_by(&self, finding: &Finding) -> bool {
        let affected: BTreeSet<String> = finding.scope.affected.iter().map(ToString::to_string).collect();
        self.kinds.iter().any(|kind| kind == finding.kind.as_str())
            && self.affected.as_ref().is_none_or(|known| *known == affected)
    }
}
