//! A confidence is worth what it says: of the findings of every recorded run that claim to be sure, so many are right.
//!
//! A finding is right where it is of a kind that the lab's catalogue accepts for the run; remarks are not counted, nor what claims nothing. What
//! chance decided in a run counts too: a fault that did not bite must not be claimed.

#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs, dead_code)]

#[path = "support/recorded.rs"]
mod recorded;

use parallax_model::finding::{FindingKind, Severity};

/// Findings of confidences between two bounds, and how many of them must be right at least.
struct Bin {
    from: f64,
    below: f64,
    must_be_right: f64,
    findings: usize,
    wrong: Vec<String>,
}

impl Bin {
    const fn new(from: f64, below: f64, must_be_right: f64) -> Self {
        Self {
            from,
            below,
            must_be_right,
            findings: 0,
            wrong: Vec::new(),
        }
    }

    fn right(&self) -> f64 {
        let wrong = f64::from(u32::try_from(self.wrong.len()).unwrap());
        1.0 - wrong / f64::from(u32::try_from(self.findings.max(1)).unwrap())
    }
}

#[test]
fn findings_are_right_as_often_as_they_claim() {
    let mut bins = [
        Bin::new(0.8, 1.01, 0.9),
        Bin::new(0.5, 0.8, 0.6),
        Bin::new(0.0, 0.5, 0.0),
    ];
    for (path, recording) in recorded::catalogue() {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        for finding in recording.judged().findings {
            if finding.severity == Severity::Info || finding.kind == FindingKind::Inconclusive {
                continue;
            }
            let bin = bins
                .iter_mut()
                .find(|bin| (bin.from..bin.below).contains(&finding.confidence))
                .unwrap();
            bin.findings += 1;
            if !recording.expects(&finding) {
                let (kind, confidence) = (finding.kind, finding.confidence);
                bin.wrong.push(format!("{name}: {kind} {confidence}"));
            }
        }
    }
    for bin in &bins {
        println!(
            "{:.1} to {:.1}: {} findings, {:.0} % right{}",
            bin.from,
            bin.below.min(1.0),
            bin.findings,
            bin.right() * 100.0,
            bin.wrong
                .iter()
                .map(|wrong| format!("\n    {wrong}"))
                .collect::<String>()
        );
    }
    for bin in &bins {
        assert!(
            bin.right() >= bin.must_be_right,
            "from {}: {:#?}",
            bin.from,
            bin.wrong
        );
    }
}
