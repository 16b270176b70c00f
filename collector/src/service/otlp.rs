//! The standard OTLP services for traces and metrics, so that an agent needs no second way out of its network.

mod own_word;

use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::MetricsService;
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::TraceService;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use tonic::{Request, Response, Status};

use super::{Shared, peer};
use crate::metrics::RelayOutcome;
use crate::peer::Peer;
use crate::relay::Export;

/// The services. Either is answered once what it got is queued: a caller's last flush does not wait for a slow backend.
#[derive(Clone)]
pub(crate) struct OtlpService(pub(crate) Shared);

#[tonic::async_trait]
impl TraceService for OtlpService {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let peer = peer(&request);
        self.take(&peer, Export::Spans(request.into_inner()))?;
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl MetricsService for OtlpService {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        let peer = peer(&request);
        self.take(&peer, Export::Metrics(request.into_inner()))?;
        Ok(Response::new(ExportMetricsServiceResponse::default()))
    }
}

impl OtlpService {
    /// What an agent says of somebody else is not taken.
    fn take(&self, peer: &Peer, export: Export) -> Result<(), Status> {
        if let Some(agent) = peer.agent()
            && let Err(message) = own_word::check(&export, agent)
        {
            let (what, number) = (export.what(), export.number());
            self.0.metrics.handed_in(what, RelayOutcome::Refused, number);
            return Err(Status::permission_denied(message));
        }
        self.0.relay.pass_on(peer.spiffe.as_ref(), export);
        Ok(())
    }
}
