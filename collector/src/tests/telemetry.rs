//! What arrives at an OTLP backend: the collector's own spans, and what agents hand in.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_client::MetricsServiceClient;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use parallax_model::identity::Role;
use parallax_model::stage::Outcome;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Code, Request, Response, Status};

use super::fake::{FakeAgent, identity, operator, question, spec};
use super::tls::config;
use crate::config::Config;
use crate::{Collector, Connector, InProcessOptions};

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

#[derive(Clone, Default)]
pub(super) struct Sink {
    spans: Arc<Mutex<Vec<ResourceSpans>>>,
    metrics: Arc<Mutex<Vec<ResourceMetrics>>>,
}

#[tonic::async_trait]
impl TraceService for Sink {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.spans
            .lock()
            .unwrap()
            .extend(request.into_inner().resource_spans);
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl MetricsService for Sink {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        let got = request.into_inner().resource_metrics;
        self.metrics.lock().unwrap().extend(got);
        Ok(Response::new(ExportMetricsServiceResponse::default()))
    }
}

impl Sink {
    async fn start() -> (Self, String) {
        let sink = Self::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tonic::transport::Server::builder()
            .add_service(TraceServiceServer::new(sink.clone()))
            .add_service(MetricsServiceServer::new(sink.clone()));
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        (sink, format!("http://{address}"))
    }

    pub(super) fn spans(&self) -> Vec<Span> {
        let resources = self.spans.lock().unwrap();
        let scopes = resources.iter().flat_map(|resource| &resource.scope_spans);
        scopes.flat_map(|scope| scope.spans.clone()).collect()
    }

    /// An attribute of the processes that the spans of this name are of.
    pub(super) fn processes_of(&self, name: &str, key: &str) -> Vec<String> {
        let resources = self.spans.lock().unwrap();
        let mut values = Vec::new();
        for process in resources.iter() {
            let spans = process.scope_spans.iter().flat_map(|scope| &scope.spans);
            let attributes = &process.resource.as_ref().unwrap().attributes;
            for _ in spans.filter(|span| span.name == name) {
                values.push(value(attributes, key));
            }
        }
        values
    }

    fn span(&self, name: &str) -> Span {
        let spans = self.spans();
        let found = spans.iter().find(|span| span.name == name);
        found
            .cloned()
            .unwrap_or_else(|| panic!("no span {name} among {}", spans.len()))
    }
}

pub(super) async fn traced() -> (Sink, Collector, Connector) {
    let (sink, endpoint) = Sink::start().await;
    let options = InProcessOptions {
        otlp_endpoint: Some(endpoint),
    };
    let (collector, connector) = Collector::in_process(options).await.unwrap();
    (sink, collector, connector)
}

fn text(span: &Span, key: &str) -> String {
    value(&span.attributes, key)
}

fn value(attributes: &[KeyValue], key: &str) -> String {
    let attribute = attributes.iter().find(|attribute| attribute.key == key);
    match attribute
        .and_then(|attribute| attribute.value.as_ref())
        .and_then(|any| any.value.as_ref())
    {
        Some(Value::StringValue(text)) => text.clone(),
        other => panic!("{key}: {other:?}"),
    }
}

fn resource(agent: &str) -> Option<Resource> {
    let id = KeyValue {
        key: "parallax.agent.id".into(),
        value: Some(AnyValue {
            value: Some(Value::StringValue(agent.into())),
        }),
        ..KeyValue::default()
    };
    Some(Resource {
        attributes: vec![id],
        ..Resource::default()
    })
}

fn numbers(agent: &str, name: &str, points: usize) -> ExportMetricsServiceRequest {
    let metric = Metric {
        name: name.into(),
        data: Some(Data::Gauge(Gauge {
            data_points: vec![NumberDataPoint::default(); points],
        })),
        ..Metric::default()
    };
    ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            resource: resource(agent),
            scope_metrics: vec![ScopeMetrics {
                metrics: vec![metric],
                ..ScopeMetrics::default()
            }],
            ..ResourceMetrics::default()
        }],
    }
}

fn export(agent: &str) -> ExportTraceServiceRequest {
    let span = Span {
        name: format!("a span of {agent}"),
        trace_id: vec![1; 16],
        span_id: vec![2; 8],
        ..Span::default()
    };
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: resource(agent),
            scope_spans: vec![ScopeSpans {
                spans: vec![span],
                ..ScopeSpans::default()
            }],
            ..ResourceSpans::default()
        }],
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_is_one_trace_from_the_caller_to_every_order() {
    let (sink, collector, connector) = traced().await;
    let mut well = FakeAgent::connect(&connector, "ams-1").await;
    let mut lost = FakeAgent::connect(&connector, "fra-1").await;
    let mut request = Request::new(question(spec()));
    request
        .metadata_mut()
        .insert("traceparent", PARENT.parse().unwrap());
    let mut control = operator(&connector, Role::Operator);
    let mut events = control.run_probe(request).await.unwrap().into_inner();
    let order = well.order().await;
    lost.order().await;
    assert!(order.traceparent.starts_with(&format!("00-{TRACE}-")));
    well.done(&order, Outcome::Ok).await;
    drop(lost);
    let mut document = None;
    while let Some(event) = events.message().await.unwrap() {
        if let Some(parallax_proto::v1::run_event::Event::Concluded(run)) = event.event {
            document = Some(run);
        }
    }
    assert_eq!(document.unwrap().trace_id, TRACE);
    collector.shutdown().await;

    let call = sink.span("parallax.v1.Control/RunProbe");
    assert_eq!(
        hex::encode(&call.parent_span_id),
        "b7ad6b7169203331",
        "a child of the caller's"
    );
    assert_eq!(text(&call, "rpc.response.status_code"), "OK");
    assert_eq!(
        call.status.clone().unwrap_or_default().code,
        0,
        "success leaves the status unset"
    );
    let orders: Vec<Span> = sink
        .spans()
        .into_iter()
        .filter(|span| span.name == "parallax.v1.AgentLink/Order")
        .collect();
    assert_eq!(orders.len(), 2);
    for span in &orders {
        assert_eq!(hex::encode(&span.trace_id), TRACE);
        assert_eq!(span.parent_span_id, call.span_id);
        let (error, code) = match text(span, "parallax.agent.id").as_str() {
            "ams-1" => (0, "OK"),
            _ => (2, "UNAVAILABLE"),
        };
        assert_eq!(span.status.clone().unwrap_or_default().code, error);
        assert_eq!(text(span, "rpc.response.status_code"), code);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agents_spans_are_passed_on_and_anothers_are_refused() {
    let (sink, collector, connector) = traced().await;
    let mut agent = TraceServiceClient::new(connector.channel(identity(Role::Agent, "fra-1")));
    agent.export(export("fra-1")).await.unwrap();
    let refused = agent.export(export("ams-1")).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    drop(agent);
    tokio::time::timeout(Duration::from_secs(10), collector.shutdown())
        .await
        .unwrap();
    assert_eq!(sink.span("a span of fra-1").trace_id, vec![1; 16]);
    assert!(sink.spans().iter().all(|span| span.name != "a span of ams-1"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agents_metrics_are_passed_on_as_they_are_and_what_is_not_its_own_is_refused() {
    let (sink, collector, connector) = traced().await;
    let mut agent = MetricsServiceClient::new(connector.channel(identity(Role::Agent, "fra-1")));
    let own = numbers("fra-1", "parallax_agent_checks", 3);
    agent.export(own.clone()).await.unwrap();
    for (wrong, code) in [
        (
            numbers("ams-1", "parallax_agent_checks", 1),
            Code::PermissionDenied,
        ),
        (numbers("fra-1", "parallax_target_up", 1), Code::PermissionDenied),
        // A point that says nothing takes two bytes.
        (
            numbers("fra-1", "parallax_agent_checks", 200_000),
            Code::OutOfRange,
        ),
    ] {
        let refused = agent.export(wrong).await.unwrap_err();
        assert_eq!(refused.code(), code, "{refused}");
    }
    agent
        .export(own.clone())
        .await
        .expect("whoever was refused may go on");
    let mut person = MetricsServiceClient::new(connector.channel(identity(Role::Admin, "anna")));
    let refused = person.export(own.clone()).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied, "{refused}");
    drop((agent, person));
    tokio::time::timeout(Duration::from_secs(10), collector.shutdown())
        .await
        .unwrap();
    let arrived = sink.metrics.lock().unwrap().clone();
    assert_eq!(
        arrived,
        [own.resource_metrics.clone(), own.resource_metrics].concat()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_page_of_a_collector_is_sent_before_it_ends() {
    let (sink, endpoint) = Sink::start().await;
    let directory = tempfile::tempdir().unwrap();
    let config = Config {
        otlp_endpoint: Some(endpoint),
        ..config(directory.path())
    };
    let collector = Collector::start(&config).await.unwrap();
    assert!(sink.metrics.lock().unwrap().is_empty());
    collector.shutdown().await;
    let arrived = sink.metrics.lock().unwrap().clone();
    let [of] = arrived.as_slice() else {
        panic!("{arrived:#?}");
    };
    let metrics = of.scope_metrics.iter().flat_map(|scope| &scope.metrics);
    let names: Vec<_> = metrics.map(|metric| metric.name.as_str()).collect();
    assert!(names.contains(&"parallax_build_info"), "{names:?}");
    let said = &of.resource.as_ref().unwrap().attributes;
    let is_collector =
        |value: &AnyValue| value.value.as_ref() == Some(&Value::StringValue("parallax-collector".into()));
    assert!(
        said.iter()
            .any(|attribute| attribute.key == "service.name"
                && attribute.value.as_ref().is_some_and(is_collector)),
        "{said:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backend_that_hangs_takes_no_time_from_the_database() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let config = Config {
        otlp_endpoint: Some(format!("http://{}", silent.local_addr().unwrap())),
        ..config(directory.path())
    };
    let collector = Collector::start(&config).await.unwrap();
    let began = Instant::now();
    collector.shutdown().await;
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
}

#[tokio::test]
async fn without_an_endpoint_nothing_is_traced() {
    let (_collector, connector) = super::fake::collector().await;
    let mut agent = FakeAgent::connect(&connector, "fra-1").await;
    let asked = super::fake::Asked::ask(&connector, question(spec())).await;
    assert_eq!(asked.started.trace_id, "");
    assert_eq!(agent.order().await.traceparent, "");
}
