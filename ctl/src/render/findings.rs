//! The verdict, and the findings that carry it.

use parallax_model::finding::{Finding, Location, Scope, Segment, Severity, Verdict};
use parallax_model::run::RunDocument;
use parallax_model::vantage::AgentName;

use super::canvas::{Canvas, Tone, columns, wrap};
use super::{facts, words};

/// Names spelled out before the rest is counted.
const SPELLED_OUT: usize = 6;
const INDENT: usize = 2;

/// The answer in one line, however long.
pub(crate) fn verdict_lines(document: &RunDocument, canvas: Canvas) -> Vec<String> {
    let word = document.verdict.as_str().to_uppercase();
    let summary = words::safe(&document.summary);
    labelled(0, &word, verdict_tone(document.verdict), &summary, canvas)
}

/// One finding: what and whom, then why, where, what else, and what to do. `said` is the verdict's line above it,
/// which is not repeated; `most` facts are spelled out.
pub(crate) fn finding_lines(finding: &Finding, said: &str, most: usize, canvas: Canvas) -> Vec<String> {
    let mut lines = labelled(
        0,
        finding.severity.as_str(),
        severity_tone(finding.severity),
        &headline(finding),
        canvas,
    );
    let mut add = |label: &str, text: &str| {
        lines.extend(labelled(INDENT, label, Tone::Faint, text, canvas));
    };
    if !said.contains(&finding.summary) {
        add("what", &words::safe(&finding.summary));
    }
    add("who", &who(&finding.scope));
    let scope = &finding.scope;
    let agents = scope.affected.iter().chain(&scope.unaffected);
    let facts = facts::together(&finding.because, &agents.map(AgentName::as_str).collect());
    // One line more takes no more room than the line that says so.
    let shown = if facts.len() > most + 1 { most } else { facts.len() };
    for (at, fact) in facts.iter().take(shown).enumerate() {
        add(if at == 0 { "because" } else { "" }, &words::safe(fact));
    }
    if shown < facts.len() {
        let more = facts.len() - shown;
        add("", &format!("({} more with -o wide)", words::count(more, "fact")));
    }
    if let Some(place) = place(&finding.location) {
        add("where", &place);
    }
    for (at, other) in finding.alternatives.iter().enumerate() {
        let text = format!(
            "{} ({}), told apart by: {}",
            other.kind,
            words::percent(other.confidence),
            words::safe(&other.told_apart_by)
        );
        add(if at == 0 { "or" } else { "" }, &text);
    }
    for (at, step) in finding.next_steps.iter().enumerate() {
        add(if at == 0 { "next" } else { "" }, &words::safe(step));
    }
    lines
}

/// Affected names, and those that were asked the same and are fine.
pub(crate) fn who(scope: &Scope) -> String {
    let affected = if scope.affected.is_empty() {
        "no vantage point".to_owned()
    } else {
        names(&scope.affected)
    };
    if scope.unaffected.is_empty() {
        affected
    } else {
        format!("{affected}; not {}", names(&scope.unaffected))
    }
}

/// Where it is, in words; nothing when that is not known.
pub(crate) fn place(location: &Location) -> Option<String> {
    let part = match location.segment {
        Segment::Agent => "the agent's own host",
        Segment::VantageEdge => "the vantage point's edge: hops that only it uses",
        Segment::Transit => "in transit",
        Segment::SiteEdge => "the service's edge: hops just before it that everybody uses",
        Segment::Service => "the service: its host and what runs on it",
        Segment::Unknown => "",
    };
    let hops: Vec<_> = [("after", location.after), ("before", location.before)]
        .into_iter()
        .filter_map(|(word, hop)| hop.map(|hop| format!("{word} {hop}")))
        .collect();
    let said: Vec<_> = [part.to_owned(), hops.join(", ")]
        .into_iter()
        .filter(|words| !words.is_empty())
        .collect();
    (!said.is_empty()).then(|| said.join(", "))
}

/// How a verdict is coloured.
pub(crate) const fn verdict_tone(verdict: Verdict) -> Tone {
    match verdict {
        Verdict::Healthy => Tone::Good,
        Verdict::Partial | Verdict::Inconclusive => Tone::Warning,
        Verdict::Down => Tone::Bad,
    }
}

const fn severity_tone(severity: Severity) -> Tone {
    match severity {
        Severity::Critical => Tone::Bad,
        Severity::Warning => Tone::Warning,
        Severity::Info => Tone::Faint,
    }
}

fn headline(finding: &Finding) -> String {
    let mut parts = vec![finding.kind.to_string()];
    if let Some(stage) = finding.stage {
        parts.push(format!("at {stage}"));
    }
    if !finding.scope.endpoints.is_empty() {
        let endpoints: Vec<_> = finding
            .scope
            .endpoints
            .iter()
            .map(|text| words::safe(text))
            .collect();
        parts.push(format!("on {}", endpoints.join(", ")));
    }
    format!("{} ({})", parts.join(" "), words::sure(finding.confidence))
}

/// Names, and how many more.
pub(super) fn names(names: &[AgentName]) -> String {
    let shown: Vec<_> = names.iter().take(SPELLED_OUT).map(AgentName::as_str).collect();
    let more = names.len().saturating_sub(SPELLED_OUT);
    if more == 0 {
        shown.join(", ")
    } else {
        format!("{} and {more} more", shown.join(", "))
    }
}

/// A label in a column of its own, and text that wraps beside it; what is wrapped stands further in, so that the next
/// fact is seen to begin.
pub(super) fn labelled(indent: usize, label: &str, tone: Tone, text: &str, canvas: Canvas) -> Vec<String> {
    const LABEL: usize = 9;
    const FURTHER_IN: usize = 2;
    let start = indent + columns(label).max(LABEL - indent.min(LABEL)) + 1;
    let further = if indent > 0 { FURTHER_IN } else { 0 };
    let room = canvas.width.map(|width| width.saturating_sub(start + further));
    let gap = start - indent - columns(label);
    let lines = wrap(text, room).into_iter().enumerate().map(|(at, piece)| {
        if at == 0 {
            let label = canvas.paint(tone, label);
            format!("{}{label}{}{piece}", " ".repeat(indent), " ".repeat(gap))
        } else {
            format!("{}{piece}", " ".repeat(start + further))
        }
    });
    lines.collect()
}
