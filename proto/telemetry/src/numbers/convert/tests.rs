#![allow(clippy::unwrap_used)]

use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use opentelemetry_proto::tonic::metrics::v1::{AggregationTemporality, exemplar};
use prost::Message as _;

use super::*;
use crate::service::instance_id;

const STARTED: u64 = 1_700_000_000;
const NOW: u64 = STARTED + 60;

const PAGE: &str = r#"# HELP runs Runs answered.
# TYPE runs counter
runs_total{verdict="partial",why="a \"b\""} 3
runs_total{verdict="down",why=""} 1
# HELP spool_made_total Results that were ever made.
# TYPE spool_made_total counter
spool_made_total 7
# HELP age_seconds How old it is.
# TYPE age_seconds gauge
age_seconds{probe="fra-1"} 2
# HELP store_bytes Bytes.
# TYPE store_bytes gauge
store_bytes 0.5
# HELP took_seconds How long it took.
# TYPE took_seconds histogram
took_seconds_sum{stage="tls"} 0.75
took_seconds_count{stage="tls"} 4
took_seconds_bucket{le="0.1",stage="tls"} 1
took_seconds_bucket{le="0.5",stage="tls"} 3 # {trace_id="0af7651916cd43dd8448eb211c80319c",agent="fra-1"} 0.25 1700000001.5
took_seconds_bucket{le="+Inf",stage="tls"} 4
took_seconds_sum{stage="connect"} 0.0
took_seconds_count{stage="connect"} 0
took_seconds_bucket{le="0.1",stage="connect"} 0
took_seconds_bucket{le="0.5",stage="connect"} 0
took_seconds_bucket{le="+Inf",stage="connect"} 0
# HELP all All of it.
# TYPE all summary
all_sum 9
all_count 12
all{quantile="0.5"} 0.5
# HELP build The program.
# TYPE build info
build_info{version="1"} 1
nonsense
broken{a="1"} x
# EOF
"#;

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn frame() -> Frame {
    let service = Service {
        name: "parallax-collector",
        instance_id: instance_id("test"),
        attributes: vec![KeyValue::new("parallax.agent.id", "fra-1")],
    };
    Frame::of(service, at(STARTED), &["spool_made_total"])
}

fn metrics(request: ExportMetricsServiceRequest) -> Vec<Metric> {
    let resources = request.resource_metrics.into_iter();
    let scopes = resources.flat_map(|resource| resource.scope_metrics);
    scopes.flat_map(|scope| scope.metrics).collect()
}

fn converted(page: &str) -> Vec<Metric> {
    requests(page, &frame(), at(NOW)).flat_map(metrics).collect()
}

fn metric(name: &str) -> Metric {
    let all = converted(PAGE);
    let found = all.iter().find(|metric| metric.name == name);
    found.unwrap_or_else(|| panic!("no {name} in {all:#?}")).clone()
}

fn attributes(of: &[opentelemetry_proto::tonic::common::v1::KeyValue]) -> Vec<(&str, &str)> {
    let pairs =
        of.iter().map(
            |attribute| match attribute.value.as_ref().and_then(|value| value.value.as_ref()) {
                Some(Any::StringValue(text)) => (attribute.key.as_str(), text.as_str()),
                other => panic!("{other:?}"),
            },
        );
    pairs.collect()
}

#[test]
fn a_counter_is_a_monotonic_cumulative_sum_since_the_start() {
    let runs = metric("runs_total");
    assert_eq!(runs.description, "Runs answered.");
    let Some(Data::Sum(sum)) = runs.data else {
        panic!("{runs:#?}");
    };
    assert!(sum.is_monotonic);
    assert_eq!(sum.aggregation_temporality(), AggregationTemporality::Cumulative);
    let [partial, down] = sum.data_points.as_slice() else {
        panic!("{sum:#?}");
    };
    assert_eq!(
        attributes(&partial.attributes),
        [("verdict", "partial"), ("why", "a \"b\"")]
    );
    assert_eq!(partial.value, Some(Value::AsInt(3)));
    assert_eq!(down.value, Some(Value::AsInt(1)));
    assert_eq!(partial.start_time_unix_nano, STARTED * 1_000_000_000);
    assert_eq!(partial.time_unix_nano, NOW * 1_000_000_000);
}

#[test]
fn a_counter_that_outlives_the_process_says_no_start() {
    let made = metric("spool_made_total");
    let Some(Data::Sum(sum)) = made.data else {
        panic!("{made:#?}");
    };
    assert_eq!(sum.data_points[0].start_time_unix_nano, 0);
    assert_eq!(sum.data_points[0].value, Some(Value::AsInt(7)));
}

#[test]
fn a_gauge_is_a_gauge_of_one_kind_of_number_with_the_unit_of_its_name() {
    for (name, unit, value) in [
        ("age_seconds", "s", 2.0),
        ("store_bytes", "By", 0.5),
        ("build_info", "", 1.0),
    ] {
        let found = metric(name);
        assert_eq!(found.unit, unit, "{name}");
        let Some(Data::Gauge(gauge)) = found.data else {
            panic!("{found:#?}");
        };
        assert_eq!(gauge.data_points[0].value, Some(Value::AsDouble(value)), "{name}");
        assert_eq!(gauge.data_points[0].time_unix_nano, NOW * 1_000_000_000);
    }
}

#[test]
fn a_histogram_keeps_its_buckets_and_the_trace_of_an_exemplar() {
    let took = metric("took_seconds");
    assert_eq!(took.unit, "s");
    let Some(Data::Histogram(histogram)) = took.data else {
        panic!("{took:#?}");
    };
    assert_eq!(
        histogram.aggregation_temporality(),
        AggregationTemporality::Cumulative
    );
    let [tls, connect] = histogram.data_points.as_slice() else {
        panic!("{histogram:#?}");
    };
    assert_eq!(attributes(&tls.attributes), [("stage", "tls")]);
    assert_eq!((tls.count, tls.sum), (4, Some(0.75)));
    assert_eq!(tls.explicit_bounds, [0.1, 0.5]);
    assert_eq!(tls.bucket_counts, [1, 2, 1]);
    assert_eq!(tls.start_time_unix_nano, STARTED * 1_000_000_000);
    assert_eq!(attributes(&connect.attributes), [("stage", "connect")]);
    assert_eq!(connect.bucket_counts, [0, 0, 0]);
    let [of_trace] = tls.exemplars.as_slice() else {
        panic!("{tls:#?}");
    };
    assert_eq!(
        of_trace.trace_id,
        0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c_u128.to_be_bytes()
    );
    assert_eq!(of_trace.value, Some(exemplar::Value::AsDouble(0.25)));
    assert_eq!(of_trace.time_unix_nano, 1_700_000_001_500_000_000);
    assert_eq!(attributes(&of_trace.filtered_attributes), [("agent", "fra-1")]);
}

#[test]
fn a_summary_stays_one() {
    let all = metric("all");
    let Some(Data::Summary(summary)) = all.data else {
        panic!("{all:#?}");
    };
    let [point] = summary.data_points.as_slice() else {
        panic!("{summary:#?}");
    };
    assert_eq!((point.sum, point.count), (9.0, 12));
    assert_eq!(point.quantile_values[0].quantile, 0.5);
}

#[test]
fn what_can_t_be_read_is_left_out_and_the_rest_is_there() {
    let names: Vec<_> = converted(PAGE).into_iter().map(|metric| metric.name).collect();
    assert_eq!(
        names,
        [
            "runs_total",
            "spool_made_total",
            "age_seconds",
            "store_bytes",
            "took_seconds",
            "all",
            "build_info"
        ]
    );
    assert!(converted("").is_empty());
}

#[test]
fn every_request_says_whose_it_is() {
    let request = requests(PAGE, &frame(), at(NOW)).next().unwrap();
    let [of] = request.resource_metrics.as_slice() else {
        panic!("{request:#?}");
    };
    let said = attributes(&of.resource.as_ref().unwrap().attributes);
    assert!(said.contains(&("service.name", "parallax-collector")), "{said:?}");
    assert!(said.contains(&("parallax.agent.id", "fra-1")), "{said:?}");
    assert_eq!(of.schema_url, SCHEMA_URL);
}

#[test]
fn no_point_ends_before_it_began() {
    let request = requests("# TYPE a counter\na_total 1\n", &frame(), at(STARTED - 3600)).next();
    let [metric] = metrics(request.unwrap()).try_into().unwrap();
    let Some(Data::Sum(sum)) = metric.data else {
        panic!("{metric:#?}");
    };
    let point = &sum.data_points[0];
    assert!(point.start_time_unix_nano <= point.time_unix_nano, "{point:?}");
}

#[test]
fn a_large_page_goes_in_parts_that_every_receiver_takes_and_nothing_is_lost_or_cut() {
    const SERIES: usize = 20_000;
    let long = "x".repeat(300);
    let mut page = String::from("# TYPE seen gauge\n");
    for number in 0..SERIES {
        page.push_str(&format!("seen{{number=\"{number}\",subject=\"{long}\"}} 1\n"));
    }
    page.push_str("# TYPE took histogram\n");
    for number in 0..SERIES {
        page.push_str(&format!(
            "took_sum{{n=\"{number}\"}} 1\ntook_count{{n=\"{number}\"}} 2\n"
        ));
        page.push_str(&format!("took_bucket{{le=\"1\",n=\"{number}\"}} 1\n"));
        page.push_str(&format!("took_bucket{{le=\"+Inf\",n=\"{number}\"}} 2\n"));
    }
    let (mut seen, mut took, mut parts) = (0, 0, 0);
    for request in requests(&page, &frame(), at(NOW)) {
        assert!(request.encoded_len() < 2 << 20, "{}", request.encoded_len());
        parts += 1;
        for metric in metrics(request) {
            match metric.data.unwrap() {
                Data::Gauge(gauge) => seen += gauge.data_points.len(),
                Data::Histogram(all) => {
                    assert!(all.data_points.iter().all(|point| point.bucket_counts == [1, 1]));
                    took += all.data_points.len();
                }
                other => panic!("{other:?}"),
            }
        }
    }
    assert_eq!((seen, took), (SERIES, SERIES));
    assert!(parts > 10, "{parts}");
}
