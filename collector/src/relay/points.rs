//! The data points of a metric, whatever kind it is.

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::Metric;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;

/// The attributes of each of them.
pub(crate) fn of(metric: &Metric) -> Box<dyn Iterator<Item = &[KeyValue]> + '_> {
    match &metric.data {
        None => Box::new(std::iter::empty()),
        Some(Data::Gauge(gauge)) => Box::new(gauge.data_points.iter().map(|point| &*point.attributes)),
        Some(Data::Sum(sum)) => Box::new(sum.data_points.iter().map(|point| &*point.attributes)),
        Some(Data::Histogram(times)) => Box::new(times.data_points.iter().map(|point| &*point.attributes)),
        Some(Data::ExponentialHistogram(times)) => {
            Box::new(times.data_points.iter().map(|point| &*point.attributes))
        }
        Some(Data::Summary(summary)) => Box::new(summary.data_points.iter().map(|point| &*point.attributes)),
    }
}
