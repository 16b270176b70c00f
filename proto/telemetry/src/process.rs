//! Ordinary `tracing` spans of our own code, exported.
//!
//! The subscriber stands before the destination is known (an agent joins first, then exports over its link), so
//! the layer in it looks its tracer up late, and is closed until there is one.

use std::sync::OnceLock;

use opentelemetry::Context;
use opentelemetry::trace::{SpanBuilder, Tracer, TracerProvider as _};
use opentelemetry_sdk::trace::{Sampler, SdkTracer, SdkTracerProvider, Span};
use tracing::level_filters::LevelFilter;
use tracing::subscriber::Interest;
use tracing::{Level, Metadata, Subscriber};
use tracing_opentelemetry::OpenTelemetryLayer;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::DynFilterFn;
use tracing_subscriber::registry::LookupSpan;

/// Targets of our crates begin so; the spans of the libraries that carry an export would cause the next export.
const OURS: &str = "parallax";

static BOUND: OnceLock<SdkTracer> = OnceLock::new();

/// A layer of any subscriber.
pub(crate) type BoxedLayer<S> = Box<dyn Layer<S> + Send + Sync>;

/// Opens the layer of this process; the first tracer stays.
pub(crate) fn bind(tracer: SdkTracer) -> bool {
    BOUND.set(tracer).is_ok()
}

/// The layer whose tracer comes with [`bind`].
pub(crate) fn late_layer<S>() -> BoxedLayer<S>
where
    S: Subscriber + for<'span> LookupSpan<'span> + Send + Sync,
{
    layer(LateTracer, || BOUND.get().is_some())
}

/// A layer with its tracer.
pub(crate) fn layer_of<S>(tracer: SdkTracer) -> BoxedLayer<S>
where
    S: Subscriber + for<'span> LookupSpan<'span> + Send + Sync,
{
    layer(tracer, || true)
}

fn layer<S, T>(tracer: T, open: fn() -> bool) -> BoxedLayer<S>
where
    S: Subscriber + for<'span> LookupSpan<'span> + Send + Sync,
    T: Tracer<Span = Span> + Send + Sync + 'static,
{
    let filter = DynFilterFn::new(move |metadata, _| exported(metadata) && open())
        .with_callsite_filter(|metadata| {
            if exported(metadata) {
                Interest::sometimes()
            } else {
                Interest::never()
            }
        })
        .with_max_level_hint(LevelFilter::INFO);
    OpenTelemetryLayer::new(tracer)
        .with_location(false)
        .with_threads(false)
        .with_tracked_inactivity(false)
        .with_target(false)
        .with_filter(filter)
        .boxed()
}

fn exported(metadata: &Metadata<'_>) -> bool {
    metadata.is_span() && *metadata.level() <= Level::INFO && metadata.target().starts_with(OURS)
}

struct LateTracer;

impl Tracer for LateTracer {
    type Span = Span;

    fn build_with_context(&self, builder: SpanBuilder, parent: &Context) -> Span {
        match BOUND.get() {
            Some(tracer) => tracer.build_with_context(builder, parent),
            None => nowhere().build_with_context(builder, parent),
        }
    }
}

/// The filter keeps spans away until there is a tracer; this is for one that was on its way.
fn nowhere() -> SdkTracer {
    SdkTracerProvider::builder()
        .with_sampler(Sampler::AlwaysOff)
        .build()
        .tracer(OURS)
}
