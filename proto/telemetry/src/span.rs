//! Spans with times of their own, made beside what they tell of.

use std::borrow::Cow;
use std::time::SystemTime;

use opentelemetry::trace::{SpanBuilder, SpanKind, Status, TraceContextExt as _, Tracer as _};
use opentelemetry::{Context, KeyValue, Value};
use opentelemetry_sdk::trace::SdkTracer;

use crate::attribute::ERROR_TYPE;
use crate::ids;

/// A span to be begun.
#[derive(Debug, Clone)]
pub struct SpanSpec {
    /// Of few values.
    pub name: Cow<'static, str>,
    /// Whether it is one side of a call.
    pub kind: SpanKind,
    /// When it begins.
    pub start: SystemTime,
    /// What is known from the start.
    pub attributes: Vec<KeyValue>,
}

impl SpanSpec {
    /// A span inside the process, without attributes.
    pub fn new(name: impl Into<Cow<'static, str>>, start: SystemTime) -> Self {
        Self {
            name: name.into(),
            kind: SpanKind::Internal,
            start,
            attributes: Vec::new(),
        }
    }

    /// The same as one side of a call.
    #[must_use]
    pub fn kind(mut self, kind: SpanKind) -> Self {
        self.kind = kind;
        self
    }

    /// The same with one attribute more.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl Into<Value>) -> Self {
        self.attributes.push(KeyValue::new(key, value));
        self
    }

    /// Begins it as the root of a trace with this id; [`crate::context::of_root`] is its context beforehand.
    pub fn root(self, tracer: &SdkTracer, trace_id: [u8; 16]) -> OpenSpan {
        ids::with_trace_id(trace_id, || self.child_of(tracer, &Context::new()))
    }

    /// Begins it under `parent`; under a context without a trace it is the root of a new one.
    pub fn child_of(self, tracer: &SdkTracer, parent: &Context) -> OpenSpan {
        let builder = SpanBuilder::from_name(self.name)
            .with_kind(self.kind)
            .with_start_time(self.start)
            .with_attributes(self.attributes);
        let span = tracer.build_with_context(builder, parent);
        OpenSpan {
            context: parent.with_span(span),
        }
    }
}

/// A span that has begun. Dropped unfinished, it ends when the last clone of its context goes.
#[derive(Debug)]
pub struct OpenSpan {
    context: Context,
}

impl OpenSpan {
    /// The context for its children and for the wire.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// Adds what has become known.
    pub fn set(&self, key: &'static str, value: impl Into<Value>) {
        self.context.span().set_attribute(KeyValue::new(key, value));
    }

    /// Ends it; its status stays unset, as the conventions want it for success.
    pub fn finish(self, end: SystemTime) {
        self.context.span().end_with_timestamp(end);
    }

    /// Ends it as an error. The description adds to the error type and does not repeat it; it may be empty.
    pub fn fail(
        self,
        end: SystemTime,
        error_type: impl Into<Value>,
        description: impl Into<Cow<'static, str>>,
    ) {
        self.set(ERROR_TYPE, error_type);
        self.context.span().set_status(Status::error(description));
        self.finish(end);
    }

    /// Ends it as an error where there is one.
    pub fn conclude(self, end: SystemTime, error_type: Option<String>) {
        match error_type {
            Some(error_type) => self.fail(end, error_type, ""),
            None => self.finish(end),
        }
    }
}
