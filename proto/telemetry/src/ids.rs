//! The ids of traces and spans: random ones, but for a trace that is to have an id which others know already.

use std::cell::Cell;

use opentelemetry::trace::{SpanId, TraceId};
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator};

thread_local! {
    static NEXT: Cell<Option<[u8; 16]>> = const { Cell::new(None) };
}

/// The next trace that begins on this thread inside `begin` has this id.
pub(crate) fn with_trace_id<T>(id: [u8; 16], begin: impl FnOnce() -> T) -> T {
    NEXT.set(Some(id));
    let begun = begin();
    NEXT.set(None);
    begun
}

/// Makes the ids.
#[derive(Debug, Default)]
pub(crate) struct Ids(RandomIdGenerator);

impl IdGenerator for Ids {
    fn new_trace_id(&self) -> TraceId {
        NEXT.take()
            .map_or_else(|| self.0.new_trace_id(), TraceId::from_bytes)
    }

    fn new_span_id(&self) -> SpanId {
        self.0.new_span_id()
    }
}
