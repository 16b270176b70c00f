//! Cells in columns.

use super::canvas::{Canvas, Tone, columns, cut, hang, pieces};

const GAP: usize = 2;
/// Columns of prose are not made narrower than this before identifiers are cut, and than this in the end.
const PROSE_AT_EASE: usize = 40;
const PROSE_AT_LEAST: usize = 12;
/// So much of an identifier names one: the time in a UUID, to the millisecond.
const ID_BEGINS: usize = 13;

/// One cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cell {
    text: String,
    tone: Tone,
    side: Side,
    give: Give,
}

/// What becomes of a cell where the grid is wider than the terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Give {
    /// It stays as it is.
    Nothing,
    /// It is broken into lines.
    Lines,
    /// Its end is left out.
    End,
    /// Its beginning stays, which names it as well.
    Tail,
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
            give: Give::Nothing,
        }
    }

    /// Prose that is broken into lines where the grid is too wide.
    pub(crate) fn prose(text: impl Into<String>, tone: Tone) -> Self {
        Self {
            give: Give::Lines,
            ..Self::left(text, tone)
        }
    }

    /// Prose that stays in one line: its end is left out where the grid is too wide.
    pub(crate) fn line(text: impl Into<String>, tone: Tone) -> Self {
        Self {
            give: Give::End,
            ..Self::left(text, tone)
        }
    }

    /// An identifier, of which the beginning is enough where the grid is too wide.
    pub(crate) fn id(text: impl Into<String>, tone: Tone) -> Self {
        Self {
            give: Give::Tail,
            ..Self::left(text, tone)
        }
    }

    /// Text at the right of its column, as numbers stand.
    pub(crate) fn right(text: impl Into<String>, tone: Tone) -> Self {
        Self {
            text: text.into(),
            tone,
            side: Side::Right,
            give: Give::Nothing,
        }
    }

    /// The cell in a column of that width, line by line.
    fn fitted(&self, width: usize) -> Vec<Self> {
        if columns(&self.text) <= width {
            return vec![self.clone()];
        }
        let lines = match self.give {
            Give::Nothing => vec![self.text.clone()],
            Give::Lines => pieces(&self.text, width),
            Give::End => vec![cut(&self.text, width)],
            Give::Tail => vec![self.text.chars().take(width).collect()],
        };
        let line = |text| Self { text, ..self.clone() };
        lines.into_iter().map(line).collect()
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

    /// The grid, line by line, without trailing space. Where it is wider than the terminal, prose gives way.
    pub(crate) fn lines(&self, canvas: Canvas) -> Vec<String> {
        let widths = self.fitted(canvas);
        let mut lines = vec![line(&self.head, &widths, canvas)];
        for row in &self.rows {
            match row {
                Row::Cells(cells) => lines.extend(cell_lines(cells, &widths, canvas)),
                Row::Note(first, note) => lines.extend(note_lines(first, note, &widths, canvas)),
            }
        }
        lines
    }

    /// The width of each column on this terminal.
    fn fitted(&self, canvas: Canvas) -> Vec<usize> {
        let mut widths = self.widths();
        let prose = |give| matches!(give, Give::Lines | Give::End);
        self.narrow(&mut widths, canvas, prose, PROSE_AT_EASE);
        self.narrow(&mut widths, canvas, |give| give == Give::Tail, ID_BEGINS);
        self.narrow(&mut widths, canvas, prose, PROSE_AT_LEAST);
        widths
    }

    /// Takes from the widest of the columns that give way, until the grid fits or each has no more than `least`.
    fn narrow(&self, widths: &mut [usize], canvas: Canvas, gives: impl Fn(Give) -> bool, least: usize) {
        let all = |widths: &[usize]| widths.iter().sum::<usize>() + GAP * widths.len().saturating_sub(1);
        while !canvas.fits(all(widths)) {
            let least = |at: usize| least.max(self.head.get(at).map_or(0, |head| columns(&head.text)));
            let widest = (0..widths.len())
                .filter(|&at| widths[at] > least(at) && self.column(at).any(|cell| gives(cell.give)))
                .max_by_key(|&at| widths[at]);
            let Some(widest) = widest else { return };
            widths[widest] -= 1;
        }
    }

    fn column(&self, at: usize) -> impl Iterator<Item = &Cell> {
        self.rows.iter().filter_map(move |row| match row {
            Row::Cells(cells) => cells.get(at),
            Row::Note(..) => None,
        })
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

/// A row, in as many lines as its tallest cell.
fn cell_lines(cells: &[Cell], widths: &[usize], canvas: Canvas) -> Vec<String> {
    let fitted: Vec<Vec<Cell>> = cells
        .iter()
        .zip(widths)
        .map(|(cell, &width)| cell.fitted(width))
        .collect();
    let height = fitted.iter().map(Vec::len).max().unwrap_or_default();
    let nth = |nth: usize| -> Vec<Cell> {
        let cells = fitted.iter().map(|lines| lines.get(nth).cloned());
        cells
            .map(|cell| cell.unwrap_or_else(|| Cell::left("", Tone::Plain)))
            .collect()
    };
    (0..height).map(|at| line(&nth(at), widths, canvas)).collect()
}

fn note_lines(first: &Cell, note: &Cell, widths: &[usize], canvas: Canvas) -> Vec<String> {
    let start = widths.first().copied().unwrap_or_default();
    hang(&note.text, start + GAP, canvas)
        .iter()
        .enumerate()
        .map(|(at, piece)| {
            let name = if at == 0 {
                first.padded(start, canvas)
            } else {
                " ".repeat(start)
            };
            format!("{name}{}{}", " ".repeat(GAP), canvas.paint(note.tone, piece))
        })
        .collect()
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
    #[test]
    fn a_grid_that_is_too_wide_breaks_its_prose_cuts_lines_and_ids_and_keeps_the_rest() {
        let mut grid = Grid::headed(&["RUN", "STATE", "TARGET", "WHY"]);
        grid.push(Row::Cells(vec![
            Cell::id("01a20f69-6ff7-706a-a15c-7e24a78ee24d", Tone::Plain),
            Cell::left("connected", Tone::Good),
            Cell::line("imap.a-rather-long-name.example.org", Tone::Plain),
            Cell::prose(
                "the certificate ends in twelve days and nobody renews it",
                Tone::Bad,
            ),
        ]));
        let narrow = |width| Canvas {
            width: Some(width),
            colour: false,
        };
        let lines = grid.lines(narrow(70));
        assert!(lines.iter().all(|line| columns(line) <= 70), "{lines:#?}");
        assert_eq!(
            lines,
            [
                "RUN            STATE      TARGET                 WHY",
                "01a20f69-6ff7  connected  imap.a-rather-long-n…  the certificate ends",
                "                                                 in twelve days and",
                "                                                 nobody renews it",
            ]
        );
        assert_eq!(grid.lines(Canvas::PLAIN).len(), 2, "nothing gives way in a pipe");
        assert_eq!(grid.lines(narrow(200)), grid.lines(Canvas::PLAIN));
        assert!(grid.lines(narrow(20))[1].starts_with("01a20f69-6ff7  connected"));
    }
}
