//! One run is one trace: the span of the call, and one for every order beneath it.

mod round;

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use opentelemetry::Context;
use opentelemetry::trace::SpanKind;
use opentelemetry_sdk::trace::SdkTracer;
use parallax_model::observation::VantageOutcome;
use parallax_model::run::RunDocument;
use parallax_telemetry::attribute::{
    AGENT_ID, AGENTS_FAILED, AGENTS_SELECTED, NETWORK_PEER_ADDRESS, NETWORK_PEER_PORT, RPC_METHOD,
    RPC_STATUS_CODE, RPC_SYSTEM_NAME, RUN_ID, SERVER_ADDRESS, SERVICE_PEER_NAME, TRIGGER, VERDICT,
};
use parallax_telemetry::{
    Destination, OpenSpan, Publishing, Service, SpanSpec, TelemetryError, Tracing, context, instance_id,
};
use tokio::sync::watch;
use tonic::Code;
use tonic::metadata::MetadataMap;
use tracing::debug;
use uuid::Uuid;

use crate::config::TraceRatio;
use crate::error::StartError;
use crate::numbers::OwnNumbers;
use crate::peer::Peer;
use crate::runs::OrderEnd;

const RUN_PROBE: &str = "parallax.v1.Control/RunProbe";
const ORDER: &str = "parallax.v1.AgentLink/Order";

const CLIENT_ADDRESS: &str = "client.address";
const NETWORK_PROTOCOL_VERSION: &str = "network.protocol.version";

/// How long the last spans, the last numbers and what is still passed on may take at a stop.
pub(crate) const LAST_WORDS: Duration = Duration::from_secs(1);

/// Whether and how the collector traces.
#[derive(Clone)]
pub(crate) struct Telemetry {
    tracing: Tracing,
    /// The share of the rounds in which all is well that are traced.
    ratio: watch::Sender<TraceRatio>,
}

/// W3C Trace Context as an order carries it; empty when nothing is traced.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TraceFields {
    traceparent: String,
    tracestate: String,
}

/// The spans of one run; nothing when nothing is traced.
#[derive(Default)]
pub(crate) struct RunTrace(Option<Box<Spans>>);

struct Spans {
    tracer: SdkTracer,
    above: Above,
    orders: BTreeMap<Uuid, OpenSpan>,
}

/// What the orders of a run are below.
enum Above {
    /// The call that asked for it.
    Call(OpenSpan),
    /// The root of a round, which is made when that is over.
    Round(Context),
}

impl Above {
    fn context(&self) -> &Context {
        match self {
            Self::Call(call) => call.context(),
            Self::Round(root) => root,
        }
    }
}

impl Telemetry {
    /// Begins, if there is an endpoint. `stable` stays the same over restarts of the same collector.
    pub(crate) fn start(endpoint: Option<&str>, stable: &str) -> Result<Self, StartError> {
        let tracing = Tracing::start(service(stable), destination(endpoint)).map_err(useless)?;
        Ok(Self {
            tracing,
            ratio: watch::Sender::new(TraceRatio::default()),
        })
    }

    /// So many of the rounds in which all is well are traced from now on.
    pub(crate) fn trace(&self, ratio: TraceRatio) {
        self.ratio.send_replace(ratio);
    }

    /// Whether spans go anywhere.
    pub(crate) const fn on(&self) -> bool {
        self.tracing.on()
    }

    /// Sends the last spans.
    pub(crate) async fn shutdown(&self) {
        if let Err(problem) = self.tracing.shutdown(LAST_WORDS).await {
            debug!("the last spans: {problem}");
        }
    }

    /// Somebody asks a question; its span is a child of the caller's.
    pub(crate) fn run(&self, metadata: &MetadataMap, peer: &Peer, run: Uuid) -> RunTrace {
        let Some(tracer) = self.tracing.tracer() else {
            return RunTrace::default();
        };
        let mut spec = call(RUN_PROBE, SpanKind::Server)
            .with(NETWORK_PROTOCOL_VERSION, "2")
            .with(RUN_ID, run.to_string())
            .with(TRIGGER, "adhoc");
        if let Some(address) = peer.address {
            let ip = address.ip().to_string();
            spec = spec
                .with(CLIENT_ADDRESS, ip.clone())
                .with(NETWORK_PEER_ADDRESS, ip)
                .with(NETWORK_PEER_PORT, i64::from(address.port()));
        }
        RunTrace(Some(Box::new(Spans {
            above: Above::Call(spec.child_of(tracer, &context::extract(metadata))),
            tracer: tracer.clone(),
            orders: BTreeMap::new(),
        })))
    }
}

/// Begins to send the collector's own numbers, if there is an endpoint.
pub(crate) fn publish(
    endpoint: Option<&str>,
    stable: &str,
    numbers: OwnNumbers,
) -> Result<Option<Publishing>, StartError> {
    Publishing::start(service(stable), destination(endpoint), numbers).map_err(useless)
}

fn service(stable: &str) -> Service {
    Service {
        name: "parallax-collector",
        instance_id: instance_id(stable),
        attributes: Vec::new(),
    }
}

fn destination(endpoint: Option<&str>) -> Destination {
    endpoint.map_or(Destination::Off, |endpoint| {
        Destination::Endpoint(endpoint.to_owned())
    })
}

fn useless(error: TelemetryError) -> StartError {
    StartError::Telemetry(error.to_string())
}

impl TraceFields {
    /// `traceparent` and `tracestate`.
    pub(crate) fn into_parts(self) -> (String, String) {
        (self.traceparent, self.tracestate)
    }
}

impl RunTrace {
    /// The trace as 32 hexadecimal digits.
    pub(crate) fn trace_id(&self) -> Option<String> {
        context::trace_id(self.0.as_ref()?.above.context())
    }

    /// An order goes to an agent.
    pub(crate) fn order_sent(&mut self, order: Uuid, agent: &str, run: Uuid) -> TraceFields {
        let Some(spans) = &mut self.0 else {
            return TraceFields::default();
        };
        let span = call(ORDER, SpanKind::Client)
            .with(SERVER_ADDRESS, agent.to_owned())
            .with(SERVICE_PEER_NAME, "parallax-agent")
            .with(AGENT_ID, agent.to_owned())
            .with(RUN_ID, run.to_string())
            .child_of(&spans.tracer, spans.above.context());
        let (traceparent, tracestate) = context::to_fields(span.context());
        spans.orders.insert(order, span);
        TraceFields {
            traceparent,
            tracestate,
        }
    }

    /// An order has ended.
    pub(crate) fn order_ended(&mut self, order: Uuid, end: OrderEnd) {
        let span = self.0.as_mut().and_then(|spans| spans.orders.remove(&order));
        if let Some(span) = span {
            end_client(span, code_of(end));
        }
    }

    /// The answer is there.
    pub(crate) fn concluded(self, run: &RunDocument) {
        if let Some(spans) = &self.0
            && let Above::Call(call) = &spans.above
        {
            let failed = run
                .vantages
                .iter()
                .filter(|seen| seen.outcome == VantageOutcome::Failed)
                .count();
            call.set(VERDICT, run.verdict.as_str());
            call.set(AGENTS_SELECTED, number(run.vantages.len()));
            call.set(AGENTS_FAILED, number(failed));
        }
        self.ended(Code::Ok);
    }

    /// The call has ended with this code, and takes along the orders that are still open.
    pub(crate) fn ended(self, code: Code) {
        let Some(spans) = self.0 else {
            return;
        };
        for order in spans.orders.into_values() {
            end_client(order, Code::Cancelled);
        }
        let Above::Call(call) = spans.above else {
            return;
        };
        call.set(RPC_STATUS_CODE, name_of(code));
        if is_servers_fault(code) {
            call.fail(SystemTime::now(), name_of(code), "");
        } else {
            call.finish(SystemTime::now());
        }
    }
}

fn call(method: &'static str, kind: SpanKind) -> SpanSpec {
    SpanSpec::new(method, SystemTime::now())
        .kind(kind)
        .with(RPC_SYSTEM_NAME, "grpc")
        .with(RPC_METHOD, method)
}

/// On the client's side every code but OK is an error (semantic conventions for gRPC).
fn end_client(span: OpenSpan, code: Code) {
    span.set(RPC_STATUS_CODE, name_of(code));
    match code {
        Code::Ok => span.finish(SystemTime::now()),
        code => span.fail(SystemTime::now(), name_of(code), ""),
    }
}

const fn code_of(end: OrderEnd) -> Code {
    match end {
        OrderEnd::Done => Code::Ok,
        OrderEnd::Refused => Code::FailedPrecondition,
        OrderEnd::Expired => Code::DeadlineExceeded,
        OrderEnd::Lost => Code::Unavailable,
    }
}

/// On the server's side only these are (semantic conventions for gRPC).
const fn is_servers_fault(code: Code) -> bool {
    matches!(
        code,
        Code::Unknown
            | Code::DeadlineExceeded
            | Code::Unimplemented
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss
    )
}

const fn name_of(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

fn number(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}
