//! The answer for a ticket.

use parallax_model::client::ClientOutcome;
use parallax_model::finding::Finding;
use parallax_model::observation::Observation;
use parallax_model::run::RunDocument;
use parallax_model::stage::StageName;

use super::{changes, clients, experiments, findings, paths, stages, text, words};

/// The run as GitHub-flavoured Markdown: verdict, table, findings, mail clients.
pub(crate) fn markdown(document: &RunDocument) -> String {
    let mut lines = vec![
        format!("## {} is {}", code(&document.target.host), document.verdict),
        String::new(),
        inert(&words::safe(&document.summary)),
        String::new(),
    ];
    if let Some(since) = changes::since(document) {
        lines.push(inert(&since));
        lines.push(String::new());
    }
    if !document.vantages.is_empty() {
        lines.extend(table(document));
        lines.push(String::new());
    }
    for (at, finding) in document.findings.iter().enumerate() {
        lines.extend(finding_lines(at + 1, finding));
        lines.push(String::new());
    }
    lines.extend(experiments_list(document));
    lines.extend(paths_block(document));
    if !document.clients.is_empty() {
        lines.extend(clients_table(document));
        lines.push(String::new());
    }
    lines.push(reference(document));
    text(&lines)
}

fn table(document: &RunDocument) -> Vec<String> {
    let stages = stages::stages_seen(document);
    let mut titles = vec!["vantage point".to_owned(), "address".to_owned()];
    titles.extend(stages.iter().map(ToString::to_string));
    let mut lines = vec![row(&titles), row(&vec!["---".to_owned(); titles.len()])];
    for vantage in &document.vantages {
        lines.extend(
            vantage_rows(document, vantage, &stages)
                .iter()
                .map(|cells| row(cells)),
        );
    }
    lines
}

fn vantage_rows(document: &RunDocument, vantage: &Observation, stages: &[StageName]) -> Vec<Vec<String>> {
    let name = vantage.agent.to_string();
    if !vantage.answered() {
        return vec![vec![name, inert(&stages::unseen(vantage))]];
    }
    let mut attempts: Vec<_> = vantage.requested().map(Some).collect();
    if attempts.is_empty() {
        attempts.push(None);
    }
    let rows = attempts.into_iter().enumerate().map(|(at, attempt)| {
        let address = attempt.map(|attempt| stages::address(document, attempt));
        let mut cells = vec![name.clone(), address.unwrap_or_default()];
        cells.extend(stages.iter().map(|&stage| {
            let stage = stages::stage_of(vantage, attempt, at == 0, stage);
            let failed = stage.is_some_and(|stage| stage.outcome.fault().is_some());
            let (text, _) = stages::cell(stage);
            if failed { format!("**{text}**") } else { text }
        }));
        cells
    });
    let refused = stages::left_out(document, vantage)
        .map(|(place, words)| vec![name.clone(), inert(&place), inert(&words)]);
    rows.chain(refused).collect()
}

fn finding_lines(number: usize, finding: &Finding) -> Vec<String> {
    let mut lines = vec![
        format!(
            "### {number}. {} ({}, {})",
            code(finding.kind.as_str()),
            finding.severity,
            words::sure(finding.confidence)
        ),
        String::new(),
        inert(&words::safe(&finding.summary)),
        String::new(),
        format!("- who: {}", findings::who(&finding.scope)),
    ];
    if let Some(place) = findings::place(&finding.location) {
        lines.push(format!("- where: {place}"));
    }
    for fact in &finding.because {
        lines.push(format!("- because: {}", inert(&words::safe(fact))));
    }
    for other in &finding.alternatives {
        lines.push(format!(
            "- or {} ({}), told apart by: {}",
            code(other.kind.as_str()),
            words::percent(other.confidence),
            inert(&words::safe(&other.told_apart_by))
        ));
    }
    for step in &finding.next_steps {
        lines.push(format!("- next: {}", inert(&words::safe(step))));
    }
    lines
}

fn experiments_list(document: &RunDocument) -> Vec<String> {
    if document.experiments.is_empty() {
        return Vec::new();
    }
    let mut lines = vec!["### Experiments".to_owned(), String::new()];
    for round in experiments::rounds(&document.experiments) {
        let items = round.iter().map(|record| {
            let said = inert(&experiments::said(record));
            format!("- round {}: {said}", record.round)
        });
        lines.extend(items);
        lines.push(format!("  - {}", inert(&experiments::changed(round))));
    }
    lines.push(String::new());
    lines
}

/// One line a hop, in a block that nothing in it can end: all of it are addresses, numbers and our own words.
fn paths_block(document: &RunDocument) -> Vec<String> {
    let traced = document
        .vantages
        .iter()
        .filter(|vantage| !vantage.network.paths.is_empty());
    let mut lines = Vec::new();
    for vantage in traced {
        lines.extend([
            format!("### Paths from {}", vantage.agent),
            String::new(),
            "```".to_owned(),
        ]);
        for path in &vantage.network.paths {
            lines.extend(paths::block(path).iter().map(|line| line.replace('`', "'")));
        }
        lines.extend(["```".to_owned(), String::new()]);
    }
    lines
}

fn clients_table(document: &RunDocument) -> Vec<String> {
    let titles = ["mail client", "outcome", "why not everything"].map(str::to_owned);
    let mut lines = vec![
        "### Mail clients".to_owned(),
        String::new(),
        row(&titles),
        row(&vec!["---".to_owned(); titles.len()]),
    ];
    lines.extend(document.clients.iter().map(|client| {
        let outcome = match client.outcome {
            ClientOutcome::Fails => format!("**{}**", client.outcome),
            other => other.to_string(),
        };
        let why: Vec<_> = clients::why(client).iter().map(|reason| inert(reason)).collect();
        row(&[inert(&words::quote(&client.client)), outcome, why.join("; ")])
    }));
    lines
}

fn reference(document: &RunDocument) -> String {
    let trace = document
        .trace_id
        .as_ref()
        .map(|trace| format!(", trace {}", code(trace)));
    format!(
        "depth {}, at {}, {}, run {}{}",
        document.depth,
        words::moment(document.started_at),
        words::time(document.duration),
        code(&document.run_id.to_string()),
        trace.unwrap_or_default()
    )
}

fn row(cells: &[String]) -> String {
    format!("| {} |", cells.join(" | "))
}

/// A code span of text that has no backtick.
pub(super) fn code(text: &str) -> String {
    format!("`{}`", words::quote(text).replace('`', "'"))
}

/// Text that Markdown and HTML take as text, also inside a table.
pub(super) fn inert(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '<' => shown.push_str("&lt;"),
            '&' => shown.push_str("&amp;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' | '~' | '!' | '@' => {
                shown.push('\\');
                shown.push(character);
            }
            _ => shown.push(character),
        }
    }
    shown
}
