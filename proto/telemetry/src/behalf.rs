//! Spans of another process, made by this one: what an agent saw in a round becomes spans at the collector, which alone
//! knows whether the round is worth a trace. They are exported under that process's resource.

use std::collections::BTreeMap;
use std::fmt::{self, Debug};
use std::time::Duration;

use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{SpanData, SpanExporter};

use crate::attribute::SCHEMA_URL;

/// The scope of all our spans. With attributes, they are those of the process that the spans are of.
pub(crate) fn scope(of: Vec<KeyValue>) -> InstrumentationScope {
    InstrumentationScope::builder("parallax")
        .with_version(env!("CARGO_PKG_VERSION"))
        .with_schema_url(SCHEMA_URL)
        .with_attributes(of)
        .build()
}

/// Exports the spans of each process under its own resource.
pub(crate) struct ByProcess<E> {
    own: E,
    another: Box<dyn Fn() -> Result<E, String> + Send + Sync>,
}

impl<E> ByProcess<E> {
    /// `another` makes one more exporter to where `own` exports.
    pub(crate) fn new(own: E, another: impl Fn() -> Result<E, String> + Send + Sync + 'static) -> Self {
        Self {
            own,
            another: Box::new(another),
        }
    }
}

impl<E: SpanExporter> ByProcess<E> {
    async fn export_for(&self, process: Vec<KeyValue>, spans: Vec<SpanData>) -> OTelSdkResult {
        let mut exporter = (self.another)().map_err(OTelSdkError::InternalFailure)?;
        let resource = Resource::builder_empty()
            .with_schema_url(process, SCHEMA_URL)
            .build();
        exporter.set_resource(&resource);
        exporter.export(spans).await
    }
}

impl<E: SpanExporter> SpanExporter for ByProcess<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let mut own = Vec::new();
        let mut others: BTreeMap<String, (Vec<KeyValue>, Vec<SpanData>)> = BTreeMap::new();
        for mut span in batch {
            let process: Vec<KeyValue> = span.instrumentation_scope.attributes().cloned().collect();
            if process.is_empty() {
                own.push(span);
                continue;
            }
            span.instrumentation_scope = scope(Vec::new());
            let spans = others.entry(format!("{process:?}"));
            spans.or_insert_with(|| (process, Vec::new())).1.push(span);
        }
        let mut result = match own.is_empty() {
            true => Ok(()),
            false => self.own.export(own).await,
        };
        for (process, spans) in others.into_values() {
            result = self.export_for(process, spans).await.and(result);
        }
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.own.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.own.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.own.set_resource(resource);
    }
}

impl<E: Debug> Debug for ByProcess<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ByProcess").field(&self.own).finish()
    }
}
