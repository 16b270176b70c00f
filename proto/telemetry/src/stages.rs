//! The spans of a probe, made after the fact from what was observed: the probe's own times, not those of the
//! code that tells of it.

mod facts;

use std::time::{Duration, SystemTime};

use opentelemetry::{Array, Context, KeyValue, StringValue, Value};
use opentelemetry_sdk::trace::SdkTracer;
use parallax_model::evidence::Evidence;
use parallax_model::fault::{Fault, Layer};
use parallax_model::observation::{Attempt, AttemptOutcome, Family, Observation, VantageOutcome};
use parallax_model::spec::ProbeSpec;
use parallax_model::stage::{Outcome, Stage, StageName};
use parallax_model::text;
use uuid::Uuid;

use crate::attribute as key;
use crate::span::SpanSpec;

/// How much of a text from outside goes into one attribute, in characters.
const TEXT: usize = 128;
/// How many texts go into one attribute.
const TEXTS: usize = 100;

/// Makes the spans of one observation under `parent`, the span `IMAP probe`: `DNS lookup`, then an
/// `IMAP attempt` for each attempt with its stages below. Stages that were skipped or not reached have none.
/// `anchor` is the wall clock at the start of the probe, from which the observation counts.
pub fn record(
    tracer: &SdkTracer,
    parent: &Context,
    anchor: SystemTime,
    observation: &Observation,
    run_id: Uuid,
) {
    let recorder = Recorder {
        tracer,
        anchor,
        run_id,
    };
    if let Some(resolve) = &observation.resolve {
        recorder.stage(parent, resolve);
    }
    for attempt in &observation.attempts {
        recorder.attempt(parent, attempt);
    }
}

/// The attributes of `IMAP probe` that are known before it runs.
pub fn probe_attributes(spec: &ProbeSpec, run_id: Uuid) -> Vec<KeyValue> {
    let mut attributes = vec![
        KeyValue::new(key::RUN_ID, run_id.to_string()),
        KeyValue::new(key::SERVER_ADDRESS, spec.target.host.to_string()),
        KeyValue::new(key::NETWORK_TRANSPORT, "tcp"),
        KeyValue::new(key::NETWORK_PROTOCOL_NAME, "imap"),
        KeyValue::new(key::USER_AGENT_SYNTHETIC_TYPE, "test"),
    ];
    if let [endpoint] = spec.target.endpoints.as_slice() {
        attributes.push(KeyValue::new(key::SERVER_PORT, i64::from(endpoint.port)));
        attributes.push(KeyValue::new(key::IMAP_SECURITY, endpoint.security.as_str()));
    }
    attributes
}

/// The `error.type` of a probe that failed: that of the first fault.
pub fn probe_error(observation: &Observation) -> Option<String> {
    if observation.outcome != VantageOutcome::Failed {
        return None;
    }
    let resolve = observation.resolve.as_ref().filter(|stage| stage.failed());
    let failed = resolve.or_else(|| observation.requested().find_map(Attempt::failed_stage));
    Some(error_type(failed.and_then(|stage| stage.outcome.fault())))
}

struct Recorder<'a> {
    tracer: &'a SdkTracer,
    anchor: SystemTime,
    run_id: Uuid,
}

impl Recorder<'_> {
    fn attempt(&self, parent: &Context, attempt: &Attempt) {
        let happened = || attempt.stages.iter().filter(|stage| happened(stage));
        let Some(start) = happened().map(|stage| stage.start).min() else {
            return;
        };
        let end = happened().map(end_of).max().unwrap_or(start);
        let outcome = attempt.outcome();
        let mut spec = SpanSpec::new("IMAP attempt", self.at(start))
            .with(key::RUN_ID, self.run_id.to_string())
            .with(key::NETWORK_PEER_ADDRESS, attempt.address.to_string())
            .with(key::NETWORK_PEER_PORT, i64::from(attempt.endpoint.port))
            .with(key::NETWORK_TYPE, Family::of(attempt.address).as_str())
            .with(key::IMAP_SECURITY, attempt.endpoint.security.as_str())
            .with(key::ATTEMPT_PURPOSE, attempt.purpose.as_str())
            .with(key::OUTCOME, outcome.as_str());
        if let Some(experiment) = attempt.experiment {
            spec = spec.with(key::EXPERIMENT, experiment.as_str());
        }
        let span = spec.child_of(self.tracer, parent);
        for stage in &attempt.stages {
            self.stage(span.context(), stage);
        }
        let fault = attempt.failed_stage().and_then(|stage| stage.outcome.fault());
        let failed = outcome == AttemptOutcome::Failed;
        span.conclude(self.at(end), failed.then(|| error_type(fault)));
    }

    fn stage(&self, parent: &Context, stage: &Stage) {
        if !happened(stage) {
            return;
        }
        let mut spec = SpanSpec::new(span_name(stage), self.at(stage.start))
            .with(key::STAGE, stage.name.as_str())
            .with(key::OUTCOME, stage.outcome.as_str());
        if let Some(command) = command(stage) {
            spec = spec.with(key::IMAP_COMMAND_NAME, command);
        }
        if let Some(evidence) = &stage.evidence {
            facts::write(evidence, stage.failed(), &mut spec.attributes);
        }
        let span = spec.child_of(self.tracer, parent);
        let end = self.at(end_of(stage));
        match &stage.outcome {
            Outcome::Failed(fault) => span.fail(end, fault.kind.error_type(), description(stage, fault)),
            _ => span.finish(end),
        }
    }

    fn at(&self, since_start: Duration) -> SystemTime {
        self.anchor.checked_add(since_start).unwrap_or(self.anchor)
    }
}

const fn happened(stage: &Stage) -> bool {
    match stage.outcome {
        Outcome::Ok | Outcome::Degraded(_) | Outcome::Failed(_) => true,
        Outcome::Skipped(_) | Outcome::NotReached => false,
    }
}

fn end_of(stage: &Stage) -> Duration {
    stage.start.saturating_add(stage.duration)
}

fn error_type(fault: Option<&Fault>) -> String {
    fault.map_or_else(|| "_OTHER".to_owned(), |fault| fault.kind.error_type())
}

/// Below IMAP the words are the agent's own. What an IMAP server says stays out of telemetry: there, only what
/// its response code means.
fn description(stage: &Stage, fault: &Fault) -> String {
    match fault.layer() {
        Layer::Dns | Layer::Tcp | Layer::Tls | Layer::Agent => text::escape_str(&fault.message, TEXT),
        Layer::Imap | Layer::Auth | Layer::Mailbox => {
            let reply = stage.evidence.as_ref().and_then(Evidence::reply);
            reply.and_then(|reply| reply.cause.clone()).unwrap_or_default()
        }
    }
}

const fn span_name_of(stage: StageName) -> &'static str {
    match stage {
        StageName::Resolve => "DNS lookup",
        StageName::Connect => "TCP connect",
        StageName::Tls => "TLS handshake",
        StageName::Greeting => "IMAP greeting",
        StageName::Capability => "IMAP CAPABILITY",
        StageName::Starttls => "IMAP STARTTLS",
        StageName::Id => "IMAP ID",
        StageName::Authenticate => "IMAP AUTHENTICATE",
        StageName::Namespace => "IMAP NAMESPACE",
        StageName::List => "IMAP LIST",
        StageName::Select => "IMAP SELECT",
        StageName::Fetch => "IMAP FETCH",
        StageName::Append => "IMAP APPEND",
        StageName::Sync => "IMAP sync",
        StageName::Idle => "IMAP IDLE",
        StageName::Hold => "IMAP hold",
        StageName::Logout => "IMAP LOGOUT",
    }
}

fn span_name(stage: &Stage) -> &'static str {
    match &stage.evidence {
        Some(Evidence::Authenticate(facts)) if facts.mechanism == "LOGIN" => "IMAP LOGIN",
        Some(Evidence::Select(facts)) if facts.command == "EXAMINE" => "IMAP EXAMINE",
        _ => span_name_of(stage.name),
    }
}

fn command(stage: &Stage) -> Option<&'static str> {
    let command = span_name(stage).strip_prefix("IMAP ")?;
    command
        .bytes()
        .all(|byte| byte.is_ascii_uppercase())
        .then_some(command)
}

fn texts<T: AsRef<str>>(values: impl IntoIterator<Item = T>) -> Value {
    let values = values.into_iter().take(TEXTS);
    let shown = values.map(|value| StringValue::from(text::escape_str(value.as_ref(), TEXT)));
    Value::Array(Array::String(shown.collect()))
}

#[cfg(test)]
mod tests;
