//! Cells in columns.

use super::canvas::{Canvas, Tone, columns};

const GAP: usize = 2;

/// One cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cell {
    text: String,
    tone: Tone,
    side: Side,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Left,
    Right,
}

impl Cell {
    /// Text at the left of its column.
    pub(crate) fn left(text: impl Into<String>, tone: Tone) -> Self {
        Self {
            text: text.into(),
            tone,
            side: Side::Left,
        }
    }

    /// Text at the right of its column, as numbers stand.
    pub(crate) fn right(text: impl Into<String>, tone: Tone) -> Self {
        Self {
            text: text.into(),
            tone,
            side: Side::Right,
        }
    }

    fn padded(&self, width: usize, canvas: Canvas) -> String {
        let space = " ".repeat(width.saturating_sub(columns(&self.text)));
        let text = canvas.paint(self.tone, &self.text);
        match self.side {
            Side::Left => text + &space,
            Side::Right => space + &text,
        }
    }
}

/// A row of a grid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Row {
    /// A cell for each column.
    Cells(Vec<Cell>),
    /// A cell for the first column, and words across all others.
    Note(Cell, Cell),
}

/// Rows under a heading. A column is as wide as its widest cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Grid {
    head: Vec<Cell>,
    rows: Vec<Row>,
}

impl Grid {
    /// A grid without rows.
    pub(crate) const fn new(head: Vec<Cell>) -> Self {
        Self {
            head,
            rows: Vec::new(),
        }
    }

    /// A grid whose columns all begin at the left.
    pub(crate) fn headed(titles: &[&str]) -> Self {
        Self::new(
            titles
                .iter()
                .map(|&title| Cell::left(title, Tone::Faint))
                .collect(),
        )
    }

    /// One more row.
    pub(crate) fn push(&mut self, row: Row) {
        self.rows.push(row);
    }

    /// Columns the whole grid takes. A note that is longer than its row does not count: it is wrapped.
    pub(crate) fn width(&self) -> usize {
        let widths = self.widths();
        widths.iter().sum::<usize>() + GAP * widths.len().saturating_sub(1)
    }

    /// The grid, line by line, without trailing space.
    pub(crate) fn lines(&self, canvas: Canvas) -> Vec<String> {
        let widths = self.widths();
        let mut lines = vec![line(&self.head, &widths, canvas)];
        for row in &self.rows {
            match row {
                Row::Cells(cells) => lines.push(line(cells, &widths, canvas)),
                Row::Note(first, note) => lines.extend(note_lines(first, note, &widths, canvas)),
            }
        }
        lines
    }

    fn widths(&self) -> Vec<usize> {
        let mut widths: Vec<usize> = self.head.iter().map(|cell| columns(&cell.text)).collect();
        for row in &self.rows {
            let cells = match row {
                Row::Cells(cells) => cells.as_slice(),
                Row::Note(first, _) => std::slice::from_ref(first),
            };
            for (width, cell) in widths.iter_mut().zip(cells) {
                *width = (*width).max(columns(&cell.text));
            }
        }
        widths
    }
}

fn line(cells: &[Cell], widths: &[usize], canvas: Canvas) -> String {
    let last = cells.iter().rposition(|cell| !cell.text.is_empty());
    let shown = last.map_or(0, |last| last + 1);
    let mut line = String::new();
    for (at, (cell, &width)) in cells.iter().zip(widths).take(shown).enumerate() {
        let ends_the_line = at + 1 == shown && cell.side == Side::Left;
        line.push_str(&cell.padded(if ends_the_line { 0 } else { width }, canvas));
        if at + 1 < shown {
            line.push_str(&" ".repeat(GAP));
        }
    }
    line
}

fn note_lines(first: &Cell, note: &Cell, widths: &[usize], canvas: Canvas) -> Vec<String> {
    let start = widths.first().copied().unwrap_or_default();
    let room = canvas.width.map(|width| width.saturating_sub(start + GAP));
    let pieces = super::canvas::wrap(&note.text, room);
    let lines = pieces.iter().enumerate().map(|(at, piece)| {
        let name = if at == 0 {
            first.padded(start, canvas)
        } else {
            " ".repeat(start)
        };
        format!("{name}{}{}", " ".repeat(GAP), canvas.paint(note.tone, piece))
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell_and_lines_have_no_trailing_space() {
        let mut grid = Grid::headed(&["NAME", "STATE"]);
        grid.push(Row::Cells(vec![
            Cell::left("edge-ams", Tone::Plain),
            Cell::right("1 ms", Tone::Good),
        ]));
        grid.push(Row::Cells(vec![
            Cell::left("", Tone::Plain),
            Cell::left("", Tone::Plain),
        ]));
        grid.push(Row::Note(
            Cell::left("x", Tone::Plain),
            Cell::left("missing: offline", Tone::Bad),
        ));
        assert_eq!(
            grid.lines(Canvas::PLAIN),
            [
                "NAME      STATE",
                "edge-ams   1 ms",
                "",
                "x         missing: offline"
            ]
        );
        assert_eq!(grid.width(), 15);
    }
}
