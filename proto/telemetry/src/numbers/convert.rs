//! A page as OTLP requests.
//!
//! Every metric is called as its samples are on the page (a histogram without `_bucket`), so that rules and dashboards
//! for one fit the other: whoever makes Prometheus series of OTLP adds `_total` and units only where they are missing.

use std::iter::Peekable;
use std::str::Lines;
use std::time::{SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::metrics::v1::{Metric, ResourceMetrics, ScopeMetrics};
use opentelemetry_proto::tonic::resource::v1::Resource;

use super::line::{Line, Sample};
use super::point::{self, Kind, Times};
use crate::attribute::SCHEMA_URL;
use crate::service::Service;

/// What goes into one request, so that it stays far below the 4 MiB that receivers take: lines of the page, and bytes
/// of them.
const LINES: usize = 4096;
const BYTES: usize = 512 << 10;

/// What is the same in every request.
#[derive(Debug)]
pub(super) struct Frame {
    resource: Resource,
    started: u64,
    outlive: &'static [&'static str],
}

impl Frame {
    pub(super) fn of(service: Service, started: SystemTime, outlive: &'static [&'static str]) -> Self {
        Self {
            resource: Resource::from(&service.resource()),
            started: nanoseconds(started),
            outlive,
        }
    }

    fn request(&self, metrics: Vec<Metric>) -> ExportMetricsServiceRequest {
        let scope = InstrumentationScope {
            name: "parallax".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ..InstrumentationScope::default()
        };
        ExportMetricsServiceRequest {
            resource_metrics: vec![ResourceMetrics {
                resource: Some(self.resource.clone()),
                scope_metrics: vec![ScopeMetrics {
                    scope: Some(scope),
                    metrics,
                    schema_url: SCHEMA_URL.to_owned(),
                }],
                schema_url: SCHEMA_URL.to_owned(),
            }],
        }
    }
}

/// The page in parts, each made when it is asked for.
pub(super) fn requests<'a>(
    page: &'a str,
    frame: &'a Frame,
    now: SystemTime,
) -> impl Iterator<Item = ExportMetricsServiceRequest> + 'a {
    let mut reader = Reader {
        lines: page.lines().peekable(),
        family: Family::default(),
        lines_read: 0,
        bytes_read: 0,
    };
    // A clock that was set back makes no point that ends before it began.
    let now = nanoseconds(now).max(frame.started);
    std::iter::from_fn(move || {
        while reader.lines.peek().is_some() {
            let metrics = reader.part(frame, now);
            if !metrics.is_empty() {
                return Some(frame.request(metrics));
            }
        }
        None
    })
}

#[derive(Debug, Clone, Copy)]
struct Family<'a> {
    name: &'a str,
    help: &'a str,
    kind: Kind,
}

impl Default for Family<'_> {
    fn default() -> Self {
        Self {
            name: "",
            help: "",
            kind: Kind::Gauge,
        }
    }
}

struct Reader<'a> {
    lines: Peekable<Lines<'a>>,
    family: Family<'a>,
    lines_read: usize,
    bytes_read: usize,
}

impl<'a> Reader<'a> {
    /// The next metrics, as many as go into one request.
    fn part(&mut self, frame: &Frame, now: u64) -> Vec<Metric> {
        let mut metrics: Vec<Metric> = Vec::new();
        (self.lines_read, self.bytes_read) = (0, 0);
        while self.lines_read < LINES
            && self.bytes_read < BYTES
            && let Some(series) = self.series()
        {
            let Some(first) = series.first() else {
                continue;
            };
            let kind = self.family.kind;
            let name = if kind.is_compound() {
                self.family.name
            } else {
                first.name
            };
            let start = if frame.outlive.contains(&name) {
                0
            } else {
                frame.started
            };
            let fresh = metrics.last().is_none_or(|metric| metric.name != name);
            if fresh {
                metrics.push(Metric {
                    name: name.to_owned(),
                    description: self.family.help.to_owned(),
                    unit: unit(self.family.name).to_owned(),
                    data: Some(kind.empty()),
                    ..Metric::default()
                });
            }
            if let Some(data) = metrics.last_mut().and_then(|metric| metric.data.as_mut()) {
                point::add(data, self.family.name, series, Times { start, now });
            }
        }
        metrics.retain(|metric| metric.data.as_ref().is_some_and(point::is_there));
        metrics
    }

    /// The lines of the next series; none at the end of the page.
    fn series(&mut self) -> Option<Vec<Sample<'a>>> {
        loop {
            match self.line()? {
                Line::Help(name, help) => {
                    self.family = Family {
                        name,
                        help,
                        kind: Kind::Gauge,
                    }
                }
                Line::Type(name, word) => {
                    if self.family.name != name {
                        self.family = Family {
                            name,
                            ..Family::default()
                        };
                    }
                    self.family.kind = Kind::of(word);
                }
                Line::Sample(sample) => return Some(self.rest_of(sample)),
                Line::Other => {}
            }
        }
    }

    /// With the lines that belong to the same series.
    fn rest_of(&mut self, first: Sample<'a>) -> Vec<Sample<'a>> {
        let mut series = vec![first];
        let Some(inner) = self.family.kind.inner_label() else {
            return series;
        };
        while let Some(Line::Sample(next)) = self.lines.peek().map(|line| Line::read(line))
            && is_same_series(&series[0], &next, inner)
        {
            self.line();
            series.push(next);
        }
        series
    }

    fn line(&mut self) -> Option<Line<'a>> {
        let line = self.lines.next()?;
        self.lines_read += 1;
        self.bytes_read += line.len();
        Some(Line::read(line))
    }
}

fn is_same_series(first: &Sample<'_>, next: &Sample<'_>, inner: &str) -> bool {
    let outer = |sample: &'_ Sample<'_>| -> Vec<_> {
        let labels = sample.labels.iter().filter(|(name, _)| name != inner);
        labels.cloned().collect()
    };
    outer(first) == outer(next)
}

/// In the words of UCUM, as the name of a family ends. One that says nothing gets none: what makes Prometheus series
/// of this would add it to the name.
fn unit(family: &str) -> &'static str {
    let family = family.strip_suffix("_total").unwrap_or(family);
    if family.ends_with("_seconds") {
        "s"
    } else if family.ends_with("_bytes") {
        "By"
    } else {
        ""
    }
}

fn nanoseconds(at: SystemTime) -> u64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
