//! The numbers of a process's page, sent as OTLP metrics: what Prometheus would read is what an OTLP backend gets.

mod convert;
mod exemplar;
mod label;
mod line;
mod point;
mod schedule;

use std::future::Future;
use std::time::{Duration, SystemTime};

use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_client::MetricsServiceClient;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};
use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::exporter::EXPORT_TIMEOUT;
use crate::provider::{Destination, TelemetryError};
use crate::service::Service;
use convert::{Frame, requests};

pub use label::label_value;

/// A page of numbers.
pub trait Numbers: Send + Sync + 'static {
    /// The page now, in the text format of OpenMetrics or the one before it; `None` while there is none.
    fn page(&self) -> impl Future<Output = Option<String>> + Send;

    /// The whole page got through, or it did not.
    fn sent(&self, whole: bool);

    /// Counters that were not zero when this process started, by the name of their samples: they are kept on disk, or
    /// are somebody else's. Their start is not known.
    fn outlive(&self) -> &'static [&'static str] {
        &[]
    }
}

/// Sends a page again and again, beside everything else. Dropped, it stops at once.
#[derive(Debug)]
pub struct Publishing {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Publishing {
    /// Begins, inside a tokio runtime; the first page goes after one interval. `None` when it is not wanted: without a
    /// destination, or with `OTEL_METRICS_EXPORTER=none`. `OTEL_METRIC_EXPORT_INTERVAL` says how often, in
    /// milliseconds; a minute otherwise.
    ///
    /// # Errors
    /// When the endpoint can't be used.
    pub fn start(
        service: Service,
        destination: Destination,
        numbers: impl Numbers,
    ) -> Result<Option<Self>, TelemetryError> {
        let Some(channel) = destination.channel()?.filter(|_| schedule::wanted()) else {
            return Ok(None);
        };
        Ok(Some(Self::every(schedule::interval(), service, channel, numbers)))
    }

    fn every(pause: Duration, service: Service, channel: Channel, numbers: impl Numbers) -> Self {
        let publisher = Publisher {
            frame: Frame::of(service, SystemTime::now(), numbers.outlive()),
            client: MetricsServiceClient::new(channel),
            numbers,
            failing: false,
        };
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(publisher.run(pause, stopped));
        Self { stop, task }
    }

    /// Sends the page once more and stops; gives up at the deadline.
    pub async fn shutdown(mut self, deadline: Duration) {
        let (unused, _) = oneshot::channel();
        // A task that has ended already needs no telling.
        let _ = std::mem::replace(&mut self.stop, unused).send(());
        if timeout(deadline, &mut self.task).await.is_err() {
            tracing::debug!("the last numbers were not taken within {deadline:?}");
        }
    }
}

impl Drop for Publishing {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Publisher<N> {
    frame: Frame,
    client: MetricsServiceClient<Channel>,
    numbers: N,
    failing: bool,
}

impl<N: Numbers> Publisher<N> {
    async fn run(mut self, pause: Duration, mut stopped: oneshot::Receiver<()>) {
        let mut ticks = interval_at(Instant::now() + pause, pause);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                told = &mut stopped => match told {
                    Ok(()) => break,
                    Err(_) => return,
                },
            }
            // What is on its way is not cut off: it may have arrived, and would not be counted.
            self.publish().await;
        }
        self.publish().await;
    }

    async fn publish(&mut self) {
        let Some(page) = self.numbers.page().await else {
            return;
        };
        let sent = self.send(&page).await;
        self.numbers.sent(sent.is_ok());
        self.tell(sent.err());
    }

    /// In parts that every receiver takes, one after another; what follows one that fails is not tried.
    async fn send(&mut self, page: &str) -> Result<(), Status> {
        for request in requests(page, &self.frame, SystemTime::now()) {
            match timeout(EXPORT_TIMEOUT, self.client.export(request)).await {
                Ok(answer) => drop(answer?),
                Err(_) => return Err(Status::deadline_exceeded("no answer in time")),
            }
        }
        Ok(())
    }

    /// Once, until it works again. That the other end takes no metrics at all is no trouble.
    fn tell(&mut self, problem: Option<Status>) {
        let failed_before = std::mem::replace(&mut self.failing, problem.is_some());
        match problem {
            Some(status) if !failed_before && status.code() == Code::Unimplemented => {
                tracing::info!("the OTLP endpoint takes no metrics: {}", status.message());
            }
            Some(status) if !failed_before => {
                tracing::warn!(code = ?status.code(), "numbers are not sent: {}", status.message());
            }
            Some(status) => {
                tracing::debug!(code = ?status.code(), "numbers are not sent: {}", status.message());
            }
            None if failed_before => tracing::info!("numbers are sent again"),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests;
