//! How long the hub is at one round that all vantage points saw fail: for the benchmark `judge`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use parallax_model::check::CheckResult;
use parallax_model::experiment::ExperimentKind;
use parallax_model::observation::Observation;
use uuid::Uuid;

use super::sample;
use crate::agents::Choice;
use crate::alerts::{AlertEvent, Alerts};
use crate::checks::Expected;
use crate::rounds::{Now, RoundEffect, Rounds, ToDiagnose};
use crate::runs::{Cast, Effect, Participant, Runs};
use crate::store::{AlertsKept, Fresh};

/// How often it is measured.
const TIMES: usize = 11;

/// The steps that the hub takes, each at once.
#[derive(Debug, Clone, Copy, Default)]
struct Took {
    /// All results of the round, and its end.
    round: Duration,
    /// What it is, and which experiments would tell more.
    diagnosis: Duration,
    /// The same once more, when nobody answered those.
    again: Duration,
    /// The end of it, and its alerts.
    close: Duration,
    experiments: usize,
}

/// Takes what `seen` has for what `agents` see in one round, and says how long each step takes, and the longest.
pub fn judge(seen: &[Observation], agents: i64) -> String {
    let mut all: Vec<Took> = (0..TIMES).map(|_| one(seen, agents)).collect();
    all.sort_by_key(Took::longest);
    let (middle, most) = (all[TIMES / 2], all[TIMES - 1]);
    let ms = |took: Duration| format!("{:.2}", took.as_secs_f64() * 1e3);
    format!(
        "{agents} agents: round {}, diagnosis {} ({} orders), again {}, close {}; at a stretch at most {} ms, of {TIMES} {}",
        ms(middle.round),
        ms(middle.diagnosis),
        middle.experiments,
        ms(middle.again),
        ms(middle.close),
        ms(middle.longest()),
        ms(most.longest()),
    )
}

impl Took {
    /// What happens in one go: an event of the hub.
    fn longest(&self) -> Duration {
        let first = self.round + self.diagnosis;
        match self.experiments {
            0 => first + self.close,
            _ => first.max(self.again + self.close),
        }
    }
}

fn one(seen: &[Observation], agents: i64) -> Took {
    let wall = Timestamp::now();
    let mut definition = sample::check(1);
    definition.together = true;
    let check = sample::record(Uuid::from_u128(1), definition);
    let round = check.cadence().at(wall);
    let now = Now {
        instant: Instant::now(),
        wall: round.starts_at,
    };
    let mut rounds = Rounds::restored([Arc::clone(&check)], BTreeMap::new(), now);
    let names = (0..agents).map(sample::agent).collect();
    rounds.checks([&check], Expected::from([(check.id, names)]), now);
    let fresh: Vec<Fresh> = (0..agents)
        .zip(seen.iter().cycle())
        .map(|(number, seen)| Fresh {
            agent: sample::agent(number),
            received_at: wall,
            result: CheckResult {
                id: Uuid::now_v7(),
                check: check.id,
                run_id: round.run_id,
                digest: 1,
                round_at: round.starts_at,
                started_at: round.starts_at,
                observation: Observation {
                    agent: sample::agent(number),
                    ..seen.clone()
                },
            },
        })
        .collect();
    let mut took = Took::default();
    let begun = Instant::now();
    let mut effects = Vec::new();
    for fresh in fresh {
        effects.extend(rounds.result(fresh, now));
    }
    took.round = begun.elapsed();
    let question = effects.into_iter().find_map(|effect| match effect {
        RoundEffect::Diagnose(question) => Some(question),
        RoundEffect::Close(_) | RoundEffect::SetBack(_) => None,
    });
    if let Some(question) = question {
        answer(*question, &mut rounds, now, &mut took);
    }
    took
}

fn answer(question: ToDiagnose, rounds: &mut Rounds, now: Now, took: &mut Took) {
    let (inquiry, seen) = question.ask();
    let cast = cast(&seen);
    let mut runs = Runs::default();
    let begun = Instant::now();
    let mut effects = runs.adopt(inquiry, &cast, seen, now.instant);
    took.diagnosis = begun.elapsed();
    let orders = effects.iter().filter(|effect| matches!(effect, Effect::Send(_)));
    took.experiments = orders.count();
    let begun = Instant::now();
    effects.extend(runs.tick(now.instant + Duration::from_secs(60)));
    took.again = begun.elapsed();
    let document = effects.into_iter().find_map(|effect| match effect {
        Effect::Concluded(document) => Some(document),
        _ => None,
    });
    let Some(document) = document else { return };
    let mut alerts = Alerts::restored(AlertsKept::default(), vec!["on-call".to_owned()], now.wall);
    let begun = Instant::now();
    for effect in rounds.concluded(document, now) {
        if let RoundEffect::Close(closed) = effect {
            alerts.handle(AlertEvent::Round(&closed.outcome), now.wall);
        }
    }
    took.close = begun.elapsed();
}

fn cast(seen: &[Observation]) -> Cast {
    let participants = seen.iter().map(|seen| Participant {
        choice: Choice {
            agent: seen.agent.clone(),
            labels: seen.labels.clone(),
            connected: true,
            why: String::new(),
        },
        capabilities: ExperimentKind::ALL
            .iter()
            .map(|kind| format!("experiment:{kind}"))
            .collect(),
        rtt: None,
        source: None,
    });
    Cast {
        participants: participants.collect(),
        ..Cast::default()
    }
}
