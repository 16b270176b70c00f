#![allow(clippy::unwrap_used)]

use std::sync::{Arc, Mutex};
use std::time::{Instant, SystemTime};

use opentelemetry::Context;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_sdk::trace::InMemorySpanExporter;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};
use tracing_subscriber::layer::SubscriberExt as _;

use super::*;
use crate::service::instance_id;
use crate::span::SpanSpec;

const DEADLINE: Duration = Duration::from_secs(5);

#[tokio::test]
async fn the_last_spans_arrive_before_a_current_thread_runtime_ends() {
    let sink = Sink::default();
    let address = sink.clone().serve();
    let tracing = Tracing::start(service(), Destination::Endpoint(format!("http://{address}"))).unwrap();
    finish_span(&tracing, "ctl probe");
    tracing.shutdown(DEADLINE).await.unwrap();
    assert_eq!(sink.names(), ["ctl probe"]);
    assert_eq!(sink.service_names(), ["parallax-ctl"]);
    tracing.shutdown(DEADLINE).await.unwrap();
}

#[tokio::test]
async fn a_flush_delivers_and_exporting_goes_on() {
    let sink = Sink::default();
    let address = sink.clone().serve();
    let channel = Endpoint::from_shared(format!("http://{address}"))
        .unwrap()
        .connect_lazy();
    let tracing = Tracing::start(service(), Destination::Channel(channel)).unwrap();
    finish_span(&tracing, "first");
    tracing.flush(DEADLINE).await.unwrap();
    assert_eq!(sink.names(), ["first"]);
    finish_span(&tracing, "second");
    tracing.shutdown(DEADLINE).await.unwrap();
    assert_eq!(sink.names(), ["first", "second"]);
}

#[tokio::test]
async fn a_silent_destination_holds_shutdown_no_longer_than_the_deadline() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", silent.local_addr().unwrap());
    let tracing = Tracing::start(service(), Destination::Endpoint(endpoint)).unwrap();
    finish_span(&tracing, "lost");
    let began = Instant::now();
    tracing.shutdown(Duration::from_millis(200)).await.unwrap_err();
    assert!(began.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn going_without_a_shutdown_does_not_hold_the_runtime() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", silent.local_addr().unwrap());
    let tracing = Tracing::start(service(), Destination::Endpoint(endpoint)).unwrap();
    finish_span(&tracing, "lost");
    let began = Instant::now();
    drop(tracing);
    assert!(began.elapsed() < Duration::from_secs(1));
}

#[tokio::test]
async fn process_spans_begin_with_the_first_service_that_wants_them() {
    let exporter = InMemorySpanExporter::default();
    let tracing = Tracing::with_exporter(service(), exporter.clone()).unwrap();
    let span = || drop(tracing::info_span!(target: "parallax_agent", "enrol").entered());
    let remote = crate::context::from_fields("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "");
    let subscriber = tracing_subscriber::registry().with(process::late_layer());
    tracing::subscriber::with_default(subscriber, || {
        span();
        assert!(tracing.export_process_spans());
        assert!(!tracing.export_process_spans());
        span();
        let child = tracing::info_span!(target: "parallax_agent", "child");
        tracing_opentelemetry::OpenTelemetrySpanExt::set_parent(&child, remote.clone()).unwrap();
    });
    tracing.flush(DEADLINE).await.unwrap();
    let spans = exporter.get_finished_spans().unwrap();
    let names: Vec<_> = spans.iter().map(|span| span.name.as_ref()).collect();
    assert_eq!(names, ["enrol", "child"]);
    let trace_id = spans[1].span_context.trace_id().to_string();
    assert_eq!(Some(trace_id), crate::context::trace_id(&remote));
    tracing.shutdown(DEADLINE).await.unwrap();
}

#[tokio::test]
async fn our_spans_go_through_the_layer_and_others_do_not() {
    let exporter = InMemorySpanExporter::default();
    let tracing = Tracing::with_exporter(service(), exporter.clone()).unwrap();
    let subscriber = tracing_subscriber::registry().with(tracing.layer().unwrap());
    tracing::subscriber::with_default(subscriber, || {
        tracing::info_span!(target: "parallax_agent::link", "join", otel.kind = "client").in_scope(|| {
            tracing::info_span!(target: "h2", "frame")
                .in_scope(|| tracing::info!(target: "parallax", "event"));
            tracing::debug_span!(target: "parallax_agent", "detail").in_scope(|| {});
        });
    });
    tracing.flush(DEADLINE).await.unwrap();
    let spans = exporter.get_finished_spans().unwrap();
    let names: Vec<_> = spans.iter().map(|span| span.name.as_ref()).collect();
    assert_eq!(names, ["join"]);
    assert!(spans[0].events.is_empty(), "{:?}", spans[0]);
    tracing.shutdown(DEADLINE).await.unwrap();
}

#[tokio::test]
async fn spans_of_another_process_go_under_its_resource_and_below_a_root_that_comes_later() {
    let sink = Sink::default();
    let address = sink.clone().serve();
    let tracing = Tracing::start(service(), Destination::Endpoint(format!("http://{address}"))).unwrap();
    let labels = [("site".to_owned(), "fra".to_owned())].into();
    let agent = Service::agent(&"fra-1".parse().unwrap(), &labels);
    let id = *b"0123456789abcdef";
    let above = crate::context::of_root(id);
    let now = SystemTime::now();
    let told = tracing.tracer_for(&agent).unwrap();
    SpanSpec::new("of the agent", now)
        .child_of(&told, &above)
        .finish(now);
    let own = tracing.tracer().unwrap();
    SpanSpec::new("root", now).root(own, id).finish(now);
    SpanSpec::new("another", now)
        .child_of(own, &Context::new())
        .finish(now);
    tracing.shutdown(DEADLINE).await.unwrap();
    let root = sink.one("root");
    let (of, child) = sink.one("of the agent");
    assert_eq!(child.trace_id, id);
    assert_eq!(
        (&child.parent_span_id, &child.trace_id),
        (&root.1.span_id, &root.1.trace_id)
    );
    assert_ne!(sink.one("another").1.trace_id, id, "it is told once");
    let value = |resource: &[KeyValue], key: &str| {
        let pair = resource.iter().find(|pair| pair.key == key);
        pair.map(|pair| format!("{:?}", pair.value).split('"').nth(1).unwrap().to_owned())
    };
    assert_eq!(value(&root.0, "service.name").unwrap(), "parallax-ctl");
    assert_eq!(value(&of, "service.name").unwrap(), "parallax-agent");
    assert_eq!(value(&of, "parallax.agent.id").unwrap(), "fra-1");
    assert_eq!(value(&of, "parallax.agent.location").unwrap(), "fra");
    assert_eq!(
        value(&of, "service.instance.id").unwrap(),
        instance_id("fra-1").to_string()
    );
    assert_eq!(value(&of, "host.name"), None, "nobody told of its host");
}

#[test]
fn off_makes_nothing_and_needs_no_runtime() {
    let tracing = Tracing::start(service(), Destination::Off).unwrap();
    assert!(!tracing.on() && tracing.tracer().is_none() && !tracing.export_process_spans());
    assert!(tracing.layer::<tracing_subscriber::Registry>().is_none());
}

#[test]
fn an_endpoint_that_cannot_be_used_is_named() {
    for endpoint in ["", "collector:4317", "ftp://collector:21", "http://[::1"] {
        let error = Tracing::start(service(), Destination::Endpoint(endpoint.into())).unwrap_err();
        assert!(
            matches!(error, TelemetryError::Endpoint { .. }),
            "{endpoint:?}: {error}"
        );
    }
    let error = Tracing::start(service(), Destination::Endpoint("http://[::1]:4317".into())).unwrap_err();
    assert!(matches!(error, TelemetryError::NoRuntime));
}

#[tokio::test]
async fn an_https_endpoint_is_taken() {
    let endpoint = Destination::Endpoint("https://127.0.0.1:1".into());
    let tracing = Tracing::start(service(), endpoint).unwrap();
    tracing.shutdown(DEADLINE).await.unwrap();
}

fn service() -> Service {
    Service {
        name: "parallax-ctl",
        instance_id: instance_id("test"),
        attributes: vec![],
    }
}

fn finish_span(tracing: &Tracing, name: &'static str) {
    let span = SpanSpec::new(name, SystemTime::now()).child_of(tracing.tracer().unwrap(), &Context::new());
    span.finish(SystemTime::now());
}

/// An OTLP trace service that keeps what it gets.
#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<ExportTraceServiceRequest>>>);

impl Sink {
    fn serve(self) -> std::net::SocketAddr {
        let incoming = TcpIncoming::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = incoming.local_addr().unwrap();
        let server = Server::builder().add_service(TraceServiceServer::new(self));
        tokio::spawn(server.serve_with_incoming(incoming));
        address
    }

    fn names(&self) -> Vec<String> {
        let requests = self.0.lock().unwrap();
        let resources = requests.iter().flat_map(|request| &request.resource_spans);
        let scopes = resources.flat_map(|resource| &resource.scope_spans);
        scopes
            .flat_map(|scope| &scope.spans)
            .map(|span| span.name.clone())
            .collect()
    }

    /// The span of this name, and the resource it came under; its scope is the same as everybody's.
    fn one(&self, name: &str) -> (Vec<KeyValue>, Span) {
        let requests = self.0.lock().unwrap();
        let resources = requests.iter().flat_map(|request| &request.resource_spans);
        let mut found = Vec::new();
        for resource in resources {
            for scope in &resource.scope_spans {
                assert!(scope.scope.as_ref().unwrap().attributes.is_empty());
                let spans = scope.spans.iter().filter(|span| span.name == name);
                let attributes = &resource.resource.as_ref().unwrap().attributes;
                found.extend(spans.map(|span| (attributes.clone(), span.clone())));
            }
        }
        assert_eq!(found.len(), 1, "{name}");
        found.remove(0)
    }

    fn service_names(&self) -> Vec<String> {
        let requests = self.0.lock().unwrap();
        let resources = requests.iter().flat_map(|request| &request.resource_spans);
        let attributes = resources
            .flat_map(|spans| &spans.resource)
            .flat_map(|resource| &resource.attributes);
        let names = attributes.filter(|pair| pair.key == "service.name");
        names
            .map(|pair| format!("{:?}", pair.value))
            .map(|value| value.split('"').nth(1).unwrap().to_owned())
            .collect()
    }
}

#[tonic::async_trait]
impl TraceService for Sink {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.0.lock().unwrap().push(request.into_inner());
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}
