use std::fmt::{self, Debug};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use tokio::runtime::Handle;

/// Time for one batch, retries included. A channel that is handed in has no limit of its own.
pub(crate) const EXPORT_TIMEOUT: Duration = Duration::from_secs(10);

/// Exports on the runtime that owns the channel, in bounded time, and says in the log when spans get lost.
///
/// The batch processor calls it from a thread of its own, where the timers of the channel do not work.
pub(crate) struct OnRuntime<E> {
    inner: Arc<E>,
    runtime: Handle,
    failing: AtomicBool,
}

impl<E> OnRuntime<E> {
    pub(crate) fn new(inner: E, runtime: Handle) -> Self {
        Self {
            inner: Arc::new(inner),
            runtime,
            failing: AtomicBool::new(false),
        }
    }

    fn tell(&self, spans: usize, result: &OTelSdkResult) {
        let failed_before = self.failing.swap(result.is_err(), Ordering::Relaxed);
        match result {
            Err(error) if !failed_before => tracing::warn!(spans, %error, "spans are lost: export failed"),
            Err(error) => tracing::debug!(spans, %error, "spans are lost: export failed"),
            Ok(()) if failed_before => tracing::info!("spans are exported again"),
            Ok(()) => {}
        }
    }
}

impl<E: SpanExporter + 'static> SpanExporter for OnRuntime<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let inner = Arc::clone(&self.inner);
        let export = async move { inner.export(batch).await };
        let task = self
            .runtime
            .spawn(async move { tokio::time::timeout(EXPORT_TIMEOUT, export).await });
        let result = match task.await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(OTelSdkError::Timeout(EXPORT_TIMEOUT)),
            Err(_) => Err(OTelSdkError::InternalFailure("the runtime has ended".to_owned())),
        };
        self.tell(spans, &result);
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        if let Some(inner) = Arc::get_mut(&mut self.inner) {
            inner.set_resource(resource);
        }
    }
}

impl<E: Debug> Debug for OnRuntime<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OnRuntime").field(&self.inner).finish()
    }
}
