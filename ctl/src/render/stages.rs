//! The matrix: vantage points down, stages across.

use std::net::IpAddr;

use parallax_model::evidence::Evidence;
use parallax_model::observation::{Attempt, Observation};
use parallax_model::refusal::PolicyRefusal;
use parallax_model::run::RunDocument;
use parallax_model::stage::{Outcome, Stage, StageName};

use super::canvas::{Canvas, Tone, cut, wrap};
use super::fault_word;
use super::grid::{Cell, Grid, Row};
use super::words;

/// Longest name of a vantage point on a terminal where the table is too wide.
const SHORT_NAME: usize = 20;

/// Columns that tell least when nothing is wrong in them, least first.
const LEAVE_OUT_FIRST: [StageName; 17] = [
    StageName::Logout,
    StageName::Id,
    StageName::Namespace,
    StageName::List,
    StageName::Capability,
    StageName::Hold,
    StageName::Idle,
    StageName::Sync,
    StageName::Append,
    StageName::Select,
    StageName::Fetch,
    StageName::Resolve,
    StageName::Greeting,
    StageName::Starttls,
    StageName::Authenticate,
    StageName::Tls,
    StageName::Connect,
];

/// The table, and below it what was left out for want of width.
pub(crate) fn lines(document: &RunDocument, canvas: Canvas) -> Vec<String> {
    let mut shape = Shape {
        stages: stages_seen(document),
        short: false,
    };
    let mut left_out = Vec::new();
    let mut grid = shape.grid(document);
    if !canvas.fits(grid.width()) {
        shape.short = true;
        grid = shape.grid(document);
    }
    while !canvas.fits(grid.width()) {
        let Some(stage) = least_telling(document, &shape.stages) else {
            break;
        };
        shape.stages.retain(|&kept| kept != stage);
        left_out.push(stage);
        grid = shape.grid(document);
    }
    let mut lines = grid.lines(canvas);
    if !left_out.is_empty() {
        let words = wrap(&left_out_line(document, left_out), canvas.width);
        lines.extend(words.iter().map(|line| canvas.paint(Tone::Faint, line)));
    }
    lines
}

/// The cell of a stage, as every format shows it.
pub(crate) fn cell(stage: Option<&Stage>) -> (String, Tone) {
    let Some(stage) = stage else {
        return (String::new(), Tone::Plain);
    };
    match &stage.outcome {
        Outcome::Ok => (words::time(stage.duration), Tone::Good),
        Outcome::Degraded(fault) => (format!("! {}", fault_word::of(fault.kind)), Tone::Warning),
        // It was turned down before, and a server was not asked.
        Outcome::Failed(fault) if fault.kind.is_about_the_secret() && !stage.login_was_answered() => {
            ("not sent".to_owned(), Tone::Bad)
        }
        Outcome::Failed(fault) => (fault_word::of(fault.kind).to_owned(), Tone::Bad),
        Outcome::Skipped(_) => ("skipped".to_owned(), Tone::Faint),
        Outcome::NotReached => ("-".to_owned(), Tone::Faint),
    }
}

/// The stage of a row: `resolve` belongs to the vantage point and stands in its first row only.
pub(crate) fn stage_of<'a>(
    vantage: &'a Observation,
    attempt: Option<&'a Attempt>,
    first: bool,
    name: StageName,
) -> Option<&'a Stage> {
    if name == StageName::Resolve {
        vantage.resolve.as_ref().filter(|_| first)
    } else {
        attempt.and_then(|attempt| attempt.stage(name))
    }
}

/// The stages that deserve a column, in order: somebody came to them, or would have.
pub(crate) fn stages_seen(document: &RunDocument) -> Vec<StageName> {
    let seen = |name| stages_named(document, name).any(deserves_a_column);
    StageName::ALL
        .iter()
        .copied()
        .filter(|&name| seen(name))
        .collect()
}

/// Who, in words, when nothing was seen of a vantage point.
pub(crate) fn unseen(vantage: &Observation) -> String {
    let mut said = vantage.outcome.to_string();
    if let Some(reason) = vantage.reason {
        said.push_str(&format!(": {reason}"));
    }
    if let Some(note) = vantage.note.as_deref().filter(|note| !note.is_empty()) {
        said.push_str(&format!(", {}", words::safe(note)));
    }
    if let Some(refusal) = &vantage.refusal {
        said.push_str(&format!(" ({})", by_rule(refusal)));
    }
    said
}

/// What the agent's policy kept it from, where it did the rest: what, and by which rule.
pub(crate) fn left_out(
    document: &RunDocument,
    vantage: &Observation,
) -> impl Iterator<Item = (String, String)> {
    let places = vantage
        .untouched()
        .map(|(refusal, address, port)| (place(document, address, port), refusal));
    let others = vantage
        .left_out
        .iter()
        .filter(|refusal| refusal.address.is_none());
    let others = others.map(|refusal| (words::safe(&refusal.value), refusal));
    places
        .chain(others)
        .map(|(what, refusal)| (what, format!("refused: policy ({})", by_rule(refusal))))
}

/// Only the agent's own policy can change it, and this is the entry.
fn by_rule(refusal: &PolicyRefusal) -> String {
    format!("its own rule: {}", words::safe(&refusal.rule))
}

/// The address of a row; with the port where the run has several endpoints.
pub(crate) fn address(document: &RunDocument, attempt: &Attempt) -> String {
    place(document, attempt.address, attempt.endpoint.port)
}

fn place(document: &RunDocument, address: IpAddr, port: u16) -> String {
    if document.target.endpoints.len() > 1 {
        words::endpoint(address, port)
    } else {
        address.to_string()
    }
}

fn stages_named(document: &RunDocument, name: StageName) -> impl Iterator<Item = &Stage> {
    document.vantages.iter().flat_map(move |vantage| {
        let resolve = vantage.resolve.as_ref().filter(|_| name == StageName::Resolve);
        let others = vantage.requested().filter_map(move |attempt| attempt.stage(name));
        resolve.into_iter().chain(others)
    })
}

fn deserves_a_column(stage: &Stage) -> bool {
    let given = matches!(&stage.evidence, Some(Evidence::Resolve(facts))
        if matches!(facts.source.as_str(), "literal" | "forced"));
    !given && !matches!(stage.outcome, Outcome::Skipped(_))
}

/// Columns and headings of a table.
struct Shape {
    stages: Vec<StageName>,
    short: bool,
}

impl Shape {
    fn grid(&self, document: &RunDocument) -> Grid {
        let mut head = vec![
            Cell::left("VANTAGE", Tone::Faint),
            Cell::left("ADDRESS", Tone::Faint),
        ];
        let titles = self.stages.iter().map(|&stage| self.title(stage));
        head.extend(titles.map(|title| Cell::right(title, Tone::Faint)));
        let mut grid = Grid::new(head);
        for vantage in &document.vantages {
            for row in self.rows(document, vantage) {
                grid.push(row);
            }
        }
        grid
    }

    fn rows(&self, document: &RunDocument, vantage: &Observation) -> Vec<Row> {
        let name = self.name(vantage);
        if !vantage.answered() {
            let note = Cell::left(unseen(vantage), Tone::Bad);
            return vec![Row::Note(name, note)];
        }
        let attempts: Vec<_> = vantage.requested().collect();
        let refused = left_out(document, vantage).map(|(place, words)| {
            let words = Cell::left(format!("{place}  {words}"), Tone::Warning);
            Row::Note(Cell::left("", Tone::Plain), words)
        });
        if attempts.is_empty() {
            let row = self.row(name, "-".to_owned(), vantage, None, true);
            return std::iter::once(row).chain(refused).collect();
        }
        let rows = attempts.into_iter().enumerate().map(|(at, attempt)| {
            let name = if at == 0 {
                name.clone()
            } else {
                Cell::left("", Tone::Plain)
            };
            self.row(name, address(document, attempt), vantage, Some(attempt), at == 0)
        });
        rows.chain(refused).collect()
    }

    fn row(
        &self,
        name: Cell,
        address: String,
        vantage: &Observation,
        attempt: Option<&Attempt>,
        first: bool,
    ) -> Row {
        let mut cells = vec![name, Cell::left(address, Tone::Plain)];
        cells.extend(self.stages.iter().map(|&stage| {
            let (text, tone) = cell(stage_of(vantage, attempt, first, stage));
            Cell::right(text, tone)
        }));
        Row::Cells(cells)
    }

    fn name(&self, vantage: &Observation) -> Cell {
        let name = vantage.agent.as_str();
        let shown = if self.short {
            cut(name, SHORT_NAME)
        } else {
            name.to_owned()
        };
        Cell::left(shown, Tone::Strong)
    }

    fn title(&self, stage: StageName) -> String {
        let short = match stage {
            StageName::Resolve => "DNS",
            StageName::Greeting => "GREET",
            StageName::Capability => "CAPA",
            StageName::Authenticate => "AUTH",
            StageName::Namespace => "NS",
            _ => stage.as_str(),
        };
        let title = if self.short { short } else { stage.as_str() };
        title.to_uppercase()
    }
}

/// The column to do without: one that nobody came to, the last first, then one where nothing is wrong.
fn least_telling(document: &RunDocument, stages: &[StageName]) -> Option<StageName> {
    let unreached = |name| stages_named(document, name).all(|stage| stage.outcome == Outcome::NotReached);
    let last_unreached = stages.iter().rev().copied().find(|&name| unreached(name));
    let in_order = || {
        LEAVE_OUT_FIRST
            .into_iter()
            .find(|name| stages.contains(name) && nothing_wrong(document, *name))
    };
    last_unreached.or_else(in_order)
}

fn nothing_wrong(document: &RunDocument, name: StageName) -> bool {
    stages_named(document, name).all(|stage| stage.outcome.fault().is_none())
}

fn left_out_line(document: &RunDocument, mut left_out: Vec<StageName>) -> String {
    left_out.sort_unstable();
    let came_to = |name: &StageName| stages_named(document, *name).any(|stage| stage.outcome == Outcome::Ok);
    let (fine, unreached): (Vec<_>, Vec<_>) = left_out.into_iter().partition(came_to);
    let say = |names: &[StageName], how: &str| {
        let names: Vec<_> = names.iter().map(|name| name.as_str()).collect();
        (!names.is_empty()).then(|| format!("{} ({how})", names.join(", ")))
    };
    let parts: Vec<_> = [say(&fine, "no fault"), say(&unreached, "not reached")]
        .into_iter()
        .flatten()
        .collect();
    format!("left out: {}", parts.join("; "))
}
