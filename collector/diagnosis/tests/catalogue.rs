//! The runs of the lab's catalogue, judged again: what was right when it was recorded stays right.
//!
//! A file below `tests/recorded/catalogue` or `tests/recorded/held_out` is
//! `{"claim": "...", "login": false, "says": [{"kinds": [...], "affected": [...]}], "known_wrong": "why", "run": RUN}`.
//! Nothing in `says` means that nothing is wrong; `affected` is left out where chance decides.

#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

#[path = "support/recorded.rs"]
mod recorded;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use parallax_model::finding::{Conclusion, Finding, Severity};
use parallax_model::run::RunDocument;
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Recording {
    claim: String,
    login: bool,
    says: Vec<Says>,
    known_wrong: Option<String>,
    run: RunDocument,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Says {
    kinds: Vec<String>,
    affected: Option<BTreeSet<String>>,
}

#[test]
fn what_the_catalogue_was_right_about_stays_right() {
    let mut wrong = Vec::new();
    let (mut right, mut all) = (0, 0);
    for path in recordings() {
        let recording: Recording = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let question = recorded::question(&recording.run, recording.login);
        let conclusion = parallax_diagnosis::conclude(&question, &recording.run.vantages);
        let is_right = recording.is_met_by(&conclusion);
        all += 1;
        right += usize::from(is_right);
        if !is_right && recording.known_wrong.is_none() {
            let kinds: Vec<_> = conclusion.findings.iter().map(|finding| finding.kind).collect();
            wrong.push(format!("{}: {}: {kinds:?}", path.display(), recording.claim));
        }
    }
    println!("{right} of {all} recorded runs are judged rightly");
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

fn recordings() -> Vec<PathBuf> {
    let recorded = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recorded");
    let files = ["catalogue", "held_out"]
        .into_iter()
        .filter_map(|folder| std::fs::read_dir(recorded.join(folder)).ok())
        .flatten()
        .map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = files.collect();
    files.sort_unstable();
    files
}

impl Recording {
    /// What is to be acted on first must be right; of two faults both must be told, in any order.
    fn is_met_by(&self, conclusion: &Conclusion) -> bool {
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
}

impl Says {
    fn is_met_by(&self, finding: &Finding) -> bool {
        let affected: BTreeSet<String> = finding.scope.affected.iter().map(ToString::to_string).collect();
        self.kinds.iter().any(|kind| kind == finding.kind.as_str())
            && self.affected.as_ref().is_none_or(|known| *known == affected)
    }
}
