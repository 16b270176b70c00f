use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{WithExportConfig as _, WithTonicConfig as _};
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, SdkTracer, SdkTracerProvider, SpanExporter,
};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};
use tracing::Subscriber;
use tracing_subscriber::registry::LookupSpan;

use crate::behalf::{self, ByProcess};
use crate::exporter::{EXPORT_TIMEOUT, OnRuntime};
use crate::ids::Ids;
use crate::process::{self, BoxedLayer};
use crate::service::Service;

/// Spans of a run are looked at while it is fresh; the SDK's five seconds are long for that.
const BATCH_DELAY: Duration = Duration::from_secs(1);
const BATCH_DELAY_VARIABLE: &str = "OTEL_BSP_SCHEDULE_DELAY";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Where spans and numbers go.
#[derive(Clone)]
pub enum Destination {
    /// Nowhere: no spans are made, and no numbers sent.
    Off,
    /// To the OTLP services at the other end of this channel.
    Channel(Channel),
    /// To an OTLP/gRPC endpoint, `http://HOST:PORT` or `https://HOST:PORT`, the latter by the system's anchors.
    Endpoint(String),
}

impl Destination {
    /// The way there.
    pub(crate) fn channel(self) -> Result<Option<Channel>, TelemetryError> {
        match self {
            Self::Off => Ok(None),
            Self::Channel(channel) => Ok(Some(channel)),
            Self::Endpoint(endpoint) => connect(&endpoint).map(Some),
        }
    }
}

impl fmt::Debug for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("Off"),
            Self::Channel(_) => f.write_str("Channel"),
            Self::Endpoint(endpoint) => f.debug_tuple("Endpoint").field(endpoint).finish(),
        }
    }
}

/// Why nothing can be exported.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The endpoint can't be used.
    #[error("telemetry endpoint {endpoint:?}: {reason}; write http://HOST:PORT or https://HOST:PORT")]
    Endpoint {
        /// As it was given.
        endpoint: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Exporting needs a tokio runtime.
    #[error("telemetry needs a running tokio runtime")]
    NoRuntime,
    /// The exporter could not be made.
    #[error("make the span exporter: {0}")]
    Exporter(#[from] opentelemetry_otlp::ExporterBuildError),
    /// The last spans did not get through in time.
    #[error("flush spans: {0}")]
    Flush(#[from] OTelSdkError),
}

/// The spans of one service. Clones share them, and exporting ends with the last of them. The last act is
/// [`Tracing::shutdown`]: without it the latest spans may get lost.
#[derive(Debug, Clone)]
pub struct Tracing(Option<Arc<On>>);

#[derive(Debug)]
struct On {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
}

impl Drop for On {
    /// A provider that goes without a shutdown blocks until it has exported, and the runtime that exports would
    /// be what it blocks.
    fn drop(&mut self) {
        let provider = self.provider.clone();
        std::thread::spawn(move || provider.shutdown());
    }
}

impl Tracing {
    /// No spans at all.
    pub const fn off() -> Self {
        Self(None)
    }

    /// Begins exporting, inside a tokio runtime that lives until [`Tracing::shutdown`] is over. A destination
    /// that does not answer is no error: its spans are dropped, with one warning in the log.
    pub fn start(service: Service, destination: Destination) -> Result<Self, TelemetryError> {
        let Some(channel) = destination.channel()? else {
            return Ok(Self::off());
        };
        let make = move || {
            opentelemetry_otlp::SpanExporter::builder()
                .with_tonic()
                .with_channel(channel.clone())
                .with_timeout(EXPORT_TIMEOUT)
                .build()
        };
        let own = make()?;
        let exporter = ByProcess::new(own, move || make().map_err(|error| error.to_string()));
        Self::with_exporter(service, exporter)
    }

    pub(crate) fn with_exporter(
        service: Service,
        exporter: impl SpanExporter + 'static,
    ) -> Result<Self, TelemetryError> {
        let runtime = Handle::try_current().map_err(|_| TelemetryError::NoRuntime)?;
        let mut batches = BatchConfigBuilder::default();
        if std::env::var_os(BATCH_DELAY_VARIABLE).is_none() {
            batches = batches.with_scheduled_delay(BATCH_DELAY);
        }
        let processor = BatchSpanProcessor::builder(OnRuntime::new(exporter, runtime))
            .with_batch_config(batches.build())
            .build();
        let provider = SdkTracerProvider::builder()
            .with_resource(service.resource())
            .with_id_generator(Ids::default())
            .with_span_processor(processor)
            .build();
        let tracer = provider.tracer_with_scope(behalf::scope(Vec::new()));
        Ok(Self(Some(Arc::new(On { provider, tracer }))))
    }

    /// Whether spans go anywhere.
    pub const fn on(&self) -> bool {
        self.0.is_some()
    }

    /// What makes spans, where they go anywhere.
    pub fn tracer(&self) -> Option<&SdkTracer> {
        self.0.as_deref().map(|on| &on.tracer)
    }

    /// What makes spans of another process, of which this one was told. They go to the same place, under its resource.
    pub fn tracer_for(&self, process: &Service) -> Option<SdkTracer> {
        let on = self.0.as_deref()?;
        Some(on.provider.tracer_with_scope(behalf::scope(process.told())))
    }

    /// Exports the `tracing` spans of our own crates too, under a subscriber that [`crate::logs::init`] made.
    /// Of several services in one process the first one gets them; `false` for the others, and when off.
    pub fn export_process_spans(&self) -> bool {
        self.tracer().is_some_and(|tracer| process::bind(tracer.clone()))
    }

    /// A layer that exports the `tracing` spans of our own crates, for a subscriber of one's own.
    pub fn layer<S>(&self) -> Option<BoxedLayer<S>>
    where
        S: Subscriber + for<'span> LookupSpan<'span> + Send + Sync,
    {
        self.tracer().map(|tracer| process::layer_of(tracer.clone()))
    }

    /// Sends what has ended so far, without blocking the runtime; gives up at the deadline.
    pub async fn flush(&self, deadline: Duration) -> Result<(), TelemetryError> {
        self.beside_the_runtime(deadline, |provider| provider.force_flush())
            .await
    }

    /// Sends the last spans and stops, without blocking the runtime; gives up at the deadline.
    pub async fn shutdown(&self, deadline: Duration) -> Result<(), TelemetryError> {
        self.beside_the_runtime(deadline, move |provider| provider.shutdown_with_timeout(deadline))
            .await
    }

    /// The provider waits by blocking, and the runtime it would block is the one that exports. The thread is not
    /// one of the runtime's, whose own end would wait for it.
    async fn beside_the_runtime(
        &self,
        deadline: Duration,
        work: impl FnOnce(&SdkTracerProvider) -> OTelSdkResult + Send + 'static,
    ) -> Result<(), TelemetryError> {
        let Some(on) = &self.0 else {
            return Ok(());
        };
        let provider = on.provider.clone();
        let (done, result) = oneshot::channel();
        std::thread::spawn(move || {
            let _ = done.send(work(&provider));
        });
        match tokio::time::timeout(deadline, result).await {
            Ok(Ok(Err(OTelSdkError::AlreadyShutdown) | Ok(()))) => Ok(()),
            Ok(Ok(Err(error))) => Err(error.into()),
            Ok(Err(_)) | Err(_) => Err(OTelSdkError::Timeout(deadline).into()),
        }
    }
}

fn connect(address: &str) -> Result<Channel, TelemetryError> {
    let wrong = |reason: String| TelemetryError::Endpoint {
        endpoint: address.to_owned(),
        reason,
    };
    let endpoint = Endpoint::from_shared(address.to_owned()).map_err(|error| wrong(error.to_string()))?;
    let endpoint = match endpoint.uri().scheme_str() {
        Some("http") => endpoint,
        Some("https") => endpoint
            .tls_config(ClientTlsConfig::new().with_native_roots())
            .map_err(|error| wrong(error.to_string()))?,
        _ => return Err(wrong("it has no scheme that is http or https".to_owned())),
    };
    Handle::try_current().map_err(|_| TelemetryError::NoRuntime)?;
    Ok(endpoint.connect_timeout(CONNECT_TIMEOUT).connect_lazy())
}

#[cfg(test)]
mod tests;
