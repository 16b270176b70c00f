//! Passes spans and metrics of agents and operators on to the backend, unchanged, and never lets anybody wait for it.

mod export;
pub(crate) mod points;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use parallax_model::identity::SpiffeId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinHandle;
use tonic::transport::{Channel, Endpoint};
use tracing::{debug, warn};

use crate::metrics::{Metrics, RelayOutcome};
use export::Clients;
pub(crate) use export::Export;

/// What may wait for the backend: so many exports, and so many KiB of them.
const EXPORTS: usize = 1024;
const KIBIBYTES: usize = 16 * 1024;

/// How much of it may be one sender's: a flood crowds out its own.
const KIBIBYTES_OF_ONE: usize = KIBIBYTES / 8;

/// How long the backend may take for one export.
const PATIENCE: Duration = Duration::from_secs(10);

/// The way to the backend; without one, everything is taken and dropped.
#[derive(Clone)]
pub(crate) struct Relay {
    queue: Option<mpsc::Sender<Waiting>>,
    room: Arc<Semaphore>,
    own: Arc<Mutex<HashMap<SpiffeId, Arc<Semaphore>>>>,
    metrics: Arc<Metrics>,
}

struct Waiting {
    export: Export,
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

    /// Queues an export, or drops it when too much waits.
    pub(crate) fn pass_on(&self, sender: Option<&SpiffeId>, export: Export) {
        let (what, number) = (export.what(), export.number());
        let Some(queue) = &self.queue else {
            self.metrics.handed_in(what, RelayOutcome::NoBackend, number);
            return;
        };
        let size = u32::try_from(export.bytes() / 1024 + 1).unwrap_or(u32::MAX);
        let queued = self.room_for(sender, size).and_then(|room| {
            let waiting = Waiting { export, _room: room };
            queue.try_send(waiting).ok()
        });
        if queued.is_none() {
            self.metrics.handed_in(what, RelayOutcome::Dropped, number);
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

async fn pass_on(channel: Channel, mut waiting: mpsc::Receiver<Waiting>, metrics: Arc<Metrics>) {
    let mut clients = Clients::over(channel);
    // Once for each, until it works again: a dead backend is one fact, and one that takes spans alone another.
    let mut failing = HashSet::new();
    while let Some(Waiting { export, _room }) = waiting.recv().await {
        let (what, number) = (export.what(), export.number());
        match clients.send(export).await {
            Ok(()) => {
                failing.remove(&what);
                metrics.handed_in(what, RelayOutcome::Relayed, number);
            }
            Err(status) => {
                metrics.handed_in(what, RelayOutcome::Failed, number);
                let (code, said) = (status.code(), status.message());
                if failing.insert(what) {
                    warn!(?code, "the OTLP endpoint does not take {what}: {said}");
                } else {
                    debug!(?code, "{what} not taken: {said}");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    use opentelemetry_proto::tonic::metrics::v1::metric::Data;
    use opentelemetry_proto::tonic::metrics::v1::{
        Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics,
    };
    use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
    use parallax_model::identity::Role;

    use super::*;

    fn export(name: String) -> Export {
        let span = Span {
            name,
            ..Span::default()
        };
        Export::Spans(ExportTraceServiceRequest {
            resource_spans: vec![ResourceSpans {
                scope_spans: vec![ScopeSpans {
                    spans: vec![span],
                    ..ScopeSpans::default()
                }],
                ..ResourceSpans::default()
            }],
        })
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

    #[tokio::test]
    async fn spans_and_data_points_are_counted_apart() {
        let metrics = Arc::new(Metrics::new());
        let relay = Relay::off(Arc::clone(&metrics));
        let point = NumberDataPoint::default();
        let gauge = Metric {
            data: Some(Data::Gauge(Gauge {
                data_points: vec![point; 3],
            })),
            ..Metric::default()
        };
        relay.pass_on(
            Some(&agent("fra-1")),
            Export::Metrics(ExportMetricsServiceRequest {
                resource_metrics: vec![ResourceMetrics {
                    scope_metrics: vec![ScopeMetrics {
                        metrics: vec![gauge.clone(), gauge],
                        ..ScopeMetrics::default()
                    }],
                    ..ResourceMetrics::default()
                }],
            }),
        );
        let text = metrics.text().unwrap();
        assert!(
            text.contains("parallax_otlp_metric_points_total{outcome=\"no_backend\"} 6"),
            "{text}"
        );
        assert!(!text.contains("parallax_otlp_spans_total{"), "{text}");
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
