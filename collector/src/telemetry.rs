//! One run is one trace: the span of the call, and one for every order.

use parallax_model::run::RunDocument;
use tonic::Status;
use tonic::metadata::MetadataMap;
use uuid::Uuid;

use crate::error::StartError;
use crate::peer::Peer;
use crate::runs::OrderEnd;

/// Whether and how the collector traces.
#[derive(Clone, Default)]
pub(crate) struct Telemetry;

/// The spans of one run.
#[derive(Default)]
pub(crate) struct RunTrace;

/// W3C Trace Context as an order carries it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TraceFields {
    traceparent: String,
    tracestate: String,
}

impl TraceFields {
    pub(crate) fn into_parts(self) -> (String, String) {
        (self.traceparent, self.tracestate)
    }
}

impl Telemetry {
    pub(crate) fn start(_: Option<&str>) -> Result<Self, StartError> {
        Ok(Self)
    }

    pub(crate) async fn shutdown(&self) {}

    pub(crate) fn on(&self) -> bool {
        false
    }

    pub(crate) fn run(&self, _: &MetadataMap, _: &Peer, _: Uuid) -> RunTrace {
        RunTrace
    }
}

impl RunTrace {
    pub(crate) fn trace_id(&self) -> Option<String> {
        None
    }

    pub(crate) fn failed(&mut self, _: &Status) {}

    pub(crate) fn order_sent(&mut self, _: Uuid, _: &str, _: Uuid) -> TraceFields {
        TraceFields::default()
    }

    pub(crate) fn order_ended(&mut self, _: Uuid, _: OrderEnd) {}

    pub(crate) fn concluded(self, _: &RunDocument) {}
}
