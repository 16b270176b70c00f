//! What the diagnosis had tried, and what that changed.

use std::time::Duration;

use parallax_model::experiment::{ExperimentOutcome, ExperimentRecord, Variation};

use super::canvas::{Canvas, Tone};
use super::findings::labelled;
use super::words;

/// A line for each experiment, and one for what each round changed.
pub(super) fn lines(records: &[ExperimentRecord], canvas: Canvas) -> Vec<String> {
    let mut lines = Vec::new();
    for round in rounds(records) {
        for (at, record) in round.iter().enumerate() {
            let label = format!("round {}", record.round);
            let label = if at == 0 { label.as_str() } else { "" };
            lines.extend(labelled(0, label, Tone::Faint, &said(record), canvas));
        }
        lines.extend(labelled(0, "", Tone::Plain, &changed(round), canvas));
    }
    lines
}

/// Experiments of one round stand together.
pub(super) fn rounds(records: &[ExperimentRecord]) -> impl Iterator<Item = &[ExperimentRecord]> {
    records.chunk_by(|one, next| one.round == next.round)
}

/// "changed: mtu_black_hole 0.45 -> 0.93".
pub(super) fn changed(round: &[ExperimentRecord]) -> String {
    let changed = round.iter().find_map(|record| record.changed.as_deref());
    format!(
        "changed: {}",
        changed.map_or_else(|| "nothing".to_owned(), words::safe)
    )
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
    for part in varied(&experiment.variation) {
        said.push_str(&format!(", {part}"));
    }
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

fn varied(variation: &Variation) -> Vec<String> {
    let mut parts = Vec::new();
    parts.extend(variation.source.map(|source| format!("from {source}")));
    let name = variation.server_name.as_deref();
    parts.extend(name.map(|name| format!("with the name {}", words::quote(name))));
    parts.extend(variation.mss.map(|mss| format!("mss {mss}")));
    parts.extend(variation.resolver.map(|resolver| format!("of {resolver}")));
    let after = variation
        .after_ms
        .map(|millis| Duration::from_millis(millis.into()));
    parts.extend(after.map(|after| format!("after {}", words::time(after))));
    parts.extend(variation.repeat.map(|times| words::times(times.into())));
    parts
}
