//! What the diagnosis had tried, and what that changed.

use parallax_model::experiment::{ExperimentOutcome, ExperimentRecord};

use super::canvas::{Canvas, Tone};
use super::findings::labelled;
use super::words;

/// A line for each experiment, and one for what each round changed.
pub(super) fn lines(records: &[ExperimentRecord], canvas: Canvas) -> Vec<String> {
    let mut lines = Vec::new();
    for (at, record) in records.iter().enumerate() {
        let is_first = at == 0 || records[at - 1].round != record.round;
        let label = if is_first {
            format!("round {}", record.round)
        } else {
            String::new()
        };
        lines.extend(labelled(0, &label, Tone::Faint, &said(record), canvas));
        let is_last = records.get(at + 1).is_none_or(|next| next.round != record.round);
        if is_last {
            let changed = record.changed.as_deref().map(words::safe);
            let changed = changed.unwrap_or_else(|| "nothing".to_owned());
            lines.extend(labelled(
                0,
                "",
                Tone::Plain,
                &format!("changed: {changed}"),
                canvas,
            ));
        }
    }
    lines
}

/// "path at fra-1 to 10.9.0.10:993 tls, because packets_dropped or source_banned".
pub(super) fn said(record: &ExperimentRecord) -> String {
    let experiment = &record.experiment;
    let mut said = format!(
        "{} at {} to {}",
        experiment.kind,
        experiment.agent,
        words::endpoint(experiment.address, experiment.endpoint.port)
    );
    if !record.because.is_empty() {
        said.push_str(&format!(", because of {}", words::safe(&record.because)));
    }
    match record.outcome {
        ExperimentOutcome::Done => {}
        ExperimentOutcome::Refused => said.push_str(": refused"),
        ExperimentOutcome::Missing => said.push_str(": no answer"),
    }
    said
}
