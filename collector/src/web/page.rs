//! The status page: alerts, checks, agents and the latest runs, each of which leads to its own page.

use std::fmt::Write as _;

use jiff::Timestamp;
use parallax_model::alert::Alert;
use parallax_model::run::RunSummary;
use parallax_model::text::escape_str;

use super::watched::{self, Watched};
use crate::hub::AgentView;

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:72rem;padding:0 1rem;\
color:#222;background:#fff}table{border-collapse:collapse;width:100%;margin-bottom:2rem}th,td{text-align:left;\
padding:.3rem .8rem .3rem 0;border-bottom:1px solid #ddd;vertical-align:top}th{font-weight:600}\
@media(max-width:40rem){th{display:none}tr{display:block;padding:.5rem 0;border-bottom:1px solid #ddd}\
td{display:block;border:0;padding:0;overflow-wrap:anywhere}}\
@media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}th,td,tr{border-color:#444}}";

/// The longest text of a cell.
const CELL: usize = 300;

/// The page as HTML. Every text is escaped: first for a terminal's and a reader's sake, then for HTML.
pub(super) fn render(
    agents: &[AgentView],
    runs: &[RunSummary],
    alerts: Vec<Alert>,
    checks: Vec<Watched>,
) -> String {
    let connected = agents.iter().filter(|agent| agent.summary.connected).count();
    let mut page = begin("Parallax collector");
    // Writing to a String never fails.
    let _ = write!(
        page,
        "<p>Version {}. {connected} of {} agents connected.</p>",
        env!("CARGO_PKG_VERSION"),
        agents.len(),
    );
    watched::alerts(&mut page, alerts);
    watched::checks(&mut page, checks);
    let agent_rows = agents.iter().map(agent_row).collect();
    table(
        &mut page,
        "Agents",
        &["name", "state", "labels", "version", "round trip"],
        agent_rows,
    );
    let run_rows = runs.iter().map(run_row).collect();
    table(
        &mut page,
        "Latest runs",
        &["started", "target", "verdict", "summary", "id"],
        run_rows,
    );
    end(page)
}

/// What stands in a table.
pub(super) enum Cell {
    Text(String),
    Link { to: String, text: String },
}

impl Cell {
    pub(super) fn link(to: &str, text: &str) -> Self {
        Self::Link {
            to: to.to_owned(),
            text: text.to_owned(),
        }
    }

    fn html(&self) -> String {
        match self {
            Self::Text(text) => html(text),
            Self::Link { to, text } => format!("<a href=\"{}\">{}</a>", inert(to), html(text)),
        }
    }
}

/// The beginning of every page.
pub(super) fn begin(title: &str) -> String {
    let title = html(title);
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\
         <meta name=\"viewport\" content=\"width=device-width\"><style>{STYLE}</style></head><body>\
         <h1>{title}</h1>"
    )
}

/// And its end.
pub(super) fn end(mut page: String) -> String {
    page.push_str("</body></html>\n");
    page
}

fn agent_row(agent: &AgentView) -> Vec<Cell> {
    let summary = &agent.summary;
    let state = match (summary.connected, summary.last_seen) {
        (true, _) => "connected".to_owned(),
        (false, Some(seen)) => format!("not connected since {}", time(seen)),
        (false, None) => "not connected".to_owned(),
    };
    let labels: Vec<String> = summary
        .labels
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    let cells = [
        summary.name.to_string(),
        state,
        labels.join(" "),
        summary.version.clone(),
        summary
            .rtt_ms
            .map(|rtt| format!("{rtt:.1} ms"))
            .unwrap_or_default(),
    ];
    cells.map(Cell::Text).into()
}

fn run_row(run: &RunSummary) -> Vec<Cell> {
    let id = run.run_id.to_string();
    let cells = [
        time(run.started_at),
        run.target.clone(),
        run.verdict.to_string(),
        run.summary.clone(),
    ];
    let mut row: Vec<Cell> = cells.map(Cell::Text).into();
    row.push(Cell::link(&format!("runs/{id}"), &id));
    row
}

pub(super) fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

pub(super) fn table(page: &mut String, title: &str, heads: &[&str], rows: Vec<Vec<Cell>>) {
    // Writing to a String never fails.
    let _ = write!(page, "<h2>{title}</h2>");
    if rows.is_empty() {
        page.push_str("<p>None yet.</p>");
        return;
    }
    page.push_str("<table><tr>");
    for head in heads {
        let _ = write!(page, "<th>{head}</th>");
    }
    page.push_str("</tr>");
    for row in rows {
        page.push_str("<tr>");
        for cell in row {
            let _ = write!(page, "<td>{}</td>", cell.html());
        }
        page.push_str("</tr>");
    }
    page.push_str("</table>");
}

/// A text of anybody's, at most as long as a cell.
pub(super) fn html(text: &str) -> String {
    inert(&escape_str(text, CELL))
}

fn inert(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            _ => safe.push(character),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use parallax_model::finding::Verdict;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_servers_text_stays_text() {
        let run = RunSummary {
            run_id: Uuid::nil(),
            started_at: Timestamp::UNIX_EPOCH,
            target: "<script>alert(1)</script>".into(),
            verdict: Verdict::Down,
            summary: "a & b\u{202e}\x1b[2J".into(),
            check: None,
        };
        let page = render(&[], &[run], Vec::new(), Vec::new());
        assert!(!page.contains("<script>"));
        assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
        assert!(page.contains("a &amp; b\\u{202e}\\x1b[2J"));
        assert!(page.contains("1970-01-01 00:00:00 UTC"));
        assert!(page.contains("<a href=\"runs/00000000-0000-0000-0000-000000000000\">"));
    }
}
