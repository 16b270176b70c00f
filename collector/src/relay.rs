//! Passes spans of agents and operators on to the backend, unchanged, and never lets anybody wait for it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use parallax_model::identity::SpiffeId;
use prost::Message as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinHandle;
use tonic::transport::{Channel, Endpoint};
use tracing::{debug, warn};

use crate::metrics::{Metrics, SpanOutcome};

/// What may wait for the backend: so many exports, and so many KiB of them.
const EXPORTS: usize = 1024;
const KIBIBYTES: usize = 16 * 1024;

/// How much of it may be one sender's: a flood of spans crowds out its own.
const KIBIBYTES_OF_ONE: usize = KIBIBYTES / 8;

/// How long the backend may take for one export.
const PATIENCE: Duration = Duration::from_secs(10);

/// The way to the backend; without one, spans are taken and dropped.
#[derive(Clone)]
pub(crate) struct Relay {
    queue: Option<mpsc::Sender<Waiting>>,
    room: Arc<Semaphore>,
    own: Arc<Mutex<HashMap<SpiffeId, Arc<Semaphore>>>>,
    metrics: Arc<Metrics>,
}

struct Waiting {
    request: ExportTraceServiceRequest,
    _room: [OwnedSemaphorePermit; 2],
}

impl Relay {
    /// A relay without a backend.
    pub(crate) fn off(metrics: Arc<Metrics>) -> Self {
        Self {
            queue: None,
            room: Arc::new(Semaphore::new(0)),
            own: Arc::default(),
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
            own: Arc::default(),
            metrics,
        };
        (relay, task)
    }

    /// Queues spans, or drops them when too many wait.
    pub(crate) fn pass_on(&self, sender: Option<&SpiffeId>, request: ExportTraceServiceRequest) {
        let number = spans_of(&request);
        let Some(queue) = &self.queue else {
            self.metrics.spans(SpanOutcome::NoBackend, number);
            return;
        };
        let size = u32::try_from(request.encoded_len() / 1024 + 1).unwrap_or(u32::MAX);
        let queued = self.room_for(sender, size).and_then(|room| {
            let waiting = Waiting { request, _room: room };
            queue.try_send(waiting).ok()
        });
        if queued.is_none() {
            self.metrics.spans(SpanOutcome::Dropped, number);
        }
    }

    /// Room for so many KiB: of the sender's own part, and in all.
    fn room_for(&self, sender: Option<&SpiffeId>, size: u32) -> Option<[OwnedSemaphorePermit; 2]> {
        let sender = sender?.clone();
        let own = {
            let mut all = self.own.lock().unwrap_or_else(PoisonError::into_inner);
            let own = all.entry(sender);
            Arc::clone(own.or_insert_with(|| Arc::new(Semaphore::new(KIBIBYTES_OF_ONE))))
        };
        let own = own.try_acquire_many_owned(size).ok()?;
        let all = Arc::clone(&self.room).try_acquire_many_owned(size).ok()?;
        Some([own, all])
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
    use parallax_model::identity::Role;

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

    fn agent(name: &str) -> SpiffeId {
        SpiffeId::built_in(Role::Agent, name.parse().unwrap())
    }

    #[tokio::test]
    async fn without_a_backend_spans_are_taken_and_counted() {
        let metrics = Arc::new(Metrics::new());
        Relay::off(Arc::clone(&metrics)).pass_on(Some(&agent("fra-1")), export("x".into()));
        let text = metrics.text().unwrap();
        assert!(
            text.contains("parallax_otlp_spans_total{outcome=\"no_backend\"} 1"),
            "{text}"
        );
    }

    /// A backend that is dead, and how many exports of 1 MiB of each sender found no room.
    async fn dropped(senders: &[&str]) -> u64 {
        let metrics = Arc::new(Metrics::new());
        let endpoint = Endpoint::from_static("http://127.0.0.1:1");
        let (relay, task) = Relay::start(endpoint, Arc::clone(&metrics));
        for sender in senders {
            relay.pass_on(Some(&agent(sender)), export("x".repeat((1 << 20) - 2048)));
        }
        task.abort();
        metrics.drops().get("spans").copied().unwrap_or_default()
    }

    #[tokio::test]
    async fn what_a_dead_backend_leaves_waiting_is_bounded_by_its_size() {
        let senders: Vec<String> = (0..18).map(|number| format!("a{number}")).collect();
        let senders: Vec<&str> = senders.iter().map(String::as_str).collect();
        assert_eq!(dropped(&senders).await, 2);
    }

    #[tokio::test]
    async fn one_sender_fills_its_own_part_alone() {
        assert_eq!(dropped(&["flood", "flood", "flood", "flood", "fra-1"]).await, 2);
    }
}
