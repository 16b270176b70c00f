//! The answer for a person: matrix, verdict, findings.

use parallax_model::run::RunDocument;

use super::canvas::{Canvas, Tone, wrap};
use super::{changes, clients, evidence, experiments, findings, stages, text, words};

/// Facts of a finding that a table spells out.
const FACTS: usize = 10;

/// The run as a table, with its verdict and findings below.
pub(crate) fn table(document: &RunDocument, canvas: Canvas) -> String {
    let details = Details {
        evidence: Vec::new(),
        experiments: Vec::new(),
        clients: clients::line(&document.clients, canvas),
    };
    text(&lines(document, canvas, details))
}

/// [`table`], with what was seen in each attempt between the matrix and the verdict, and every family of clients.
pub(crate) fn wide(document: &RunDocument, canvas: Canvas) -> String {
    let mut evidence = vec![String::new()];
    evidence.extend(evidence::lines(document, canvas));
    let details = Details {
        evidence,
        experiments: experiments::lines(&document.experiments, canvas),
        clients: clients::lines(&document.clients, canvas),
    };
    text(&lines(document, canvas, details))
}

/// What one format shows at greater length than another.
struct Details {
    evidence: Vec<String>,
    experiments: Vec<String>,
    clients: Vec<String>,
}

fn lines(document: &RunDocument, canvas: Canvas, details: Details) -> Vec<String> {
    let facts = if details.evidence.is_empty() {
        FACTS
    } else {
        usize::MAX - 1
    };
    let mut lines: Vec<_> = wrap(&title(document), canvas.width)
        .iter()
        .map(|line| canvas.paint(Tone::Faint, line))
        .collect();
    lines.push(String::new());
    if !document.vantages.is_empty() {
        lines.extend(stages::lines(document, canvas));
        lines.extend(details.evidence);
        lines.push(String::new());
    }
    if !details.experiments.is_empty() {
        lines.extend(details.experiments);
        lines.push(String::new());
    }
    lines.extend(findings::verdict_lines(document, canvas));
    if let Some(since) = changes::since(document) {
        lines.extend(wrap(&since, canvas.width));
    }
    for finding in &document.findings {
        lines.push(String::new());
        lines.extend(findings::finding_lines(finding, &document.summary, facts, canvas));
    }
    if !details.clients.is_empty() {
        lines.push(String::new());
        lines.extend(details.clients);
    }
    lines.push(String::new());
    lines.extend(reference(document, canvas));
    lines
}

/// What was asked: "imap.example.org, 993/tls, to greeting, from 4 vantage points, at ...".
fn title(document: &RunDocument) -> String {
    let endpoints: Vec<_> = document
        .target
        .endpoints
        .iter()
        .map(ToString::to_string)
        .collect();
    format!(
        "{} {}, depth {}, {}, {}, {}",
        words::quote(&document.target.host),
        endpoints.join(" "),
        document.depth,
        words::count(document.vantages.len(), "vantage point"),
        words::moment(document.started_at),
        words::time(document.duration)
    )
}

/// How to find the run again.
fn reference(document: &RunDocument, canvas: Canvas) -> Vec<String> {
    let mut lines = vec![format!("run       {}", document.run_id)];
    if let Some(trace) = &document.trace_id {
        lines.push(format!("trace     {}", words::quote(trace)));
    }
    if !document.captures.is_empty() {
        let bytes: u64 = document.captures.iter().map(|capture| capture.bytes).sum();
        let number = document.captures.len();
        let size = bytes.div_ceil(1024);
        lines.push(format!("captures  {number} of {size} KiB, in the run's bundle"));
    }
    lines.iter().map(|line| canvas.paint(Tone::Faint, line)).collect()
}
