//! Every case file under `tests/cases` holds.

#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

mod support;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use parallax_diagnosis::conclude;
use parallax_model::observation::Observation;
use support::case::Case;

#[test]
fn what_was_stored_is_judged_as_it_was_when_it_was_seen() {
    for path in files() {
        let case: Case = toml::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        let (question, seen, before) = (case.question(), case.observations(), case.before());
        let stored = serde_json::to_string(&seen).unwrap();
        let read: Vec<Observation> = serde_json::from_str(&stored).unwrap();
        let path = path.display();
        assert_eq!(
            conclude(&question, &seen, &before),
            conclude(&question, &read, &before),
            "{path}"
        );
    }
}

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "no case was found");
    files
}

#[test]
fn every_case_is_concluded_as_it_should_be() {
    let mut report = String::new();
    for path in files() {
        let text = std::fs::read_to_string(&path).unwrap();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let case: Case = match toml::from_str(&text) {
            Ok(case) => case,
            Err(error) => {
                let _ = writeln!(report, "{name}: can't be read: {error}");
                continue;
            }
        };
        let (question, observations, before) = (case.question(), case.observations(), case.before());
        let conclusion = conclude(&question, &observations, &before);
        let experiments = parallax_diagnosis::experiments(&question, &observations, &before);
        let wrong = case.expect.differences(&conclusion, &experiments);
        if !wrong.is_empty() {
            let _ = writeln!(report, "{name}: {}", case.claim);
            for line in wrong {
                let _ = writeln!(report, "    {line}");
            }
        }
        if std::env::var_os("PARALLAX_SHOW_CASES").is_some() {
            eprintln!(
                "=== {name}: {}\n{}\n{:#?}",
                case.claim, conclusion.summary, conclusion.findings
            );
        }
    }
    assert!(report.is_empty(), "\n{report}");
}
