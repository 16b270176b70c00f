//! Runs, one a line.

use parallax_model::run::RunSummary;

use super::canvas::{Canvas, Tone};
use super::findings::verdict_tone;
use super::grid::{Cell, Grid, Row};
use super::{text, words};

/// The latest runs. Summaries are cut to the terminal: `ctl runs show ID` has them whole.
/// `all` is whether every run was asked for.
pub(crate) fn table(runs: &[RunSummary], all: bool, canvas: Canvas) -> String {
    if runs.is_empty() {
        return if all { "no run yet\n" } else { "no such run\n" }.to_owned();
    }
    let mut grid = Grid::headed(&["RUN", "STARTED", "VERDICT", "TARGET", "SUMMARY"]);
    for run in runs {
        grid.push(Row::Cells(vec![
            Cell::id(run.run_id.to_string(), Tone::Plain),
            Cell::left(words::moment(run.started_at), Tone::Plain),
            Cell::left(run.verdict.as_str(), verdict_tone(run.verdict)),
            Cell::line(words::quote(&run.target), Tone::Strong),
            Cell::line(words::beside_target(&run.summary, &run.target), Tone::Plain),
        ]));
    }
    text(&grid.lines(canvas))
}
