//! A series of a page as a data point.

use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Histogram, HistogramDataPoint, NumberDataPoint, Sum, Summary,
    SummaryDataPoint, summary_data_point::ValueAtQuantile,
};

use super::exemplar::exemplar;
use super::line::{Labels, Sample};

/// What a family is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
    Summary,
}

/// When its series began, and when they were read, nanoseconds since 1970.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    /// Zero where it is not known.
    pub(super) start: u64,
    pub(super) now: u64,
}

impl Kind {
    /// An info is a gauge of one, as the format before OpenMetrics has it; so is whatever nobody knows.
    pub(super) fn of(word: &str) -> Self {
        match word {
            "counter" => Self::Counter,
            "histogram" => Self::Histogram,
            "summary" => Self::Summary,
            _ => Self::Gauge,
        }
    }

    /// Whether a series of it takes several lines.
    pub(super) const fn is_compound(self) -> bool {
        matches!(self, Self::Histogram | Self::Summary)
    }

    /// The label of a line that is no label of the series.
    pub(super) const fn inner_label(self) -> Option<&'static str> {
        match self {
            Self::Counter | Self::Gauge => None,
            Self::Histogram => Some("le"),
            Self::Summary => Some("quantile"),
        }
    }

    /// Without a point yet.
    pub(super) fn empty(self) -> Data {
        let aggregation_temporality = AggregationTemporality::Cumulative.into();
        match self {
            Self::Counter => Data::Sum(Sum {
                aggregation_temporality,
                is_monotonic: true,
                ..Sum::default()
            }),
            Self::Gauge => Data::Gauge(Gauge::default()),
            Self::Histogram => Data::Histogram(Histogram {
                aggregation_temporality,
                ..Histogram::default()
            }),
            Self::Summary => Data::Summary(Summary::default()),
        }
    }
}

/// Adds a series, of one line or more, to its metric.
pub(super) fn add(data: &mut Data, family: &str, series: Vec<Sample<'_>>, times: Times) {
    match data {
        Data::Gauge(gauge) => {
            let points = series
                .into_iter()
                .filter_map(|sample| number(sample, times, false));
            gauge.data_points.extend(points);
        }
        Data::Sum(sum) => {
            let points = series
                .into_iter()
                .filter_map(|sample| number(sample, times, true));
            sum.data_points.extend(points);
        }
        Data::Histogram(all) => all.data_points.extend(histogram(family, series, times)),
        Data::Summary(all) => all.data_points.extend(summary(family, series, times)),
        Data::ExponentialHistogram(_) => {}
    }
}

/// Whether any series could be read.
pub(super) fn is_there(data: &Data) -> bool {
    match data {
        Data::Gauge(gauge) => !gauge.data_points.is_empty(),
        Data::Sum(sum) => !sum.data_points.is_empty(),
        Data::Histogram(all) => !all.data_points.is_empty(),
        Data::ExponentialHistogram(all) => !all.data_points.is_empty(),
        Data::Summary(all) => !all.data_points.is_empty(),
    }
}

/// A whole count stays whole; a gauge is real, always, so that it does not change its kind with its value.
fn number(sample: Sample<'_>, times: Times, counts: bool) -> Option<NumberDataPoint> {
    let whole = sample.value.parse().ok().filter(|_| counts);
    let value = match whole {
        Some(whole) => Value::AsInt(whole),
        None => Value::AsDouble(sample.value.parse().ok()?),
    };
    Some(NumberDataPoint {
        attributes: attributes(sample.labels),
        start_time_unix_nano: if counts { times.start } else { 0 },
        time_unix_nano: times.now,
        exemplars: sample
            .exemplar
            .and_then(|read| exemplar(read, times.now))
            .into_iter()
            .collect(),
        value: Some(value),
        flags: 0,
    })
}

/// The page counts up to each end of a bucket; OTLP counts in each bucket.
fn histogram(family: &str, series: Vec<Sample<'_>>, times: Times) -> Option<HistogramDataPoint> {
    let mut point = HistogramDataPoint {
        start_time_unix_nano: times.start,
        time_unix_nano: times.now,
        ..HistogramDataPoint::default()
    };
    let mut below = 0;
    for mut sample in series {
        let end = take(&mut sample.labels, "le");
        match (sample.name.strip_prefix(family)?, end) {
            ("_sum", None) => point.sum = sample.value.parse().ok(),
            ("_count", None) => point.count = sample.value.parse().ok()?,
            ("_bucket", Some(end)) => {
                let up_to: u64 = sample.value.parse().ok()?;
                let end: f64 = end.parse().ok()?;
                if end.is_finite() {
                    point.explicit_bounds.push(end);
                    point.bucket_counts.push(up_to.saturating_sub(below));
                    below = up_to;
                }
                let found = sample.exemplar.and_then(|read| exemplar(read, times.now));
                point.exemplars.extend(found);
            }
            _ => continue,
        }
        if point.attributes.is_empty() {
            point.attributes = attributes(sample.labels);
        }
    }
    point.bucket_counts.push(point.count.saturating_sub(below));
    Some(point)
}

fn summary(family: &str, series: Vec<Sample<'_>>, times: Times) -> Option<SummaryDataPoint> {
    let mut point = SummaryDataPoint {
        start_time_unix_nano: times.start,
        time_unix_nano: times.now,
        ..SummaryDataPoint::default()
    };
    for mut sample in series {
        let quantile = take(&mut sample.labels, "quantile");
        match (sample.name.strip_prefix(family)?, quantile) {
            ("_sum", None) => point.sum = sample.value.parse().ok()?,
            ("_count", None) => point.count = sample.value.parse().ok()?,
            ("", Some(quantile)) => point.quantile_values.push(ValueAtQuantile {
                quantile: quantile.parse().ok()?,
                value: sample.value.parse().ok()?,
            }),
            _ => continue,
        }
        if point.attributes.is_empty() {
            point.attributes = attributes(sample.labels);
        }
    }
    Some(point)
}

fn take(labels: &mut Labels, name: &str) -> Option<String> {
    let at = labels.iter().position(|(label, _)| label == name)?;
    Some(labels.remove(at).1)
}

fn attributes(labels: Labels) -> Vec<KeyValue> {
    let labels = labels.into_iter();
    labels.map(|(name, value)| attribute(name, value)).collect()
}

pub(super) fn attribute(key: String, value: String) -> KeyValue {
    KeyValue {
        key,
        value: Some(AnyValue {
            value: Some(Any::StringValue(value)),
        }),
        ..KeyValue::default()
    }
}
