//! Runs, one a line.

use parallax_model::run::RunSummary;

use super::canvas::{Canvas, Tone, cut};
use super::findings::verdict_tone;
use super::grid::{Cell, Grid, Row};
use super::{text, words};

const SUMMARY_AT_LEAST: usize = 24;

/// The latest runs. Summaries are cut to the terminal: `ctl runs show ID` has them whole.
pub(crate) fn table(runs: &[RunSummary], canvas: Canvas) -> String {
    if runs.is_empty() {
        return "no run yet\n".to_owned();
    }
    let before_summary = grid(runs, |_| String::new()).width();
    let room = canvas.width.map_or(usize::MAX, |width| {
        width.saturating_sub(before_summary).max(SUMMARY_AT_LEAST)
    });
    let grid = grid(runs, |run| cut(&words::safe(&run.summary), room));
    text(&grid.lines(canvas))
}

fn grid(runs: &[RunSummary], summary: impl Fn(&RunSummary) -> String) -> Grid {
    let mut grid = Grid::headed(&["RUN", "STARTED", "VERDICT", "TARGET", "SUMMARY"]);
    for run in runs {
        grid.push(Row::Cells(vec![
            Cell::left(run.run_id.to_string(), Tone::Plain),
            Cell::left(words::moment(run.started_at), Tone::Plain),
            Cell::left(run.verdict.as_str(), verdict_tone(run.verdict)),
            Cell::left(words::quote(&run.target), Tone::Strong),
            Cell::left(summary(run), Tone::Plain),
        ]));
    }
    grid
}
