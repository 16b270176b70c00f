//! Agents of which nothing was seen. What was not seen is never fine, and never the target's fault.

use std::collections::BTreeMap;

use parallax_model::fault::{AgentFault, AuthFault, FaultKind};
use parallax_model::finding::{FindingKind, Segment, Severity};
use parallax_model::observation::Reason;
use parallax_model::refusal::PolicyMatter;

use super::quality;
use crate::candidate::{Blame, Candidate};
use crate::command;
use crate::fact;
use crate::matrix::Matrix;
use crate::symptom::Reach;
use crate::trouble::{TroubleId, What};
use crate::words;

/// Claim: nothing was heard from these agents, so nothing is known from where they stand.
/// Disproved by: an answer.
pub(crate) fn missing(matrix: &Matrix) -> Vec<Candidate> {
    let troubles = matrix.troubles_where(|trouble| matches!(trouble.what, What::Missing));
    if troubles.is_empty() {
        return Vec::new();
    }
    let names = names(matrix, &troubles);
    let first = names.first().copied().unwrap_or_default();
    let finding = Candidate::new(matrix, FindingKind::AgentMissing, 1.0, troubles.iter().copied())
        .severity(Severity::Warning)
        .blame(Blame::Agent)
        .segment(Segment::Agent)
        .summary(format!("nothing was heard from {}", words::list(&names)))
        .because(fact::first(troubles.iter().map(|&id| fact::trouble(matrix, id))))
        .next([
            format!("ctl agents show {first}"),
            command::on(
                first,
                "systemctl status parallax-agent; journalctl -u parallax-agent -n 50",
            ),
            command::on(first, "parallax-agent doctor"),
        ]);
    vec![finding]
}

/// Claim: these agents were asked and did not run the probe, for a reason of their own.
/// Disproved by: an answer.
pub(crate) fn refused(matrix: &Matrix) -> Vec<Candidate> {
    let mut by_reason: BTreeMap<&str, (Option<Reason>, Vec<TroubleId>)> = BTreeMap::new();
    for id in matrix.troubles_where(|trouble| matches!(trouble.what, What::Refused)) {
        let reason = matrix.vantage(matrix.troubles[id].vantage).seen.reason;
        let entry = by_reason
            .entry(reason.map_or("", Reason::as_str))
            .or_insert((reason, Vec::new()));
        entry.1.push(id);
    }
    by_reason
        .into_values()
        .map(|(reason, troubles)| refusal(matrix, reason, &troubles))
        .collect()
}

fn refusal(matrix: &Matrix, reason: Option<Reason>, troubles: &[TroubleId]) -> Candidate {
    let names = names(matrix, troubles);
    let first = names.first().copied().unwrap_or_default();
    let (why, step) = match reason {
        Some(Reason::Policy) => (
            by_rule(matrix, troubles),
            command::on(
                first,
                "parallax-agent doctor   # says the policy and its file; nothing but that file changes it",
            ),
        ),
        Some(Reason::Unsupported) => (
            "its version can't do what was asked".to_owned(),
            format!("ctl agents show {first}   # then upgrade the agent"),
        ),
        Some(Reason::Overload) => (
            by_note(matrix, troubles).unwrap_or_else(|| "it had no room for another probe".to_owned()),
            format!("ctl agents show {first}   # what it does now; ask again later"),
        ),
        Some(Reason::Offline | Reason::Deadline) | None => {
            ("it did not run it".to_owned(), format!("ctl agents show {first}"))
        }
    };
    Candidate::new(matrix, FindingKind::Inconclusive, 1.0, troubles.iter().copied())
        .severity(Severity::Warning)
        .blame(Blame::Nobody)
        .segment(Segment::Agent)
        .summary(format!("{} refused the probe: {why}", words::list(&names)))
        .because(fact::first(troubles.iter().map(|&id| fact::trouble(matrix, id))))
        .next([step])
}

/// By which rule of their policies, where it is the same one.
fn by_rule(matrix: &Matrix, troubles: &[TroubleId]) -> String {
    let rule = |id: &TroubleId| {
        let seen = matrix.vantage(matrix.troubles[*id].vantage).seen;
        seen.refusal
            .as_ref()
            .map(|refusal| (refusal.what, refusal.value.as_str(), refusal.rule.as_str()))
    };
    let mut rules: Vec<_> = troubles.iter().map(rule).collect();
    rules.dedup();
    match rules.as_slice() {
        [Some((what, value, rule))] => format!(
            "its policy does not allow {} ({})",
            asked(*what, value),
            words::quote(rule)
        ),
        _ => "its policy does not allow this target".to_owned(),
    }
}

/// What they say themselves, where it is the same: no room, or a round that came while the one before still ran.
fn by_note(matrix: &Matrix, troubles: &[TroubleId]) -> Option<String> {
    let mut notes = troubles
        .iter()
        .map(|&id| matrix.vantage(matrix.troubles[id].vantage).seen.note.as_deref());
    let first = notes.next()??;
    notes.all(|note| note == Some(first)).then(|| words::quote(first))
}

fn asked(what: PolicyMatter, value: &str) -> String {
    let value = words::quote(value);
    match what {
        PolicyMatter::Port | PolicyMatter::Address | PolicyMatter::Depth | PolicyMatter::Resolver => {
            format!("{what} {value}")
        }
        PolicyMatter::Host | PolicyMatter::Experiments => value,
        PolicyMatter::Login => format!("a login with {value}"),
        PolicyMatter::Credential => format!("this credential at {value}"),
        PolicyMatter::Trace => "traces".to_owned(),
        PolicyMatter::Capture => "captures".to_owned(),
        PolicyMatter::Probes => format!("{value} probes at a time"),
        PolicyMatter::Rate => format!("more probes of {value} for now"),
        PolicyMatter::Other => "what was asked".to_owned(),
    }
}

/// Claim: the agent itself stopped the attempt (its policy, its limits, its own time, a secret it can't open), so
/// the attempt says nothing about the target.
/// Disproved by: the same attempt carried out.
pub(crate) fn own_faults(matrix: &Matrix) -> Vec<Candidate> {
    let mut by_kind: BTreeMap<(FaultKind, bool), Vec<TroubleId>> = BTreeMap::new();
    for (id, trouble) in matrix.troubles.iter().enumerate() {
        let silent = trouble
            .cell
            .is_some_and(|cell| matrix.cell(cell).reach == Reach::Silent);
        if let Some(kind) = trouble.kind().filter(|&kind| is_own(kind) && !silent) {
            let late = kind == FaultKind::Agent(AgentFault::Deadline);
            let losing = trouble
                .cell
                .is_some_and(|cell| quality::lost_something(matrix.cell(cell)));
            by_kind.entry((kind, late && losing)).or_default().push(id);
        }
    }
    by_kind
        .into_iter()
        .map(|((kind, losing), troubles)| {
            let names = names(matrix, &troubles);
            let first = names.first().copied().unwrap_or_default();
            // What is lost and sent again takes the time that the agent has not.
            let confidence = if losing { 0.4 } else { 0.9 };
            Candidate::new(
                matrix,
                FindingKind::Inconclusive,
                confidence,
                troubles.iter().copied(),
            )
            .severity(Severity::Warning)
            .blame(Blame::Nobody)
            .segment(Segment::Agent)
            .summary(format!(
                "{} did not finish the probe: {}",
                words::list(&names),
                why(kind)
            ))
            .because(fact::first(troubles.iter().map(|&id| fact::trouble(matrix, id))))
            .next([command::on(first, "journalctl -u parallax-agent -n 50")])
        })
        .collect()
}

const fn is_own(kind: FaultKind) -> bool {
    matches!(
        kind,
        FaultKind::Agent(_) | FaultKind::Auth(AuthFault::SecretUnavailable | AuthFault::InsecureChannel)
    )
}

const fn why(kind: FaultKind) -> &'static str {
    match kind {
        FaultKind::Agent(AgentFault::Policy) => "its policy does not allow the address",
        FaultKind::Agent(AgentFault::Overload) => "it ran out of sockets, memory or permits",
        FaultKind::Agent(AgentFault::Deadline) => "its time was over; a longer --timeout would tell more",
        FaultKind::Auth(AuthFault::SecretUnavailable) => "it has no secret that it can open for this login",
        FaultKind::Auth(AuthFault::InsecureChannel) => {
            "it sends no secret over a connection it has not verified"
        }
        _ => "a fault of its own",
    }
}

fn names<'a>(matrix: &Matrix<'a>, troubles: &[TroubleId]) -> Vec<&'a str> {
    matrix
        .vantages_of(troubles)
        .into_iter()
        .map(|vantage| matrix.name(vantage))
        .collect()
}
