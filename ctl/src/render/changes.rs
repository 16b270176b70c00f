//! What changed between two runs.

use parallax_model::run::{Change, RunDocument, RunRef};
use parallax_model::vantage::AgentName;
use serde::Serialize;

use super::canvas::{Canvas, Tone, wrap};
use super::markdown::{code, inert};
use super::{findings, text, words};

/// Two runs, and what is otherwise in the later one.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Difference {
    /// The later one's target, as it was typed.
    pub(crate) target: String,
    /// The earlier run.
    pub(crate) before: RunRef,
    /// The later run.
    pub(crate) after: RunRef,
    /// Vantage points of one of them only; nothing is said of these.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) not_in_both: Vec<AgentName>,
    /// By vantage point.
    pub(crate) changes: Vec<Change>,
}

impl Difference {
    /// What a run says itself of the last good one before it, if it was compared with one.
    pub(crate) fn recorded(run: &RunDocument) -> Option<Self> {
        Some(Self {
            target: run.target.input.clone(),
            before: run.compared_with?,
            after: run.reference(),
            not_in_both: Vec::new(),
            changes: run.changes.clone(),
        })
    }
}

/// For a person: what was and what is, vantage point by vantage point.
pub(crate) fn table(difference: &Difference, canvas: Canvas) -> String {
    let title = format!(
        "{}, {} against {}",
        words::quote(&difference.target),
        words::moment(difference.after.started_at),
        words::moment(difference.before.started_at)
    );
    let mut lines: Vec<_> = wrap(&title, canvas.width)
        .iter()
        .map(|line| canvas.paint(Tone::Faint, line))
        .collect();
    lines.push(String::new());
    lines.extend(changed(&difference.changes, canvas));
    if let Some(left_out) = left_out(difference) {
        lines.push(String::new());
        lines.extend(wrap(&left_out, canvas.width));
    }
    text(&lines)
}

/// For a ticket.
pub(crate) fn markdown(difference: &Difference) -> String {
    let mut lines = vec![
        format!("## What changed at {}", code(&difference.target)),
        String::new(),
        format!(
            "run {} of {} against run {} of {}",
            code(&difference.after.run_id.to_string()),
            words::moment(difference.after.started_at),
            code(&difference.before.run_id.to_string()),
            words::moment(difference.before.started_at)
        ),
        String::new(),
    ];
    lines.extend(markdown_list(&difference.changes));
    if let Some(left_out) = left_out(difference) {
        lines.push(String::new());
        lines.push(left_out);
    }
    text(&lines)
}

/// Each change an item, with what was and what is.
pub(super) fn markdown_list(changes: &[Change]) -> Vec<String> {
    if changes.is_empty() {
        return vec!["Nothing changed.".to_owned()];
    }
    let item = |change: &Change| {
        format!(
            "- {} {}: {} is now **{}**",
            change.agent,
            subject(change),
            inert(&words::safe(&change.before)),
            inert(&words::safe(&change.after))
        )
    };
    changes.iter().map(item).collect()
}

/// Each vantage point with its changes, as lines taken away and lines added.
pub(crate) fn changed(changes: &[Change], canvas: Canvas) -> Vec<String> {
    if changes.is_empty() {
        return vec!["nothing changed".to_owned()];
    }
    let mut lines = Vec::new();
    let mut told: Option<&AgentName> = None;
    for change in changes {
        if told != Some(&change.agent) {
            lines.push(canvas.paint(Tone::Strong, change.agent.as_str()));
            told = Some(&change.agent);
        }
        lines.push(format!("  {}", subject(change)));
        lines.extend(side('-', Tone::Warning, &change.before, canvas));
        lines.extend(side('+', Tone::Good, &change.after, canvas));
    }
    lines
}

/// "certificate at fra-1, nyc-1; addresses at ams-1", against the last good run; nothing where all is as it was.
pub(super) fn since(document: &RunDocument) -> Option<String> {
    let before = document.compared_with?;
    let mut kinds: Vec<_> = document.changes.iter().map(|change| change.what).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let said = kinds.iter().map(|&what| {
        let of_kind = document.changes.iter().filter(|change| change.what == what);
        let mut agents: Vec<_> = of_kind.map(|change| change.agent.clone()).collect();
        agents.dedup();
        format!("{what} at {}", findings::names(&agents))
    });
    let said: Vec<_> = said.collect();
    (!said.is_empty()).then(|| {
        let moment = words::moment(before.started_at);
        format!("since the last good run ({moment}): {}", said.join("; "))
    })
}

fn subject(change: &Change) -> String {
    match change.address {
        Some(address) => format!("{} {address}", change.what),
        None => change.what.to_string(),
    }
}

fn side(sign: char, tone: Tone, said: &str, canvas: Canvas) -> Vec<String> {
    const INDENT: usize = 6;
    let room = canvas.width.map(|width| width.saturating_sub(INDENT));
    let pieces = wrap(&words::safe(said), room).into_iter().enumerate();
    pieces
        .map(|(at, piece)| {
            let sign = if at == 0 { sign } else { ' ' };
            format!("    {}", canvas.paint(tone, &format!("{sign} {piece}")))
        })
        .collect()
}

fn left_out(difference: &Difference) -> Option<String> {
    let names = &difference.not_in_both;
    (!names.is_empty()).then(|| format!("not in both runs, and not compared: {}", findings::names(names)))
}
