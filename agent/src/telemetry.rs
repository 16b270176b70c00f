//! What of a probe is traced: one span for the order, one for the probe, and what it observed below.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use opentelemetry::trace::SpanKind;
use parallax_telemetry::{Destination, OpenSpan, Service, SpanSpec, Tracing};
use parallax_telemetry::{attribute, context, stages};
use uuid::Uuid;

use crate::order::{Order, Refusal};
use crate::runner::Ran;

const ORDER: &str = "parallax.v1.AgentLink/Order";
const PROBE: &str = "IMAP probe";
/// For the last spans, and the last numbers, at a stop.
pub(crate) const LAST_WORDS: Duration = Duration::from_secs(1);

/// Makes spans of orders that come with a trace context. Nothing is set up before the first of them.
#[derive(Clone, Default)]
pub(crate) struct Telemetry(Option<Arc<Ready>>);

struct Ready {
    service: Service,
    destination: Destination,
    tracing: OnceLock<Tracing>,
}

/// An order that is being traced, or not.
pub(crate) struct Traced(Option<Spans>);

struct Spans {
    tracing: Tracing,
    order: OpenSpan,
    probe: OpenSpan,
}

impl Telemetry {
    /// Spans of this agent, exported to there.
    pub(crate) fn to(destination: Destination, service: Service) -> Self {
        Self(Some(Arc::new(Ready {
            service,
            destination,
            tracing: OnceLock::new(),
        })))
    }

    /// No spans.
    pub(crate) fn off() -> Self {
        Self(None)
    }

    /// Begins the spans of an order, if it comes with a trace context.
    pub(crate) fn order(&self, order: &Order) -> Traced {
        let Some(ready) = self.0.as_ref().filter(|_| !order.traceparent.is_empty()) else {
            return Traced(None);
        };
        let tracing = ready.tracing.get_or_init(|| {
            Tracing::start(ready.service.clone(), ready.destination.clone()).unwrap_or_else(|error| {
                tracing::warn!(%error, "no spans of this agent");
                Tracing::off()
            })
        });
        let Some(tracer) = tracing.tracer() else {
            return Traced(None);
        };
        let now = SystemTime::now();
        let above = context::from_fields(&order.traceparent, &order.tracestate);
        let taken = SpanSpec::new(ORDER, now)
            .kind(SpanKind::Server)
            .with(attribute::RPC_SYSTEM_NAME, "grpc")
            .with(attribute::RPC_METHOD, ORDER)
            .with(attribute::RUN_ID, order.run_id.clone())
            .child_of(tracer, &above);
        let mut probe = SpanSpec::new(PROBE, now).kind(SpanKind::Client);
        probe
            .attributes
            .extend(stages::probe_attributes(&order.spec, run_id(order)));
        let probe = probe.child_of(tracer, taken.context());
        Traced(Some(Spans {
            tracing: tracing.clone(),
            order: taken,
            probe,
        }))
    }

    /// Sends the last spans.
    pub(crate) async fn shutdown(&self) {
        if let Some(tracing) = self.0.as_ref().and_then(|ready| ready.tracing.get())
            && let Err(error) = tracing.shutdown(LAST_WORDS).await
        {
            tracing::debug!(%error, "the last spans");
        }
    }
}

impl Traced {
    /// Ends the spans with what became of the order.
    pub(crate) fn end(self, ran: &Result<Ran, Refusal>, order: &Order) {
        let Some(Spans {
            tracing,
            order: taken,
            probe,
        }) = self.0
        else {
            return;
        };
        let now = SystemTime::now();
        match ran {
            Ok(ran) => {
                if let Some(tracer) = tracing.tracer() {
                    let since = Duration::try_from(ran.began_at.as_duration()).unwrap_or_default();
                    let began = SystemTime::UNIX_EPOCH + since;
                    stages::record(tracer, probe.context(), began, &ran.observation, run_id(order));
                }
                probe.set(attribute::OUTCOME, ran.observation.outcome.as_str());
                probe.conclude(now, stages::probe_error(&ran.observation));
            }
            Err(refusal) => probe.fail(now, format!("agent.{}", refusal.reason), ""),
        }
        taken.finish(now);
    }
}

fn run_id(order: &Order) -> Uuid {
    order.run_id.parse().unwrap_or_default()
}
