//! What is said to agents, on the wire.

use std::time::Duration;

use jiff::Timestamp;
use parallax_proto::v1;
use parallax_proto::v1::collector_message::Message;
use tonic::Status;
use uuid::Uuid;

use crate::agents::{HEARTBEAT_INTERVAL, HEARTBEAT_TIMEOUT};
use crate::clock::{self, Clock};
use crate::hub::ToAgent;
use crate::runs::{LoginAnswer, Order, Word};

/// The answer to an introduction.
pub(super) fn welcome(telemetry: bool) -> v1::Welcome {
    v1::Welcome {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        telemetry,
        heartbeat_interval_ms: milliseconds(HEARTBEAT_INTERVAL),
        heartbeat_timeout_ms: milliseconds(HEARTBEAT_TIMEOUT),
    }
}

/// The answer to a sign of life: the same, with the collector's clocks, and whom it trusts.
pub(super) fn answer(beat: &v1::Heartbeat, clock: Clock, trust_sha256: Vec<u8>) -> v1::Heartbeat {
    v1::Heartbeat {
        sequence: beat.sequence,
        agent_monotonic_us: beat.agent_monotonic_us,
        agent_wall_us: beat.agent_wall_us,
        collector_monotonic_us: clock.microseconds(clock::now()),
        collector_wall_us: Timestamp::now().as_microsecond(),
        trust_sha256,
        ..v1::Heartbeat::default()
    }
}

/// One message, or the last word as the status with which the stream ends.
pub(super) fn to_wire(word: ToAgent, clock: Clock) -> Result<v1::CollectorMessage, Status> {
    let message = match word {
        ToAgent::Welcome(welcome) => Message::Welcome(welcome),
        ToAgent::Heartbeat(beat) => Message::Heartbeat(beat),
        ToAgent::Order { order, context } => {
            let (traceparent, tracestate) = context.into_parts();
            Message::Order(order_to_wire(*order, clock, traceparent, tracestate))
        }
        ToAgent::Cancel(order) => Message::Cancel(v1::Cancel {
            order_id: order.to_string(),
        }),
        ToAgent::Login { order, answer } => {
            let (granted, reason, known) = match answer {
                LoginAnswer::Granted => (true, String::new(), None),
                LoginAnswer::Withheld(reason) => (false, reason, None),
                LoginAnswer::Known(fault) => (false, fault.message.clone(), Some(fault.into())),
            };
            Message::LoginAnswer(v1::LoginAnswer {
                order_id: order.to_string(),
                granted,
                reason,
                known,
            })
        }
        ToAgent::Signal { order, word } => Message::Signal(signal(order, *word)),
        ToAgent::Checks(update) => Message::Checks(*update),
        ToAgent::ResultsKept {
            epoch,
            chain,
            through,
        } => Message::ResultsKept(v1::ResultsKept {
            spool_epoch: epoch.into_bytes().to_vec(),
            chain: chain.to_string(),
            through,
        }),
        ToAgent::Resume(resume) => Message::Resume(resume),
        ToAgent::Draining(delay) => Message::Draining(v1::Draining {
            reconnect_after_ms: milliseconds(delay),
        }),
        ToAgent::Superseded => {
            return Err(Status::aborted(
                "a newer connection of the same agent took over; is the same identity used twice?",
            ));
        }
        ToAgent::Removed => {
            return Err(Status::permission_denied(
                "this agent was removed from the collector",
            ));
        }
        ToAgent::Silent => return Err(Status::deadline_exceeded("no heartbeat came for too long")),
        ToAgent::TooSlow => {
            return Err(Status::resource_exhausted(
                "the agent does not read what it is sent",
            ));
        }
        ToAgent::Nonsense(problem) => return Err(Status::invalid_argument(problem)),
    };
    Ok(v1::CollectorMessage {
        message: Some(message),
    })
}

fn order_to_wire(order: Order, clock: Clock, traceparent: String, tracestate: String) -> v1::Order {
    v1::Order {
        order_id: order.id.to_string(),
        run_id: order.run.to_string(),
        spec: Some((*order.spec).clone().into()),
        start_at_us: order.start_at.map_or(0, |at| clock.microseconds(at)),
        budget_ms: milliseconds(order.budget),
        experiments: order.experiments.into_iter().map(Into::into).collect(),
        traceparent,
        tracestate,
        secret: order.secret.map(Into::into),
        credential: order.credential.unwrap_or_default(),
        client_identity: order.client_identity.map(Into::into),
        retry_login: order.retry_login,
        watches: order.watches.map(|order| order.to_string()).unwrap_or_default(),
    }
}

fn signal(order: Uuid, word: Word) -> v1::Signal {
    v1::Signal {
        order_id: order.to_string(),
        kind: word.signal.kind.to_string(),
        subject: word.signal.subject,
        detail: word.signal.detail,
        at_us: word.at_us,
        uncertainty_us: word.uncertainty_us,
        attempt: word.attempt,
    }
}

fn milliseconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}
