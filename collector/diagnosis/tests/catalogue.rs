//! The runs of the lab's catalogue, judged again: what was right when it was recorded stays right.
//!
//! A file below `tests/recorded/catalogue` or `tests/recorded/held_out` is
//! `{"claim": "...", "login": false, "says": [{"kinds": [...], "affected": [...]}], "known_wrong": "why", "run": RUN}`.
//! Nothing in `says` means that nothing is wrong; `affected` is left out where chance decides.

#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs, dead_code)]

#[path = "support/recorded.rs"]
mod recorded;

#[test]
fn what_the_catalogue_was_right_about_stays_right() {
    let mut wrong = Vec::new();
    let (mut right, mut all) = (0, 0);
    for (path, recording) in recorded::catalogue() {
        let conclusion = recording.judged();
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
