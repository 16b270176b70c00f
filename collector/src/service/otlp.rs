//! The standard OTLP trace service, so that an agent needs no second way out of its network.

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::TraceService;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::ResourceSpans;
use parallax_model::vantage::AgentName;
use tonic::{Request, Response, Status};

use super::{Shared, peer};
use crate::metrics::SpanOutcome;
use crate::relay::spans_of;

/// The attribute of a resource that names the agent.
const AGENT_ID: &str = "parallax.agent.id";

/// The service.
pub(crate) struct OtlpService(pub(crate) Shared);

#[tonic::async_trait]
impl TraceService for OtlpService {
    /// Answered once the spans are queued: a caller's last flush does not wait for a slow backend.
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let peer = peer(&request);
        let request = request.into_inner();
        if let Some(agent) = peer.agent()
            && !request.resource_spans.iter().all(|spans| is_of(spans, agent))
        {
            self.0.metrics.spans(SpanOutcome::Refused, spans_of(&request));
            let message = format!("{agent} may send spans only with {AGENT_ID}={agent} in their resource");
            return Err(Status::permission_denied(message));
        }
        self.0.relay.pass_on(peer.spiffe.as_ref(), request);
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

fn is_of(spans: &ResourceSpans, agent: &AgentName) -> bool {
    let attributes = spans.resource.iter().flat_map(|resource| &resource.attributes);
    let mut said = attributes.filter(|attribute| attribute.key == AGENT_ID);
    let named = |value: &Value| matches!(value, Value::StringValue(name) if name == agent.as_str());
    said.next().is_some_and(|attribute| {
        attribute
            .value
            .as_ref()
            .and_then(|any| any.value.as_ref())
            .is_some_and(named)
    }) && said.next().is_none()
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
    use opentelemetry_proto::tonic::resource::v1::Resource;

    use super::*;

    fn spans(ids: &[&str]) -> ResourceSpans {
        let attribute = |id: &&str| KeyValue {
            key: AGENT_ID.into(),
            value: Some(AnyValue {
                value: Some(Value::StringValue((*id).to_owned())),
            }),
            ..KeyValue::default()
        };
        ResourceSpans {
            resource: Some(Resource {
                attributes: ids.iter().map(attribute).collect(),
                ..Resource::default()
            }),
            ..ResourceSpans::default()
        }
    }

    #[test]
    fn an_agent_speaks_for_itself_alone() {
        let agent: AgentName = "fra-1".parse().unwrap();
        assert!(is_of(&spans(&["fra-1"]), &agent));
        assert!(!is_of(&spans(&["ams-1"]), &agent));
        assert!(!is_of(&spans(&[]), &agent));
        assert!(!is_of(&spans(&["fra-1", "ams-1"]), &agent));
    }
}
