//! W3C Trace Context (Recommendation, 2021): in the metadata of a call, and as two fields of a message.

use std::collections::HashMap;

use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator as _};
use opentelemetry::trace::{SpanContext, TraceContextExt as _, TraceFlags, TraceId, TraceState};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tonic::metadata::{KeyRef, MetadataKey, MetadataMap};

use crate::ids;

const TRACEPARENT: &str = "traceparent";
const TRACESTATE: &str = "tracestate";

/// Writes the context into the metadata of a call; nothing when there is no trace.
pub fn inject(context: &Context, metadata: &mut MetadataMap) {
    TraceContextPropagator::new().inject_context(context, &mut Carrier(metadata));
}

/// Reads the context of a call; one without a trace when there is none or it is malformed.
pub fn extract(metadata: &MetadataMap) -> Context {
    TraceContextPropagator::new().extract_with_context(&Context::new(), &Carrier(metadata))
}

/// Reads the context from the two fields of a message, as [`extract`] does.
pub fn from_fields(traceparent: &str, tracestate: &str) -> Context {
    let fields: HashMap<String, String> = [(TRACEPARENT, traceparent), (TRACESTATE, tracestate)]
        .map(|(key, value)| (key.into(), value.into()))
        .into();
    TraceContextPropagator::new().extract_with_context(&Context::new(), &fields)
}

/// The context as `traceparent` and `tracestate`; both empty when there is no trace.
pub fn to_fields(context: &Context) -> (String, String) {
    let mut fields = HashMap::new();
    TraceContextPropagator::new().inject_context(context, &mut fields);
    let mut take = |key: &str| fields.remove(key).unwrap_or_default();
    (take(TRACEPARENT), take(TRACESTATE))
}

/// The context of a root that is made later, by [`crate::SpanSpec::root`] with the same id: what goes on meanwhile can
/// be below it already.
pub fn of_root(trace_id: [u8; 16]) -> Context {
    let root = SpanContext::new(
        TraceId::from_bytes(trace_id),
        ids::root_of(trace_id),
        TraceFlags::SAMPLED,
        true,
        TraceState::default(),
    );
    Context::new().with_remote_span_context(root)
}

/// The trace as 32 hexadecimal digits.
pub fn trace_id(context: &Context) -> Option<String> {
    let span = context.span();
    let context = span.span_context();
    context.is_valid().then(|| context.trace_id().to_string())
}

struct Carrier<M>(M);

impl Injector for Carrier<&mut MetadataMap> {
    fn set(&mut self, key: &str, value: String) {
        if let (Ok(key), Ok(value)) = (MetadataKey::from_bytes(key.as_bytes()), value.parse()) {
            self.0.insert(key, value);
        }
    }
}

impl Extractor for Carrier<&MetadataMap> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        let ascii = |key| match key {
            KeyRef::Ascii(key) => Some(key.as_str()),
            KeyRef::Binary(_) => None,
        };
        self.0.keys().filter_map(ascii).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_context_passes_through_metadata_and_fields() {
        let context = from_fields(PARENT, "vendor=1");
        assert_eq!(trace_id(&context).unwrap(), "0af7651916cd43dd8448eb211c80319c");
        let mut metadata = MetadataMap::new();
        inject(&context, &mut metadata);
        assert_eq!(metadata.get("traceparent").unwrap(), PARENT);
        assert_eq!(
            to_fields(&extract(&metadata)),
            (PARENT.to_owned(), "vendor=1".to_owned())
        );
    }

    #[test]
    fn without_a_trace_nothing_is_written() {
        for context in [
            Context::new(),
            from_fields("", ""),
            from_fields("00-zz-1", "a=\u{7f}"),
        ] {
            let mut metadata = MetadataMap::new();
            inject(&context, &mut metadata);
            assert!(metadata.get("traceparent").is_none());
            assert_eq!(to_fields(&context).0, "");
            assert_eq!(trace_id(&context), None);
        }
    }
}
