//! The one line that somebody reads at three in the morning.

use std::collections::BTreeSet;

use parallax_model::finding::{Finding, Severity, Verdict};
use parallax_model::vantage::AgentName;

use crate::matrix::Matrix;
use crate::words;

/// What, where, who: the first finding, and how the others are.
pub(crate) fn of(matrix: &Matrix, verdict: Verdict, findings: &[Finding]) -> String {
    let asked = matrix.vantages.len();
    match verdict {
        Verdict::Healthy => healthy(matrix, findings),
        Verdict::Inconclusive if asked == 0 => "no vantage point was asked".to_owned(),
        Verdict::Inconclusive => {
            let first = findings.first().map(|finding| finding.summary.as_str());
            format!(
                "could not tell whether {} works: {}",
                matrix.host(),
                first.unwrap_or("nothing was seen")
            )
        }
        Verdict::Down | Verdict::Partial => troubled(matrix, findings),
    }
}

fn healthy(matrix: &Matrix, findings: &[Finding]) -> String {
    let number = matrix.vantages.len();
    let who = if number == 1 {
        matrix.name(0).to_owned()
    } else {
        format!("all {}", words::count(number, "vantage point"))
    };
    let remarks = if findings.is_empty() {
        String::new()
    } else {
        format!(" ({})", words::count(findings.len(), "remark"))
    };
    format!("{} is healthy from {who}{remarks}", matrix.host())
}

fn troubled(matrix: &Matrix, findings: &[Finding]) -> String {
    let serious: Vec<&Finding> = findings
        .iter()
        .filter(|finding| finding.severity != Severity::Info)
        .collect();
    let first = serious.first().map_or_else(
        || format!("{} needs a look", matrix.host()),
        |finding| finding.summary.clone(),
    );
    let troubled: BTreeSet<&AgentName> = serious
        .iter()
        .flat_map(|finding| &finding.scope.affected)
        .collect();
    let asked: BTreeSet<&AgentName> = matrix
        .vantages
        .iter()
        .map(|vantage| &vantage.seen.agent)
        .collect();
    let healthy = asked.difference(&troubled).count();
    let mut beside = Vec::new();
    if healthy > 0 {
        beside.push(format!(
            "{healthy} of {} {} healthy",
            words::count(asked.len(), "vantage point"),
            if healthy == 1 { "is" } else { "are" }
        ));
    }
    if serious.len() > 1 {
        beside.push(words::count(serious.len() - 1, "more finding"));
    }
    if beside.is_empty() {
        first
    } else {
        format!("{first} ({})", beside.join(", "))
    }
}
