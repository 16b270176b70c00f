//! How a process says what it does: logs, spans, numbers, resource, trace context.
//!
//! Spans carry outcomes, names and times; never a user, a secret, a mailbox or a line of a server. With no
//! destination there is no provider: [`Tracing::tracer`] is `None` and nothing is made.

pub mod attribute;
mod behalf;
pub mod context;
mod exporter;
mod ids;
pub mod logs;
mod numbers;
mod process;
mod provider;
mod service;
pub mod span;
pub mod stages;

pub use numbers::{Numbers, Publishing, label_value};
pub use provider::{Destination, TelemetryError, Tracing};
pub use service::{Service, instance_id};
pub use span::{OpenSpan, SpanSpec};
