//! Runs that were recorded.

use parallax_diagnosis::Question;
use parallax_model::run::RunDocument;
use parallax_model::target::Target;

/// What was asked in a recorded run.
pub(crate) fn question(run: &RunDocument, login: bool) -> Question {
    Question {
        target: Target {
            input: run.target.input.clone(),
            host: run.target.host.parse().unwrap(),
            endpoints: run.target.endpoints.clone(),
        },
        depth: run.depth,
        login,
        now: run.started_at,
    }
}
