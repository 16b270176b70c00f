//! How right the answers to the catalogue are.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use crate::address::{self, Pair};
use crate::catalogue::{Affected, Group, Hop, Row, Says};
use crate::document::{Document, Finding};
use crate::lab::VANTAGES;

/// From here on a finding is believed.
const BELIEVED: f64 = 0.7;

/// What one row came to.
#[derive(Clone, Debug)]
pub struct Judged {
    /// The row.
    pub row: &'static Row,
    /// Whether the kind is right; for a row in which nothing is wrong, whether nothing was blamed.
    pub kind: bool,
    /// Whether those whom it concerns are right too.
    pub scope: bool,
    /// Whether the segment is right too, where it can be known.
    pub place: Option<bool>,
    /// Whether the right router was named too, where it can be known.
    pub hop: Option<bool>,
    /// Whether something else was believed and the truth not even named as another possibility.
    pub wrongly_blamed: bool,
    /// Whether nothing was believed.
    pub inconclusive: bool,
    /// Whether verdict and exit status are right, where they must be certain ones.
    pub verdict: Option<bool>,
    /// From the question to the verdict.
    pub took: Duration,
    /// What was said, for whoever looks for the reason.
    pub said: String,
}

impl Judged {
    /// Judges the run document of `row`.
    pub fn new(row: &'static Row, document: &Document, took: Duration) -> Self {
        let blamed: Vec<Finding<'_>> = document
            .findings()
            .filter(|finding| finding.severity() != "info")
            .collect();
        let mut judged = Self {
            row,
            kind: true,
            scope: true,
            place: None,
            hop: None,
            wrongly_blamed: false,
            inconclusive: false,
            verdict: None,
            took,
            said: said(document),
        };
        if row.says.is_empty() {
            judged.kind = blamed.is_empty() && document.verdict() == "healthy";
            judged.scope = judged.kind;
            judged.wrongly_blamed = !blamed.is_empty();
            return judged;
        }
        let all: Vec<Finding<'_>> = document.findings().collect();
        // What is to be acted on first must be right; beside it there may be more, and a second fault is there.
        let first = row.says.len() == 1 && !blamed.is_empty();
        let looked_at = if first { &blamed[..1] } else { &all[..] };
        for says in row.says {
            judged.hold_against(says, looked_at);
        }
        let top = blamed.first().or(all.first());
        judged.inconclusive = top.is_none_or(|finding| {
            finding.kind() == "inconclusive" || (finding.confidence() < BELIEVED && !judged.kind)
        });
        let possible = |kind: &str| row.says.iter().any(|says| says.kinds.contains(&kind));
        let named = |finding: &Finding<'_>| {
            possible(finding.kind()) || finding.alternatives().into_iter().any(possible)
        };
        judged.wrongly_blamed = !judged.kind && !judged.inconclusive && !top.is_some_and(named);
        judged
    }

    /// Whether kind and scope are right.
    pub fn right(&self) -> bool {
        self.kind && self.scope
    }

    /// Holds the verdict of `document` and the status with which it came against `verdict`.
    #[must_use]
    pub fn with_verdict(mut self, verdict: Option<&str>, document: &Document, status: Option<i32>) -> Self {
        self.verdict = verdict.map(|verdict| document.verdict() == verdict && status == exit_status(verdict));
        self
    }

    fn hold_against(&mut self, says: &Says, findings: &[Finding<'_>]) {
        let mut of_kind = findings
            .iter()
            .filter(|finding| says.kinds.contains(&finding.kind()));
        let Some(first) = of_kind.clone().next() else {
            self.kind = false;
            self.scope = false;
            self.place = wanted(says).map(|_| false).or(self.place);
            self.hop = says.hop.map(|_| false).or(self.hop);
            return;
        };
        let finding = of_kind
            .find(|finding| says.affected.is(&finding.affected()))
            .unwrap_or(first);
        self.scope &= says.affected.is(&finding.affected());
        if let Some(segments) = wanted(says) {
            let right = finding
                .location("segment")
                .is_some_and(|segment| segments.contains(&segment));
            self.place = Some(right && self.place != Some(false));
        }
        if let Some(hop) = says.hop {
            let named = ["after", "before"]
                .into_iter()
                .filter_map(|end| finding.location(end));
            let right = hop.is_among(named);
            self.hop = Some(right && self.hop != Some(false));
        }
    }
}

fn exit_status(verdict: &str) -> Option<i32> {
    ["healthy", "partial", "down", "inconclusive"]
        .into_iter()
        .zip(0..)
        .find_map(|(one, status)| (one == verdict).then_some(status))
}

impl Affected {
    fn is(self, affected: &[&str]) -> bool {
        match self {
            Self::Everyone => affected.len() == VANTAGES.len(),
            Self::Only(one) => affected == [one],
            Self::These(these) => affected == these,
            Self::Anyone => true,
        }
    }
}

impl Hop {
    fn is_among<'a>(self, named: impl Iterator<Item = &'a str>) -> bool {
        let faces: Vec<Pair> = match self {
            Self::OneOf(addresses) => return named.into_iter().any(|hop| addresses.contains(&hop)),
            Self::Ams => vec![address::vantage_router(2), address::vantage_uplink(2)],
            Self::Core => (1..=4)
                .map(address::core_to_vantage)
                .chain([address::CORE_TO_SITE])
                .collect(),
            Self::SiteFirewall => vec![address::SITE_FIREWALL, address::SITE_LAN],
        };
        let addresses: Vec<String> = faces
            .into_iter()
            .flat_map(Pair::both)
            .map(|address| address.to_string())
            .collect();
        named
            .into_iter()
            .any(|hop| addresses.iter().any(|address| address == hop))
    }
}

fn wanted(says: &Says) -> Option<&'static [&'static str]> {
    (!says.segments.is_empty()).then_some(says.segments)
}

fn said(document: &Document) -> String {
    let one = |finding: Finding<'_>| {
        let mut text = format!(
            "{} {:.2} {} [{}]",
            finding.kind(),
            finding.confidence(),
            finding.location("segment").unwrap_or("-"),
            finding.affected().join(" ")
        );
        for end in ["after", "before"] {
            if let Some(hop) = finding.location(end) {
                // Writing to a String never fails.
                let _ = write!(text, " {end} {hop}");
            }
        }
        text
    };
    let findings: Vec<String> = document.findings().map(one).collect();
    format!("{}: {}", document.verdict(), findings.join("; "))
}

/// The table of all groups, in Markdown.
pub fn table(all: &[Judged]) -> String {
    let mut text = String::from(
        "| group | scenarios | right kind | right scope | right segment | right router | wrongly blamed | inconclusive | median / longest |\n\
         |---|---:|---:|---:|---:|---:|---:|---:|---:|\n",
    );
    let mut groups: BTreeMap<Group, Vec<&Judged>> = BTreeMap::new();
    for judged in all {
        groups.entry(judged.row.group).or_default().push(judged);
    }
    for (group, rows) in &groups {
        text += &line(group.name(), rows);
    }
    let tuned: Vec<&Judged> = all.iter().filter(|judged| !judged.row.held_out).collect();
    let held_out: Vec<&Judged> = all.iter().filter(|judged| judged.row.held_out).collect();
    text += &line("**all but held out**", &tuned);
    text += &line("**held out**", &held_out);
    text
}

fn line(name: &str, rows: &[&Judged]) -> String {
    let count = |holds: fn(&Judged) -> bool| rows.iter().filter(|judged| holds(judged)).count();
    let known = |answer: fn(&Judged) -> Option<bool>| {
        let answers: Vec<bool> = rows.iter().filter_map(|judged| answer(judged)).collect();
        let right = answers.iter().filter(|right| **right).count();
        if answers.is_empty() {
            "-".to_owned()
        } else {
            format!("{right}/{}", answers.len())
        }
    };
    let mut times: Vec<Duration> = rows.iter().map(|judged| judged.took).collect();
    times.sort_unstable();
    let median = times.get(times.len() / 2).copied().unwrap_or_default();
    let longest = times.last().copied().unwrap_or_default();
    format!(
        "| {name} | {} | {} | {} | {} | {} | {} | {} | {:.1} s / {:.1} s |\n",
        rows.len(),
        count(|judged| judged.kind),
        count(|judged| judged.right()),
        known(|judged| judged.place),
        known(|judged| judged.hop),
        count(|judged| judged.wrongly_blamed),
        count(|judged| judged.inconclusive),
        median.as_secs_f64(),
        longest.as_secs_f64(),
    )
}

/// The same, row by row, for machines.
pub fn report(all: &[Judged]) -> Value {
    let rows: Vec<Value> = all
        .iter()
        .map(|judged| {
            json!({
                "id": judged.row.id,
                "group": judged.row.group.name(),
                "inject": judged.row.inject,
                "held_out": judged.row.held_out,
                "right_kind": judged.kind,
                "right_scope": judged.right(),
                "right_segment": judged.place,
                "right_router": judged.hop,
                "wrongly_blamed": judged.wrongly_blamed,
                "inconclusive": judged.inconclusive,
                "right_verdict": judged.verdict,
                "seconds": judged.took.as_secs_f64(),
                "said": judged.said,
            })
        })
        .collect();
    json!({ "rows": rows })
}
