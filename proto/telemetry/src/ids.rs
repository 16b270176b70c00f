//! The ids of traces and spans: random ones, but for a trace that is to have an id which others know already, and its
//! root.

use std::cell::Cell;

use opentelemetry::trace::{SpanId, TraceId};
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator};

thread_local! {
    static TRACE: Cell<Option<[u8; 16]>> = const { Cell::new(None) };
    static ROOT: Cell<Option<[u8; 16]>> = const { Cell::new(None) };
}

/// The next trace that begins on this thread inside `begin` has this id, and its root the one that follows from it.
pub(crate) fn with_trace_id<T>(id: [u8; 16], begin: impl FnOnce() -> T) -> T {
    TRACE.set(Some(id));
    ROOT.set(Some(id));
    let begun = begin();
    TRACE.set(None);
    ROOT.set(None);
    begun
}

/// The root of a trace with such an id: the end of it, which is random in a UUID.
pub(crate) fn root_of(id: [u8; 16]) -> SpanId {
    let mut end = [0; 8];
    end.copy_from_slice(&id[8..]);
    SpanId::from_bytes(end)
}

/// Makes the ids.
#[derive(Debug, Default)]
pub(crate) struct Ids(RandomIdGenerator);

impl IdGenerator for Ids {
    fn new_trace_id(&self) -> TraceId {
        TRACE
            .take()
            .map_or_else(|| self.0.new_trace_id(), TraceId::from_bytes)
    }

    fn new_span_id(&self) -> SpanId {
        ROOT.take().map_or_else(|| self.0.new_span_id(), root_of)
    }
}
