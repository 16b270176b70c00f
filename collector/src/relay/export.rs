//! One export as it was handed in, and how the backend is given it.

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_client::MetricsServiceClient;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use prost::Message as _;
use tonic::Status;
use tonic::transport::Channel;

use super::points;
use crate::metrics::HandedIn;

/// What is passed on, unchanged.
pub(crate) enum Export {
    Spans(ExportTraceServiceRequest),
    Metrics(ExportMetricsServiceRequest),
}

impl Export {
    pub(crate) const fn what(&self) -> HandedIn {
        match self {
            Self::Spans(_) => HandedIn::Spans,
            Self::Metrics(_) => HandedIn::Points,
        }
    }

    /// How many spans or data points it holds.
    pub(crate) fn number(&self) -> usize {
        match self {
            Self::Spans(request) => {
                let resources = request.resource_spans.iter();
                let scopes = resources.flat_map(|resource| &resource.scope_spans);
                scopes.map(|scope| scope.spans.len()).sum()
            }
            Self::Metrics(request) => {
                let resources = request.resource_metrics.iter();
                let scopes = resources.flat_map(|resource| &resource.scope_metrics);
                let metrics = scopes.flat_map(|scope| &scope.metrics);
                metrics.map(|metric| points::of(metric).count()).sum()
            }
        }
    }

    /// Its size on the wire.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Spans(request) => request.encoded_len(),
            Self::Metrics(request) => request.encoded_len(),
        }
    }
}

/// Both services of the backend, over one connection.
pub(super) struct Clients {
    traces: TraceServiceClient<Channel>,
    metrics: MetricsServiceClient<Channel>,
}

impl Clients {
    pub(super) fn over(channel: Channel) -> Self {
        Self {
            traces: TraceServiceClient::new(channel.clone()),
            metrics: MetricsServiceClient::new(channel),
        }
    }

    pub(super) async fn send(&mut self, export: Export) -> Result<(), Status> {
        match export {
            Export::Spans(request) => self.traces.export(request).await.map(drop),
            Export::Metrics(request) => self.metrics.export(request).await.map(drop),
        }
    }
}
