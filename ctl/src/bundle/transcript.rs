//! One dialogue as text.

use parallax_model::observation::{Attempt, Speaker};
use parallax_model::text::escape_str;

use crate::render::words;

/// Where it went and how it ended, then line by line when who said what.
pub(super) fn text(attempt: &Attempt) -> String {
    let experiment = attempt
        .experiment
        .map(|kind| format!(", {kind}"))
        .unwrap_or_default();
    let mut text = format!(
        "{} {}{experiment}: {}\n",
        words::endpoint(attempt.address, attempt.endpoint.port),
        attempt.endpoint.security,
        attempt.outcome()
    );
    if let Some(stage) = attempt.failed_stage()
        && let Some(fault) = stage.outcome.fault()
    {
        text.push_str(&format!(
            "failed at {}: {}\n",
            stage.name,
            words::quote(&fault.message)
        ));
    }
    text.push('\n');
    for line in &attempt.transcript {
        let speaker = match line.speaker {
            Speaker::Client => "C:",
            Speaker::Server => "S:",
        };
        let said = escape_str(&line.text, usize::MAX);
        text.push_str(&format!("{:>10}  {speaker} {said}\n", words::time(line.at)));
    }
    text
}
