//! How a process says what it does: logs, spans, resource, trace context
