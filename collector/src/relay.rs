//! Passes spans of agents and operators on to the backend, unchanged, and never lets anybody wait for it.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use prost::Message as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinHandle;
use tonic::transport::{Channel, Endpoint};
use tracing::{debug, warn};

use crate::metrics::{Metrics, SpanOutcome};

/// What may wait for the backend: so many exports, and so many KiB of them.
const EXPORTS: usize = 1024;
const KIBIBYTES: usize = 16 * 1024;

/// How long the backend may take for one export.
const PATIENCE: Duration = Duration::from_secs(10);

/// The way to the backend; without one, spans are taken and dropped.
#[derive(Clone)]
pub(crate) struct Relay {
    queue: Option<mpsc::Sender<Waiting>>,
    room: Arc<Semaphore>,
    metrics: Arc<Metrics>,
}

struct Waiting {
    request: ExportTraceServiceRequest,
    _room: OwnedSemaphorePermit,
}

impl Relay {
    /// A relay without a backend.
    pub(crate) fn off(metrics: Arc<Metrics>) -> Self {
        Self {
            queue: None,
            room: Arc::new(Semaphore::new(0)),
            metrics,
        }
    }

    /// Starts passing on to an OTLP/gRPC endpoint. The task ends when every relay is gone and the queue is empty.
    pub(crate) fn start(endpoint: Endpoint, metrics: Arc<Metrics>) -> (Self, JoinHandle<()>) {
        let channel = endpoint
            .connect_timeout(PATIENCE)
            .timeout(PATIENCE)
            .connect_lazy();
        let (queue, waiting) = mpsc::channel(EXPORTS);
        let task = tokio::spawn(pass_on(channel, waiting, Arc::clone(&metrics)));
        let relay = Self {
            queue: Some(queue),
            room: Arc::new(Semaphore::new(KIBIBYTES)),
            metrics,
        };
        (relay, task)
    }

    /// Queues spans, or drops them when too many wait.
    pub(crate) fn pass_on(&self, request: ExportTraceServiceRequest) {
        let number = spans_of(&request);
        let Some(queue) = &self.queue else {
            self.metrics.spans(SpanOutcome::NoBackend, number);
            return;
        };
        let size = u32::try_from(request.encoded_len() / 1024 + 1).unwrap_or(u32::MAX);
        let queued = Arc::clone(&self.room)
            .try_acquire_many_owned(size)
            .ok()
            .and_then(|room| {
                let waiting = Waiting { request, _room: room };
                queue.try_send(waiting).ok()
            });
        if queued.is_none() {
            self.metrics.spans(SpanOutcome::Dropped, number);
        }
    }
}

/// How many spans an export holds.
pub(crate) fn spans_of(request: &ExportTraceServiceRequest) -> usize {
    request
        .resource_spans
        .iter()
        .flat_map(|resource| &resource.scope_spans)
        .map(|scope| scope.spans.len())
        .sum()
}

async fn pass_on(channel: Channel, mut waiting: mpsc::Receiver<Waiting>, metrics: Arc<Metrics>) {
    let mut client = TraceServiceClient::new(channel);
    let mut failing = false;
    while let Some(Waiting { request, _room }) = waiting.recv().await {
        let number = spans_of(&request);
        match client.export(request).await {
            Ok(_) => {
                failing = false;
                metrics.spans(SpanOutcome::Relayed, number);
            }
            Err(status) => {
                metrics.spans(SpanOutcome::Failed, number);
                // Once, until it works again: a dead backend is one fact.
                if failing {
                    debug!(code = ?status.code(), "spans not taken: {}", status.message());
                } else {
                    warn!(code = ?status.code(), "the OTLP endpoint does not take spans: {}", status.message());
                }
                failing = true;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};

    use super::*;

    fn export(name: String) -> ExportTraceServiceRequest {
        let span = Span {
            name,
            ..Span::default()
        };
        ExportTraceServiceRequest {
            resource_spans: vec![ResourceSpans {
                scope_spans: vec![ScopeSpans {
                    spans: vec![span],
                    ..ScopeSpans::default()
                }],
                ..ResourceSpans::default()
            }],
        }
    }

    #[tokio::test]
    async fn without_a_backend_spans_are_taken_and_counted() {
        let metrics = Arc::new(Metrics::new());
        Relay::off(Arc::clone(&metrics)).pass_on(export("x".into()));
        let text = metrics.text().unwrap();
        assert!(
            text.contains("parallax_otlp_spans_total{outcome=\"no_backend\"} 1"),
            "{text}"
        );
    }

    #[tokio::test]
    async fn what_a_dead_backend_leaves_waiting_is_bounded_by_its_size() {
        let metrics = Arc::new(Metrics::new());
        let endpoint = Endpoint::from_static("http://127.0.0.1:1");
        let (relay, task) = Relay::start(endpoint, Arc::clone(&metrics));
        for _ in 0..5 {
            relay.pass_on(export("x".repeat(4 << 20)));
        }
        let text = metrics.text().unwrap();
        assert!(
            text.contains("parallax_otlp_spans_total{outcome=\"dropped\"} 2"),
            "{text}"
        );
        task.abort();
    }
}
