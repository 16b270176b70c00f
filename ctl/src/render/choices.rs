//! Which agents would run, and why: `--dry-run`.

use super::canvas::{Canvas, Tone};
use super::grid::{Cell, Grid, Row};
use super::{text, words};
use crate::view::{Choice, Started};

/// The agents that would be asked, then those that would not.
pub(crate) fn table(started: &Started, canvas: Canvas) -> String {
    if started.asked.is_empty() && started.passed_over.is_empty() {
        return "the collector knows no agent\n".to_owned();
    }
    let mut grid = Grid::headed(&["AGENT", "ASKED", "STATE", "WHY", "LABELS"]);
    for choice in &started.asked {
        grid.push(row(choice, Cell::left("yes", Tone::Good)));
    }
    for choice in &started.passed_over {
        grid.push(row(choice, Cell::left("no", Tone::Faint)));
    }
    text(&grid.lines(canvas))
}

fn row(choice: &Choice, asked: Cell) -> Row {
    let state = if choice.connected {
        Cell::left("connected", Tone::Good)
    } else {
        Cell::left("offline", Tone::Bad)
    };
    Row::Cells(vec![
        Cell::left(choice.agent.to_string(), Tone::Strong),
        asked,
        state,
        Cell::prose(words::safe(&choice.why), Tone::Plain),
        Cell::prose(words::labels(&choice.labels), Tone::Plain),
    ])
}
