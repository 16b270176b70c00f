//! The answer for a monitoring system: one line and its performance data.

use std::time::Duration;

use parallax_model::finding::Verdict;
use parallax_model::observation::{Observation, VantageOutcome};
use parallax_model::run::RunDocument;

use super::words;

/// The run in the plugin convention of Nagios: `IMAP WARNING - text | data`.
///
/// The data: vantage points that are fine (of all), those that failed, those not heard from, and for each one that
/// answered the time to the end of its slowest attempt, in seconds.
pub(crate) fn nagios(document: &RunDocument) -> String {
    let status = match document.verdict {
        Verdict::Healthy => "OK",
        Verdict::Partial => "WARNING",
        Verdict::Down => "CRITICAL",
        Verdict::Inconclusive => "UNKNOWN",
    };
    let asked = document.vantages.len();
    let mut data = vec![
        format!("ok={};;;0;{asked}", number(document, &[VantageOutcome::Ok])),
        format!(
            "failed={};;;0;{asked}",
            number(document, &[VantageOutcome::Degraded, VantageOutcome::Failed])
        ),
        format!(
            "missing={};;;0;{asked}",
            number(document, &[VantageOutcome::Missing, VantageOutcome::Refused])
        ),
    ];
    let timed = document.vantages.iter().filter(|vantage| vantage.answered());
    data.extend(timed.map(|vantage| {
        let seconds = slowest(vantage).as_secs_f64();
        format!("'{}'={seconds:.3}s;;;0", vantage.agent)
    }));
    format!(
        "IMAP {status} - {} | {}\n",
        // The bar begins the performance data, wherever it stands.
        words::safe(&document.summary).replace('|', "/"),
        data.join(" ")
    )
}

fn number(document: &RunDocument, outcomes: &[VantageOutcome]) -> usize {
    document
        .vantages
        .iter()
        .filter(|vantage| outcomes.contains(&vantage.outcome))
        .count()
}

fn slowest(vantage: &Observation) -> Duration {
    let stages = vantage
        .requested()
        .flat_map(|attempt| &attempt.stages)
        .chain(&vantage.resolve);
    stages
        .map(|stage| stage.start + stage.duration)
        .max()
        .unwrap_or_default()
}
