//! One frame of the progress that a terminal shows while a run is on.

use std::time::Duration;

use parallax_model::observation::VantageOutcome;

use super::canvas::{Canvas, Tone, cut};
use super::{fault_word, words};
use crate::view::{RunView, VantageView};

const BESIDE_THE_VANTAGES: usize = 2;

/// A line for each vantage point and one for all, never more than `height` lines and never wider than the canvas.
pub(crate) fn frame(view: &RunView, elapsed: Duration, height: usize, canvas: Canvas) -> Vec<String> {
    let vantages: Vec<_> = view.vantages().collect();
    let done = vantages.iter().filter(|(_, vantage)| vantage.done()).count();
    let room = height.saturating_sub(BESIDE_THE_VANTAGES).max(1);
    let name_width = vantages
        .iter()
        .map(|(name, _)| name.as_str().len())
        .max()
        .unwrap_or_default()
        .min(24);
    // Those still at work are what one waits for.
    let (waiting, ended): (Vec<_>, Vec<_>) = vantages.iter().partition(|(_, vantage)| !vantage.done());
    let mut shown: Vec<_> = waiting.into_iter().chain(ended).take(room).collect();
    shown.sort_by_key(|(name, _)| *name);
    let mut lines: Vec<_> = shown
        .iter()
        .map(|(name, vantage)| {
            let name = format!("{:<name_width$}", cut(name.as_str(), name_width));
            let (text, tone) = state(vantage);
            let limit = canvas.width.unwrap_or(usize::MAX).saturating_sub(name_width + 4);
            format!("  {name}  {}", canvas.paint(tone, &cut(&text, limit)))
        })
        .collect();
    let hidden = vantages.len() - shown.len();
    let mut all = format!(
        "{done} of {} done, {:.1} s",
        vantages.len(),
        elapsed.as_secs_f64()
    );
    if hidden > 0 {
        all.push_str(&format!(", {hidden} not shown"));
    }
    if let Some(round) = view.follow_up() {
        all.push_str(&format!(
            ", asking again (round {}, {})",
            round.round,
            words::count(round.experiments.len(), "experiment")
        ));
    }
    let limit = canvas.width.unwrap_or(usize::MAX);
    lines.push(canvas.paint(Tone::Faint, &cut(&all, limit)));
    lines
}

fn state(vantage: &VantageView) -> (String, Tone) {
    if let Some(observation) = &vantage.observation {
        let tone = match observation.outcome {
            VantageOutcome::Ok => Tone::Good,
            VantageOutcome::Degraded => Tone::Warning,
            VantageOutcome::Failed | VantageOutcome::Missing | VantageOutcome::Refused => Tone::Bad,
        };
        let why = observation.reason.map(|reason| format!(": {reason}"));
        return (
            format!("{}{}", observation.outcome, why.unwrap_or_default()),
            tone,
        );
    }
    let Some(latest) = vantage.latest() else {
        return ("waiting".to_owned(), Tone::Faint);
    };
    let place = latest
        .endpoint
        .map(|(address, endpoint)| words::endpoint(address, endpoint.port));
    let place = place.map(|place| format!(" {place}")).unwrap_or_default();
    let name = latest.stage.name;
    match latest.stage.outcome.fault() {
        None => {
            let text = format!("after {name}{place} ({})", words::time(latest.stage.duration));
            (text, Tone::Plain)
        }
        Some(fault) => {
            let tone = if latest.stage.failed() {
                Tone::Bad
            } else {
                Tone::Warning
            };
            (format!("{name}{place} {}", fault_word::of(fault.kind)), tone)
        }
    }
}
