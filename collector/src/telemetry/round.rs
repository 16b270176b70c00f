//! One round is one trace, made when it is over: all vantage points under one root, with their own times.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use opentelemetry::trace::SpanKind;
use parallax_model::finding::Verdict;
use parallax_model::observation::{Observation, VantageOutcome};
use parallax_model::round::sampled;
use parallax_telemetry::attribute::{AGENT_ID, AGENTS_FAILED, AGENTS_SELECTED, OUTCOME, TRIGGER, VERDICT};
use parallax_telemetry::{Service, SpanSpec, context, stages};
use uuid::Uuid;

use super::{Above, RunTrace, Spans, Telemetry, number};
use crate::rounds::RoundOutcome;

impl Telemetry {
    /// Whether the spans of a round are made: of all that are kept or in which not all was well, of the others a share.
    pub(crate) fn traces(&self, outcome: &RoundOutcome) -> bool {
        let is_plain = outcome.verdict == Verdict::Healthy && !outcome.kept;
        self.on() && (!is_plain || sampled(outcome.run_id, self.ratio.borrow().get()))
    }

    /// More is asked in a round that will be kept: the orders go below its root, which is made when it is over.
    pub(crate) fn asks_more(&self, run_id: Uuid) -> RunTrace {
        let spans = self.tracing.tracer().map(|tracer| {
            Box::new(Spans {
                tracer: tracer.clone(),
                above: Above::Round(context::of_root(run_id.into_bytes())),
                orders: BTreeMap::new(),
            })
        });
        RunTrace(spans)
    }

    /// The spans of a round that is over: those of each vantage point are that agent's. `until` is when its answer was
    /// there, where more was asked for it.
    pub(crate) fn round(
        &self,
        outcome: &RoundOutcome,
        observations: &[Observation],
        until: Option<Timestamp>,
    ) {
        let Some(tracer) = self.tracing.tracer().filter(|_| outcome.traced) else {
            return;
        };
        let run_id = outcome.run_id;
        let failed = outcome
            .vantages
            .iter()
            .filter(|part| part.outcome == VantageOutcome::Failed)
            .count();
        let mut root = SpanSpec::new("scheduled probe", system_time(outcome.starts_at))
            .with(TRIGGER, "schedule")
            .with(CHECK_NAME, outcome.check.definition.name.to_string())
            .with(VERDICT, outcome.verdict.as_str())
            .with(AGENTS_SELECTED, number(outcome.vantages.len()))
            .with(AGENTS_FAILED, number(failed));
        let spec = &outcome.check.definition.spec;
        root.attributes.extend(stages::probe_attributes(spec, run_id));
        let root = root.root(tracer, run_id.into_bytes());
        let mut last = system_time(until.unwrap_or(outcome.starts_at));
        for part in &outcome.vantages {
            let Some(observation) = observations.iter().find(|seen| seen.agent == part.agent) else {
                continue;
            };
            if !observation.answered() {
                continue;
            }
            let Some(tracer) = self
                .tracing
                .tracer_for(&Service::agent(&part.agent, &part.labels))
            else {
                continue;
            };
            let start = system_time(part.started_at);
            let end = start + part.total;
            let mut span = SpanSpec::new("IMAP probe", start)
                .kind(SpanKind::Client)
                .with(AGENT_ID, part.agent.to_string())
                .with(OUTCOME, part.outcome.as_str());
            span.attributes.extend(stages::probe_attributes(spec, run_id));
            let span = span.child_of(&tracer, root.context());
            stages::record(&tracer, span.context(), start, observation, run_id);
            span.conclude(end, stages::probe_error(observation));
            last = last.max(end);
        }
        root.finish(last);
    }
}

/// The check that a run is a round of.
const CHECK_NAME: &str = "parallax.check.name";

fn system_time(at: Timestamp) -> SystemTime {
    let micros = at.as_microsecond();
    let since = Duration::from_micros(micros.unsigned_abs());
    match micros {
        0.. => SystemTime::UNIX_EPOCH + since,
        _ => SystemTime::UNIX_EPOCH - since,
    }
}
