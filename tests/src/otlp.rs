//! A receiver of spans and metrics: OTLP over gRPC, which keeps what arrives.

mod number;

use std::net::TcpListener;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

use crate::address;
use crate::background::Background;
use crate::namespace::Namespace;

pub use number::{Number, Shape};

/// The usual port of OTLP over gRPC.
pub const PORT: u16 = 4317;

/// A running receiver.
pub struct TraceSink {
    received: Received,
    _server: Background,
}

/// A span as it arrived, with what its resource says of the process it is from.
#[derive(Clone, Debug)]
pub struct Span {
    /// Its name.
    pub name: String,
    /// 32 hexadecimal digits.
    pub trace_id: String,
    /// 16 hexadecimal digits.
    pub span_id: String,
    /// The span above; empty for a root.
    pub parent_id: String,
    /// Whether its status is error.
    pub is_error: bool,
    /// Attributes of the span, in text.
    pub attributes: Vec<(String, String)>,
    /// Attributes of the process, in text.
    pub resource: Vec<(String, String)>,
}

/// What arrived so far.
#[derive(Clone, Default)]
struct Received {
    spans: Arc<Mutex<Vec<Span>>>,
    numbers: Arc<Mutex<Vec<Number>>>,
}

impl TraceSink {
    /// Starts to receive on the control host.
    pub fn start(control: &Namespace) -> Result<Self> {
        let received = Received::default();
        let keeper = Keeper {
            received: received.clone(),
        };
        let server = Background::start(control, move || {
            let listener = TcpListener::bind(("::", PORT)).context("bind TCP port 4317")?;
            listener.set_nonblocking(true)?;
            let incoming = TcpIncoming::from(tokio::net::TcpListener::from_std(listener)?);
            Ok(async move {
                let served = Server::builder()
                    .add_service(TraceServiceServer::new(keeper.clone()))
                    .add_service(MetricsServiceServer::new(keeper))
                    .serve_with_incoming(incoming);
                if let Err(error) = served.await {
                    eprintln!("the trace receiver ended: {error}");
                }
            })
        })?;
        Ok(Self {
            received,
            _server: server,
        })
    }

    /// Where to send to, for `--otlp-endpoint` on the control host.
    pub fn endpoint() -> String {
        format!("http://{}:{PORT}", address::CONTROL.v4)
    }

    /// Every span so far, in the order of their arrival.
    pub fn spans(&self) -> Vec<Span> {
        locked(&self.received.spans).clone()
    }

    /// Every data point so far, in the order of their arrival.
    pub fn numbers(&self) -> Vec<Number> {
        locked(&self.received.numbers).clone()
    }
}

impl Span {
    /// An attribute of the span.
    pub fn attribute(&self, key: &str) -> Option<&str> {
        find(&self.attributes, key)
    }

    /// An attribute of the process it is from, such as `service.name`.
    pub fn process(&self, key: &str) -> Option<&str> {
        find(&self.resource, key)
    }
}

#[derive(Clone)]
struct Keeper {
    received: Received,
}

#[tonic::async_trait]
impl TraceService for Keeper {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        locked(&self.received.spans).extend(spans(request.into_inner()));
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl MetricsService for Keeper {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        locked(&self.received.numbers).extend(number::numbers(request.into_inner()));
        Ok(Response::new(ExportMetricsServiceResponse::default()))
    }
}

fn locked<T>(received: &Mutex<Vec<T>>) -> MutexGuard<'_, Vec<T>> {
    received.lock().unwrap_or_else(PoisonError::into_inner)
}

fn spans(request: ExportTraceServiceRequest) -> Vec<Span> {
    let mut spans = Vec::new();
    for process in request.resource_spans {
        let resource = texts(
            process
                .resource
                .map(|resource| resource.attributes)
                .unwrap_or_default(),
        );
        for span in process.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            spans.push(Span {
                name: span.name,
                trace_id: hex(&span.trace_id),
                span_id: hex(&span.span_id),
                parent_id: hex(&span.parent_span_id),
                is_error: span
                    .status
                    .is_some_and(|status| status.code == i32::from(StatusCode::Error)),
                attributes: texts(span.attributes),
                resource: resource.clone(),
            });
        }
    }
    spans
}

fn texts(attributes: Vec<KeyValue>) -> Vec<(String, String)> {
    attributes
        .into_iter()
        .map(|KeyValue { key, value, .. }| (key, text(value.and_then(|any| any.value))))
        .collect()
}

fn text(value: Option<Value>) -> String {
    match value {
        Some(Value::StringValue(text)) => text,
        Some(Value::BoolValue(value)) => value.to_string(),
        Some(Value::IntValue(value)) => value.to_string(),
        Some(Value::DoubleValue(value)) => value.to_string(),
        Some(other) => format!("{other:?}"),
        None => String::new(),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn find<'a>(attributes: &'a [(String, String)], key: &str) -> Option<&'a str> {
    attributes
        .iter()
        .find(|(found, _)| found == key)
        .map(|(_, value)| value.as_str())
}
