//! From the observations of several vantage points to a verdict, and to the experiment that would tell
//! candidates apart.
//!
//! Pure: no socket, no clock, no state. The observations become a matrix of vantage point, address, endpoint
//! and stage; whatever in it is not as it should be is a *trouble*. Rules turn troubles into candidates, each with
//! the troubles it would explain; the best explanations become findings, the others their alternatives.
//! A trouble that no rule explains is still a finding: nothing that was seen gets lost.

mod candidate;
mod changes;
mod clients;
mod command;
mod conclude;
mod experiment;
mod extent;
mod fact;
mod fit;
mod matrix;
mod overlay;
mod product;
mod repeats;
mod rule;
mod rules;
mod summary;
mod symptom;
mod trouble;
mod varied;
mod verdict;
mod words;

use jiff::Timestamp;
use parallax_model::experiment::Experiment;
use parallax_model::finding::Conclusion;
use parallax_model::observation::Observation;
use parallax_model::spec::Depth;
use parallax_model::target::Target;

pub use changes::changes;
pub use experiment::is_answered;
use matrix::Matrix;

/// What the vantage points were asked, as far as it matters for judging the answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// What was probed.
    pub target: Target,
    /// How far the probe was to go.
    pub depth: Depth,
    /// Whether a login was to be tried.
    pub login: bool,
    /// The collector's time, by which certificates are judged.
    pub now: Timestamp,
}

/// Judges what was seen. `observations` holds one entry for every vantage point that was asked, the missing and
/// the refusing ones too; `before` what they saw when the target last worked there, as far as that is known. Never
/// fails: what can't be told is said to be inconclusive.
pub fn conclude(question: &Question, observations: &[Observation], before: &[Observation]) -> Conclusion {
    let matrix = Matrix::new(question, observations, before);
    conclude::conclude(&matrix, conclude::explain(&matrix))
}

/// What to ask next: the follow-up attempts that could change the answer. Empty when none would, or when all
/// were made already; a follow-up counts as made once it is among the attempts of its observation.
pub fn experiments(
    question: &Question,
    observations: &[Observation],
    before: &[Observation],
) -> Vec<Experiment> {
    let matrix = Matrix::new(question, observations, before);
    experiment::plan(&matrix, &conclude::explain(&matrix))
}

/// [`conclude`] and [`experiments`] of the same observations, which are explained once.
pub fn judge(
    question: &Question,
    observations: &[Observation],
    before: &[Observation],
) -> (Conclusion, Vec<Experiment>) {
    let matrix = Matrix::new(question, observations, before);
    let chosen = conclude::explain(&matrix);
    let wishes = experiment::plan(&matrix, &chosen);
    (conclude::conclude(&matrix, chosen), wishes)
}
