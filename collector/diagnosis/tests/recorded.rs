//! Every recorded run under `tests/recorded` is judged as it was found to be.
//!
//! A file is `{"claim": "...", "login": false, "expect": {...}, "run": {a run document}}`; `expect` is as in the cases.

#![allow(clippy::unwrap_used, missing_docs, unreachable_pub, dead_code)]

#[path = "support/recorded.rs"]
mod recorded;
mod support;

use std::fmt::Write as _;
use std::path::Path;

use parallax_model::run::RunDocument;
use serde::Deserialize;
use support::expect::Expected;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Recording {
    claim: String,
    #[serde(default)]
    login: bool,
    expect: Expected,
    run: RunDocument,
}

#[test]
fn every_recorded_run_is_judged_as_it_was_found_to_be() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recorded");
    let mut report = String::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let recording: Recording = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let question = recorded::question(&recording.run, recording.login);
        let conclusion = parallax_diagnosis::conclude(&question, &recording.run.vantages, &[]);
        let experiments = parallax_diagnosis::experiments(&question, &recording.run.vantages, &[]);
        for line in recording.expect.differences(&conclusion, &experiments) {
            let _ = writeln!(report, "{}: {}: {line}", path.display(), recording.claim);
        }
    }
    assert!(report.is_empty(), "\n{report}");
}
