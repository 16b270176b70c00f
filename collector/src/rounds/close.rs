//! From the results of a round to its answer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use parallax_model::check::RunCheck;
use parallax_model::finding::Verdict;
use parallax_model::observation::{Observation, Reason, VantageOutcome};
use parallax_model::run::{RUN_SCHEMA, RunDocument, RunTarget};
use parallax_model::vantage::{AgentName, Labels};
use uuid::Uuid;

use super::memory::Standing;
use super::open::OpenRound;
use super::{Behind, Now, RoundOutcome, ToDiagnose, VantagePart, Watched, is_late};
use crate::store::CheckRecord;

/// A round that is over, and all that was seen in it.
#[derive(Debug)]
pub(crate) struct ClosedRound {
    pub(crate) outcome: RoundOutcome,
    /// As they came in, without what was asked for later.
    pub(crate) observations: Vec<Observation>,
    /// Its run, if it is kept.
    pub(crate) run: Option<Box<RunDocument>>,
    /// Whether that is the first of an incident, or shows how the target is when all is well.
    pub(crate) is_first: bool,
}

/// A round whose answer is looked for.
#[derive(Debug)]
pub(super) struct Judged {
    pub(super) run_id: Uuid,
    check: Arc<CheckRecord>,
    starts_at: Timestamp,
    closed_at: Timestamp,
    late: bool,
    standing: Standing,
    seen: Vec<Observation>,
    parts: Vec<VantagePart>,
}

impl Watched {
    /// Closes a round: its answer is plain, or this is the question to be diagnosed.
    pub(super) fn close(
        &mut self,
        round: OpenRound,
        (labels, away): (&BTreeMap<AgentName, Labels>, &BTreeMap<AgentName, Instant>),
        experiments: bool,
        now: Now,
    ) -> Option<ToDiagnose> {
        let late = round.late || is_late(&self.record, round.starts_at, now.wall);
        let judged = self.judged(round, (labels, away), late, now);
        if judged.seen.is_empty() {
            return None;
        }
        if judged.is_well() {
            let closed = judged.well();
            if let Some(run) = closed.run.as_ref().filter(|_| !late) {
                self.memory.was_good(run.reference(), &closed.observations);
            }
            self.behind.push_back(Behind::Ready(Box::new(closed)));
            return None;
        }
        let question = ToDiagnose {
            check: Arc::clone(&judged.check),
            run_id: judged.run_id,
            starts_at: judged.starts_at,
            seen: judged.seen.clone(),
            follow_up: experiments && !late && judged.standing.look_into && judged.check.definition.follow_up,
            before: self.memory.good.clone(),
            late,
        };
        self.behind.push_back(Behind::Waiting(Box::new(judged)));
        Some(question)
    }

    /// The answer to a question is there.
    pub(super) fn answered(&mut self, run: Box<RunDocument>, now: Now) {
        let waiting = self.behind.iter_mut().find(|behind| match behind {
            Behind::Waiting(judged) => judged.run_id == run.run_id,
            Behind::Ready(_) => false,
        });
        let Some(place) = waiting else {
            return;
        };
        if let Behind::Waiting(judged) = place {
            *place = Behind::Ready(Box::new(judged.with_answer(*run, now)));
        }
    }

    fn judged(
        &mut self,
        mut round: OpenRound,
        (labels, away): (&BTreeMap<AgentName, Labels>, &BTreeMap<AgentName, Instant>),
        late: bool,
        now: Now,
    ) -> Judged {
        let mut expected = std::mem::take(&mut round.expected);
        expected.extend(round.results.keys().cloned());
        let mut seen = Vec::new();
        let mut parts = Vec::new();
        for agent in expected {
            let its_labels = labels.get(&agent).cloned().unwrap_or_default();
            let (observation, started_at) = match round.results.remove(&agent) {
                Some(result) => {
                    let observation = Observation {
                        labels: its_labels,
                        ..result.observation
                    };
                    (observation, result.started_at)
                }
                None => {
                    let reason = match away.contains_key(&agent) {
                        true => Reason::Offline,
                        false => Reason::Deadline,
                    };
                    (missing(agent, its_labels, reason), round.starts_at)
                }
            };
            parts.push(VantagePart::of(&observation, started_at));
            seen.push(observation);
        }
        // Who was still at the round before saw nothing of this one: where somebody looked, that is the answer.
        if parts.iter().any(|part| answered(part) && !part.skipped) {
            seen.retain(|observation| observation.reason != Some(Reason::Overload));
        }
        let standing = match late {
            true => Standing::NOTHING,
            false => self.memory.judge(&parts, round.starts_at),
        };
        Judged {
            run_id: round.run_id,
            check: Arc::clone(&self.record),
            starts_at: round.starts_at,
            closed_at: now.wall,
            late,
            standing,
            seen,
            parts,
        }
    }
}

impl Judged {
    fn is_well(&self) -> bool {
        let works = |part: &VantagePart| part.outcome == VantageOutcome::Ok;
        self.parts.iter().any(works) && self.parts.iter().all(|part| works(part) || part.skipped)
    }

    /// Everybody saw the target work.
    fn well(mut self) -> ClosedRound {
        let left_out = self.parts.iter().filter(|part| part.skipped).count();
        let target = self.target();
        let summary = match (self.parts.len() - left_out, left_out) {
            (1, 0) => format!("{target} works from 1 vantage point"),
            (count, 0) => format!("{target} works from all {count} vantage points"),
            (count, _) => format!(
                "{target} works from {count} of {} vantage points; {left_out} left the round out",
                self.parts.len()
            ),
        };
        let seen = std::mem::take(&mut self.seen);
        let run = self.standing.keep.then(|| {
            Box::new(RunDocument {
                schema: RUN_SCHEMA.to_owned(),
                run_id: self.run_id,
                trace_id: None,
                target: RunTarget::from(&self.check.definition.spec.target),
                depth: self.check.definition.spec.depth,
                started_at: self.starts_at,
                duration: self.duration(self.closed_at),
                vantages: seen.clone(),
                verdict: Verdict::Healthy,
                summary: summary.clone(),
                findings: Vec::new(),
                clients: Vec::new(),
                experiments: Vec::new(),
                compared_with: None,
                changes: Vec::new(),
                captures: Vec::new(),
                check: Some(self.run_check()),
            })
        });
        let is_first = self.standing.first;
        let outcome = self.outcome(Verdict::Healthy, summary, Vec::new(), run.is_some());
        ClosedRound {
            outcome,
            observations: seen,
            run,
            is_first,
        }
    }

    fn with_answer(&mut self, mut run: RunDocument, now: Now) -> ClosedRound {
        run.duration = self.duration(now.wall);
        run.check = Some(self.run_check());
        let kept = self.standing.keep || !run.experiments.is_empty();
        let outcome = self.outcome(run.verdict, run.summary.clone(), run.findings.clone(), kept);
        ClosedRound {
            outcome,
            observations: std::mem::take(&mut self.seen),
            run: kept.then(|| Box::new(run)),
            is_first: self.standing.first,
        }
    }

    /// Nobody could say what it is.
    pub(super) fn without_an_answer(mut self) -> Box<ClosedRound> {
        let observations = std::mem::take(&mut self.seen);
        let summary = format!("{}: not diagnosed, too much was waiting", self.target());
        let outcome = self.outcome(Verdict::Inconclusive, summary, Vec::new(), false);
        Box::new(ClosedRound {
            outcome,
            observations,
            run: None,
            is_first: false,
        })
    }

    fn outcome(
        &mut self,
        verdict: Verdict,
        summary: String,
        findings: Vec<parallax_model::finding::Finding>,
        kept: bool,
    ) -> RoundOutcome {
        RoundOutcome {
            check: Arc::clone(&self.check),
            run_id: self.run_id,
            starts_at: self.starts_at,
            closed_at: self.closed_at,
            late: self.late,
            new_trouble: self.standing.new_trouble,
            verdict,
            summary,
            findings,
            vantages: std::mem::take(&mut self.parts),
            kept,
            traced: false,
        }
    }

    fn run_check(&self) -> RunCheck {
        RunCheck {
            name: self.check.definition.name.clone(),
            check_id: self.check.id,
            round_at: self.starts_at,
            late: self.late,
        }
    }

    fn duration(&self, until: Timestamp) -> Duration {
        Duration::try_from(until.duration_since(self.starts_at)).unwrap_or_default()
    }

    fn target(&self) -> &str {
        &self.check.definition.spec.target.input
    }
}

fn answered(part: &VantagePart) -> bool {
    part.outcome != VantageOutcome::Missing
}

fn missing(agent: AgentName, labels: Labels, reason: Reason) -> Observation {
    let note = match reason {
        Reason::Offline => "not connected, and no result of this round came",
        _ => "connected, but no result of this round came in time",
    };
    Observation::unseen(agent, labels, VantageOutcome::Missing, reason, note)
}
