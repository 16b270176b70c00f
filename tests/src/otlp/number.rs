//! One data point as it arrived.

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use opentelemetry_proto::tonic::metrics::v1::{AggregationTemporality, NumberDataPoint};

use super::{find, texts};

/// A data point, with what its resource says of the process it is from.
#[derive(Clone, Debug)]
pub struct Number {
    /// What the metric is called.
    pub name: String,
    /// What it is.
    pub shape: Shape,
    /// Its value; of a histogram the count.
    pub value: f64,
    /// Since when it counts, nanoseconds since 1970; 0 where it does not say.
    pub start: u64,
    /// When it was read.
    pub time: u64,
    /// Attributes of the point, in text, sorted.
    pub attributes: Vec<(String, String)>,
    /// Attributes of the process, in text.
    pub resource: Vec<(String, String)>,
}

/// What a metric is.
#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    /// A sum that is monotonic and cumulative.
    Counter,
    /// A gauge.
    Gauge,
    /// A cumulative histogram with these ends of buckets.
    Histogram(Vec<f64>),
    /// Anything else.
    Other,
}

impl Number {
    /// An attribute of the point.
    pub fn attribute(&self, key: &str) -> Option<&str> {
        find(&self.attributes, key)
    }

    /// An attribute of the process it is from.
    pub fn process(&self, key: &str) -> Option<&str> {
        find(&self.resource, key)
    }
}

pub(super) fn numbers(request: ExportMetricsServiceRequest) -> Vec<Number> {
    let mut numbers = Vec::new();
    for process in request.resource_metrics {
        let said = process.resource.map(|resource| resource.attributes);
        let resource = texts(said.unwrap_or_default());
        let metrics = process.scope_metrics.into_iter().flat_map(|scope| scope.metrics);
        for metric in metrics {
            let points = metric.data.map(points).unwrap_or_default();
            numbers.extend(points.into_iter().map(|point| Number {
                name: metric.name.clone(),
                resource: resource.clone(),
                ..point
            }));
        }
    }
    numbers
}

fn points(data: Data) -> Vec<Number> {
    let cumulative = i32::from(AggregationTemporality::Cumulative);
    match data {
        Data::Sum(sum) => {
            let counts = sum.is_monotonic && sum.aggregation_temporality == cumulative;
            let shape = if counts { Shape::Counter } else { Shape::Other };
            let points = sum.data_points.into_iter();
            points.map(|point| plain(point, shape.clone())).collect()
        }
        Data::Gauge(gauge) => {
            let points = gauge.data_points.into_iter();
            points.map(|point| plain(point, Shape::Gauge)).collect()
        }
        Data::Histogram(all) => {
            let points = all.data_points.into_iter();
            let whole = all.aggregation_temporality == cumulative;
            let read = points.map(|point| {
                let adds_up = point.bucket_counts.iter().sum::<u64>() == point.count;
                let shape = if whole && adds_up {
                    Shape::Histogram(point.explicit_bounds)
                } else {
                    Shape::Other
                };
                number(
                    point.attributes,
                    shape,
                    point.count as f64,
                    (point.start_time_unix_nano, point.time_unix_nano),
                )
            });
            read.collect()
        }
        Data::ExponentialHistogram(_) | Data::Summary(_) => Vec::new(),
    }
}

fn plain(point: NumberDataPoint, shape: Shape) -> Number {
    let value = match point.value {
        Some(Value::AsInt(value)) => value as f64,
        Some(Value::AsDouble(value)) => value,
        None => f64::NAN,
    };
    let times = (point.start_time_unix_nano, point.time_unix_nano);
    number(point.attributes, shape, value, times)
}

fn number(attributes: Vec<KeyValue>, shape: Shape, value: f64, (start, time): (u64, u64)) -> Number {
    let mut attributes = texts(attributes);
    attributes.sort();
    Number {
        name: String::new(),
        shape,
        value,
        start,
        time,
        attributes,
        resource: Vec::new(),
    }
}
