//! Attempts beside those that were asked for: what each varies, and the ladder of holds.

use std::collections::BTreeMap;

use parallax_model::evidence::{Evidence, HoldEvidence};
use parallax_model::experiment::ExperimentKind;
use parallax_model::observation::{Attempt, Observation};
use parallax_model::stage::StageName;
use parallax_model::vantage::AgentName;

use super::{place, sync};
use crate::render::words;

/// What an attempt varies, in words.
pub(super) fn heading(kind: ExperimentKind, by: Option<&AgentName>) -> String {
    match kind {
        ExperimentKind::RawHello => "examined: TLS by hand, old versions included".to_owned(),
        ExperimentKind::StarttlsInjection => {
            "examined: a command sent in clear together with STARTTLS".to_owned()
        }
        ExperimentKind::Resumption => "examined: a second handshake with the first one's ticket".to_owned(),
        ExperimentKind::Hold => "held beside the others".to_owned(),
        ExperimentKind::Watch => match by {
            Some(agent) => format!("watched what the first session wrote, from {agent}"),
            None => "watched what the first session wrote".to_owned(),
        },
        _ => format!("asked again: {kind}"),
    }
}

/// Sessions at one place that were kept quiet for different times, shortest first.
pub(super) struct Ladder {
    /// Where.
    pub(super) heading: String,
    /// One session each.
    pub(super) rungs: Vec<Rung>,
    /// Between which times something ends a quiet session.
    pub(super) conclusion: Option<String>,
}

/// One session of a ladder.
pub(super) struct Rung {
    /// How long it was to be quiet.
    pub(super) label: String,
    /// How it ended.
    pub(super) text: String,
}

/// The ladders of a vantage point, one for each address and endpoint.
pub(super) fn ladders(vantage: &Observation) -> Vec<Ladder> {
    let mut places: BTreeMap<_, Vec<&Attempt>> = BTreeMap::new();
    for attempt in vantage.experiments(ExperimentKind::Hold) {
        places
            .entry((attempt.address, attempt.endpoint))
            .or_default()
            .push(attempt);
    }
    places
        .into_values()
        .map(|attempts| ladder(vantage, &attempts))
        .collect()
}

fn ladder(vantage: &Observation, attempts: &[&Attempt]) -> Ladder {
    let mut rungs: Vec<_> = attempts.iter().map(|attempt| (held(attempt), *attempt)).collect();
    rungs.sort_by(|(one, _), (other, _)| asked(*one).total_cmp(&asked(*other)));
    let rungs_held: Vec<_> = rungs.iter().filter_map(|(held, _)| *held).collect();
    // A server grants other times once somebody is logged in: unlike sessions make no bracket.
    let logged_in = rungs_held.iter().any(|facts| facts.logged_in);
    let beside = vantage.requested().filter(|main| {
        attempts
            .iter()
            .any(|rung| rung.address == main.address && rung.endpoint == main.endpoint)
    });
    let alike = beside
        .filter_map(held)
        .filter(|facts| facts.logged_in == logged_in);
    let all: Vec<_> = rungs_held.iter().copied().chain(alike).collect();
    Ladder {
        heading: attempts
            .first()
            .map(|attempt| format!("{}, quiet sessions held side by side", place(attempt)))
            .unwrap_or_default(),
        rungs: rungs.iter().map(|(held, attempt)| rung(*held, attempt)).collect(),
        conclusion: bracket(&all),
    }
}

fn held(attempt: &Attempt) -> Option<&HoldEvidence> {
    match attempt.stage(StageName::Hold)?.evidence.as_ref()? {
        Evidence::Hold(facts) => Some(facts),
        _ => None,
    }
}

fn asked(held: Option<&HoldEvidence>) -> f64 {
    held.map_or(f64::INFINITY, |facts| facts.asked_ms)
}

fn rung(held: Option<&HoldEvidence>, attempt: &Attempt) -> Rung {
    if let Some(facts) = held {
        let said = facts.bye.as_ref().map(|bye| format!("; {}", words::reply(bye)));
        return Rung {
            label: words::millis(facts.asked_ms),
            text: format!("{}{}", sync::end(facts), said.unwrap_or_default()),
        };
    }
    let text = attempt.failed_stage().and_then(|stage| {
        let fault = stage.outcome.fault()?;
        Some(format!(
            "failed at {}: {}",
            stage.name,
            words::quote(&fault.message)
        ))
    });
    Rung {
        label: "-".to_owned(),
        text: text.unwrap_or_else(|| "did not come to be held".to_owned()),
    }
}

/// The longest time that a session outlived and the shortest that one did not.
fn bracket(sessions: &[&HoldEvidence]) -> Option<String> {
    let (alive, ended): (Vec<&HoldEvidence>, Vec<&HoldEvidence>) =
        sessions.iter().copied().partition(|facts| facts.end == "alive");
    let by_time = |one: &&HoldEvidence, other: &&HoldEvidence| one.held_ms.total_cmp(&other.held_ms);
    // One that was told so ended when it was told; one that was not, at the latest when it was tried.
    let first = ended.into_iter().min_by(by_time)?;
    let outlived = alive
        .into_iter()
        .filter(|facts| facts.held_ms < first.held_ms)
        .max_by(by_time);
    let who = if first.logged_in { "with" } else { "without" };
    let limit = words::millis(first.held_ms);
    let lives = match outlived {
        Some(longest) => format!("lives for {} and not for {limit}", words::millis(longest.held_ms)),
        None => format!("does not live for {limit}"),
    };
    let whose = if first.end == "bye" {
        ": the server itself ends it"
    } else {
        ""
    };
    Some(format!("{who} a login, a quiet session {lives}{whose}"))
}
