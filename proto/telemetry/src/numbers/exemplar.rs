//! The trace that stands for a bucket.

use opentelemetry_proto::tonic::metrics::v1::{Exemplar, exemplar::Value};

use super::line;
use super::point::attribute;

const TRACE_ID: &str = "trace_id";

/// `time` is when the page was made, for one that says nothing of its own.
pub(super) fn exemplar(read: line::Exemplar<'_>, time: u64) -> Option<Exemplar> {
    let value = read.value.parse().ok()?;
    let own = read.seconds.and_then(|seconds| seconds.parse::<f64>().ok());
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a cast of floats saturates"
    )]
    let own = own.map(|seconds| (seconds * 1e9) as u64);
    let mut exemplar = Exemplar {
        time_unix_nano: own.unwrap_or(time),
        value: Some(Value::AsDouble(value)),
        ..Exemplar::default()
    };
    for (name, value) in read.labels {
        match u128::from_str_radix(&value, 16) {
            Ok(id) if name == TRACE_ID && value.len() == 32 => exemplar.trace_id = id.to_be_bytes().to_vec(),
            _ => exemplar.filtered_attributes.push(attribute(name, value)),
        }
    }
    Some(exemplar)
}
